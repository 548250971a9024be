/* SPDX-License-Identifier: Apache-2.0 */
/* Entry bundles: the first byte is the width less one, the rest the bundle. */
#include "ledger/tile.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    unsigned width = data[0] + 1U;
    struct span bytes = span_of(data + 1, size - 1);
    struct digest entries[TILE_WIDTH];
    struct fault fault;
    if (tile_bundle_decode(bytes, width, entries, &fault) != 0)
        return 0;
    AUTO_BUF struct buf again = BUF(TILE_WIDTH * TILE_BUNDLE_ENTRY_LEN);
    for (unsigned i = 0; i < width; i++)
        tile_bundle_append(&again, &entries[i]);
    if (!span_equal(buf_span(&again), bytes))
        abort();
    return 0;
}
