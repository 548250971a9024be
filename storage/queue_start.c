/* SPDX-License-Identifier: Apache-2.0 */
/* Starts, many to a transaction, each with an outcome of its own. */
#include "storage/queue_parts.h"

static bool is_open(const struct start *item)
{
    return item->fault.code == FAULT_NONE;
}

static void judge_facts(struct start *const *items, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct start *item = items[i];
        if (verdict_reach(&item->facts.facts, &item->fault) == 0 &&
            !digest_equal(&item->facts.descriptor_sha256, &item->descriptor_sha256))
            fault_write(&item->fault, FAULT_ARTIFACT_INVALID,
                        "the artifact's descriptor is not the one that was proven");
    }
}

/* The facts, and with them which of the executions spent their nonces: only that one runs, and only
 * once. Both rows are append-only. */
static int read_facts(struct pg *tx, struct start *const *items, size_t count, PGresult **ret_spent,
                      struct fault *fault)
{
    static const struct pg_statement read = {
        "queue_spent",
        "SELECT i.n FROM unnest($1::text[], $2::text[], $3::bytea[], $4::uuid[]) WITH ORDINALITY"
        "       i(tenant_id, nonce, token_sha256, execution_id, n)"
        "  JOIN execution_nonce s USING (tenant_id, nonce, token_sha256, execution_id)"
        " WHERE NOT EXISTS (SELECT FROM execution x WHERE x.execution_id = i.execution_id)"};
    struct facts_item *facts[QUEUE_START_MAX];
    AUTO_PG_ARRAY struct pg_array tenants = pg_array_new(PG_ARRAY_TEXT);
    AUTO_PG_ARRAY struct pg_array nonces = pg_array_new(PG_ARRAY_TEXT);
    AUTO_PG_ARRAY struct pg_array tokens = pg_array_new(PG_ARRAY_BYTEA);
    AUTO_PG_ARRAY struct pg_array executions = pg_array_new(PG_ARRAY_UUID);
    for (size_t i = 0; i < count; i++) {
        facts[i] = &items[i]->facts;
        pg_array_text(&tenants, items[i]->facts.tenant_id);
        pg_array_text(&nonces, items[i]->spent.nonce);
        pg_array_bytes(&tokens, span_of(items[i]->spent.token_sha256.bytes, DIGEST_LEN));
        pg_array_uuid(&executions, &items[i]->claim.execution_id);
    }
    struct pg_params params = {0};
    pg_array_bind(&params, &tenants);
    pg_array_bind(&params, &nonces);
    pg_array_bind(&params, &tokens);
    pg_array_bind(&params, &executions);
    struct pg_call call = {.statement = &read, .params = &params};
    int status = facts_read(tx, facts, count, &call, fault);
    *ret_spent = call.result;
    return status;
}

static void judge_nonces(struct start *const *items, size_t count, const PGresult *result)
{
    bool spent[QUEUE_START_MAX] = {false};
    for (int row = 0; row < PQntuples(result); row++)
        spent[pg_get_int(result, row, 0) - 1] = true;
    for (size_t i = 0; i < count; i++)
        if (is_open(items[i]) && !spent[i])
            fault_write(&items[i]->fault, FAULT_NONCE_REUSED,
                        "this execution is not the one that spent its nonce");
}

/* Both rows of each are locked until the commit, in one order: the reaper, which takes a claim away
 * where the lease has run out meanwhile, and who cancels come before that lock or see the state
 * running. Of those that run, and only of those, the event is inserted: last, so that its place in
 * the pending order is taken late. */
static const struct pg_statement run = {
    "queue_start",
    "WITH held AS MATERIALIZED ("
    "  SELECT i.n, i.started_at, i.worker, i.event_id, i.type, i.subject, i.hash, i.body,"
    "         q.execution_id, q.tenant_id"
    "    FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::timestamptz[],"
    "                $6::text[], $7::uuid[], $8::text[], $9::text[], $10::bytea[], $11::bytea[])"
    "         i(execution_id, worker_id, fence, n, started_at, worker, event_id, type, subject,"
    "           hash, body)"
    "    JOIN execution_queue q USING (execution_id, worker_id, fence)"
    "    JOIN execution_active a USING (execution_id)"
    "   WHERE a.state = 'queued' AND a.cancel_requested_at IS NULL"
    "     AND EXISTS (SELECT FROM worker w WHERE w.worker_id = i.worker_id"
    "                    AND w.lease_expires_at > now())"
    "   ORDER BY q.execution_id FOR UPDATE OF q, a"
    "), run AS ("
    "  UPDATE execution_active a SET state = 'running', started_at = held.started_at,"
    "    worker = held.worker, started_event_id = held.event_id"
    "    FROM held WHERE a.execution_id = held.execution_id RETURNING held.*"
    "), said AS ("
    "  INSERT INTO event (event_id, tenant_id, type, subject, execution_id, hash, body)"
    "  SELECT event_id, tenant_id, type, subject, execution_id, hash, body FROM run"
    ") SELECT n FROM run"};

