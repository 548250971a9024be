/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes everything from this process that parsing an archive does not need: after
 * confine_enter() its root is the target folder, it is an unprivileged user without
 * capabilities, has hard limits, and may make a few dozen system calls, none of which
 * executes, maps code, or reaches a network or another process. Started in namespaces of its own.
 */
#pragma once

#include "base/fault.h"

#include <stdint.h>
#include <sys/types.h>

struct confinement {
    int folder; /* becomes the root */
    uid_t uid;  /* not 0 */
    gid_t gid;
    int64_t cpu_seconds; /* then SIGXCPU, a second later SIGKILL */
    int64_t memory_bytes;
    int64_t file_bytes; /* of one file */
};

/* On success *ret_root is the folder again, the only one that can be reached. */
int confine_enter(const struct confinement *confinement, int *ret_root,
                  struct fault *fault) MUST_CHECK;
