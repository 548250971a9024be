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
    COLUMN_COUNT
};

static const enum pg_array_kind column_kinds[COLUMN_COUNT] = {
    [C_EXECUTION] = PG_ARRAY_UUID,    [C_WORKER_ID] = PG_ARRAY_UUID,
    [C_FENCE] = PG_ARRAY_INT8,        [C_STATE] = PG_ARRAY_TEXT,
    [C_REASON] = PG_ARRAY_TEXT,       [C_EXIT_CODE] = PG_ARRAY_INT8,
    [C_SIGNAL] = PG_ARRAY_INT8,       [C_FINISHED] = PG_ARRAY_TIME,
    [C_WORKER] = PG_ARRAY_TEXT,       [C_STDOUT_BYTES] = PG_ARRAY_INT8,
    [C_STDERR_BYTES] = PG_ARRAY_INT8, [C_USAGE] = PG_ARRAY_TEXT,
    [C_EVENT] = PG_ARRAY_UUID,
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
    pg_array_uuid(&columns[C_EVENT], &ending->event->id);
}

/* The queue row decides: whoever deletes it ends the execution. Rows are locked in one order, or
 * two batches with some in common would wait for each other. */
static const struct pg_statement move = {
    "queue_finish",
    "WITH item AS ("
    "  SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::text[],"
    "    $6::bigint[], $7::bigint[], $8::timestamptz[], $9::text[], $10::bigint[], $11::bigint[],"
    "    $12::text[], $13::uuid[])"
    "  AS u(execution_id, worker_id, fence, state, reason, exit_code, signal, finished_at, worker,"
    "       stdout_bytes, stderr_bytes, usage, event_id)"
    "), held AS MATERIALIZED ("
    "  SELECT q.execution_id FROM item i JOIN execution_queue q USING (execution_id)"
    "    JOIN execution_active a USING (execution_id)"
    "   WHERE q.worker_id = i.worker_id AND q.fence = i.fence"
    "     AND (NOT $14 OR NOT EXISTS (SELECT FROM worker w WHERE w.worker_id = q.worker_id"
    "                                    AND w.lease_expires_at > now()))"
    "   ORDER BY q.execution_id FOR UPDATE OF q, a"
    "), q AS ("
    "  DELETE FROM execution_queue x USING held WHERE x.execution_id = held.execution_id"
    "), a AS ("
    "  DELETE FROM execution_active x USING held WHERE x.execution_id = held.execution_id"
    "  RETURNING x.*"
    ") INSERT INTO execution (execution_id, tenant_id, state, reason, exit_code, signal,"
    "   submitted_at, started_at, finished_at, worker, task_id, operator_id, correlation_id,"
    "   source, action, target_urn, tool_sha256, manifest_sha256, api_key_id, kid, token,"
    "   stdout_bytes, stderr_bytes, usage,"
    "   accepted_event_id, started_event_id, cancel_event_id, finished_event_id)"
    " SELECT execution_id, a.tenant_id, i.state, i.reason, i.exit_code::integer,"
    "   i.signal::integer, a.submitted_at, a.started_at, i.finished_at,"
    "   coalesce(i.worker, a.worker), a.task_id, a.operator_id, a.correlation_id, a.source,"
    "   a.action, a.target_urn, a.tool_sha256, a.manifest_sha256, a.api_key_id, a.kid, a.token,"
    "   i.stdout_bytes, i.stderr_bytes, i.usage, a.accepted_event_id, a.started_event_id,"
    "   a.cancel_event_id, i.event_id"
    "   FROM a JOIN item i USING (execution_id)"
    " RETURNING execution_id"};

static struct ending *find(struct ending *const *endings, size_t count, const struct uuid *id)
{
    for (size_t i = 0; i < count; i++)
        if (uuid_equal(&endings[i]->claim.execution_id, id))
            return endings[i];
    return NULL;
}

/* Those that are moved become ENDING_STORED, which they are after the commit; the others GONE. */
static int move_to_history(struct pg *tx, struct ending *const *endings, size_t count,
                           bool only_expired, size_t *ret_moved, struct fault *fault)
{
    struct pg_array columns[COLUMN_COUNT];
    struct pg_params params = {0};
    for (int c = 0; c < COLUMN_COUNT; c++)
        columns[c] = pg_array_new(column_kinds[c]);
    for (size_t i = 0; i < count; i++)
        add_row(columns, endings[i]);
    for (int c = 0; c < COLUMN_COUNT; c++)
        pg_array_bind(&params, &columns[c]);
    pg_bool(&params, only_expired);
    AUTO_PGRESULT PGresult *result = NULL;
    int status = pg_step(tx, &move, &params, &result, fault);
    for (int c = 0; c < COLUMN_COUNT; c++)
        pg_array_free(&columns[c]);
    if (status != 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        endings[i]->fate = ENDING_GONE;
        (void)claim_lost(&endings[i]->fault);
    }
    for (int row = 0; row < PQntuples(result); row++) {
        struct uuid id = pg_get_uuid(result, row, 0);
        struct ending *ending = find(endings, count, &id);
        if (ending != NULL)
            ending->fate = ENDING_STORED;
    }
    *ret_moved = (size_t)PQntuples(result);
    return 0;
}

/* What the history says of those that are gone: this very end, or that its run was lost. */
static int look_up_gone(struct pg *tx, struct ending *const *endings, size_t count,
                        struct fault *fault)
{
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
    if (pg_step(tx, &read, &params, &result, fault) != 0)
        return -1;
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
    return 0;
}

/* ---- the commit ---- */

static int finish_once(struct pg *pg, struct ending *const *endings, size_t count,
                       bool only_expired, struct fault *fault)
{
    struct ending *moved[QUEUE_FINISH_MAX];
    const struct event *events[QUEUE_FINISH_MAX];
    size_t moved_count = 0, n = 0;
    AUTO_PG_TX struct pg *tx = pg;
    pg_begin(tx, NULL);
    if (move_to_history(tx, endings, count, only_expired, &moved_count, fault) != 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        if (endings[i]->fate != ENDING_STORED)
            continue;
        moved[n] = endings[i];
        events[n++] = endings[i]->event;
    }
    if (n != moved_count)
        return fault_set(fault, FAULT_INTERNAL, "an execution is in a batch of ends twice");
    if (n < count && look_up_gone(tx, endings, count, fault) != 0)
        return -1;
    pg_tell(tx, NOTIFY_ENDED);
    if (n == 0) /* it may be that an earlier commit was not told, for its answer was lost */
        return pg_commit(tx, NULL, NULL, NULL, fault);
    return outputs_write_ends(tx, moved, n, fault) != 0 ? -1 : events_commit(tx, events, n, fault);
}

static void fail_all(struct ending *const *endings, size_t count, const struct fault *fault)
{
    for (size_t i = 0; i < count; i++) {
        endings[i]->fate = ENDING_FAILED;
        endings[i]->fault = *fault;
    }
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
