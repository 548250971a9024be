/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/executions.h"

#define COLUMNS                                                                                    \
    "x.execution_id, x.tenant_id, x.state, x.reason, x.exit_code, x.signal, x.submitted_at,"       \
    " x.started_at, x.finished_at, x.worker, x.task_id, x.operator_id, x.correlation_id,"          \
    " x.source, x.action, x.target_urn, x.tool_sha256, x.manifest_sha256, x.stdout_bytes,"         \
    " x.stderr_bytes, x.usage, x.finished_event_id,"                                               \
    " (SELECT l.idx FROM ledger_entry l WHERE l.event_id = x.finished_event_id LIMIT 1),"          \
    " (SELECT max(c.size) FROM ledger_checkpoint c)"
#define COLUMN_COUNT 24

void execution_free(struct execution *execution)
{
    PQclear(TAKE(execution->owner));
}

static int execution_read(const PGresult *r, int row, struct execution *ret_execution,
                          struct fault *fault)
{
    struct execution x = {
        .id = pg_get_uuid(r, row, 0),
        .tenant_id = pg_get_text(r, row, 1),
        .reason = pg_get_text(r, row, 3),
        .has_exit_code = !pg_is_null(r, row, 4),
        .exit_code = (int)pg_get_int(r, row, 4),
        .has_signal = !pg_is_null(r, row, 5),
        .signal = (int)pg_get_int(r, row, 5),
        .submitted_ms = pg_get_time(r, row, 6),
        .started_ms = pg_get_time(r, row, 7),
        .finished_ms = pg_get_time(r, row, 8),
        .worker = pg_get_text(r, row, 9),
        .task_id = pg_get_text(r, row, 10),
        .operator_id = pg_get_text(r, row, 11),
        .correlation_id = pg_get_text(r, row, 12),
        .source = pg_get_text(r, row, 13),
        .action = pg_get_text(r, row, 14),
        .target_urn = pg_get_text(r, row, 15),
        .tool_sha256 = pg_get_digest(r, row, 16),
        .manifest_sha256 = pg_get_digest(r, row, 17),
        .stdout_bytes = pg_get_int(r, row, 18),
        .stderr_bytes = pg_get_int(r, row, 19),
        .usage = pg_get_text(r, row, 20),
        .has_event = !pg_is_null(r, row, 21),
        .event_id = pg_get_uuid(r, row, 21),
        .has_index = !pg_is_null(r, row, 22),
        .ledger_index = pg_get_int(r, row, 22),
        .has_receipt = !pg_is_null(r, row, 22) && pg_get_int(r, row, 22) < pg_get_int(r, row, 23),
    };
    struct span state = pg_get_bytes(r, row, 2);
    if (execution_state_parse((const char *)state.data, state.len, &x.state) != 0)
        return fault_set(fault, FAULT_INTERNAL, "an execution is in an unknown state");
    *ret_execution = x;
    return 0;
}

int executions_get(struct pg *pg, const char *tenant, const struct uuid *id,
                   struct execution *ret_execution, struct fault *fault)
{
    static const struct pg_statement read = {
        "executions_get",
        "SELECT " COLUMNS " FROM execution_all x WHERE x.execution_id = $1 AND x.tenant_id = $2"};
    struct pg_params params = {0};
    pg_uuid(&params, id);
    pg_text(&params, tenant);
    AUTO_PGRESULT PGresult *result = NULL;
    struct execution execution;
    if (pg_query_as(pg, tenant, &read, &params, &result, fault) != 0)
        return -1;
    if (PQntuples(result) == 0)
        return fault_set(fault, FAULT_NOT_FOUND, "no such execution");
    if (execution_read(result, 0, &execution, fault) != 0)
        return -1;
    execution.owner = TAKE(result);
    *ret_execution = execution;
    return 0;
}

int executions_list(struct pg *pg, const char *tenant, const struct execution_filter *filter,
                    executions_each *each, void *context, struct fault *fault)
{
    static const struct pg_statement read = {
        "executions_list",
        "SELECT " COLUMNS " FROM execution_all x WHERE x.tenant_id = $1"
        " AND ($2::uuid IS NULL OR x.execution_id < $2) AND ($3::text IS NULL OR x.state = $3)"
        " AND ($4::bytea IS NULL OR x.tool_sha256 = $4) AND ($5::text IS NULL OR x.operator_id = "
        "$5)"
        " AND ($6::text IS NULL OR x.task_id = $6) AND ($7::text IS NULL OR x.correlation_id = $7)"
        " AND ($8::text IS NULL OR x.source = $8) AND ($9::text IS NULL OR x.action = $9)"
        " AND ($10::text IS NULL OR x.target_urn = $10)"
        " AND ($11::timestamptz IS NULL OR x.submitted_at >= $11)"
        " AND ($12::timestamptz IS NULL OR x.submitted_at < $12)"
        " ORDER BY x.execution_id DESC LIMIT $13"};
    struct pg_params params = {0};
    pg_text(&params, tenant);
    pg_uuid(&params, filter->before);
    pg_text(&params, filter->state);
    pg_digest(&params, filter->tool_sha256);
    pg_text(&params, filter->operator_id);
    pg_text(&params, filter->task_id);
    pg_text(&params, filter->correlation_id);
    pg_text(&params, filter->source);
    pg_text(&params, filter->action);
    pg_text(&params, filter->target_urn);
    pg_time(&params, filter->from_ms);
    pg_time(&params, filter->to_ms);
    pg_int4(&params, filter->limit);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query_as(pg, tenant, &read, &params, &result, fault) != 0)
        return -1;
    for (int row = 0; row < PQntuples(result); row++) {
        struct execution execution;
        if (execution_read(result, row, &execution, fault) != 0)
            return -1;
        if (each(context, &execution) != 0)
            break;
    }
    return 0;
}

