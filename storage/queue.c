/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/queue.h"

#include "storage/queue_parts.h"

#include <string.h>

static void claims_read(const PGresult *result, struct claim *ret_claims, size_t *ret_count)
{
    for (int row = 0; row < PQntuples(result); row++)
        ret_claims[row] = (struct claim){.execution_id = pg_get_uuid(result, row, 0),
                                         .worker_id = pg_get_uuid(result, row, 1),
                                         .fence = pg_get_int(result, row, 2)};
    *ret_count = (size_t)PQntuples(result);
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
    struct pg_params params = {0};
    pg_uuid(&params, worker_id);
    pg_int4(&params, max);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query_as(pg, NULL, &take, &params, &result, fault) != 0)
        return -1;
    claims_read(result, ret_claims, ret_count);
    return 0;
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
    free(queued->owner);
    *queued = (struct queued){0};
}

#define LOADED_COLUMNS                                                                             \
    "a.state, a.submitted_at, a.started_at, a.cancel_reason, a.tool_sha256, a.manifest_sha256,"    \
    " t.max_timeout_seconds, t.max_memory_mib, t.max_pids, t.max_cpu_percent, t.max_tmp_mib,"      \
    " a.tenant_id, a.api_key_id, a.kid, a.token, a.traceparent, a.worker, a.task_id,"              \
    " a.operator_id, a.correlation_id, a.target_urn"

enum loaded_column {
    L_STATE,
    L_SUBMITTED,
    L_STARTED,
    L_CANCEL,
    L_TOOL,
    L_MANIFEST,
    L_MOST_TIMEOUT,
    L_MOST_MEMORY,
    L_MOST_PIDS,
    L_MOST_CPU,
    L_MOST_TMP,
    L_TENANT, /* from here on: texts */
    L_API_KEY,
    L_KID,
    L_TOKEN,
    L_TRACEPARENT,
    L_WORKER,
    L_TASK,
    L_OPERATOR,
    L_CORRELATION,
    L_TARGET,
    L_COLUMNS,               /* after them: */
    L_NUMBER = L_COLUMNS,    /* of a claim that is known */
    L_EXECUTION = L_COLUMNS, /* or a new claim */
    L_WORKER_ID,
    L_FENCE
};

/* A row's texts, each with its NUL, in one piece of memory. */
static char *texts_copy(const PGresult *r, int row, const char *ret_texts[L_COLUMNS])
{
    size_t size = 0;
    for (int c = L_TENANT; c < L_COLUMNS; c++)
        size += (size_t)PQgetlength(r, row, c) + 1;
    char *texts = malloc(size), *at = texts;
    for (int c = L_TENANT; c < L_COLUMNS && texts != NULL; c++) {
        size_t len = (size_t)PQgetlength(r, row, c) + 1;
        ret_texts[c] = memcpy(at, pg_get_text(r, row, c), len);
        at += len;
    }
    return texts;
}

