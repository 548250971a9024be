/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runtime as it was hashed: a copy that nobody can change, alone in a file system in memory,
 * read-only, that is mounted nowhere (fsmount(2)). It lies in huge pages where the host has them
 * (tmpfs(5), huge=): a run starts the program five times, and takes 6 to 9 ms of 115 less of the
 * processor so.
 */
#pragma once

#include "base/digest.h"
#include "base/fault.h"

#define RUNTIME_SIZE_MAX (256u << 20)

/* As AppArmor calls it, with a slash before it: the profile has it, and ./dev check compares. */
#define RUNTIME_NAME "sallyport-runsc"

/* The copy, open for reading and to be executed by its descriptor, and what it holds; the caller
 * closes it. FAULT_UNAVAILABLE where there is no such file, or a larger one, or it is being
 * written. Needs CAP_SYS_ADMIN. */
int runtime_copy(const char *path, int *ret_fd, struct digest *ret_sha256,
                 struct fault *fault) MUST_CHECK;
