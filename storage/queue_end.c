/* SPDX-License-Identifier: Apache-2.0 */
/* How an execution leaves the queue for its history. */
#include "storage/events.h"
#include "storage/outputs.h"
#include "storage/queue_parts.h"

/* The queue row decides: whoever deletes it ends the execution. */
static int move_to_history(struct pg *tx, const struct claim *claim, const struct ending *ending,
                           bool only_expired, struct fault *fault)
{
    static const struct pg_statement move = {
        "queue_finish",
        "WITH q AS ("
        "  DELETE FROM execution_queue"
        "   WHERE execution_id = $1 AND worker_id = $2 AND fence = $3"
        "     AND (NOT $4 OR NOT EXISTS (SELECT FROM worker w WHERE w.worker_id = "
        "$2 AND w.lease_expires_at > now()))"
        "  RETURNING execution_id"
        "), a AS ("
        "  DELETE FROM execution_active x USING q WHERE x.execution_id = "
        "q.execution_id RETURNING x.*"
        ") INSERT INTO execution (execution_id, tenant_id, state, reason, "
        "exit_code, signal, submitted_at,"
        "   started_at, finished_at, worker, task_id, operator_id, correlation_id, "
        "source, action, target_urn,"
        "   tool_sha256, manifest_sha256, api_key_id, kid, token, stdout_bytes, "
        "stderr_bytes, usage,"
        "   accepted_event_id, started_event_id, cancel_event_id, finished_event_id)"
        " SELECT execution_id, tenant_id, $5, $6, $7, $8, submitted_at, "
        "started_at, $9, coalesce($10, worker),"
        "   task_id, operator_id, correlation_id, source, action, target_urn, "
        "tool_sha256, manifest_sha256,"
        "   api_key_id, kid, token, $11, $12, $13, accepted_event_id, "
        "started_event_id, cancel_event_id, $14 FROM a"};
    struct pg_params params = {0};
    claim_params(&params, claim);
    pg_bool(&params, only_expired);
    pg_text(&params, execution_state_name(ending->state));
    pg_text(&params, ending->reason);
    if (ending->exit_code >= 0)
        pg_int4(&params, ending->exit_code);
    else
        pg_int4_null(&params);
    if (ending->signal > 0)
        pg_int4(&params, ending->signal);
    else
        pg_int4_null(&params);
    pg_time(&params, ending->finished_ms);
    pg_text(&params, ending->worker);
    pg_int8(&params, ending->stdout_bytes);
    pg_int8(&params, ending->stderr_bytes);
    pg_text(&params, ending->usage);
    pg_uuid(&params, &ending->event->id);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_step(tx, &move, &params, &result, fault) != 0)
        return -1;
    return pg_affected(result) == 1 ? 0 : claim_lost(fault);
}

int queue_finish(struct pg *pg, const struct claim *claim, const char *tenant,
                 const struct ending *ending, bool only_expired, struct fault *fault)
{
    AUTO_PG_TX struct pg *tx = pg;
    pg_begin(tx, NULL);
    if (move_to_history(tx, claim, ending, only_expired, fault) != 0 ||
        outputs_write_end(tx, claim, tenant, "stdout", ending->stdout_stored, ending->live,
                          fault) != 0 ||
        outputs_write_end(tx, claim, tenant, "stderr", ending->stderr_stored, ending->live,
                          fault) != 0)
        return -1;
    return events_commit(tx, &ending->event, 1, fault);
}

int queue_finish_unrun(struct pg *pg, const struct claim *claims, const struct ending *endings,
                       size_t count, struct fault *fault)
{
    const struct event *events[QUEUE_FINISH_MAX];
    if (count > QUEUE_FINISH_MAX)
        return fault_set(fault, FAULT_INTERNAL, "more than %d ends at once", QUEUE_FINISH_MAX);
    AUTO_PG_TX struct pg *tx = pg;
    pg_begin(tx, NULL);
    for (size_t i = 0; i < count; i++) {
        events[i] = endings[i].event;
        if (move_to_history(tx, &claims[i], &endings[i], false, fault) != 0)
            return -1;
    }
    return events_commit(tx, events, count, fault);
}
