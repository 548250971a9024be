/* SPDX-License-Identifier: Apache-2.0 */
#include "handlers/artifact_json.h"

#include "handlers/execution_json.h"
#include "handlers/gateway.h"

/* approved is computed: enough live approvals of a pending artifact. */
static const char *shown_state(const struct artifact *artifact)
{
    if (artifact->state == ARTIFACT_PENDING && artifact->approvals >= artifact->quorum)
        return "approved";
    return artifact_state_name(artifact->state);
}

static int append_approval(void *context, const struct approval *approval)
{
    json_t *item = json_pack(
        "{s:s, s:s, s:o, s:o, s:o}", "principal", approval->principal, "comment", approval->comment,
        "descriptor_sha256", json_digest(&approval->descriptor_sha256), "approved_at",
        json_time(approval->approved_ms), "expires_at", json_time(approval->expires_ms));
    return json_array_append_new(context, item);
}

json_t *artifact_json(const struct artifact *artifact, json_t *approvals)
{
    json_t *descriptor = json_loadb((const char *)artifact->descriptor.data,
                                    artifact->descriptor.len, JSON_REJECT_DUPLICATES, NULL);
    return json_pack("{s:o, s:I, s:s, s:s, s:s, s:o, s:o, s:s, s:o, s:s, s:o, s:o, s:i}", "sha256",
                     json_digest(&artifact->sha256), "size", (json_int_t)artifact->size, "kind",
                     artifact_kind_name(artifact->kind), "name", artifact->name, "version",
                     artifact->version, "descriptor", descriptor, "descriptor_sha256",
                     json_digest(&artifact->descriptor_sha256), "state", shown_state(artifact),
                     "reason", json_text_or_null(artifact->reason), "ingested_by",
                     artifact->ingested_by, "ingested_at", json_time(artifact->ingested_ms),
                     "approvals", approvals, "quorum", artifact->quorum);
}

enum answer reply_artifact(struct request *request, int status, const struct digest *sha256)
{
    struct fault fault;
    AUTO_ARTIFACT struct artifact artifact = {0};
    AUTO_JSON json_t *approvals = json_array();
    const char *tenant = caller_of(request)->tenant_id;
    if (armory_find(pg_of(request), tenant, sha256, &artifact, &fault) != 0 ||
        armory_approvals(pg_of(request), tenant, sha256, append_approval, approvals, &fault) != 0)
        return reply_fault(request, &fault);
    if (request_method(request) == HTTP_POST) {
        char location[128];
        (void)snprintf(location, sizeof location, "/v1/armory/artifacts/%s",
                       digest_format(sha256).text);
        reply_header(request, "Location", location);
    }
    return reply_json(request, status, artifact_json(&artifact, TAKE(approvals)));
}
