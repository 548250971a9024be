/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/ledger_scrub.h"

#include "ledger/checkpoint.h"

#include <inttypes.h>

int ledger_scrub_session(struct pg *pg, struct fault *fault)
{
    /* By the indexes always: a plan made while the log was short must not scan a long one. And it
     * changes nothing, whatever it is told. */
    return pg_execute(pg, "SET enable_seqscan = off; SET default_transaction_read_only = on",
                      fault);
}

/* One row of ledger_scrub(): idx, entry, recorded, computed, same_tenant. */
static int entry_check(const PGresult *rows, int row, uint64_t index, struct digest *ret_entry,
                       struct fault *fault)
{
    if ((uint64_t)pg_get_int(rows, row, 0) != index || PQgetlength(rows, row, 1) != DIGEST_LEN)
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "entry %" PRIu64 " of the ledger is missing", index);
    struct digest entry = pg_get_digest(rows, row, 1);
    if (pg_is_null(rows, row, 2))
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "entry %" PRIu64 " of the ledger is %s, but its event is missing", index,
                         digest_hex(&entry).text);
    struct span recorded = pg_get_bytes(rows, row, 2), computed = pg_get_bytes(rows, row, 3);
    struct span bytes = span_of(entry.bytes, DIGEST_LEN);
    bool expired = pg_is_null(rows, row, 3);
    if (!expired && !span_equal(recorded, computed) && computed.len == DIGEST_LEN) {
        struct digest body = pg_get_digest(rows, row, 3);
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "entry %" PRIu64 " of the ledger is %s, but its event's bytes make %s",
                         index, digest_hex(&entry).text, digest_hex(&body).text);
    }
    if (recorded.len != DIGEST_LEN)
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "entry %" PRIu64
                         " of the ledger is %s, but its event's hash has %zu bytes",
                         index, digest_hex(&entry).text, recorded.len);
    if (!span_equal(recorded, bytes)) {
        struct digest event = pg_get_digest(rows, row, 2);
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "entry %" PRIu64 " of the ledger is %s, but its event's hash is %s", index,
                         digest_hex(&entry).text, digest_hex(&event).text);
    }
    if (!pg_get_bool(rows, row, 4))
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "entry %" PRIu64 " of the ledger is of another tenant than its event",
                         index);
    *ret_entry = entry;
    return 0;
}

int ledger_scrub_entries(struct pg *pg, uint64_t from, uint64_t to, struct digest *ret_entries,
                         size_t *ret_count, struct fault *fault)
{
    static const struct pg_statement read = {
        "ledger_scrub_entries",
        "SELECT idx, entry, recorded, computed, same_tenant FROM ledger_scrub($1, $2)"};
    if (from >= to || to > MERKLE_SIZE_MAX)
        return fault_set(fault, FAULT_INTERNAL, "ledger: %" PRIu64 " to %" PRIu64 " is no range",
                         from, to);
    struct pg_params params = {0};
    pg_int8(&params, (int64_t)from);
    pg_int8(&params, (int64_t)to);
    AUTO_PGRESULT PGresult *rows = NULL;
    if (pg_query(pg, NULL, &read, &params, &rows, fault) != 0)
        return -1;
    int count = PQntuples(rows);
    if (count == 0)
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "entry %" PRIu64 " of the ledger is missing", from);
    if (count > LEDGER_SCRUB_MAX)
        return fault_set(fault, FAULT_INTERNAL, "ledger: %d entries at once", count);
    for (int row = 0; row < count; row++)
        if (entry_check(rows, row, from + (uint64_t)row, &ret_entries[row], fault) != 0)
            return -1;
    *ret_count = (size_t)count;
    return 0;
}

static int tile_fault(const struct tile *tile, const char *how, struct fault *fault)
{
    return fault_set(fault, FAULT_CONTENT_MISMATCH, "tile %" PRIu64 " of level %u of the ledger %s",
                     tile->n, tile->level, how);
}

int ledger_scrub_tile(struct pg *pg, const struct tile *tile, const struct digest *hashes,
                      const struct digest *root, struct fault *fault)
{
    static const struct pg_statement read = {
        "ledger_scrub_tile", "SELECT hashes, root FROM ledger_tile WHERE level = $1 AND n = $2"};
    struct pg_params params = {0};
    pg_int4(&params, (int32_t)tile->level);
    pg_int8(&params, (int64_t)tile->n);
    AUTO_PGRESULT PGresult *row = NULL;
    if (pg_query(pg, NULL, &read, &params, &row, fault) != 0)
        return -1;
    if (PQntuples(row) == 0)
        return tile_fault(tile, "is missing", fault);
    struct digest there[TILE_WIDTH];
    if (tile_decode(pg_get_bytes(row, 0, 0), TILE_WIDTH, there, NULL) != 0)
        return tile_fault(tile, "is not whole", fault);
    for (unsigned i = 0; i < TILE_WIDTH; i++)
        if (!digest_equal(&there[i], &hashes[i]))
            return fault_set(
                fault, FAULT_CONTENT_MISMATCH,
                "tile %" PRIu64 " of level %u of the ledger has hash %s at %u, but its "
                "entries make %s",
                tile->n, tile->level, digest_hex(&there[i]).text, i, digest_hex(&hashes[i]).text);
    struct digest recorded = pg_get_digest(row, 0, 1);
    if (!pg_is_null(row, 0, 1) && !digest_equal(&recorded, root))
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "tile %" PRIu64 " of level %u of the ledger has root %s, but its entries "
                         "make %s",
                         tile->n, tile->level, digest_hex(&recorded).text, digest_hex(root).text);
    return 0;
}

