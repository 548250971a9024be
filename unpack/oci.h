/* SPDX-License-Identifier: Apache-2.0 */
/* Artifacts of kind `oci`: a tar (plain, gzip or zstd) of an OCI image layout, or what
 * `docker save` writes. */
#pragma once

#include "unpack/place.h"

/* Unpacks the one image for this machine, all of its digests checked, and appends how it says it
 * is started (unpack/start.h) to *ret_start. What was overwritten on the way counts against the
 * place's maxima like what stays. */
int oci_unpack(int fd, struct place *place, struct buf *ret_start, struct fault *fault) MUST_CHECK;
