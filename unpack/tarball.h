/* SPDX-License-Identifier: Apache-2.0 */
/* Artifacts of kind `rootfs`: a tar (ustar, pax, GNU), plain, gzip or zstd. */
#pragma once

#include "unpack/place.h"

/* Unpacks everything or says why not. */
int tarball_unpack(int fd, struct place *place, struct fault *fault) MUST_CHECK;

/* The same from memory. */
int tarball_unpack_bytes(const void *data, size_t len, struct place *place,
                         struct fault *fault) MUST_CHECK;
