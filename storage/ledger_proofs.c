/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/ledger_proofs.h"

#include <inttypes.h>
#include <string.h>

/* The hashes of one level that ledger_path() gave, borrowed from its rows: `count` from place
 * `first` of the level. None where that is not what the path needs there. */
struct piece {
    uint64_t first;
    unsigned count;
    const struct digest *hashes;
};

/* What one statement has read of a tree: its range and a leaf's path below it. */
struct path {
    struct pg *pg;
    struct merkle_range range;
    struct piece pieces[TILE_LEVELS];
};

/* The rows' columns that both statements have: frontier, then level, first and hashes of
 * ledger_path(), null where there is none. */
enum { FRONTIER, LEVEL, FIRST, HASHES };

#define PATH_COLUMNS "b.frontier, p.level, p.first, p.hashes"
#define PATH_JOIN(index, size)                                                                     \
    "LEFT JOIN LATERAL (SELECT frontier FROM ledger_batch WHERE size = " size ") b ON true "       \
    "LEFT JOIN LATERAL ledger_path(" index ", " size ") p ON b.frontier IS NOT NULL"

/* The part of a level that the path of leaf `index` goes through, below its perfect subtree. */
static struct piece piece_wanted(uint64_t index, uint64_t size, unsigned level)
{
    uint64_t start;
    unsigned height = proof_subtree(index, size, &start), below = TILE_HEIGHT * level;
    if (height <= below)
        return (struct piece){.count = 0};
    unsigned part = height - below < TILE_HEIGHT ? height - below : TILE_HEIGHT;
    return (struct piece){.first = index >> below >> part << part, .count = 1U << part};
}

/* Takes what is whole; what is not is asked for by itself if it is needed, which says what is
 * missing. */
static void pieces_take(struct path *path, const PGresult *rows, uint64_t index)
{
    for (int row = 0; row < PQntuples(rows); row++) {
        int64_t level = pg_get_int(rows, row, LEVEL);
        struct span hashes = pg_get_bytes(rows, row, HASHES);
        if (pg_is_null(rows, row, HASHES) || level < 0 || level >= TILE_LEVELS)
            continue;
        struct piece piece = piece_wanted(index, path->range.size, (unsigned)level);
        if (hashes.len != piece.count * sizeof *piece.hashes ||
            (uint64_t)pg_get_int(rows, row, FIRST) != piece.first)
            continue;
        piece.hashes = (const struct digest *)hashes.data;
        path->pieces[level] = piece;
    }
}

static int path_tile(void *context, const struct tile *tile, struct digest *ret_hashes,
                     struct fault *fault)
{
    const struct path *path = context;
    const struct piece *piece = &path->pieces[tile->level];
    uint64_t first = tile->n * TILE_WIDTH;
    if (piece->hashes == NULL || piece->first < first || piece->first >= first + TILE_WIDTH)
        return ledger_tile_read(path->pg, tile, ret_hashes, fault);
    struct digest *place = ret_hashes + (piece->first - first);
    memcpy(place, piece->hashes, piece->count * sizeof *place);
    if (tile->level == 0 && piece->count < TILE_WIDTH) /* no tile, but entries */
        for (unsigned i = 0; i < piece->count; i++)
            place[i] = merkle_entry_leaf(&place[i]);
    return 0;
}

/* The tree of `size` entries by the rows of one statement, which live as long as it, and with it
 * the source of a proof over leaf `index`. Without a batch that ended there it reads tile by tile.
 */
static int path_open(struct pg *pg, const PGresult *rows, uint64_t index, uint64_t size,
                     struct path *ret_path, struct proof_source *ret_source, struct fault *fault)
{
    struct fault cause = {0};
    *ret_path = (struct path){.pg = pg};
    *ret_source = (struct proof_source){.tile = path_tile, .context = ret_path};
    if (pg_is_null(rows, 0, FRONTIER))
        return 0;
    if (merkle_range_decode(size, pg_get_bytes(rows, 0, FRONTIER), &ret_path->range, &cause) != 0)
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "the batch of size %" PRIu64 " has no valid frontier (%s)", size,
                         cause.detail);
    ret_source->range = &ret_path->range;
    if (index < size)
        pieces_take(ret_path, rows, index);
    return 0;
}

