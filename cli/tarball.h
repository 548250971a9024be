/* SPDX-License-Identifier: Apache-2.0 */
/* A layout as a tar of one form: the same files give the same bytes, on any day, by anyone. */
#pragma once

#include "base/digest.h"
#include "cli/layout.h"

/* Writes the layout to `path` (replaced when it is whole): tar in pax form, zstd, ordered by path,
 * owner 0, time 0, modes 0755 and 0644. ret_digest and ret_size are of the file. */
int tarball_write(const struct layout *layout, const char *path, struct digest *ret_digest,
                  int64_t *ret_size, struct fault *fault) MUST_CHECK;
