/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/armory/artifacts: ingest, look, approve. */
#include "base/clock.h"
#include "handlers/artifact_json.h"
#include "handlers/execution_json.h"
#include "handlers/handlers.h"
#include "handlers/media.h"
#include "handlers/request_event.h"
#include "handlers/upload.h"
#include "storage/armory.h"

#include <string.h>

enum answer handle_artifact_get(struct request *request)
{
    struct fault fault;
    struct digest sha256;
    if (request_check_query(request, NULL, NULL, &fault) != 0 ||
        path_digest(request, &sha256, &fault) != 0)
        return reply_fault(request, &fault);
    return reply_artifact(request, 200, &sha256);
}

/* The list's items, and the last digest it holds. Approvals are not listed here, only counted, and
 * what images say of their start is left out. */
struct page {
    json_t *items;
    struct digest last;
};

static int page_take(void *context, const struct artifact *artifact)
{
    struct page *page = context;
    page->last = artifact->sha256;
    return json_array_append_new(page->items, artifact_json(artifact, json_array()));
}

enum answer handle_artifact_list(struct request *request)
{
    static const char *const known[] = {"limit", "after", NULL};
    struct fault fault;
    struct digest after;
    int64_t limit;
    const char *cursor = request_query(request, "after", 0);
    if (request_check_query(request, known, NULL, &fault) != 0 ||
        query_int(request, "limit", 1, PAGE_LIMIT_MAX, PAGE_LIMIT_DEFAULT, &limit, &fault) != 0)
        return reply_fault(request, &fault);
    if (cursor != NULL && digest_parse_any(cursor, strlen(cursor), &after) != 0) {
        (void)fault_set(&fault, FAULT_MALFORMED_REQUEST, "after: expected `next` of a page before");
        return reply_fault(request, &fault);
    }
    AUTO_JSON json_t *items = json_array();
    struct page page = {.items = items};
    if (armory_list(pg_of(request), caller_of(request)->tenant_id, cursor == NULL ? NULL : &after,
                    (int)limit, page_take, &page, &fault) != 0 ||
        documents_show(pg_of(request), caller_of(request)->tenant_id, items, &fault) != 0)
        return reply_fault(request, &fault);
    bool full = json_array_size(items) == (size_t)limit;
    return reply_page(request, TAKE(items), full ? digest_hex(&page.last).text : NULL);
}

/* Repeated values of a parameter into at most `max` places; -1 past it. */
static int query_all(const struct request *request, const char *name, size_t max,
                     const char **ret_values, size_t *ret_count, struct fault *fault)
{
    size_t count = 0;
    for (const char *value; (value = request_query(request, name, count)) != NULL; count++) {
        if (count == max)
            return fault_set(fault, FAULT_ARTIFACT_INVALID, "%s: more than %zu of them", name, max);
        ret_values[count] = value;
    }
    *ret_count = count;
    return 0;
}

/* What a job gets that asks for nothing; descriptor_new() says what may be asked. */
static int read_limits(const struct request *request, struct manifest_limits *ret_limits,
                       struct fault *fault)
{
    struct manifest_limits limits = {0};
    const struct {
        const char *name;
        int64_t *place;
    } fields[] = {
        {"timeout_seconds", &limits.timeout_seconds},
        {"memory_mib", &limits.memory_mib},
        {"pids", &limits.pids},
        {"cpu_percent", &limits.cpu_percent},
        {"tmp_mib", &limits.tmp_mib},
    };
    for (size_t i = 0; i < ARRAY_LEN(fields); i++)
        if (query_int(request, fields[i].name, 1, INT32_MAX, 0, fields[i].place, fault) != 0)
            return -1;
    *ret_limits = limits;
    return 0;
}

