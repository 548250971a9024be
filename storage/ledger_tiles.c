/* SPDX-License-Identifier: Apache-2.0 */
/* Tiles out of rows: full ones as they stand, partial ones from what lies below them. */
#include "storage/ledger.h"

#include <inttypes.h>
#include <string.h>

/* Only full tiles are stored, each with its root. So the hashes of a tile that is not full are at
 * level 0 the leaf hashes of entries, and above it the roots of stored tiles of the level below. */

static int leaves_read(struct pg *pg, uint64_t from, unsigned count, struct digest *ret_hashes,
                       struct fault *fault)
{
    struct digest entries[TILE_WIDTH];
    if (ledger_entries_read(pg, from, from + count, entries, fault) != 0)
        return -1;
    for (unsigned i = 0; i < count; i++)
        ret_hashes[i] = merkle_entry_leaf(&entries[i]);
    return 0;
}

/* The root of a row's tile: as recorded, or made of its hashes where these were fetched. */
static int root_of_row(const PGresult *rows, int row, struct digest *ret_root, struct fault *fault)
{
    struct digest hashes[TILE_WIDTH], recorded = pg_get_digest(rows, row, 1);
    if (pg_is_null(rows, row, 2)) {
        *ret_root = recorded;
        return 0;
    }
    if (tile_decode(pg_get_bytes(rows, row, 2), TILE_WIDTH, hashes, fault) != 0)
        return -1;
    struct digest root = tile_fold(hashes, TILE_HEIGHT);
    if (!pg_is_null(rows, row, 1) && !digest_equal(&root, &recorded))
        return fault_set(fault, FAULT_CONTENT_MISMATCH, "a root that its hashes do not make");
    *ret_root = root;
    return 0;
}

/* The roots of the full tiles [from, from + count) of a level. A tile that an older build wrote has
 * none recorded; `thorough` reads all hashes and believes no record. */
static int roots_read(struct pg *pg, unsigned level, uint64_t from, unsigned count, bool thorough,
                      struct digest *ret_hashes, struct fault *fault)
{
    static const struct pg_statement read = {
        "ledger_roots_read", "SELECT n, root, CASE WHEN $4 OR root IS NULL THEN hashes END "
                             "FROM ledger_tile WHERE level = $1 AND n >= $2 AND n < $3 ORDER BY n"};
    struct pg_params params = {0};
    pg_int4(&params, (int32_t)level);
    pg_int8(&params, (int64_t)from);
    pg_int8(&params, (int64_t)(from + count));
    pg_bool(&params, thorough);
    AUTO_PGRESULT PGresult *rows = NULL;
    if (pg_query(pg, NULL, &read, &params, &rows, fault) != 0)
        return -1;
    struct digest roots[TILE_WIDTH];
    for (unsigned i = 0; i < count; i++) {
        struct fault cause = {0};
        if ((int)i >= PQntuples(rows) || (uint64_t)pg_get_int(rows, (int)i, 0) != from + i)
            return fault_set(fault, FAULT_CONTENT_MISMATCH,
                             "tile %" PRIu64 " of level %u of the ledger is missing", from + i,
                             level);
        if (root_of_row(rows, (int)i, &roots[i], &cause) != 0)
            return fault_set(fault, FAULT_CONTENT_MISMATCH,
                             "tile %" PRIu64 " of level %u of the ledger is not whole: %s",
                             from + i, level, cause.detail);
    }
    memcpy(ret_hashes, roots, count * sizeof roots[0]);
    return 0;
}

static int partial_read(struct pg *pg, unsigned level, uint64_t n, unsigned width, bool thorough,
                        struct digest *ret_hashes, struct fault *fault)
{
    if (width == 0)
        return 0;
    return level == 0
               ? leaves_read(pg, n * TILE_WIDTH, width, ret_hashes, fault)
               : roots_read(pg, level - 1, n * TILE_WIDTH, width, thorough, ret_hashes, fault);
}

static int full_read(struct pg *pg, const struct tile *tile, struct digest *ret_hashes,
                     struct fault *fault)
{
    static const struct pg_statement read = {
        "ledger_tile_read", "SELECT hashes FROM ledger_tile WHERE level = $1 AND n = $2"};
    struct pg_params params = {0};
    pg_int4(&params, (int32_t)tile->level);
    pg_int8(&params, (int64_t)tile->n);
    AUTO_PGRESULT PGresult *row = NULL;
    if (pg_query(pg, NULL, &read, &params, &row, fault) != 0)
        return -1;
    if (PQntuples(row) == 0)
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "tile %" PRIu64 " of level %u of the ledger is missing", tile->n,
                         tile->level);
    if (tile_decode(pg_get_bytes(row, 0, 0), TILE_WIDTH, ret_hashes, NULL) != 0)
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "tile %" PRIu64 " of level %u of the ledger is not whole", tile->n,
                         tile->level);
    return 0;
}

int ledger_tile_read(struct pg *pg, const struct tile *tile, struct digest *ret_hashes,
                     struct fault *fault)
{
    if (tile->entries || tile->level >= TILE_LEVELS || tile->width < 1 ||
        tile->width > TILE_WIDTH ||
        tile->n > MERKLE_SIZE_MAX >> (TILE_HEIGHT * tile->level) >> TILE_HEIGHT)
        return fault_set(fault, FAULT_NOT_FOUND, "the ledger has no such tile");
    return tile->width == TILE_WIDTH
               ? full_read(pg, tile, ret_hashes, fault)
               : partial_read(pg, tile->level, tile->n, tile->width, false, ret_hashes, fault);
}

int ledger_edge_read(struct pg *pg, uint64_t size, struct tile_edge *ret_edge, struct fault *fault)
{
    if (size > MERKLE_SIZE_MAX)
        return fault_set(fault, FAULT_INTERNAL, "ledger: no tree has %" PRIu64 " leaves", size);
    AUTO_FREE struct tile_edge *edge = calloc(1, sizeof *edge);
    if (edge == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    edge->size = size;
    for (unsigned level = 0; level < TILE_LEVELS; level++)
        if (partial_read(pg, level, tile_full(level, size), tile_edge_width(edge, level), true,
                         edge->hashes[level], fault) != 0)
            return -1;
    memcpy(ret_edge, edge, sizeof *edge);
    return 0;
}
