/* SPDX-License-Identifier: Apache-2.0 */
/* What a job starts: the arguments and the environment, put together from what the artifact
 * fixes and what the manifest adds. Pure. */
#pragma once

#include "trust/descriptor.h"
#include "trust/manifest.h"

/* The texts are borrowed from what it was built of, or owned by it. */
struct command {
    const char **argv; /* NULL-terminated */
    size_t argv_count;
    const char **env; /* NULL-terminated NAME=value */
    struct buf env_text;
};
#define AUTO_COMMAND AUTO(command_free)

/* FAULT_ARTIFACT_INVALID where nothing says what is to be started. */
int command_build(const struct descriptor *descriptor, const struct manifest *manifest,
                  struct command *ret_command, struct fault *fault) MUST_CHECK;

/* Fine on {0}. */
void command_free(struct command *command);