static int read_descriptor(const struct request *request, struct descriptor **ret_descriptor,
                           struct buf *ret_json, struct fault *fault)
{
    static const char *const known[] = {
        "name",       "version", "kind",        "entrypoint", "env_allowed", "timeout_seconds",
        "memory_mib", "pids",    "cpu_percent", "tmp_mib",    NULL};
    static const char *const repeatable[] = {"entrypoint", "env_allowed", NULL};
    const char *entrypoint[DESCRIPTOR_ENTRYPOINT_MAX];
    const char *env[DESCRIPTOR_ENV_MAX];
    struct descriptor fields = {.entrypoint = entrypoint, .env_allowed = env};
    const char *kind = request_query(request, "kind", 0);
    if (request_check_query(request, known, repeatable, fault) != 0 ||
        query_all(request, "entrypoint", DESCRIPTOR_ENTRYPOINT_MAX, entrypoint,
                  &fields.entrypoint_count, fault) != 0 ||
        query_all(request, "env_allowed", DESCRIPTOR_ENV_MAX, env, &fields.env_allowed_count,
                  fault) != 0 ||
        read_limits(request, &fields.limits, fault) != 0)
        return -1;
    if (kind == NULL || artifact_kind_parse(kind, &fields.kind) != 0)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "kind: expected binary, rootfs or oci");
    const char *name = request_query(request, "name", 0);
    const char *version = request_query(request, "version", 0);
    fields.name = name == NULL ? "" : name;
    fields.version = version == NULL ? "" : version;
    return descriptor_new(&fields, ret_descriptor, ret_json, fault);
}

static int ingest(struct request *request, const struct descriptor *descriptor,
                  const struct buf *json, const struct upload *upload,
                  enum armory_ingest_end *ret_end, struct fault *fault)
{
    AUTO_EVENT struct event *event = NULL;
    struct artifact artifact = {
        .sha256 = upload->sha256,
        .blob_id = upload->blob_id,
        .size = upload->size,
        .kind = descriptor->kind,
        .name = descriptor->name,
        .version = descriptor->version,
        .descriptor = buf_span(json),
        .descriptor_sha256 = descriptor_digest(&upload->sha256, buf_span(json)),
        .ingested_by = caller_of(request)->principal,
        .ingested_by_key = caller_of(request)->api_key_id,
    };
    json_t *data =
        json_pack("{s:o, s:I, s:o, s:o, s:s}", "sha256", json_digest(&artifact.sha256), "size",
                  (json_int_t)artifact.size, "descriptor",
                  json_loadb((const char *)json->data, json->len, 0, NULL), "descriptor_sha256",
                  json_digest(&artifact.descriptor_sha256), "principal", artifact.ingested_by);
    if (upload->size == 0)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "body: an artifact has at least one byte");
    if (request_event(request, EVENT_ARTIFACT_INGESTED, digest_format(&artifact.sha256).text, data,
                      &event, fault) != 0)
        return -1;
    return armory_ingest(pg_of(request), caller_of(request)->tenant_id, &artifact, event, ret_end,
                         fault);
}

enum answer handle_artifact_push(struct request *request)
{
    struct fault fault;
    struct upload upload;
    enum armory_ingest_end end = ARMORY_EXISTED;
    AUTO_DESCRIPTOR struct descriptor *descriptor = NULL;
    AUTO_BUF struct buf json = BUF(DESCRIPTOR_JSON_MAX);
    if (read_descriptor(request, &descriptor, &json, &fault) != 0 ||
        upload_receive(request, UPLOAD_ARTIFACT, &upload, &fault) != 0)
        return reply_fault(request, &fault);
    int status = ingest(request, descriptor, &json, &upload, &end, &fault);
    if (status != 0 || end == ARMORY_EXISTED)
        upload_drop(request, &upload);
    if (status != 0)
        return reply_fault(request, &fault);
    return reply_artifact(request, end == ARMORY_CREATED ? 201 : 200, &upload.sha256);
}

/* A member that is a digest, or null for "there is none", taken out of the body: what is left is
 * read as declared. */
