/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/executions/{id}/cancel: asks for an end, which a worker makes. */
#include "storage/cancels.h"
#include "handlers/execution_json.h"
#include "handlers/gateway.h"
#include "handlers/handlers.h"
#include "handlers/media.h"
#include "handlers/request_event.h"

static enum answer reply_as_it_is(struct request *request, const struct execution *execution)
{
    bool ended = execution_state_is_end(execution->state);
    return reply_execution(request, ended ? 200 : 202, execution);
}

/* Asks, with the event, if nobody has asked before. */
static int ask(const struct request *request, const struct execution *execution, bool *ret_first,
               struct fault *fault)
{
    const struct caller *caller = caller_of(request);
    AUTO_EVENT struct event *event = NULL;
    json_t *data = json_pack("{s:s, s:s, s:o, s:s}", "task_id", execution->task_id, "tenant_id",
                             execution->tenant_id, "tool_sha256",
                             json_digest(&execution->tool_sha256), "principal", caller->principal);
    if (request_execution_event(request, EVENT_EXECUTION_CANCEL_REQUESTED, &execution->id,
                                execution->task_id, data, &event, fault) != 0 ||
        cancels_request(pg_of(request), caller->tenant_id, &execution->id, caller->api_key_id,
                        event, ret_first, fault) != 0)
        return -1;
    return 0;
}

enum answer handle_execution_cancel(struct request *request)
{
    const char *tenant = caller_of(request)->tenant_id;
    struct fault fault;
    struct uuid id;
    bool first;
    AUTO_EXECUTION struct execution execution = {0};
    AUTO_EXECUTION struct execution latest = {0};
    if (request_check_query(request, NULL, NULL, &fault) != 0 ||
        path_uuid(request, &id, &fault) != 0 ||
        executions_get(pg_of(request), tenant, &id, &execution, &fault) != 0)
        return reply_fault(request, &fault);
    if (execution_state_is_end(execution.state))
        return reply_as_it_is(request, &execution);
    if (ask(request, &execution, &first, &fault) != 0 ||
        executions_get(pg_of(request), tenant, &id, &latest, &fault) != 0)
        return reply_fault(request, &fault);
    return reply_as_it_is(request, &latest);
}
