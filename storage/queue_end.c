/* SPDX-License-Identifier: Apache-2.0 */
/* How executions leave the queue for their history. */
#include "storage/events.h"
#include "storage/notify.h"
#include "storage/outputs.h"
#include "storage/queue_parts.h"

#include <string.h>

size_t ending_size(const struct ending *ending)
{
    return ending->event->len + ending->stdout_stored.len + ending->stderr_stored.len;
}

/* ---- the rows ---- */

enum column {
    C_EXECUTION,
    C_WORKER_ID,
    C_FENCE,
    C_STATE,
    C_REASON,
    C_EXIT_CODE,
    C_SIGNAL,
    C_FINISHED,
    C_WORKER,
    C_STDOUT_BYTES,
    C_STDERR_BYTES,
    C_USAGE,
    C_EVENT,
    C_EVENT_TYPE,
    C_EVENT_SUBJECT,
    C_EVENT_HASH,
    C_EVENT_BODY,
    COLUMN_COUNT
};

static const enum pg_array_kind column_kinds[COLUMN_COUNT] = {
    [C_EXECUTION] = PG_ARRAY_UUID,     [C_WORKER_ID] = PG_ARRAY_UUID,
    [C_FENCE] = PG_ARRAY_INT8,         [C_STATE] = PG_ARRAY_TEXT,
    [C_REASON] = PG_ARRAY_TEXT,        [C_EXIT_CODE] = PG_ARRAY_INT8,
    [C_SIGNAL] = PG_ARRAY_INT8,        [C_FINISHED] = PG_ARRAY_TIME,
    [C_WORKER] = PG_ARRAY_TEXT,        [C_STDOUT_BYTES] = PG_ARRAY_INT8,
    [C_STDERR_BYTES] = PG_ARRAY_INT8,  [C_USAGE] = PG_ARRAY_TEXT,
    [C_EVENT] = PG_ARRAY_UUID,         [C_EVENT_TYPE] = PG_ARRAY_TEXT,
    [C_EVENT_SUBJECT] = PG_ARRAY_TEXT, [C_EVENT_HASH] = PG_ARRAY_BYTEA,
    [C_EVENT_BODY] = PG_ARRAY_BYTEA,
};

static void add_int_unless(struct pg_array *array, int value, int none)
{
    if (value == none)
        pg_array_null(array);
    else
        pg_array_int(array, value);
}

static void add_row(struct pg_array *columns, const struct ending *ending)
{
    pg_array_uuid(&columns[C_EXECUTION], &ending->claim.execution_id);
    pg_array_uuid(&columns[C_WORKER_ID], &ending->claim.worker_id);
    pg_array_int(&columns[C_FENCE], ending->claim.fence);
    pg_array_text(&columns[C_STATE], execution_state_name(ending->state));
    pg_array_text(&columns[C_REASON], ending->reason);
    add_int_unless(&columns[C_EXIT_CODE], ending->exit_code, -1);
    add_int_unless(&columns[C_SIGNAL], ending->signal, 0);
    pg_array_int(&columns[C_FINISHED], ending->finished_ms);
    pg_array_text(&columns[C_WORKER], ending->worker);
    pg_array_int(&columns[C_STDOUT_BYTES], ending->stdout_bytes);
    pg_array_int(&columns[C_STDERR_BYTES], ending->stderr_bytes);
    pg_array_text(&columns[C_USAGE], ending->usage);
    event_columns_add(&columns[C_EVENT], ending->event);
}

/* The queue row decides: whoever deletes it ends the execution, and only of those the outputs and
 * the events are inserted. Rows are locked in one order, or two batches with some in common would
 * wait for each other. */
