/* SPDX-License-Identifier: Apache-2.0 */
/* POST /v1/armory/artifacts/{sha256}/revocation: a tool that may not run any more. */
#include "handlers/artifact_json.h"
#include "handlers/execution_json.h"
#include "handlers/gateway.h"
#include "handlers/handlers.h"
#include "handlers/media.h"
#include "handlers/request_event.h"
#include "storage/armory.h"

#define REASON_MAX 4096

struct asked {
    const struct request *request;
    struct digest sha256, descriptor_sha256;
    const char *reason;
    bool cancel_running;
};

static int read_asked(const struct request *request, json_t **ret_body, struct asked *ret_asked,
                      struct fault *fault)
{
    struct asked asked = {.request = request};
    const struct json_field fields[] = {
        {"reason", JSON_KIND_STRING, true, 1, REASON_MAX, &asked.reason},
        {"cancel_running", JSON_KIND_BOOL, false, 0, 0, &asked.cancel_running},
    };
    if (request_check_query(request, NULL, NULL, fault) != 0 ||
        path_digest(request, &asked.sha256, fault) != 0 ||
        body_object(request, ret_body, fault) != 0 ||
        json_read(*ret_body, "", fields, ARRAY_LEN(fields), true, FAULT_MALFORMED_REQUEST, fault) !=
            0)
        return -1;
    *ret_asked = asked;
    return 0;
}

/* What it was, for the event: it is fixed at ingest. */
static int read_descriptor(struct asked *asked, struct fault *fault)
{
    AUTO_ARTIFACT struct artifact artifact = {0};
    if (armory_find(pg_of(asked->request), caller_of(asked->request)->tenant_id, &asked->sha256,
                    &artifact, fault) != 0)
        return -1;
    asked->descriptor_sha256 = artifact.descriptor_sha256;
    return 0;
}

static int say(void *context, const struct cancels_count *count, struct event **ret_event,
               struct fault *fault)
{
    const struct asked *asked = context;
    json_t *data =
        json_pack("{s:o, s:o, s:s, s:s, s:b, s:I, s:I}", "sha256", json_digest(&asked->sha256),
                  "descriptor_sha256", json_digest(&asked->descriptor_sha256), "principal",
                  caller_of(asked->request)->principal, "reason", asked->reason, "cancel_running",
                  asked->cancel_running, "queued", (json_int_t)count->queued, "running",
                  (json_int_t)count->running);
    return request_event(asked->request, EVENT_ARTIFACT_REVOKED, digest_format(&asked->sha256).text,
                         data, ret_event, fault);
}

enum answer handle_artifact_revoke(struct request *request)
{
    const struct caller *caller = caller_of(request);
    struct fault fault;
    struct asked asked;
    AUTO_JSON json_t *body = NULL;
    if (read_asked(request, &body, &asked, &fault) != 0 || read_descriptor(&asked, &fault) != 0)
        return reply_fault(request, &fault);
    const struct artifact_revocation order = {.principal = caller->principal,
                                              .api_key_id = caller->api_key_id,
                                              .reason = asked.reason,
                                              .cancel_running = asked.cancel_running,
                                              .say = say,
                                              .context = &asked};
    if (armory_revoke(pg_of(request), caller->tenant_id, &asked.sha256, &order, &fault) != 0)
        return reply_fault(request, &fault);
    return reply_artifact(request, 200, &asked.sha256);
}
