/* SPDX-License-Identifier: Apache-2.0 */
#include "handlers/execution_json.h"

#include "base/clock.h"

json_t *json_time(int64_t wall_ms)
{
    return wall_ms == INT64_MIN || wall_ms == INT64_MAX ? json_null()
                                                        : json_string(time_format(wall_ms).text);
}

json_t *json_digest(const struct digest *digest)
{
    return json_string(digest_format(digest).text);
}

json_t *json_text_or_null(const char *text)
{
    return text == NULL || text[0] == '\0' ? json_null() : json_string(text);
}

static json_t *usage_json(const char *usage)
{
    json_t *value = usage[0] == '\0' ? NULL : json_loads(usage, 0, NULL);
    return value == NULL ? json_null() : value;
}

static json_t *ledger_json(const struct execution *x)
{
    if (!x->has_index)
        return json_null();
    char receipt[80];
    (void)snprintf(receipt, sizeof receipt, "/v1/executions/%s/receipt", uuid_format(&x->id).text);
    return json_pack("{s:I, s:o}", "index", (json_int_t)x->ledger_index, "receipt",
                     x->has_receipt ? json_string(receipt) : json_null());
}

json_t *execution_json(const struct execution *x)
{
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:o, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I,"
        " s:I, s:o, s:o, s:o, s:o}",
        "id", uuid_format(&x->id).text, "tenant_id", x->tenant_id, "task_id", x->task_id,
        "operator_id", x->operator_id, "correlation_id", x->correlation_id, "source", x->source,
        "action", x->action, "tool_sha256", json_digest(&x->tool_sha256), "target_urn",
        x->target_urn, "state", execution_state_name(x->state), "reason",
        json_text_or_null(x->reason), "exit_code",
        x->has_exit_code ? json_integer(x->exit_code) : json_null(), "signal",
        x->has_signal ? json_integer(x->signal) : json_null(), "submitted_at",
        json_time(x->submitted_ms), "started_at", json_time(x->started_ms), "finished_at",
        json_time(x->finished_ms), "manifest_sha256", json_digest(&x->manifest_sha256),
        "stdout_bytes", (json_int_t)x->stdout_bytes, "stderr_bytes", (json_int_t)x->stderr_bytes,
        "usage", usage_json(x->usage), "worker", json_text_or_null(x->worker), "event_id",
        x->has_event ? json_string(uuid_format(&x->event_id).text) : json_null(), "ledger",
        ledger_json(x));
}

static void set_location(struct request *request, const struct uuid *id)
{
    char location[64];
    (void)snprintf(location, sizeof location, "/v1/executions/%s", uuid_format(id).text);
    reply_header(request, "Location", location);
}

enum answer reply_execution(struct request *request, int status, const struct execution *execution)
{
    set_location(request, &execution->id);
    return reply_json(request, status, execution_json(execution));
}

enum answer reply_accepted(struct request *request, const struct admission *admission)
{
    const struct manifest *manifest = admission->manifest;
    struct execution execution = {
        .id = admission->execution_id,
        .tenant_id = manifest->tenant_id,
        .state = EXECUTION_QUEUED,
        .reason = "",
        .submitted_ms = admission->submitted_ms,
        .started_ms = INT64_MIN,
        .finished_ms = INT64_MIN,
        .worker = "",
        .task_id = manifest->task_id,
        .operator_id = manifest->operator_id,
        .correlation_id = manifest->correlation_id,
        .source = manifest->source,
        .action = manifest->action,
        .target_urn = manifest->target_urn,
        .tool_sha256 = manifest->tool_sha256,
        .manifest_sha256 = manifest->sha256,
        .usage = "",
    };
    reply_header(request, "Retry-After", "1");
    return reply_execution(request, 202, &execution);
}
