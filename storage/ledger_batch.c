/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/ledger_batch.h"

#include <inttypes.h>
#include <string.h>

struct ledger_batch {
    struct pg *pg; /* with the transaction open; NULL once it is committed */
    int64_t epoch;
    uint64_t from;  /* the first entry's index */
    PGresult *rows; /* seq, event_id, tenant_id, hash in order */
    size_t count;
    struct digest *entries;
    struct pg_array tile_levels, tile_numbers, tile_hashes, tile_roots;
};

void ledger_batch_free(struct ledger_batch *batch)
{
    if (batch == NULL)
        return;
    if (batch->pg != NULL)
        pg_rollback(batch->pg);
    PQclear(batch->rows);
    free(batch->entries);
    pg_array_free(&batch->tile_levels);
    pg_array_free(&batch->tile_numbers);
    pg_array_free(&batch->tile_hashes);
    pg_array_free(&batch->tile_roots);
    free(batch);
}

void ledger_batch_cleanup(struct ledger_batch **batch)
{
    ledger_batch_free(*batch);
}

/*
 * A batch holds the lock on the lease row until it commits, so that nobody takes over in between;
 * that a leader stopped in mid-batch does not hold up a take-over for ever, its transaction ends
 * after the lease's duration.
 *
 * What is signed must outlive a crash of the server: a commit is waited for, whatever the server's
 * default.
 *
 * No sequential scans, because the plan that is right for an empty event_pending sorts all of a
 * full one at every batch, and a table that fills and empties all the time has no statistics that
 * are worth anything. What cannot but scan (the lease row) then looks expensive enough to be
 * compiled, 90 ms each time: so no JIT either.
 */
int ledger_session_begin(struct pg *pg, const struct ledger_lease *lease, struct fault *fault)
{
    char sql[512];
    (void)snprintf(sql, sizeof sql,
                   "SET idle_in_transaction_session_timeout = %d; "
                   "SELECT set_config('synchronous_commit', 'on', false) "
                   "WHERE current_setting('synchronous_commit') = 'off'; "
                   "SET enable_seqscan = off; SET jit = off",
                   lease->duration_ms);
    return pg_execute(pg, sql, fault);
}

int ledger_pending_any(struct pg *pg, bool *ret_any, struct fault *fault)
{
    static const struct pg_statement read = {"ledger_pending_any",
                                             "SELECT seq FROM event_pending ORDER BY seq LIMIT 1"};
    AUTO_PGRESULT PGresult *row = NULL;
    if (pg_query(pg, NULL, &read, NULL, &row, fault) != 0)
        return -1;
    *ret_any = PQntuples(row) != 0;
    return 0;
}

int ledger_batch_head_is(struct pg *tx, uint64_t size, const struct digest *root, bool *ret_is,
                         struct fault *fault)
{
    static const struct pg_statement read = {
        "ledger_batch_head", "SELECT size, root FROM ledger_batch ORDER BY size DESC LIMIT 1"};
    AUTO_PGRESULT PGresult *row = NULL;
    if (pg_step(tx, &read, NULL, &row, fault) != 0)
        return -1;
    if (PQntuples(row) == 0) {
        *ret_is = size == 0;
        return 0;
    }
    struct digest there = pg_get_digest(row, 0, 1);
    *ret_is = (uint64_t)pg_get_int(row, 0, 0) == size && digest_equal(&there, root);
    return 0;
}

/* By ctid, for nobody updates a pending row and only the holder of the lease deletes one. */
static int take_pending(struct pg *pg, int max, PGresult **ret_rows, struct fault *fault)
{
    static const struct pg_statement take = {
        "ledger_batch_take",
        "WITH taken AS (DELETE FROM event_pending WHERE ctid = ANY (ARRAY("
        "SELECT ctid FROM event_pending ORDER BY seq LIMIT $1)) "
        "RETURNING seq, event_id, tenant_id, hash) SELECT * FROM taken ORDER BY seq"};
    struct pg_params params = {0};
    pg_int8(&params, max);
    return pg_step(pg, &take, &params, ret_rows, fault);
}

