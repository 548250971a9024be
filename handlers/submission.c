/* SPDX-License-Identifier: Apache-2.0 */
#include "handlers/submission.h"

#include "base/clock.h"

struct submission *submission_new(struct request *request)
{
    struct submission *submission = calloc(1, sizeof *submission);
    if (submission == NULL)
        return NULL;
    submission->request = request;
    submission->caller = *caller_of(request);
    (void)snprintf(submission->traceparent, sizeof submission->traceparent, "%s",
                   request_traceparent(request));
    return submission;
}

void submission_free(struct submission *submission)
{
    if (submission == NULL)
        return;
    token_free(submission->token);
    manifest_free(submission->manifest);
    event_free(submission->event);
    free(submission->inputs);
    free(submission);
}

int submission_refused_event(const struct gateway *gateway, const struct submission *submission,
                             uint64_t unreported, struct event **ret_event, struct fault *fault)
{
    const struct manifest *manifest = submission->manifest;
    struct digest_text token_hash = {"none"};
    if (submission->token != NULL)
        token_hash = digest_format(&submission->token->signing_digest);
    AUTO_JSON json_t *data = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s?, s:I}", "code", fault_name(submission->fault.code),
        "detail", submission->fault.detail, "token_sha256", token_hash.text, "principal",
        submission->caller.principal, "api_key_id", submission->caller.api_key_id, "task_id",
        manifest == NULL ? NULL : manifest->task_id, "unreported", (json_int_t)unreported);
    if (data == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    struct event_head head = {
        .id = uuid_v7(),
        .type = EVENT_MANIFEST_REFUSED,
        .node = gateway->config.node,
        .subject = manifest == NULL ? token_hash.text : manifest->task_id,
        .tenant_id = submission->caller.tenant_id,
        .traceparent = submission->traceparent,
        .time_ms = clock_wall_ms(),
    };
    return event_build(&head, data, ret_event, fault);
}
