/* SPDX-License-Identifier: Apache-2.0 */
/*
 * C2SP tlog-tiles: which hashes lie in which tile, the names of tiles on the wire, entry
 * bundles, and the unfinished tiles along the right edge that a sequencer carries from
 * batch to batch. Tile n of level l holds, for i from 0 to 255, the root of the leaves
 * [(n * 256 + i) * 256^l, (n * 256 + i + 1) * 256^l).
 */
#pragma once

#include "ledger/merkle.h"

#define TILE_HEIGHT 8
#define TILE_WIDTH 256
/* Trees under 2^63 leaves have tiles at levels 0 to 7. The wire allows 0 to 63. */
#define TILE_LEVELS 8
#define TILE_LEVEL_MAX 63

/* "entries/x009/x223/x372/x036/x854/x775/807.p/255" */
#define TILE_PATH_LEN 47

struct tile {
    bool entries;   /* an entry bundle (level 0), not a tile of hashes */
    unsigned level; /* 0 to TILE_LEVEL_MAX */
    uint64_t n;     /* 0 to MERKLE_SIZE_MAX */
    unsigned width; /* 1 to 256; below 256 the tile is partial */
};

struct tile_path {
    char text[TILE_PATH_LEN + 1];
};

/* What follows "tile/" in a path: `<L>/<N>`, `entries/<N>`, each with `.p/<W>` where partial.
 * Strict: one text for each tile (no leading zeros, no `x000` in front, no `.p/256`);
 * FAULT_MALFORMED_REQUEST otherwise. */
int tile_parse(const char *text, size_t len, struct tile *ret_tile, struct fault *fault) MUST_CHECK;
/* The same, by value. The tile must be within the ranges above. */
struct tile_path tile_format(const struct tile *tile);

/* How many hashes tile n of a level has in a tree of `size` leaves: 0 (there is no such tile)
 * to 256. The width of an entry bundle is that of level 0. */
unsigned tile_width(unsigned level, uint64_t n, uint64_t size);

/* The full tiles of a level in a tree of `size` leaves: tiles 0 to the result, exclusive.
 * Those that fill up while a tree grows from a to b are [tile_full(l, a), tile_full(l, b)),
 * for each l below TILE_LEVELS. */
uint64_t tile_full(unsigned level, uint64_t size);

/* The root of 2^height consecutive hashes, height 0 to 8: height 8 turns a full tile into its
 * hash in the tile above, smaller ones find a node between two levels. */
struct digest tile_fold(const struct digest *hashes, unsigned height);

/* Exactly `width` hashes from exactly width * 32 bytes; FAULT_MALFORMED_REQUEST otherwise.
 * ret_hashes has room for them. */
int tile_decode(struct span bytes, unsigned width, struct digest *ret_hashes,
                struct fault *fault) MUST_CHECK;

/* Entry bundles: u16 big-endian length and bytes for each entry; ours are all 32 bytes long,
 * and a bundle with any other length, or not exactly `width` entries, is refused. */
#define TILE_BUNDLE_ENTRY_LEN (2 + DIGEST_LEN)
void tile_bundle_append(struct buf *buf, const struct digest *entry);
int tile_bundle_decode(struct span bytes, unsigned width, struct digest *ret_entries,
                       struct fault *fault) MUST_CHECK;

/* The unfinished tiles of a tree of `size` leaves: level l has tile_edge_width(edge, l)
 * hashes, 0 to 255. All zero is the empty tree's. 64 KiB. To restore one, set size and fill
 * each level: leaf hashes at level 0, tile_fold(full tile of the level below, 8) above. */
struct tile_edge {
    uint64_t size;
    struct digest hashes[TILE_LEVELS][TILE_WIDTH];
};

unsigned tile_edge_width(const struct tile_edge *edge, unsigned level);

/* Takes a tile that has just become full: TILE_WIDTH hashes and the root over them, borrowed. */
typedef int tile_full_fn(void *context, const struct tile *tile, const struct digest *hashes,
                         const struct digest *root, struct fault *fault);

/* Adds one leaf hash; calls `full` for each tile that this fills, lowest level first. If it
 * fails, so does this, and the edge is no longer of use. FAULT_TOO_LARGE at MERKLE_SIZE_MAX. */
int tile_edge_append(struct tile_edge *edge, const struct digest *leaf, tile_full_fn *full,
                     void *context, struct fault *fault) MUST_CHECK;