int ledger_inclusion_read(struct pg *pg, const char *tenant, const struct uuid *event_id,
                          bool executions_only, struct ledger_inclusion *ret_inclusion,
                          struct buf *ret_note, struct fault *fault)
{
    enum { INDEX = HASHES + 1, ENTRY, SIZE, ROOT, NOTE };
    static const struct pg_statement read = {
        "ledger_inclusion_read",
        "WITH place AS MATERIALIZED "
        "(SELECT (SELECT l.idx FROM ledger_entry l WHERE l.event_id = $1) AS idx, e.hash "
        "FROM event e WHERE e.event_id = $1 AND e.tenant_id IN ($2, '') "
        "AND (NOT $3 OR e.execution_id IS NOT NULL)), "
        "head AS MATERIALIZED "
        "(SELECT size, root, note FROM ledger_checkpoint ORDER BY size DESC LIMIT 1) "
        "SELECT " PATH_COLUMNS ", place.idx, place.hash, head.size, head.root, head.note "
        "FROM place LEFT JOIN head ON place.idx < head.size " PATH_JOIN("place.idx", "head.size")};
    struct pg_params params = {0};
    pg_uuid(&params, event_id);
    pg_text(&params, tenant);
    pg_bool(&params, executions_only);
    AUTO_PGRESULT PGresult *rows = NULL;
    if (pg_query_as(pg, tenant, &read, &params, &rows, fault) != 0)
        return -1;
    if (PQntuples(rows) == 0)
        return fault_set(fault, FAULT_NOT_FOUND, "no such event");
    if (pg_is_null(rows, 0, SIZE))
        return fault_set(fault, FAULT_UNAVAILABLE, "no checkpoint covers the event yet");
    struct ledger_inclusion found = {.index = (uint64_t)pg_get_int(rows, 0, INDEX),
                                     .entry = pg_get_digest(rows, 0, ENTRY),
                                     .size = (uint64_t)pg_get_int(rows, 0, SIZE),
                                     .root = pg_get_digest(rows, 0, ROOT)};
    struct digest leaf = merkle_entry_leaf(&found.entry);
    struct path path;
    struct proof_source source;
    if (path_open(pg, rows, found.index, found.size, &path, &source, fault) != 0 ||
        proof_inclusion(&source, found.index, found.size, &found.proof, fault) != 0 ||
        merkle_inclusion_verify(found.index, found.size, &leaf, &found.proof, &found.root, fault) !=
            0 ||
        ledger_note_append(ret_note, pg_get_bytes(rows, 0, NOTE), fault) != 0)
        return -1;
    *ret_inclusion = found;
    return 0;
}

int ledger_consistency_read(struct pg *pg, int64_t from, int64_t to,
                            struct ledger_consistency *ret_consistency, struct buf *ret_note,
                            struct fault *fault)
{
    enum { SIGNED = HASHES + 1, TO, TO_ROOT, FROM_ROOT, NOTE };
    static const struct pg_statement read = {
        "ledger_consistency_read",
        "WITH head AS MATERIALIZED "
        "(SELECT c.size AS latest, CASE WHEN $2 < 0 THEN c.size ELSE $2 END AS size "
        "FROM ledger_checkpoint c ORDER BY c.size DESC LIMIT 1) "
        "SELECT " PATH_COLUMNS ", head.latest, head.size, "
        "(SELECT root FROM ledger_batch WHERE size = head.size), "
        "(SELECT root FROM ledger_batch WHERE size = $1), "
        "(SELECT note FROM ledger_checkpoint WHERE size = head.size) "
        "FROM head " PATH_JOIN("$1 - 1", "head.size")};
    struct pg_params params = {0};
    pg_int8(&params, from);
    pg_int8(&params, to);
    AUTO_PGRESULT PGresult *rows = NULL;
    if (pg_query(pg, NULL, &read, &params, &rows, fault) != 0)
        return -1;
    if (PQntuples(rows) == 0)
        return fault_set(fault, FAULT_NOT_FOUND, "the ledger has no checkpoint yet");
    uint64_t signed_size = (uint64_t)pg_get_int(rows, 0, SIGNED);
    struct ledger_consistency found = {.from = (uint64_t)from,
                                       .to = (uint64_t)pg_get_int(rows, 0, TO)};
    if (found.from > signed_size || found.to > signed_size)
        return fault_set(fault, FAULT_NOT_FOUND, "the signed tree has %" PRIu64 " entries",
                         signed_size);
    struct path path;
    struct proof_source source;
    if (path_open(pg, rows, found.from - 1, found.to, &path, &source, fault) != 0 ||
        proof_consistency(&source, found.from, found.to, &found.proof, fault) != 0)
        return -1;
    struct digest old_root = pg_get_digest(rows, 0, FROM_ROOT);
    struct digest new_root = pg_get_digest(rows, 0, TO_ROOT);
    if ((!pg_is_null(rows, 0, FROM_ROOT) && !pg_is_null(rows, 0, TO_ROOT) &&
         merkle_consistency_verify(found.from, &old_root, found.to, &new_root, &found.proof,
                                   fault) != 0) ||
        ledger_note_append(ret_note, pg_get_bytes(rows, 0, NOTE), fault) != 0)
        return -1;
    *ret_consistency = found;
    return 0;
}
