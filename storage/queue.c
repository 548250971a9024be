/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/queue.h"

#include "storage/events.h"
#include "storage/queue_parts.h"

static void claims_read(const PGresult *result, struct claim *ret_claims, size_t *ret_count)
{
    for (int row = 0; row < PQntuples(result); row++)
        ret_claims[row] = (struct claim){.execution_id = pg_get_uuid(result, row, 0),
                                         .worker_id = pg_get_uuid(result, row, 1),
                                         .fence = pg_get_int(result, row, 2)};
    *ret_count = (size_t)PQntuples(result);
}

/* `take` gives what is claimed its fence; none where the lease has run out. */
static int claim_by(struct pg *pg, const struct pg_statement *take, const struct uuid *worker_id,
                    int max, struct claim *ret_claims, size_t *ret_count, struct fault *fault)
{
    struct pg_params params = {0};
    pg_uuid(&params, worker_id);
    pg_int4(&params, max);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query_as(pg, NULL, take, &params, &result, fault) != 0)
        return -1;
    claims_read(result, ret_claims, ret_count);
    return 0;
}

int queue_claim(struct pg *pg, const struct uuid *worker_id, int max, struct claim *ret_claims,
                size_t *ret_count, struct fault *fault)
{
    static const struct pg_statement take = {
        "queue_claim", "SELECT execution_id, worker_id, fence FROM queue_claim($1, $2)"};
    return claim_by(pg, &take, worker_id, max, ret_claims, ret_count, fault);
}

int queue_claim_cancelled(struct pg *pg, const struct uuid *worker_id, int max,
                          struct claim *ret_claims, size_t *ret_count, struct fault *fault)
{
    static const struct pg_statement take = {
        "queue_claim_cancelled",
        "WITH next AS ("
        "  SELECT q.execution_id FROM execution_active a JOIN execution_queue q USING "
        "(execution_id)"
        "   WHERE a.cancel_requested_at IS NOT NULL AND q.worker_id IS NULL"
        "   ORDER BY a.execution_id LIMIT $2 FOR UPDATE OF q SKIP LOCKED)"
        " UPDATE execution_queue q SET worker_id = $1, fence = nextval('fence') FROM next"
        "  WHERE q.execution_id = next.execution_id"
        "    AND EXISTS (SELECT FROM worker w WHERE w.worker_id = $1 AND w.lease_expires_at > "
        "now())"
        " RETURNING q.execution_id, q.worker_id, q.fence"};
    return claim_by(pg, &take, worker_id, max, ret_claims, ret_count, fault);
}

int queue_unclaim(struct pg *pg, const struct claim *claim, struct fault *fault)
{
    static const struct pg_statement give = {
        "queue_unclaim",
        "UPDATE execution_queue q SET worker_id = NULL, fence = NULL FROM execution_active a"
        " WHERE q.execution_id = $1 AND q.worker_id = $2 AND q.fence = $3"
        "   AND a.execution_id = q.execution_id AND a.state = 'queued'"};
    struct pg_params params = {0};
    claim_params(&params, claim);
    return pg_query_as(pg, NULL, &give, &params, NULL, fault);
}

void queued_free(struct queued *queued)
{
    PQclear(TAKE(queued->owner));
}

int queue_load(struct pg *pg, const struct claim *claim, struct queued *ret_queued,
               struct fault *fault)
{
    static const struct pg_statement read = {
        "queue_load",
        "SELECT a.tenant_id, a.state, a.submitted_at, a.started_at, a.cancel_reason,"
        " a.api_key_id, a.kid, a.token, a.traceparent, a.worker, a.task_id, a.operator_id,"
        " a.correlation_id, a.target_urn, a.tool_sha256, a.manifest_sha256"
        "  FROM execution_active a JOIN execution_queue q USING (execution_id)"
        " WHERE q.execution_id = $1 AND q.worker_id = $2 AND q.fence = $3"};
    struct pg_params params = {0};
    claim_params(&params, claim);
    AUTO_PGRESULT PGresult *r = NULL;
    if (pg_query_as(pg, NULL, &read, &params, &r, fault) != 0)
        return -1;
    if (PQntuples(r) == 0)
        return claim_lost(fault);
    struct queued queued = {.tenant_id = pg_get_text(r, 0, 0),
                            .submitted_ms = pg_get_time(r, 0, 2),
                            .started_ms = pg_get_time(r, 0, 3),
                            .cancel = cancel_reason_get(r, 0, 4),
                            .api_key_id = pg_get_text(r, 0, 5),
                            .kid = pg_get_text(r, 0, 6),
                            .token = pg_get_bytes(r, 0, 7),
                            .traceparent = pg_is_null(r, 0, 8) ? NULL : pg_get_text(r, 0, 8),
                            .worker = pg_get_text(r, 0, 9),
                            .task_id = pg_get_text(r, 0, 10),
                            .operator_id = pg_get_text(r, 0, 11),
                            .correlation_id = pg_get_text(r, 0, 12),
                            .target_urn = pg_get_text(r, 0, 13),
                            .tool_sha256 = pg_get_digest(r, 0, 14),
                            .manifest_sha256 = pg_get_digest(r, 0, 15)};
    struct span state = pg_get_bytes(r, 0, 1);
    if (execution_state_parse((const char *)state.data, state.len, &queued.state) != 0)
        return fault_set(fault, FAULT_INTERNAL, "an execution is in an unknown state");
    queued.owner = TAKE(r);
    *ret_queued = queued;
    return 0;
}

/* Only the execution that spent this token's nonce runs, and only once: both rows are append-only.
 */