int executions_token(struct pg *pg, const char *tenant, const struct uuid *id,
                     struct buf *ret_token, struct fault *fault)
{
    static const struct pg_statement read = {
        "executions_token",
        "SELECT token FROM execution_all WHERE execution_id = $1 AND tenant_id = $2"};
    struct pg_params params = {0};
    pg_uuid(&params, id);
    pg_text(&params, tenant);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query_as(pg, tenant, &read, &params, &result, fault) != 0)
        return -1;
    if (PQntuples(result) == 0)
        return fault_set(fault, FAULT_NOT_FOUND, "no such execution");
    buf_puts(ret_token, pg_get_text(result, 0, 0));
    return buf_failed(ret_token) ? fault_set(fault, FAULT_INTERNAL, "out of memory") : 0;
}

int executions_events(struct pg *pg, const char *tenant, const struct uuid *id,
                      struct execution_events *ret_events, struct fault *fault)
{
    static const struct pg_statement read = {
        "executions_events",
        "SELECT accepted_event_id, started_event_id, cancel_event_id, finished_event_id,"
        " (SELECT l.event_id FROM execution_late l WHERE l.execution_id = x.execution_id)"
        "  FROM execution_all x WHERE execution_id = $1 AND tenant_id = $2"};
    struct pg_params params = {0};
    pg_uuid(&params, id);
    pg_text(&params, tenant);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query_as(pg, tenant, &read, &params, &result, fault) != 0)
        return -1;
    if (PQntuples(result) == 0)
        return fault_set(fault, FAULT_NOT_FOUND, "no such execution");
    static const enum event_type types[] = {EVENT_EXECUTION_ACCEPTED, EVENT_EXECUTION_STARTED,
                                            EVENT_EXECUTION_CANCEL_REQUESTED,
                                            EVENT_EXECUTION_FINISHED, EVENT_EXECUTION_RESULT_LATE};
    struct execution_events events = {0};
    for (int column = 0; column < (int)ARRAY_LEN(types); column++) {
        if (pg_is_null(result, 0, column))
            continue;
        events.items[events.count].type = types[column];
        events.items[events.count++].id = pg_get_uuid(result, 0, column);
    }
    *ret_events = events;
    return 0;
}

int executions_ended(struct pg *pg, const char *const *tenants, const struct uuid *ids,
                     size_t count, executions_end *end, void *context, struct fault *fault)
{
    static const struct pg_statement read = {
        "executions_ended",
        "SELECT " COLUMNS ", u.n"
        "  FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY u(execution_id, tenant_id, n)"
        "  JOIN execution x ON x.execution_id = u.execution_id AND x.tenant_id = u.tenant_id"};
    AUTO_PG_ARRAY struct pg_array array = pg_array_new(PG_ARRAY_UUID);
    AUTO_PG_ARRAY struct pg_array names = pg_array_new(PG_ARRAY_TEXT);
    for (size_t i = 0; i < count; i++) {
        pg_array_uuid(&array, &ids[i]);
        pg_array_text(&names, tenants[i]);
    }
    struct pg_params params = {0};
    pg_array_bind(&params, &array);
    pg_array_bind(&params, &names);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query(pg, tenants, &read, &params, &result, fault) != 0)
        return -1;
    for (int row = 0; row < PQntuples(result); row++) {
        struct execution execution;
        struct fault unreadable; /* whoever asks for that one alone is told */
        if (execution_read(result, row, &execution, &unreadable) == 0)
            end(context, (size_t)pg_get_int(result, row, COLUMN_COUNT) - 1, &execution);
    }
    return 0;
}

int executions_depth(struct pg *pg, int64_t at_most, int64_t *ret_depth, struct fault *fault)
{
    static const struct pg_statement read = {"executions_depth", "SELECT queue_depth($1)"};
    struct pg_params params = {0};
    pg_int8(&params, at_most);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query_as(pg, NULL, &read, &params, &result, fault) != 0)
        return -1;
    *ret_depth = pg_get_int(result, 0, 0);
    return 0;
}
