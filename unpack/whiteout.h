/* SPDX-License-Identifier: Apache-2.0 */
/* Whiteouts: names by which a layer of an image takes away what is in the layers below it
 * (OCI image spec, "Image Layer Filesystem Changeset"). Pure. */
#pragma once

#include "base/fault.h"

#include <stdbool.h>

enum whiteout {
    WHITEOUT_NONE, /* an ordinary name */
    WHITEOUT_ONE,  /* .wh.<name>: that name beside it */
    WHITEOUT_ALL,  /* .wh..wh..opq: everything in its folder */
};

/* What a cleaned path (unpack/place.h) means. ret_target (of PLACE_PATH_MAX + 1 bytes) is the
 * path itself, the one taken away, or the folder that is emptied ("" for the root). Other names
 * below the prefix .wh. are reserved: FAULT_ARTIFACT_INVALID. */
int whiteout_parse(const char *path, enum whiteout *ret_kind, char *ret_target,
                   struct fault *fault) MUST_CHECK;
