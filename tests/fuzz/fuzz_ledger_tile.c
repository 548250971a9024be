/* SPDX-License-Identifier: Apache-2.0 */
/* Tile paths: one text for each tile. */
#include "ledger/tile.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tile tile;
    struct fault fault;
    if (tile_parse((const char *)data, size, &tile, &fault) != 0)
        return 0;
    struct tile_path path = tile_format(&tile);
    if (tile.level > TILE_LEVEL_MAX || tile.n > MERKLE_SIZE_MAX || tile.width < 1 ||
        tile.width > TILE_WIDTH || !span_equal(span_text(path.text), span_of(data, size)))
        abort();
    /* A tile is there at once when it is full, and not before it begins. */
    if (tile_width(tile.level, tile.n, 0) != 0 ||
        tile_width(tile.level, tile.n, MERKLE_SIZE_MAX) > TILE_WIDTH)
        abort();
    return 0;
}
