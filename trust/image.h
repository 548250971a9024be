/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How an image of kind `oci` says it is started. Found by the unpacker, which nobody trusts, and
 * judged here: what it may say is fixed by this schema, whatever the image's configuration held.
 */
#pragma once

#include "base/digest.h"
#include "base/fault.h"
#include "trust/manifest.h"

#define IMAGE_JSON_MAX (64 * 1024)
#define IMAGE_WORDS_MAX 256
#define IMAGE_ENV_MAX 128
#define IMAGE_ENV_NAME_MAX 128

struct image {
    const char *const *entrypoint; /* [0] an absolute path; empty where the image names nothing */
    size_t entrypoint_count;
    const char *const *cmd; /* what follows where the manifest has no args */
    size_t cmd_count;
    const struct manifest_env *env;
    size_t env_count;
    const char *working_dir; /* absolute */
    int64_t uid, gid;        /* 0: the sandbox's own */
    struct span json;        /* compact: what approvers are shown */
};

#define AUTO_IMAGE AUTO(image_cleanup)

/* Reads {"entrypoint": [..], "cmd": [..], "env": {..}, "working_dir": "/..", "user": "uid[:gid]",
 * "program": "/.."}, the last two where there are such. FAULT_ARTIFACT_INVALID naming the member:
 *   - entrypoint[0] and program (the file that it is, links followed) are clean absolute paths, not
 *     in a folder that the sandbox mounts something on: what lies there in the image is not what
 *     would be started
 *   - env names are [A-Za-z_][A-Za-z0-9_]{0,127}, never LD_*, GLIBC_TUNABLES or GCONV_PATH, by
 *     which an input could become code; PATH holds only such folders as entrypoint[0] may be in
 *   - working_dir is a clean absolute path, not inside what is mounted
 *   - user is never root */
int image_parse(struct span json, struct image **ret_image, struct fault *fault) MUST_CHECK;

void image_free(struct image *image);
void image_cleanup(struct image **image);
