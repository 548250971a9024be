/* SPDX-License-Identifier: Apache-2.0 */
/* Starts, many to a transaction, each with an outcome of its own. */
#include "storage/events.h"
#include "storage/queue_parts.h"

#include <string.h>

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

/* Only the execution that spent its token's nonce runs, and only once: both rows are append-only.
 */
static int judge_nonces(struct pg *tx, struct start *const *items, size_t count,
                        struct fault *fault)
{
    static const struct pg_statement read = {
        "queue_spent",
        "SELECT i.n FROM unnest($1::text[], $2::text[], $3::bytea[], $4::uuid[]) WITH ORDINALITY"
        "       i(tenant_id, nonce, token_sha256, execution_id, n)"
        "  JOIN execution_nonce s USING (tenant_id, nonce, token_sha256, execution_id)"
        " WHERE NOT EXISTS (SELECT FROM execution x WHERE x.execution_id = i.execution_id)"};
    AUTO_PG_ARRAY struct pg_array tenants = pg_array_new(PG_ARRAY_TEXT);
    AUTO_PG_ARRAY struct pg_array nonces = pg_array_new(PG_ARRAY_TEXT);
    AUTO_PG_ARRAY struct pg_array tokens = pg_array_new(PG_ARRAY_BYTEA);
    AUTO_PG_ARRAY struct pg_array executions = pg_array_new(PG_ARRAY_UUID);
    for (size_t i = 0; i < count; i++) {
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
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_step(tx, &read, &params, &result, fault) != 0)
        return -1;
    bool spent[QUEUE_START_MAX] = {false};
    for (int row = 0; row < PQntuples(result); row++)
        spent[pg_get_int(result, row, 0) - 1] = true;
    for (size_t i = 0; i < count; i++)
        if (is_open(items[i]) && !spent[i])
            fault_write(&items[i]->fault, FAULT_NONCE_REUSED,
                        "this execution is not the one that spent its nonce");
    return 0;
}

/* Both rows of each are locked until the commit, in one order: the reaper, which takes a claim away
 * where the lease has run out meanwhile, and who cancels come before that lock or see the state
 * running. */
static const struct pg_statement run = {
    "queue_start",
    "WITH held AS ("
    "  SELECT i.n, i.started_at, i.worker, i.event_id, q.execution_id"
    "    FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::bigint[], $5::timestamptz[],"
    "                $6::text[], $7::uuid[])"
    "         i(execution_id, worker_id, fence, n, started_at, worker, event_id)"
    "    JOIN execution_queue q USING (execution_id, worker_id, fence)"
    "    JOIN execution_active a USING (execution_id)"
    "   WHERE a.state = 'queued' AND a.cancel_requested_at IS NULL"
    "     AND EXISTS (SELECT FROM worker w WHERE w.worker_id = i.worker_id"
    "                    AND w.lease_expires_at > now())"
    "   ORDER BY q.execution_id FOR UPDATE OF q, a"
    ") UPDATE execution_active a SET state = 'running', started_at = held.started_at,"
    "   worker = held.worker, started_event_id = held.event_id"
    "  FROM held WHERE a.execution_id = held.execution_id RETURNING held.n"};

static int update_open(struct pg *tx, struct start *const *items, size_t count, bool *ret_running,
                       struct fault *fault)
{
    AUTO_CLAIM_ARRAYS struct claim_arrays claims = claim_arrays_new();
    AUTO_PG_ARRAY struct pg_array numbers = pg_array_new(PG_ARRAY_INT8);
    AUTO_PG_ARRAY struct pg_array times = pg_array_new(PG_ARRAY_TIME);
    AUTO_PG_ARRAY struct pg_array workers = pg_array_new(PG_ARRAY_TEXT);
    AUTO_PG_ARRAY struct pg_array events = pg_array_new(PG_ARRAY_UUID);
    for (size_t i = 0; i < count; i++) {
        if (!is_open(items[i]))
            continue;
        claim_arrays_add(&claims, &items[i]->claim);
        pg_array_int(&numbers, (int64_t)i);
        pg_array_int(&times, items[i]->started_ms);
        pg_array_text(&workers, items[i]->worker_name);
        pg_array_uuid(&events, &items[i]->event->id);
    }
    if (numbers.count == 0)
        return 0;
    struct pg_params params = {0};
    claim_arrays_bind(&params, &claims);
    pg_array_bind(&params, &numbers);
    pg_array_bind(&params, &times);
    pg_array_bind(&params, &workers);
    pg_array_bind(&params, &events);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_step(tx, &run, &params, &result, fault) != 0)
        return -1;
    for (int row = 0; row < PQntuples(result); row++)
        ret_running[pg_get_int(result, row, 0)] = true;
    for (size_t i = 0; i < count; i++)
        if (is_open(items[i]) && !ret_running[i])
            (void)claim_lost(&items[i]->fault);
    return 0;
}

/* One transaction: 0 and every item has its outcome, or nothing is written. */
static int start_once(struct pg *pg, struct start *const *items, size_t count, struct fault *fault)
{
    struct facts_item *facts[QUEUE_START_MAX];
    const struct event *events[QUEUE_START_MAX];
    bool running[QUEUE_START_MAX] = {false};
    size_t event_count = 0;
    for (size_t i = 0; i < count; i++) {
        items[i]->started = false;
        items[i]->fault = (struct fault){.code = FAULT_NONE};
        facts[i] = &items[i]->facts;
    }
    AUTO_PG_TX struct pg *tx = pg;
    pg_begin(tx, NULL);
    if (facts_read(tx, facts, count, fault) != 0)
        return -1;
    judge_facts(items, count);
    if (judge_nonces(tx, items, count, fault) != 0 ||
        update_open(tx, items, count, running, fault) != 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (running[i])
            events[event_count++] = items[i]->event;
    if (event_count > 0 && events_commit(tx, events, event_count, fault) != 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        items[i]->started = running[i];
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