static int queued_read(const PGresult *r, int row, struct queued *ret_queued, struct fault *fault)
{
    const char *texts[L_COLUMNS];
    struct queued queued = {.submitted_ms = pg_get_time(r, row, L_SUBMITTED),
                            .started_ms = pg_get_time(r, row, L_STARTED),
                            .cancel = cancel_reason_get(r, row, L_CANCEL),
                            .tool_sha256 = pg_get_digest(r, row, L_TOOL),
                            .manifest_sha256 = pg_get_digest(r, row, L_MANIFEST),
                            .most = {.timeout_seconds = pg_get_int(r, row, L_MOST_TIMEOUT),
                                     .memory_mib = pg_get_int(r, row, L_MOST_MEMORY),
                                     .pids = pg_get_int(r, row, L_MOST_PIDS),
                                     .cpu_percent = pg_get_int(r, row, L_MOST_CPU),
                                     .tmp_mib = pg_get_int(r, row, L_MOST_TMP)}};
    struct span state = pg_get_bytes(r, row, L_STATE);
    if (execution_state_parse((const char *)state.data, state.len, &queued.state) != 0)
        return fault_set(fault, FAULT_INTERNAL, "an execution is in an unknown state");
    queued.owner = texts_copy(r, row, texts);
    if (queued.owner == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    queued.tenant_id = texts[L_TENANT];
    queued.api_key_id = texts[L_API_KEY];
    queued.kid = texts[L_KID];
    queued.token = span_of(texts[L_TOKEN], (size_t)PQgetlength(r, row, L_TOKEN));
    queued.traceparent = pg_is_null(r, row, L_TRACEPARENT) ? NULL : texts[L_TRACEPARENT];
    queued.worker = texts[L_WORKER];
    queued.task_id = texts[L_TASK];
    queued.operator_id = texts[L_OPERATOR];
    queued.correlation_id = texts[L_CORRELATION];
    queued.target_urn = texts[L_TARGET];
    *ret_queued = queued;
    return 0;
}

int queue_load_all(struct pg *pg, const struct claim *claims, size_t count,
                   struct queued *ret_queued, struct fault *fault)
{
    static const struct pg_statement read = {
        "queue_load", "SELECT " LOADED_COLUMNS ", c.n"
                      "  FROM unnest($1::uuid[], $2::uuid[], $3::bigint[]) WITH ORDINALITY"
                      "       c(execution_id, worker_id, fence, n)"
                      "  JOIN execution_queue q USING (execution_id, worker_id, fence)"
                      "  JOIN execution_active a USING (execution_id)"
                      "  LEFT JOIN tenant t ON t.tenant_id = a.tenant_id"};
    AUTO_CLAIM_ARRAYS struct claim_arrays arrays = claim_arrays_new();
    for (size_t i = 0; i < count; i++)
        claim_arrays_add(&arrays, &claims[i]);
    struct pg_params params = {0};
    claim_arrays_bind(&params, &arrays);
    AUTO_PGRESULT PGresult *r = NULL;
    if (pg_query_as(pg, NULL, &read, &params, &r, fault) != 0)
        return -1;
    AUTO_FREE struct queued *loaded = calloc(count, sizeof *loaded);
    if (loaded == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    for (int row = 0; row < PQntuples(r); row++) {
        if (queued_read(r, row, &loaded[pg_get_int(r, row, L_NUMBER) - 1], fault) == 0)
            continue;
        for (size_t i = 0; i < count; i++)
            queued_free(&loaded[i]);
        return -1;
    }
    memcpy(ret_queued, loaded, count * sizeof *loaded);
    return 0;
}

static int load_claimed(struct pg *pg, const PGresult *rows, struct claim *ret_claims,
                        struct queued *ret_queued, size_t *ret_count, struct fault *fault)
{
    bool missing = false;
    size_t count = (size_t)PQntuples(rows);
    for (size_t i = 0; i < count; i++) {
        int row = (int)i;
        ret_queued[i] = (struct queued){0};
        ret_claims[i] = (struct claim){.execution_id = pg_get_uuid(rows, row, L_EXECUTION),
                                       .worker_id = pg_get_uuid(rows, row, L_WORKER_ID),
                                       .fence = pg_get_int(rows, row, L_FENCE)};
    }
    *ret_count = count;
    for (size_t i = 0; i < count; i++)
        missing |= pg_is_null(rows, (int)i, L_STATE) ||
                   queued_read(rows, (int)i, &ret_queued[i], fault) != 0;
    if (!missing)
        return 0;
    for (size_t i = 0; i < count; i++)
        queued_free(&ret_queued[i]);
    return queue_load_all(pg, ret_claims, count, ret_queued, fault);
}

/* The function sees what was accepted while it ran, the statement around it may not. */
int queue_claim(struct pg *pg, const struct uuid *worker_id, int max, struct claim *ret_claims,
                struct queued *ret_queued, size_t *ret_count, struct fault *fault)
{
    static const struct pg_statement take = {
        "queue_claim", "SELECT " LOADED_COLUMNS ", c.execution_id, c.worker_id, c.fence"
                       "  FROM queue_claim($1, $2) c"
                       "  LEFT JOIN execution_active a USING (execution_id)"
                       "  LEFT JOIN tenant t ON t.tenant_id = a.tenant_id"};
    struct pg_params params = {0};
    pg_uuid(&params, worker_id);
    pg_int4(&params, max);
    AUTO_PGRESULT PGresult *rows = NULL;
    *ret_count = 0;
    return pg_query_as(pg, NULL, &take, &params, &rows, fault) != 0
               ? -1
               : load_claimed(pg, rows, ret_claims, ret_queued, ret_count, fault);
}

int queue_load(struct pg *pg, const struct claim *claim, struct queued *ret_queued,
               struct fault *fault)
{
    struct queued queued;
    if (queue_load_all(pg, claim, 1, &queued, fault) != 0)
        return -1;
    if (queued.owner == NULL)
        return claim_lost(fault);
    *ret_queued = queued;
    return 0;
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
