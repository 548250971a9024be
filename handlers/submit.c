/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/executions: the first door. Parse, verify, hand to the writer, which answers. */
#include "handlers/batcher.h"
#include "handlers/handlers.h"
#include "handlers/media.h"
#include "handlers/monitor.h"
#include "handlers/verification_keys.h"

#include "base/clock.h"

#include <string.h>

/* The JWS in the body: the body itself, or the one member of a JSON object (kept alive in
 * ret_body). */
static int body_token(struct request *request, json_t **ret_body, struct span *ret_text,
                      struct fault *fault)
{
    struct span body = request_body(request);
    if (media_type_is(request, "application/jose")) {
        *ret_text = body;
        return 0;
    }
    if (!media_type_is(request, "application/json"))
        return fault_set(fault, FAULT_UNSUPPORTED_MEDIA_TYPE,
                         "Content-Type: expected application/jose or application/json");
    AUTO_JSON json_t *object = NULL;
    const char *text = NULL;
    const struct json_field fields[] = {
        {"manifest_jws", JSON_KIND_STRING, true, 1, INT64_MAX, &text}};
    if (json_object_parse(body, FAULT_MALFORMED_REQUEST, "body", &object, fault) != 0 ||
        json_read(object, "", fields, 1, true, FAULT_MALFORMED_REQUEST, fault) != 0)
        return -1;
    *ret_text = span_text(text);
    *ret_body = TAKE(object);
    return 0;
}

/* Seconds of `wait=N` in Prefer (RFC 7240), 0 where there is none. */
static int64_t preferred_wait_ms(const struct request *request, int64_t most_ms)
{
    const char *prefer = request_header(request, "Prefer");
    const char *at = prefer == NULL ? NULL : strstr(prefer, "wait=");
    if (at == NULL || (at != prefer && strchr(", ;\t", at[-1]) == NULL))
        return 0;
    char *end;
    long long seconds = strtoll(at + 5, &end, 10);
    if (end == at + 5 || seconds <= 0)
        return 0;
    return seconds > most_ms / 1000 ? most_ms : seconds * 1000;
}

/* Not the route's row: a known caller's refusal leaves an event, this one too. */
static int check_role(const struct submission *submission, struct fault *fault)
{
    if ((submission->caller.roles & ROLE_SUBMITTER) != 0)
        return 0;
    return fault_set(fault, FAULT_FORBIDDEN, "this API key has not the role submitter");
}

static int prove(struct submission *submission, struct fault *fault)
{
    struct gateway *gateway = gateway_of(submission->request);
    struct pg *pg = pg_of(submission->request);
    const char *tenant = submission->caller.tenant_id;
    AUTO_JSON json_t *body = NULL;
    AUTO_KNOWN_KEY struct known_key *key = NULL;
    struct span text;
    if (body_token(submission->request, &body, &text, fault) != 0 ||
        token_parse(text, &submission->token, fault) != 0 || check_role(submission, fault) != 0 ||
        verification_key_find(gateway, pg, tenant, submission->token, &key, fault) != 0)
        return -1;
    if (token_verify(submission->token, known_key_trust(key), gateway->config.verify, fault) != 0) {
        verification_key_spend(gateway, pg, tenant, key);
        return -1;
    }
    (void)snprintf(submission->kid, sizeof submission->kid, "%s", known_key_kid(key));
    return 0;
}

/* The manifest's own rules, and the window and tenant. A stale one may still be a known token,
 * which only the writer can tell. */
static int understand(struct submission *submission, int64_t now_ms, struct fault *fault)
{
    const struct gateway *gateway = gateway_of(submission->request);
    if (manifest_parse(submission->token->payload, &submission->manifest, fault) != 0)
        return -1;
    const struct manifest *manifest = submission->manifest;
    bool stale =
        manifest_check_window(manifest, gateway->config.window, now_ms, &submission->stale) != 0;
    if (strcmp(manifest->tenant_id, submission->caller.tenant_id) != 0) {
        if (stale) {
            *fault = submission->stale;
            return -1;
        }
        return fault_set(fault, FAULT_TENANT_MISMATCH,
                         "task_context.tenant_id: not the tenant of this API key");
    }
    submission->admission.stale = stale ? &submission->stale : NULL;
    submission->inputs = calloc(manifest->input_count + 1, sizeof *submission->inputs);
    if (submission->inputs == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    for (size_t i = 0; i < manifest->input_count; i++)
        submission->inputs[i] = manifest->inputs[i].sha256;
    return 0;
}

static int build_accepted(struct submission *submission, struct fault *fault)
{
    const struct gateway *gateway = gateway_of(submission->request);
    const struct manifest *manifest = submission->manifest;
    struct admission *admission = &submission->admission;
    AUTO_JSON json_t *data = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "task_id",
        manifest->task_id, "tenant_id", manifest->tenant_id, "operator_id", manifest->operator_id,
        "correlation_id", manifest->correlation_id, "source", manifest->source, "action",
        manifest->action, "tool_sha256", digest_format(&manifest->tool_sha256).text, "target_urn",
        manifest->target_urn, "manifest_sha256", digest_format(&manifest->sha256).text, "kid",
        submission->kid, "alg", jws_alg_name(submission->token->alg), "principal",
        submission->caller.principal);
    if (data == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    struct event_head head = {
        .id = uuid_v7(),
        .type = EVENT_EXECUTION_ACCEPTED,
        .node = gateway->config.node,
        .subject = manifest->task_id,
        .tenant_id = manifest->tenant_id,
        .execution_id = &admission->execution_id,
        .traceparent = submission->traceparent,
        .time_ms = admission->submitted_ms,
    };
    return event_build(&head, data, &submission->event, fault);
}

static int prepare(struct submission *submission, struct fault *fault)
{
    struct admission *admission = &submission->admission;
    admission->execution_id = uuid_v7();
    admission->submitted_ms = clock_wall_ms();
    if (prove(submission, fault) != 0 ||
        understand(submission, admission->submitted_ms, fault) != 0 ||
        build_accepted(submission, fault) != 0)
        return -1;
    admission->api_key_id = submission->caller.api_key_id;
    admission->kid = submission->kid;
    admission->traceparent = submission->traceparent;
    admission->token = submission->token->text;
    admission->token_sha256 = submission->token->signing_digest;
    admission->manifest = submission->manifest;
    admission->inputs = submission->inputs;
    admission->event = submission->event;
    return 0;
}

enum answer handle_submit(struct request *request)
{
    struct gateway *gateway = gateway_of(request);
    struct fault fault;
    if (monitor_admits(gateway->monitor, &fault) != 0)
        return reply_fault(request, &fault);
    struct submission *submission = submission_new(request);
    if (submission == NULL) {
        (void)fault_set(&fault, FAULT_INTERNAL, "out of memory");
        return reply_fault(request, &fault);
    }
    submission->wait_ms = preferred_wait_ms(request, gateway->config.wait_max_ms);
    submission->refused = prepare(submission, &submission->fault) != 0;
    if (submission->refused && fault_http_status(submission->fault.code) >= 500) {
        fault = submission->fault; /* our failing is no refusal, and leaves no event */
        submission_free(submission);
        return reply_fault(request, &fault);
    }
    enum answer deferred = request_defer(request);
    if (batcher_submit(gateway->batcher, submission, &fault) == 0)
        return deferred;
    submission_free(submission);
    return reply_fault(request, &fault);
}
