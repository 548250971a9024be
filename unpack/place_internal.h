/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the place_*.c files only: the way into the root, and how its refusals are told. */
#pragma once

#include "unpack/place.h"

/* openat2() beneath the folder, through no link; path "" is the folder itself. -1 with errno. */
int place_open(int folder, const char *path, uint64_t flags, uint64_t mode);

/* Another entry, or FAULT_ARTIFACT_INVALID past the maximum. */
int place_count(struct place *place, struct fault *fault) MUST_CHECK;

/* Both are -1: `path: why`, and the kernel's refusal in errno told as the archive's doing. Macros
 * for the reason that fault_set() is one. */
#define place_refuse(...) (place_tell(__VA_ARGS__), -1)
#define place_refuse_errno(...) (place_tell_errno(__VA_ARGS__), -1)
void place_tell(struct fault *fault, const char *path, const char *why);
void place_tell_errno(struct fault *fault, const char *path);

/* Where the last component of a path begins; *ret_folder (of PLACE_PATH_MAX + 1 bytes) is what is
 * before it, "" for the root. */
const char *place_split(const char *path, char *ret_folder);
