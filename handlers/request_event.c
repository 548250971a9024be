/* SPDX-License-Identifier: Apache-2.0 */
#include "handlers/request_event.h"

#include "base/clock.h"
#include "handlers/gateway.h"

int request_execution_event(const struct request *request, enum event_type type,
                            const struct uuid *execution_id, const char *subject, json_t *data,
                            struct event **ret_event, struct fault *fault)
{
    AUTO_JSON json_t *owned = data;
    struct event_head head = {.id = uuid_v7(),
                              .type = type,
                              .node = gateway_of(request)->config.node,
                              .subject = subject,
                              .tenant_id = caller_of(request)->tenant_id,
                              .execution_id = execution_id,
                              .traceparent = request_traceparent(request),
                              .time_ms = clock_wall_ms()};
    if (owned == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    return event_build(&head, owned, ret_event, fault);
}

int request_event(const struct request *request, enum event_type type, const char *subject,
                  json_t *data, struct event **ret_event, struct fault *fault)
{
    return request_execution_event(request, type, NULL, subject, data, ret_event, fault);
}