static int batch_new(struct pg *pg, const struct ledger_lease *lease, uint64_t from,
                     PGresult **rows, struct ledger_batch **ret_batch, struct fault *fault)
{
    AUTO_LEDGER_BATCH struct ledger_batch *batch = calloc(1, sizeof *batch);
    if (batch == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    batch->pg = pg;
    batch->epoch = lease->epoch;
    batch->from = from;
    batch->rows = TAKE(*rows);
    batch->count = (size_t)PQntuples(batch->rows);
    batch->entries = calloc(batch->count, sizeof *batch->entries);
    batch->tile_levels = pg_array_new(PG_ARRAY_INT8);
    batch->tile_numbers = pg_array_new(PG_ARRAY_INT8);
    batch->tile_hashes = pg_array_new(PG_ARRAY_BYTEA);
    batch->tile_roots = pg_array_new(PG_ARRAY_BYTEA);
    if (batch->entries == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    for (size_t i = 0; i < batch->count; i++) {
        if (PQgetlength(batch->rows, (int)i, 3) != DIGEST_LEN)
            return fault_set(fault, FAULT_CONTENT_MISMATCH,
                             "the pending event of seq %" PRId64 " has a hash of %d bytes",
                             pg_get_int(batch->rows, (int)i, 0),
                             PQgetlength(batch->rows, (int)i, 3));
        batch->entries[i] = pg_get_digest(batch->rows, (int)i, 3);
    }
    *ret_batch = TAKE(batch);
    return 0;
}

int ledger_batch_take(struct pg *pg, const struct ledger_lease *lease, uint64_t head_size,
                      const struct digest *head_root, int max,
                      enum ledger_batch_outcome *ret_outcome, struct ledger_batch **ret_batch,
                      struct fault *fault)
{
    if (max < 1 || max > LEDGER_BATCH_MAX)
        return fault_set(fault, FAULT_INTERNAL, "ledger: a batch of %d", max);
    AUTO_PG_TX struct pg *tx = pg;
    bool led, stopped;
    pg_begin(tx, NULL);
    if (ledger_lease_lock(tx, lease, &led, &stopped, fault) != 0)
        return -1;
    if (!led) {
        *ret_outcome = LEDGER_BATCH_LEASE_LOST;
        return 0;
    }
    if (stopped) {
        *ret_outcome = LEDGER_BATCH_STOPPED;
        return 0;
    }
    bool same;
    AUTO_PGRESULT PGresult *rows = NULL;
    if (ledger_batch_head_is(tx, head_size, head_root, &same, fault) != 0)
        return -1;
    if (!same) {
        *ret_outcome = LEDGER_BATCH_HEAD_MOVED;
        return 0;
    }
    if (take_pending(tx, max, &rows, fault) != 0)
        return -1;
    if (PQntuples(rows) == 0) {
        *ret_outcome = LEDGER_BATCH_EMPTY;
        return 0;
    }
    /* From here on the batch owns the transaction, also where making it fails. */
    if (batch_new(TAKE(tx), lease, head_size, &rows, ret_batch, fault) != 0) {
        pg_rollback(pg);
        return -1;
    }
    *ret_outcome = LEDGER_BATCH_TAKEN;
    return 0;
}

size_t ledger_batch_count(const struct ledger_batch *batch)
{
    return batch->count;
}

const struct digest *ledger_batch_entries(const struct ledger_batch *batch)
{
    return batch->entries;
}

int ledger_batch_tile(void *context, const struct tile *tile, const struct digest *hashes,
                      const struct digest *root, struct fault *fault)
{
    struct ledger_batch *batch = context;
    (void)fault; /* an array that does not fit is found when it is bound */
    pg_array_int(&batch->tile_levels, tile->level);
    pg_array_int(&batch->tile_numbers, (int64_t)tile->n);
    pg_array_bytes(&batch->tile_hashes, span_of(hashes, sizeof hashes[0] * TILE_WIDTH));
    pg_array_bytes(&batch->tile_roots, span_of(root->bytes, DIGEST_LEN));
    return 0;
}

/* The very hashes the tree was made of, not what the table may say by now. */
static int insert_entries(struct ledger_batch *batch, struct fault *fault)
{
    static const struct pg_statement insert = {
        "ledger_batch_entries", "INSERT INTO ledger_entry (idx, event_id, tenant_id, hash) "
                                "SELECT $1 + u.n - 1, u.event_id, u.tenant_id, u.hash "
                                "FROM unnest($2::uuid[], $3::text[], $4::bytea[]) WITH ORDINALITY "
                                "AS u(event_id, tenant_id, hash, n)"};
    AUTO_PG_ARRAY struct pg_array ids = pg_array_new(PG_ARRAY_UUID);
    AUTO_PG_ARRAY struct pg_array tenants = pg_array_new(PG_ARRAY_TEXT);
    AUTO_PG_ARRAY struct pg_array hashes = pg_array_new(PG_ARRAY_BYTEA);
    for (size_t i = 0; i < batch->count; i++) {
        struct uuid id = pg_get_uuid(batch->rows, (int)i, 1);
        pg_array_uuid(&ids, &id);
        pg_array_text(&tenants, pg_get_text(batch->rows, (int)i, 2));
        pg_array_bytes(&hashes, span_of(batch->entries[i].bytes, DIGEST_LEN));
    }
    struct pg_params params = {0};
    pg_int8(&params, (int64_t)batch->from);
    pg_array_bind(&params, &ids);
    pg_array_bind(&params, &tenants);
    pg_array_bind(&params, &hashes);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_step(batch->pg, &insert, &params, &result, fault) != 0)
        return -1;
    if (pg_affected(result) != (int64_t)batch->count)
        return fault_set(fault, FAULT_INTERNAL, "ledger: %" PRId64 " of %zu entries were inserted",
                         pg_affected(result), batch->count);
    return 0;
}

static int insert_tiles(struct ledger_batch *batch, struct fault *fault)
{
    static const struct pg_statement insert = {
        "ledger_batch_tiles", "INSERT INTO ledger_tile (level, n, hashes, root) "
                              "SELECT u.level::integer, u.n, u.hashes, u.root "
                              "FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bytea[]) "
                              "AS u(level, n, hashes, root)"};
    if (batch->tile_levels.count == 0)
        return 0;
    struct pg_params params = {0};
    pg_array_bind(&params, &batch->tile_levels);
    pg_array_bind(&params, &batch->tile_numbers);
    pg_array_bind(&params, &batch->tile_hashes);
    pg_array_bind(&params, &batch->tile_roots);
    return pg_step(batch->pg, &insert, &params, NULL, fault);
}

int ledger_batch_commit(struct ledger_batch *batch, const struct merkle_range *range,
                        struct fault *fault)
{
    static const struct pg_statement insert = {
        "ledger_batch_commit", "INSERT INTO ledger_batch (size, prev_size, root, frontier, epoch) "
                               "VALUES ($1, $2, $3, $4, $5)"};
    if (batch->pg == NULL || range->size != batch->from + batch->count)
        return fault_set(fault, FAULT_INTERNAL, "ledger: a tree of %" PRIu64 " after this batch",
                         range->size);
    if (insert_entries(batch, fault) != 0 || insert_tiles(batch, fault) != 0)
        return -1;
    struct digest root = merkle_range_root(range);
    AUTO_BUF struct buf frontier = BUF((size_t)MERKLE_RANGE_MAX * DIGEST_LEN);
    merkle_range_encode(range, &frontier);
    struct pg_params params = {0};
    pg_int8(&params, (int64_t)range->size);
    pg_int8(&params, (int64_t)batch->from);
    pg_digest(&params, &root);
    pg_bytes(&params, buf_span(&frontier));
    pg_int8(&params, batch->epoch);
    if (pg_commit(batch->pg, &insert, &params, NULL, fault) != 0)
        return -1;
    batch->pg = NULL;
    return 0;
}

int ledger_partition_make(struct pg *pg, uint64_t index, struct fault *fault)
{
    /* Attaching it locks out no reader and no writer, only what else changes the table's make or
     * vacuums it: nothing worth the leader's time. */
    static const struct pg_statement brief = {"ledger_partition_brief",
                                              "SELECT set_config('lock_timeout', '200', true)"};
    static const struct pg_statement make = {"ledger_partition_make",
                                             "SELECT ledger_partition($1)"};
    struct pg_params params = {0};
    pg_int8(&params, (int64_t)index);
    AUTO_PG_TX struct pg *tx = pg;
    pg_begin(tx, NULL);
    if (pg_step(tx, &brief, NULL, NULL, fault) != 0)
        return -1;
    return pg_commit(tx, &make, &params, NULL, fault);
}
