/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One layer of an image over those below it (OCI image spec, "Image Layer Filesystem
 * Changeset"), read twice: first everything goes that it hides or replaces, then what is in it
 * is placed, where by then nothing is in its way. So a whiteout takes away what lower layers
 * brought and never what its own layer brings, wherever it stands in the archive.
 *
 * Links on the way to an entry are followed inside the root (place_resolve()): images write
 * lib/x where lib is a link to usr/lib.
 */
#pragma once

#include "unpack/stream.h"

struct layer {
    const struct spool_member *blob;
    enum packing packing;
    struct digest diff_id; /* of the unpacked bytes */
};

/* *budget is how many unpacked bytes the layers may still have; it becomes less. */
int layer_apply(const struct spool *spool, const struct layer *layer, struct place *place,
                int64_t *budget, struct fault *fault) MUST_CHECK;