static int take_seen(json_t *body, const char *name, struct document_seen *ret_seen,
                     struct fault *fault)
{
    const json_t *value = json_object_get(body, name);
    const char *text = json_string_value(value);
    struct document_seen seen = {.stated = value != NULL, .some = text != NULL};
    if (seen.some ? digest_parse_any(text, strlen(text), &seen.sha256) != 0
                  : seen.stated && !json_is_null(value))
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "%s: expected a SHA-256 digest, or null",
                         name);
    (void)json_object_del(body, name);
    *ret_seen = seen;
    return 0;
}

static int read_approval(const struct request *request, json_t **ret_body,
                         struct approval *ret_approval, struct fault *fault)
{
    const char *descriptor = NULL, *expires = NULL;
    struct approval approval = {.expires_ms = INT64_MIN};
    const struct json_field fields[] = {
        {"descriptor_sha256", JSON_KIND_STRING, true, 1, DIGEST_TEXT_LEN, &descriptor},
        {"comment", JSON_KIND_STRING, true, 1, 4096, &approval.comment},
        {"expires_at", JSON_KIND_STRING, false, 1, 64, &expires},
    };
    if (body_object(request, ret_body, fault) != 0 ||
        take_seen(*ret_body, "sbom_sha256", &approval.sbom, fault) != 0 ||
        take_seen(*ret_body, "report_sha256", &approval.report, fault) != 0 ||
        json_read(*ret_body, "", fields, ARRAY_LEN(fields), true, FAULT_MALFORMED_REQUEST, fault) !=
            0)
        return -1;
    if (digest_parse_any(descriptor, strlen(descriptor), &approval.descriptor_sha256) != 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "descriptor_sha256: expected a SHA-256 digest");
    if (expires != NULL && (time_parse(expires, strlen(expires), &approval.expires_ms) != 0 ||
                            approval.expires_ms <= clock_wall_ms()))
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "expires_at: expected an RFC 3339 date-time in the future");
    *ret_approval = approval;
    return 0;
}

/* What the approver says to have seen goes into the event as it was said. */
static void say_seen(json_t *data, const char *name, const struct document_seen *seen)
{
    if (seen->stated)
        (void)json_object_set_new(data, name,
                                  seen->some ? json_digest(&seen->sha256) : json_null());
}

enum answer handle_artifact_approve(struct request *request)
{
    const struct caller *caller = caller_of(request);
    struct fault fault;
    struct digest sha256;
    struct approval approval;
    AUTO_JSON json_t *body = NULL;
    AUTO_EVENT struct event *event = NULL;
    if (request_check_query(request, NULL, NULL, &fault) != 0 ||
        path_digest(request, &sha256, &fault) != 0 ||
        read_approval(request, &body, &approval, &fault) != 0)
        return reply_fault(request, &fault);
    if (caller->platform) {
        (void)fault_set(&fault, FAULT_FORBIDDEN, "a platform key cannot approve for a tenant");
        return reply_fault(request, &fault);
    }
    approval.principal = caller->principal;
    approval.api_key_id = caller->api_key_id;
    json_t *data =
        json_pack("{s:o, s:o, s:s, s:s, s:o}", "sha256", json_digest(&sha256), "descriptor_sha256",
                  json_digest(&approval.descriptor_sha256), "principal", approval.principal,
                  "comment", approval.comment, "expires_at", json_time(approval.expires_ms));
    say_seen(data, "sbom_sha256", &approval.sbom);
    say_seen(data, "report_sha256", &approval.report);
    if (request_event(request, EVENT_ARTIFACT_APPROVED, digest_format(&sha256).text, data, &event,
                      &fault) != 0 ||
        armory_approve(pg_of(request), caller->tenant_id, &sha256, &approval, event, &fault) != 0)
        return reply_fault(request, &fault);
    return reply_artifact(request, 201, &sha256);
}
