/* SPDX-License-Identifier: Apache-2.0 */
/* What a job starts, put together from what its artifact fixes and what its manifest adds. Pure. */
#pragma once

#include "trust/descriptor.h"
#include "trust/image.h"
#include "trust/manifest.h"

#include <sys/types.h>

/* The texts are borrowed from what it was built of, or owned by it. */
struct command {
    const char **argv; /* NULL-terminated */
    size_t argv_count;
    const char **env; /* NULL-terminated NAME=value */
    struct buf env_text;
    const char *workdir; /* NULL: "/" */
    uid_t uid;           /* 0: the sandbox's own, as the group */
    gid_t gid;
};
#define AUTO_COMMAND AUTO(command_free)

/* argv is the descriptor's entrypoint or, where it has none, the image's; then the manifest's args
 * or, where it has none and the entrypoint is the image's, the image's cmd. So a manifest never
 * names the program. The environment is ours (PATH, HOME, LANG), under the image's, under the
 * manifest's, which descriptor_check_env() has judged. image is NULL for other kinds.
 * FAULT_ARTIFACT_INVALID where nothing says what is to be started. */
int command_build(const struct descriptor *descriptor, const struct image *image,
                  const struct manifest *manifest, struct command *ret_command,
                  struct fault *fault) MUST_CHECK;

/* Fine on {0}. */
void command_free(struct command *command);
