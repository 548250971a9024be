/* SPDX-License-Identifier: Apache-2.0 */
/* The user an image wants to be: `user`, `uid`, `user:group`, `uid:gid` (OCI image spec,
 * "Image Configuration"), names by the image's own /etc/passwd and /etc/group. */
#pragma once

#include "unpack/place.h"

#define USER_ID_MAX 2147483646

/* 0 in either means the sandbox's own: nothing is named, or it is root, which nobody gets to
 * be. An unknown name is FAULT_ARTIFACT_INVALID. */
int user_resolve(const struct place *place, const char *text, int64_t *ret_uid, int64_t *ret_gid,
                 struct fault *fault) MUST_CHECK;