static const struct pg_statement finish = {
    "queue_finish",
    "WITH held AS MATERIALIZED ("
    "  SELECT i.* FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::text[],"
    "      $6::bigint[], $7::bigint[], $8::timestamptz[], $9::text[], $10::bigint[], $11::bigint[],"
    "      $12::text[], $13::uuid[], $14::text[], $15::text[], $16::bytea[], $17::bytea[])"
    "    AS i(execution_id, worker_id, fence, end_state, reason, exit_code, signal, finished_at,"
    "         ended_by, stdout_bytes, stderr_bytes, usage, event_id, type, subject, hash, body)"
    "    JOIN execution_queue q USING (execution_id, worker_id, fence)"
    "    JOIN execution_active a USING (execution_id)"
    "   WHERE NOT $18 OR NOT EXISTS (SELECT FROM worker w WHERE w.worker_id = i.worker_id"
    "                                   AND w.lease_expires_at > now())"
    "   ORDER BY i.execution_id FOR UPDATE OF q, a"
    "), q AS ("
    "  DELETE FROM execution_queue x USING held WHERE x.execution_id = held.execution_id"
    "), a AS ("
    "  DELETE FROM execution_active x USING held h WHERE x.execution_id = h.execution_id"
    "  RETURNING x.*, h.end_state, h.reason, h.exit_code, h.signal, h.finished_at, h.ended_by,"
    "    h.stdout_bytes, h.stderr_bytes, h.usage, h.event_id, h.type, h.subject, h.hash, h.body"
    "), wrote AS ("
    "  INSERT INTO execution_output (execution_id, stream, n, tenant_id, data)"
    "  SELECT execution_id, stream, n::integer, tenant_id, data"
    "    FROM unnest($19::uuid[], $20::text[], $21::bigint[], $22::text[], $23::bytea[])"
    "         o(execution_id, stream, n, tenant_id, data)"
    "   WHERE execution_id = ANY (ARRAY(SELECT execution_id FROM a))"
    "   ORDER BY execution_id, stream, n"
    "), said AS ("
    "  INSERT INTO event (event_id, tenant_id, type, subject, execution_id, hash, body)"
    "  SELECT event_id, tenant_id, type, subject, execution_id, hash, body FROM a"
    ") INSERT INTO execution (execution_id, tenant_id, state, reason, exit_code, signal,"
    "   submitted_at, started_at, finished_at, worker, task_id, operator_id, correlation_id,"
    "   source, action, target_urn, tool_sha256, manifest_sha256, api_key_id, kid, token,"
    "   stdout_bytes, stderr_bytes, usage,"
    "   accepted_event_id, started_event_id, cancel_event_id, finished_event_id)"
    " SELECT execution_id, tenant_id, end_state, reason, exit_code::integer,"
    "   signal::integer, submitted_at, started_at, finished_at, coalesce(ended_by, worker),"
    "   task_id, operator_id, correlation_id, source, action, target_urn, tool_sha256,"
    "   manifest_sha256, api_key_id, kid, token, stdout_bytes, stderr_bytes, usage,"
    "   accepted_event_id, started_event_id, cancel_event_id, event_id"
    "   FROM a"
    " RETURNING execution_id"};

static void fail(struct ending *ending, const struct fault *fault)
{
    ending->fate = ENDING_FAILED;
    ending->fault = *fault;
}

static struct ending *find(struct ending *const *endings, size_t count, const struct uuid *id)
{
    for (size_t i = 0; i < count; i++)
        if (uuid_equal(&endings[i]->claim.execution_id, id))
            return endings[i];
    return NULL;
}

/* Those whose queue row was theirs are ENDING_STORED, which they are after the commit, and first in
 * ret_moved; the others are GONE. */
static size_t sort_out(struct ending *const *endings, size_t count, const PGresult *moved,
                       struct ending **ret_moved)
{
    size_t n = 0;
    for (size_t i = 0; i < count; i++) {
        endings[i]->fate = ENDING_GONE;
        (void)claim_lost(&endings[i]->fault);
    }
    for (int row = 0; row < PQntuples(moved); row++) {
        struct uuid id = pg_get_uuid(moved, row, 0);
        struct ending *ending = find(endings, count, &id);
        if (ending == NULL)
            continue;
        ending->fate = ENDING_STORED;
        ret_moved[n++] = ending;
    }
    return n;
}

/* What the history says of those that are gone: this very end, or that its run was lost. The others
 * are stored, whether it can be asked or not. */
static void look_up_gone(struct pg *pg, struct ending *const *endings, size_t count)
{
    struct fault fault;
    static const struct pg_statement read = {
        "queue_finished", "SELECT execution_id, finished_event_id, state = 'lost', worker"
                          "  FROM execution WHERE execution_id = ANY ($1)"};
    AUTO_PG_ARRAY struct pg_array ids = pg_array_new(PG_ARRAY_UUID);
    for (size_t i = 0; i < count; i++)
        if (endings[i]->fate == ENDING_GONE)
            pg_array_uuid(&ids, &endings[i]->claim.execution_id);
    struct pg_params params = {0};
    pg_array_bind(&params, &ids);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query_as(pg, NULL, &read, &params, &result, &fault) != 0) {
        for (size_t i = 0; i < count; i++)
            if (endings[i]->fate == ENDING_GONE)
                fail(endings[i], &fault);
        return;
    }
    for (int row = 0; row < PQntuples(result); row++) {
        struct uuid id = pg_get_uuid(result, row, 0), event_id = pg_get_uuid(result, row, 1);
        struct ending *ending = find(endings, count, &id);
        if (ending == NULL)
            continue;
        bool lost = pg_get_bool(result, row, 2) && ending->state != EXECUTION_LOST;
        if (uuid_equal(&event_id, &ending->event->id))
            ending->fate = ENDING_STORED;
        else if (lost && ending->worker != NULL &&
                 strcmp(pg_get_text(result, row, 3), ending->worker) == 0)
            ending->fate = ENDING_LATE;
    }
}

