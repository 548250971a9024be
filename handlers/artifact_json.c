/* SPDX-License-Identifier: Apache-2.0 */
#include "handlers/artifact_json.h"

#include "handlers/execution_json.h"
#include "handlers/gateway.h"
#include "storage/documents.h"

#include <string.h>

/* approved is computed: enough live approvals of a pending artifact. */
static const char *shown_state(const struct artifact *artifact)
{
    if (artifact->state == ARTIFACT_PENDING && artifact->approvals >= artifact->quorum)
        return "approved";
    return artifact_state_name(artifact->state);
}

static int append_approval(void *context, const struct approval *approval)
{
    bool counts = approval->void_because[0] == '\0';
    json_t *item = json_pack("{s:s, s:s, s:o, s:o, s:o, s:i, s:b, s:o}", "principal",
                             approval->principal, "comment", approval->comment, "descriptor_sha256",
                             json_digest(&approval->descriptor_sha256), "approved_at",
                             json_time(approval->approved_ms), "expires_at",
                             json_time(approval->expires_ms), "round", approval->round, "counts",
                             counts, "void", json_text_or_null(approval->void_because));
    return json_array_append_new(context, item);
}

json_t *artifact_json(const struct artifact *artifact, json_t *approvals)
{
    json_t *descriptor = json_loadb((const char *)artifact->descriptor.data,
                                    artifact->descriptor.len, JSON_REJECT_DUPLICATES, NULL);
    return json_pack(
        "{s:o, s:I, s:s, s:s, s:s, s:o, s:o, s:s, s:o, s:s, s:o, s:o, s:i, s:i, s:o, s:o, s:o,"
        " s:{s:n, s:n}}",
        "sha256", json_digest(&artifact->sha256), "size", (json_int_t)artifact->size, "kind",
        artifact_kind_name(artifact->kind), "name", artifact->name, "version", artifact->version,
        "descriptor", descriptor, "descriptor_sha256", json_digest(&artifact->descriptor_sha256),
        "state", shown_state(artifact), "reason", json_text_or_null(artifact->reason),
        "ingested_by", artifact->ingested_by, "ingested_at", json_time(artifact->ingested_ms),
        "approvals", approvals, "quorum", artifact->quorum, "round", artifact->round, "lacks",
        json_text_or_null(artifact_lack_name(artifact->lacks)), "revoked_by",
        json_text_or_null(artifact->revoked_by), "revoked_at", json_time(artifact->revoked_ms),
        "documents", "sbom", "report");
}

static const char *sha256_of(const json_t *artifact)
{
    return json_string_value(json_object_get(artifact, "sha256"));
}

/* The artifacts of a page, walked along with their documents: both come by digest. */
struct walk {
    const json_t *items;
    size_t at;
    bool failed;
};

static int show_document(void *context, const struct document *document)
{
    struct walk *walk = context;
    struct digest_text wanted = digest_format(&document->artifact);
    const json_t *item = json_array_get(walk->items, walk->at);
    while (item != NULL && strcmp(sha256_of(item), wanted.text) < 0)
        item = json_array_get(walk->items, ++walk->at);
    if (item == NULL || strcmp(sha256_of(item), wanted.text) != 0)
        return 0; /* its artifact came between the two readings */
    json_t *summary = json_loads(document->summary, JSON_REJECT_DUPLICATES, NULL);
    json_t *shown =
        json_pack("{s:o, s:s, s:o, s:s, s:o}", "sha256", json_digest(&document->sha256), "format",
                  document->format, "summary", summary, "attached_by", document->attached_by,
                  "attached_at", json_time(document->attached_ms));
    walk->failed = json_object_set_new(json_object_get(item, "documents"),
                                       document_kind_name(document->kind), shown) != 0;
    return walk->failed ? -1 : 0;
}

int documents_show(struct pg *pg, const char *tenant, const json_t *items, struct fault *fault)
{
    struct walk walk = {.items = items};
    size_t count = json_array_size(items);
    struct digest first, last;
    if (count == 0)
        return 0;
    const char *one = sha256_of(json_array_get(items, 0));
    const char *other = sha256_of(json_array_get(items, count - 1));
    if (one == NULL || digest_parse(one, strlen(one), &first) != 0 || other == NULL ||
        digest_parse(other, strlen(other), &last) != 0)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (documents_list(pg, tenant, &first, &last, show_document, &walk, fault) != 0)
        return -1;
    return walk.failed ? fault_set(fault, FAULT_INTERNAL, "a document's summary cannot be read")
                       : 0;
}

/* How an image says it is started, as its inspection stored it. */
static json_t *image_json(const struct artifact *artifact)
{
    return *artifact->image == '\0' ? json_null()
                                    : json_loads(artifact->image, JSON_REJECT_DUPLICATES, NULL);
}

enum answer reply_artifact(struct request *request, int status, const struct digest *sha256)
{
    struct fault fault;
    AUTO_ARTIFACT struct artifact artifact = {0};
    AUTO_JSON json_t *approvals = json_array(), *items = json_array();
    const char *tenant = caller_of(request)->tenant_id;
    if (armory_find(pg_of(request), tenant, sha256, &artifact, &fault) != 0 ||
        armory_approvals(pg_of(request), tenant, sha256, append_approval, approvals, &fault) != 0)
        return reply_fault(request, &fault);
    json_t *object = artifact_json(&artifact, TAKE(approvals));
    (void)json_object_set_new(object, "image", image_json(&artifact));
    (void)json_array_append_new(items, object);
    if (documents_show(pg_of(request), tenant, items, &fault) != 0)
        return reply_fault(request, &fault);
    if (request_method(request) == HTTP_POST) {
        char location[128];
        (void)snprintf(location, sizeof location, "/v1/armory/artifacts/%s",
                       digest_format(sha256).text);
        reply_header(request, "Location", location);
    }
    return reply_json(request, status, json_incref(json_array_get(items, 0)));
}
