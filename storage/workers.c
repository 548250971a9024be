/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/workers.h"

int workers_register(struct pg *pg, const struct worker_row *worker, int64_t lease_ms,
                     struct fault *fault)
{
    static const struct pg_statement insert = {
        "workers_register",
        "INSERT INTO worker (worker_id, node, slots, version, checks, lease_expires_at)"
        " VALUES ($1, $2, $3, $4, $5, now() + $6 * interval '1 millisecond')"};
    struct pg_params params = {0};
    pg_uuid(&params, &worker->id);
    pg_text(&params, worker->node);
    pg_int4(&params, worker->slots);
    pg_text(&params, worker->version);
    pg_text(&params, worker->checks);
    pg_int8(&params, lease_ms);
    return pg_query_as(pg, NULL, &insert, &params, NULL, fault);
}

int workers_renew(struct pg *pg, const struct uuid *id, int64_t lease_ms,
                  struct worker_cancel *ret_cancels, size_t *ret_count, struct fault *fault)
{
    /* One row at least where the lease holds: the outer join keeps it when there is no cancel. */
    static const struct pg_statement update = {
        "workers_renew",
        "WITH w AS ("
        "  UPDATE worker SET lease_expires_at = now() + $2 * interval '1 millisecond'"
        "   WHERE worker_id = $1 AND lease_expires_at > '-infinity' RETURNING worker_id"
        ") SELECT c.execution_id, c.cancel_reason FROM w LEFT JOIN ("
        "    SELECT q.worker_id, a.execution_id, a.cancel_reason FROM execution_queue q JOIN "
        "execution_active a "
        "USING (execution_id)"
        "     WHERE a.cancel_requested_at IS NOT NULL AND q.worker_id = $1) c ON c.worker_id = "
        "w.worker_id"
        " LIMIT 256"};
    struct pg_params params = {0};
    pg_uuid(&params, id);
    pg_int8(&params, lease_ms);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query_as(pg, NULL, &update, &params, &result, fault) != 0)
        return -1;
    if (PQntuples(result) == 0)
        return fault_set(fault, FAULT_STATE_CONFLICT, "this incarnation is forgotten");
    size_t count = 0;
    for (int row = 0; row < PQntuples(result); row++)
        if (!pg_is_null(result, row, 0))
            ret_cancels[count++] = (struct worker_cancel){pg_get_uuid(result, row, 0),
                                                          cancel_reason_get(result, row, 1)};
    *ret_count = count;
    return 0;
}

int workers_leave(struct pg *pg, const struct uuid *id, struct fault *fault)
{
    static const struct pg_statement update = {
        "workers_leave", "UPDATE worker SET lease_expires_at = '-infinity' WHERE worker_id = $1"};
    struct pg_params params = {0};
    pg_uuid(&params, id);
    return pg_query_as(pg, NULL, &update, &params, NULL, fault);
}

int workers_forget(struct pg *pg, struct fault *fault)
{
    static const struct pg_statement remove_rows = {
        "workers_forget",
        "DELETE FROM worker w WHERE w.lease_expires_at < now() - interval '1 day'"
        " AND NOT EXISTS (SELECT FROM execution_queue q WHERE q.worker_id = w.worker_id)"};
    return pg_query_as(pg, NULL, &remove_rows, NULL, NULL, fault);
}

int workers_list(struct pg *pg, workers_each *each, void *context, struct fault *fault)
{
    static const struct pg_statement read = {
        "workers_list",
        "SELECT worker_id, node, slots, version, checks, started_at, lease_expires_at"
        " FROM worker WHERE lease_expires_at > now() - interval '1 day'"
        " ORDER BY started_at DESC LIMIT 1000"};
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query_as(pg, NULL, &read, NULL, &result, fault) != 0)
        return -1;
    for (int row = 0; row < PQntuples(result); row++) {
        struct worker_row worker = {.id = pg_get_uuid(result, row, 0),
                                    .node = pg_get_text(result, row, 1),
                                    .slots = (int)pg_get_int(result, row, 2),
                                    .version = pg_get_text(result, row, 3),
                                    .checks = pg_get_text(result, row, 4),
                                    .started_ms = pg_get_time(result, row, 5),
                                    .lease_expires_ms = pg_get_time(result, row, 6)};
        if (each(context, &worker) != 0)
            break;
    }
    return 0;
}