static int mark_check(const struct ledger_mark *mark, struct span bytes, struct fault *fault)
{
    struct note note;
    struct checkpoint checkpoint;
    struct fault inner;
    if (note_parse(bytes, &note, &inner) != 0 ||
        checkpoint_parse(note.text, &checkpoint, &inner) != 0)
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "the checkpoint of size %" PRIu64 " is none: %s", mark->size,
                         inner.detail);
    if (checkpoint.size != mark->size || !digest_equal(&checkpoint.root, &mark->root))
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "the checkpoint of size %" PRIu64 " has root %s, but its note is of size "
                         "%" PRIu64 " and root %s",
                         mark->size, digest_hex(&mark->root).text, checkpoint.size,
                         digest_hex(&checkpoint.root).text);
    return 0;
}

int ledger_scrub_checkpoints(struct pg *pg, uint64_t from, uint64_t to,
                             struct ledger_mark *ret_marks, size_t *ret_count, struct fault *fault)
{
    static const struct pg_statement read = {
        "ledger_scrub_checkpoints", "SELECT size, root, note FROM ledger_checkpoint "
                                    "WHERE size > $1 AND size <= $2 ORDER BY size LIMIT $3"};
    struct pg_params params = {0};
    pg_int8(&params, (int64_t)from);
    pg_int8(&params, (int64_t)to);
    pg_int8(&params, LEDGER_SCRUB_MAX);
    AUTO_PGRESULT PGresult *rows = NULL;
    if (pg_query(pg, NULL, &read, &params, &rows, fault) != 0)
        return -1;
    for (int row = 0; row < PQntuples(rows); row++) {
        const struct ledger_mark mark = {.size = (uint64_t)pg_get_int(rows, row, 0),
                                         .root = pg_get_digest(rows, row, 1)};
        if (mark_check(&mark, pg_get_bytes(rows, row, 2), fault) != 0)
            return -1;
        ret_marks[row] = mark;
    }
    *ret_count = (size_t)PQntuples(rows);
    return 0;
}

int ledger_walk_begin(struct pg *pg, struct ledger_walk *ret_walk, struct fault *fault)
{
    static const struct pg_statement read = {"ledger_walk_begin", "SELECT event_last()"};
    AUTO_PGRESULT PGresult *row = NULL;
    if (pg_query(pg, NULL, &read, NULL, &row, fault) != 0)
        return -1;
    /* Without any event this is the least of all ids, and the walk at its end. */
    *ret_walk = (struct ledger_walk){.upto = pg_get_uuid(row, 0, 0)};
    return 0;
}

int ledger_walk_on(struct pg *pg, struct ledger_walk *walk, size_t *ret_seen, struct fault *fault)
{
    static const struct pg_statement read = {
        "ledger_walk_on", "SELECT seen, last_id, odd_id, odd_places FROM event_places($1, $2)"};
    struct pg_params params = {0};
    pg_uuid(&params, walk->begun ? &walk->after : NULL);
    pg_uuid(&params, &walk->upto);
    AUTO_PGRESULT PGresult *row = NULL;
    if (pg_query(pg, NULL, &read, &params, &row, fault) != 0)
        return -1;
    int64_t seen = pg_get_int(row, 0, 0);
    if (!pg_is_null(row, 0, 2)) {
        struct uuid odd = pg_get_uuid(row, 0, 2);
        return pg_get_int(row, 0, 3) == 0
                   ? fault_set(fault, FAULT_CONTENT_MISMATCH,
                               "event %s has no place in the ledger and does not wait for one",
                               uuid_format(&odd).text)
                   : fault_set(fault, FAULT_CONTENT_MISMATCH,
                               "event %s has %" PRId64 " places in the ledger",
                               uuid_format(&odd).text, pg_get_int(row, 0, 3));
    }
    if (seen > 0) {
        walk->begun = true;
        walk->after = pg_get_uuid(row, 0, 1);
    }
    *ret_seen = (size_t)seen;
    return 0;
}
