/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/late.h"

#include "base/clock.h"
#include "base/json.h"
#include "base/log.h"

static int late_event(const struct ending *ending, const char *node, struct event **ret_event,
                      struct fault *fault)
{
    AUTO_JSON json_t *finished = NULL;
    json_t *data = NULL;
    const char *traceparent = NULL;
    const struct json_field fields[] = {
        {.name = "data", .kind = JSON_KIND_OBJECT, .required = true, .ret = &data},
        {.name = "traceparent", .kind = JSON_KIND_STRING, .ret = &traceparent},
    };
    if (json_object_parse(span_of(ending->event->bytes, ending->event->len), FAULT_INTERNAL,
                          "a finished event", &finished, fault) != 0 ||
        json_read(finished, "", fields, ARRAY_LEN(fields), false, FAULT_INTERNAL, fault) != 0)
        return -1;
    struct event_head head = {.id = uuid_v7(),
                              .type = EVENT_EXECUTION_RESULT_LATE,
                              .node = node,
                              .subject = ending->event->subject,
                              .tenant_id = ending->tenant_id,
                              .execution_id = &ending->claim.execution_id,
                              .traceparent = traceparent,
                              .time_ms = clock_wall_ms()};
    return event_build(&head, data, ret_event, fault);
}

void late_store(struct pg *pg, const char *node, struct ending *ending)
{
    struct fault fault;
    AUTO_EVENT struct event *event = NULL;
    if (late_event(ending, node, &event, &fault) == 0 &&
        queue_finish_late(pg, ending, event, &fault) == 0) {
        log_warn("a result came after its execution had been called lost", "{s:s, s:s}",
                 "execution_id", uuid_format(&ending->claim.execution_id).text, "state",
                 execution_state_name(ending->state));
    } else if (fault.code != FAULT_STATE_CONFLICT) { /* it has one already */
        ending->fate = ENDING_FAILED;
        ending->fault = fault;
    }
}