static int check_spent(struct pg *tx, const struct claim *claim, const char *tenant,
                       const struct spent_nonce *spent, struct fault *fault)
{
    static const struct pg_statement read = {
        "queue_spent", "SELECT 1 FROM execution_nonce n WHERE n.tenant_id = $1 AND n.nonce = $2"
                       " AND n.token_sha256 = $3 AND n.execution_id = $4"
                       " AND NOT EXISTS (SELECT FROM execution x WHERE x.execution_id = $4)"};
    struct pg_params params = {0};
    pg_text(&params, tenant);
    pg_text(&params, spent->nonce);
    pg_digest(&params, &spent->token_sha256);
    pg_uuid(&params, &claim->execution_id);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_step(tx, &read, &params, &result, fault) != 0)
        return -1;
    return PQntuples(result) == 1 ? 0
                                  : fault_set(fault, FAULT_NONCE_REUSED,
                                              "this execution is not the one that spent its nonce");
}

int queue_start(struct pg *pg, const struct claim *claim, struct facts_item *facts,
                const struct spent_nonce *spent, const char *worker_name, int64_t started_ms,
                const struct event *event, struct fault *fault)
{
    /* The claim is locked until the commit: the reaper, which takes it away where the lease has run
     * out meanwhile, comes before that lock or sees the state running. */
    static const struct pg_statement update = {
        "queue_start",
        "UPDATE execution_active a SET state = 'running', started_at = $4, worker = $5,"
        " started_event_id = $6"
        "  FROM (SELECT execution_id FROM execution_queue WHERE execution_id = $1"
        "           AND worker_id = $2 AND fence = $3 FOR UPDATE) q"
        " WHERE a.execution_id = q.execution_id AND a.state = 'queued' AND a.cancel_requested_at "
        "IS NULL"
        "   AND EXISTS (SELECT FROM worker w WHERE w.worker_id = $2 AND w.lease_expires_at > "
        "now())"};
    struct pg_params params = {0};
    claim_params(&params, claim);
    pg_time(&params, started_ms);
    pg_text(&params, worker_name);
    pg_uuid(&params, &event->id);
    AUTO_PGRESULT PGresult *result = NULL;
    AUTO_PG_TX struct pg *tx = pg;
    pg_begin(tx, NULL);
    if (facts_read(tx, &facts, 1, fault) != 0 || verdict_reach(&facts->facts, fault) != 0 ||
        check_spent(tx, claim, facts->tenant_id, spent, fault) != 0 ||
        pg_step(tx, &update, &params, &result, fault) != 0)
        return -1;
    if (pg_affected(result) != 1)
        return claim_lost(fault);
    return events_commit(tx, &event, 1, fault);
}

int queue_held(struct pg *pg, const struct uuid *worker_id, size_t max,
               struct held_claim *ret_claims, size_t *ret_count, struct fault *fault)
{
    static const struct pg_statement read = {
        "queue_held", "SELECT q.execution_id, q.worker_id, q.fence, a.state = 'running'"
                      "  FROM execution_queue q JOIN execution_active a USING (execution_id)"
                      " WHERE q.worker_id = $1 LIMIT $2"};
    struct pg_params params = {0};
    pg_uuid(&params, worker_id);
    pg_int8(&params, (int64_t)max);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query_as(pg, NULL, &read, &params, &result, fault) != 0)
        return -1;
    for (int row = 0; row < PQntuples(result); row++) {
        ret_claims[row].claim = (struct claim){.execution_id = pg_get_uuid(result, row, 0),
                                               .worker_id = pg_get_uuid(result, row, 1),
                                               .fence = pg_get_int(result, row, 2)};
        ret_claims[row].running = pg_get_bool(result, row, 3);
    }
    *ret_count = (size_t)PQntuples(result);
    return 0;
}

int queue_return_expired(struct pg *pg, int64_t *ret_count, struct fault *fault)
{
    /* Both rows are locked, so that what starts at this moment is passed over (see queue_start). */
    static const struct pg_statement give = {
        "queue_return_expired",
        "WITH gone AS ("
        "  SELECT q.execution_id FROM execution_queue q JOIN execution_active a USING "
        "(execution_id)"
        "   WHERE q.worker_id IS NOT NULL AND a.state = 'queued'"
        "     AND NOT EXISTS (SELECT FROM worker w WHERE w.worker_id = q.worker_id AND "
        "w.lease_expires_at > now())"
        "   FOR UPDATE OF q, a SKIP LOCKED)"
        " UPDATE execution_queue q SET worker_id = NULL, fence = NULL FROM gone"
        "  WHERE q.execution_id = gone.execution_id"};
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query_as(pg, NULL, &give, NULL, &result, fault) != 0)
        return -1;
    *ret_count = pg_affected(result);
    return 0;
}

int queue_find_lost(struct pg *pg, int max, struct claim *ret_claims, size_t *ret_count,
                    struct fault *fault)
{
    static const struct pg_statement find = {
        "queue_find_lost", "SELECT q.execution_id, q.worker_id, q.fence"
                           "  FROM execution_queue q JOIN execution_active a USING (execution_id)"
                           " WHERE q.worker_id IS NOT NULL AND a.state = 'running'"
                           "   AND NOT EXISTS (SELECT FROM worker w WHERE w.worker_id = "
                           "q.worker_id AND w.lease_expires_at > now())"
                           " LIMIT $1"};
    struct pg_params params = {0};
    pg_int4(&params, max);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query_as(pg, NULL, &find, &params, &result, fault) != 0)
        return -1;
    claims_read(result, ret_claims, ret_count);
    return 0;
}
