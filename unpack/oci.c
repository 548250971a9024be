/* SPDX-License-Identifier: Apache-2.0 */
#include "unpack/oci.h"

#include "unpack/layout.h"
#include "unpack/start.h"

/* What the tar headers and the padding of an entry may take besides its content. */
#define ENTRY_OVERHEAD 4096

int oci_unpack(int fd, struct place *place, struct buf *ret_start, struct fault *fault)
{
    AUTO_SPOOL struct spool *spool = NULL;
    AUTO(layout_free) struct layout layout = {0};
    if (spool_fill(fd, place, &spool, fault) != 0 || layout_read(spool, &layout, fault) != 0)
        return -1;
    int64_t budget = place->max_bytes + place->max_entries * ENTRY_OVERHEAD;
    for (size_t i = 0; i < layout.layer_count; i++) {
        if (layer_apply(spool, &layout.layers[i], place, &budget, fault) != 0)
            return -1;
    }
    if (place->entries == 0)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "an image with nothing in it");
    return start_describe(layout.config, place, ret_start, fault);
}