/* ---- the commit ---- */

/* In one round trip, unless the outputs need steps of their own. That somebody's end is told where
 * none is stored does no harm: it may be that an earlier commit was not, for its answer was lost.
 */
static int finish_all(struct pg *tx, const struct pg_params *params, bool whole,
                      struct ending *const *endings, size_t count, size_t *ret_moved,
                      struct fault *fault)
{
    struct ending *moved[QUEUE_FINISH_MAX];
    AUTO_PGRESULT PGresult *result = NULL;
    pg_tell(tx, NOTIFY_ENDED);
    if ((whole ? pg_commit(tx, &finish, params, &result, fault)
               : pg_step(tx, &finish, params, &result, fault)) != 0)
        return -1;
    *ret_moved = sort_out(endings, count, result, moved);
    return whole || (outputs_write_ends(tx, moved, *ret_moved, fault) == 0 &&
                     pg_commit(tx, NULL, NULL, NULL, fault) == 0)
               ? 0
               : -1;
}

static int finish_once(struct pg *pg, struct ending *const *endings, size_t count,
                       bool only_expired, struct fault *fault)
{
    struct pg_array columns[COLUMN_COUNT];
    AUTO_OUTPUT_ROWS struct output_rows outputs = output_rows_new();
    struct pg_params params = {0};
    size_t moved = 0;
    for (int c = 0; c < COLUMN_COUNT; c++)
        columns[c] = pg_array_new(column_kinds[c]);
    for (size_t i = 0; i < count; i++)
        add_row(columns, endings[i]);
    for (int c = 0; c < COLUMN_COUNT; c++)
        pg_array_bind(&params, &columns[c]);
    pg_bool(&params, only_expired);
    bool whole = output_rows_fill(&outputs, endings, count);
    output_rows_bind(&params, &outputs);
    AUTO_PG_TX struct pg *tx = pg;
    pg_begin(tx, NULL);
    int status = finish_all(tx, &params, whole, endings, count, &moved, fault);
    for (int c = 0; c < COLUMN_COUNT; c++)
        pg_array_free(&columns[c]);
    if (status == 0 && moved < count)
        look_up_gone(pg, endings, count);
    return status;
}

static void fail_all(struct ending *const *endings, size_t count, const struct fault *fault)
{
    for (size_t i = 0; i < count; i++)
        fail(endings[i], fault);
}

/* False once a fault that passes has been met: the rest is not tried. */
static bool finish_split(struct pg *pg, struct ending *const *endings, size_t count,
                         bool only_expired)
{
    struct fault fault;
    if (finish_once(pg, endings, count, only_expired, &fault) == 0)
        return true;
    bool passes = fault.code == FAULT_UNAVAILABLE;
    if (count == 1 || passes) {
        fail_all(endings, count, &fault);
        return !passes;
    }
    size_t half = count / 2;
    if (finish_split(pg, endings, half, only_expired))
        return finish_split(pg, endings + half, count - half, only_expired);
    (void)fault_set(&fault, FAULT_UNAVAILABLE, "the database asks to try again");
    fail_all(endings + half, count - half, &fault);
    return false;
}

void queue_finish(struct pg *pg, struct ending *const *endings, size_t count, bool only_expired)
{
    if (count > QUEUE_FINISH_MAX)
        abort();
    if (count > 0)
        (void)finish_split(pg, endings, count, only_expired);
}

int queue_finish_late(struct pg *pg, const struct ending *ending, const struct event *late,
                      struct fault *fault)
{
    static const struct pg_statement insert = {
        "queue_finish_late",
        "INSERT INTO execution_late (execution_id, tenant_id, event_id) VALUES ($1, $2, $3)"};
    struct pg_params params = {0};
    pg_uuid(&params, &ending->claim.execution_id);
    pg_text(&params, ending->tenant_id);
    pg_uuid(&params, &late->id);
    AUTO_PG_TX struct pg *tx = pg;
    pg_begin(tx, NULL);
    if (pg_step(tx, &insert, &params, NULL, fault) != 0)
        return -1;
    return events_commit(tx, &late, 1, fault);
}