enum column {
    C_NUMBER,
    C_STARTED,
    C_WORKER,
    C_EVENT,
    C_TYPE,
    C_SUBJECT,
    C_HASH,
    C_BODY,
    COLUMN_COUNT
};

static const enum pg_array_kind column_kinds[COLUMN_COUNT] = {
    [C_NUMBER] = PG_ARRAY_INT8, [C_STARTED] = PG_ARRAY_TIME, [C_WORKER] = PG_ARRAY_TEXT,
    [C_EVENT] = PG_ARRAY_UUID,  [C_TYPE] = PG_ARRAY_TEXT,    [C_SUBJECT] = PG_ARRAY_TEXT,
    [C_HASH] = PG_ARRAY_BYTEA,  [C_BODY] = PG_ARRAY_BYTEA,
};

static void add_row(struct pg_array *columns, size_t n, const struct start *item)
{
    pg_array_int(&columns[C_NUMBER], (int64_t)n);
    pg_array_int(&columns[C_STARTED], item->started_ms);
    pg_array_text(&columns[C_WORKER], item->worker_name);
    event_columns_add(&columns[C_EVENT], item->event);
}

/* Runs those that are still open, and commits. */
static int commit_open(struct pg *tx, struct start *const *items, size_t count, bool *ret_running,
                       struct fault *fault)
{
    AUTO_CLAIM_ARRAYS struct claim_arrays claims = claim_arrays_new();
    struct pg_array columns[COLUMN_COUNT];
    struct pg_params params = {0};
    for (int c = 0; c < COLUMN_COUNT; c++)
        columns[c] = pg_array_new(column_kinds[c]);
    for (size_t i = 0; i < count; i++) {
        if (!is_open(items[i]))
            continue;
        claim_arrays_add(&claims, &items[i]->claim);
        add_row(columns, i, items[i]);
    }
    claim_arrays_bind(&params, &claims);
    for (int c = 0; c < COLUMN_COUNT; c++)
        pg_array_bind(&params, &columns[c]);
    AUTO_PGRESULT PGresult *result = NULL;
    int status = columns[C_NUMBER].count == 0 ? 0 : pg_commit(tx, &run, &params, &result, fault);
    for (int c = 0; c < COLUMN_COUNT; c++)
        pg_array_free(&columns[c]);
    for (int row = 0; result != NULL && row < PQntuples(result); row++)
        ret_running[pg_get_int(result, row, 0)] = true;
    return status;
}

/* One transaction: 0 and every item has its outcome, or nothing is written. */
static int start_once(struct pg *pg, struct start *const *items, size_t count, struct fault *fault)
{
    bool running[QUEUE_START_MAX] = {false};
    for (size_t i = 0; i < count; i++) {
        items[i]->started = false;
        items[i]->fault = (struct fault){.code = FAULT_NONE};
    }
    AUTO_PGRESULT PGresult *spent = NULL;
    AUTO_PG_TX struct pg *tx = pg;
    pg_begin(tx, NULL);
    if (read_facts(tx, items, count, &spent, fault) != 0)
        return -1;
    judge_facts(items, count);
    judge_nonces(items, count, spent);
    if (commit_open(tx, items, count, running, fault) != 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        items[i]->started = running[i];
        if (is_open(items[i]) && !running[i])
            (void)claim_lost(&items[i]->fault);
    }
    return 0;
}

static void start_split(struct pg *pg, struct start *const *items, size_t count)
{
    struct fault fault;
    if (start_once(pg, items, count, &fault) == 0)
        return;
    if (count > 1 && fault.code != FAULT_UNAVAILABLE) {
        start_split(pg, items, count / 2);
        start_split(pg, items + count / 2, count - count / 2);
        return;
    }
    for (size_t i = 0; i < count; i++)
        items[i]->fault = fault;
}

void queue_start(struct pg *pg, struct start *const *items, size_t count)
{
    if (count > QUEUE_START_MAX)
        abort();
    start_split(pg, items, count);
}
