/* SPDX-License-Identifier: Apache-2.0 */
/* Executions as callers see them: active and ended ones alike. Read only. */
#pragma once

#include "ledger/event.h"
#include "ledger/state.h"
#include "storage/pg.h"

/* Texts are borrowed from the row's result; "" where null. */
struct execution {
    struct uuid id;
    const char *tenant_id;
    enum execution_state state;
    const char *reason;
    bool has_exit_code, has_signal;
    int exit_code, signal;
    int64_t submitted_ms, started_ms, finished_ms; /* INT64_MIN: not yet, or never */
    const char *worker;
    const char *task_id, *operator_id, *correlation_id, *source, *action, *target_urn;
    struct digest tool_sha256, manifest_sha256;
    int64_t stdout_bytes, stderr_bytes;
    const char *usage; /* compact JSON, "" where there is none */
    bool has_event, has_index;
    bool has_receipt;     /* a checkpoint covers that event */
    struct uuid event_id; /* finished */
    int64_t ledger_index; /* of that event */
    PGresult *owner;
};
#define AUTO_EXECUTION AUTO(execution_free)
void execution_free(struct execution *execution);

/* FAULT_NOT_FOUND if the tenant has no such execution. */
int executions_get(struct pg *pg, const char *tenant, const struct uuid *id,
                   struct execution *ret_execution, struct fault *fault) MUST_CHECK;

/* NULL and INT64_MIN members do not filter. */
struct execution_filter {
    const struct uuid *before; /* older than this one */
    const char *state;
    const struct digest *tool_sha256;
    const char *operator_id, *task_id, *correlation_id, *source, *action, *target_urn;
    int64_t from_ms, to_ms; /* submitted in [from, to) */
    int limit;
};

typedef int executions_each(void *context, const struct execution *execution);
/* Newest first, at most filter->limit. -1 from `each` stops. */
int executions_list(struct pg *pg, const char *tenant, const struct execution_filter *filter,
                    executions_each *each, void *context, struct fault *fault) MUST_CHECK;

/* The exact JWS, appended. */
int executions_token(struct pg *pg, const char *tenant, const struct uuid *id,
                     struct buf *ret_token, struct fault *fault) MUST_CHECK;

/* Its own events as far as they exist, in their order: accepted, started, cancel_requested,
 * finished, result_late. */
struct execution_events {
    size_t count;
    struct {
        enum event_type type;
        struct uuid id;
    } items[5];
};
int executions_events(struct pg *pg, const char *tenant, const struct uuid *id,
                      struct execution_events *ret_events, struct fault *fault) MUST_CHECK;

/* Of the executions ids[n], each of the tenant tenants[n] (NULL-terminated), those that have ended;
 * for waiters. The execution is borrowed for the call. */
typedef void executions_end(void *context, size_t n, const struct execution *execution);
int executions_ended(struct pg *pg, const char *const *tenants, const struct uuid *ids,
                     size_t count, executions_end *end, void *context,
                     struct fault *fault) MUST_CHECK;

/* How many executions are queued or running, counted no further than at_most. */
int executions_depth(struct pg *pg, int64_t at_most, int64_t *ret_depth,
                     struct fault *fault) MUST_CHECK;
