/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/armory/artifacts/{sha256}/sbom and /report: attach, give back. */
#include "base/encode.h"
#include "handlers/artifact_json.h"
#include "handlers/execution_json.h"
#include "handlers/gateway.h"
#include "handlers/handlers.h"
#include "handlers/media.h"
#include "handlers/request_event.h"
#include "storage/documents.h"
#include "trust/report.h"
#include "trust/sbom.h"

#include <string.h>

#define READ_BYTES ((size_t)64 * 1024)

/* A format's own media type; all of them are JSON as well. */
static const struct {
    const char *format, *type;
    enum document_kind kind;
} types[] = {
    {"spdx", "application/spdx+json", DOCUMENT_SBOM},
    {"cyclonedx", "application/vnd.cyclonedx+json", DOCUMENT_SBOM},
    {"sarif", "application/sarif+json", DOCUMENT_REPORT},
    {"grype", "application/json", DOCUMENT_REPORT},
    {"trivy", "application/json", DOCUMENT_REPORT},
};

static const char *type_of(const char *format)
{
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (strcmp(types[i].format, format) == 0)
            return types[i].type;
    return "application/json";
}

/* ---- attach ---- */

/* One to attach, with what it points to. */
struct attachment {
    struct digest artifact;
    struct document_offer offer;
    struct buf body;
    struct buf summary;
    const struct request *request;
};

static void attachment_free(struct attachment *attachment)
{
    buf_free(&attachment->body);
    buf_free(&attachment->summary);
}

static int check_type(const struct request *request, enum document_kind kind, struct fault *fault)
{
    if (media_type_is(request, "application/json"))
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (types[i].kind == kind && media_type_is(request, types[i].type))
            return 0;
    return fault_set(fault, FAULT_UNSUPPORTED_MEDIA_TYPE,
                     kind == DOCUMENT_SBOM
                         ? "Content-Type: expected application/json, application/spdx+json or "
                           "application/vnd.cyclonedx+json"
                         : "Content-Type: expected application/json or application/sarif+json");
}

/* ?sha256=, where the caller states what it sends. */
static int check_stated(const struct request *request, const struct digest *found,
                        struct fault *fault)
{
    const char *text = request_query(request, "sha256", 0);
    struct digest stated;
    if (text == NULL)
        return 0;
    if (digest_parse_any(text, strlen(text), &stated) != 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "sha256: expected a SHA-256 digest");
    if (!digest_equal(&stated, found))
        return fault_set(fault, FAULT_CONTENT_MISMATCH, "sha256: the body's is %s",
                         digest_format(found).text);
    return 0;
}

/* The whole body. It is streamed to here, not buffered by the server, so that nobody but a
 * publisher has 4 MiB held for them. */
static int read_body(struct request *request, struct buf *body, struct fault *fault)
{
    for (;;) {
        size_t n;
        void *place = buf_reserve(body, READ_BYTES);
        if (place == NULL)
            return fault_set(fault, FAULT_INTERNAL, "out of memory");
        if (request_read(request, place, READ_BYTES, &n, fault) != 0)
            return -1;
        if (n == 0)
            return 0;
        buf_commit(body, n);
    }
}

static int read_request(struct request *request, enum document_kind kind,
                        struct attachment *attachment, struct fault *fault)
{
    static const char *const known[] = {"sha256", NULL};
    attachment->request = request;
    if (request_check_query(request, known, NULL, fault) != 0 ||
        path_digest(request, &attachment->artifact, fault) != 0 ||
        check_type(request, kind, fault) != 0 || read_body(request, &attachment->body, fault) != 0)
        return -1;
    struct span body = buf_span(&attachment->body);
    attachment->offer = (struct document_offer){.kind = kind,
                                                .sha256 = digest_of_span(body),
                                                .body = body,
                                                .principal = caller_of(request)->principal,
                                                .api_key_id = caller_of(request)->api_key_id};
    return check_stated(request, &attachment->offer.sha256, fault);
}

static int understand_sbom(struct attachment *attachment, json_t **ret_summary, struct fault *fault)
{
    struct sbom sbom;
    if (sbom_read(attachment->offer.body, &sbom, fault) != 0)
        return -1;
    attachment->offer.format = sbom.format;
    *ret_summary = sbom_summary(&sbom);
    return 0;
}

static int understand_report(struct attachment *attachment, json_t **ret_summary,
                             struct fault *fault)
{
    struct report report;
    if (report_read(attachment->offer.body, &report, fault) != 0)
        return -1;
    attachment->offer.format = report.format;
    attachment->offer.highest = report.highest;
    *ret_summary = report_summary(&report);
    return 0;
}

/* The summary is computed here, from the body and nothing else. */
static int understand(struct gateway *gateway, struct attachment *attachment, struct fault *fault)
{
    AUTO_JSON json_t *summary = NULL;
    (void)pthread_mutex_lock(&gateway->parsing);
    int status = attachment->offer.kind == DOCUMENT_SBOM
                     ? understand_sbom(attachment, &summary, fault)
                     : understand_report(attachment, &summary, fault);
    (void)pthread_mutex_unlock(&gateway->parsing);
    if (status != 0)
        return -1;
    if (!media_type_is(attachment->request, "application/json") &&
        !media_type_is(attachment->request, type_of(attachment->offer.format)))
        return fault_set(fault, FAULT_UNSUPPORTED_MEDIA_TYPE,
                         "Content-Type: the body is %s, another format", attachment->offer.format);
    json_append(&attachment->summary, summary);
    if (buf_failed(&attachment->summary))
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    attachment->offer.summary = buf_text(&attachment->summary);
    return 0;
}

static int make_event(void *context, const struct document_effect *effect, struct event **ret_event,
                      struct fault *fault)
{
    const struct attachment *attachment = context;
    const struct document_offer *offer = &attachment->offer;
    json_t *summary = json_loads(offer->summary, JSON_REJECT_DUPLICATES, NULL);
    json_t *data = json_pack(
        "{s:o, s:o, s:s, s:o, s:s, s:o, s:i, s:i, s:s}", "sha256",
        json_digest(&attachment->artifact), "descriptor_sha256",
        json_digest(&effect->descriptor_sha256), "kind", document_kind_name(offer->kind),
        "document_sha256", json_digest(&offer->sha256), "format", offer->format, "summary", summary,
        "round", effect->round, "voided", effect->voided, "principal", offer->principal);
    return request_event(attachment->request, EVENT_ARTIFACT_ATTACHED,
                         digest_format(&attachment->artifact).text, data, ret_event, fault);
}

static enum answer put_document(struct request *request, enum document_kind kind)
{
    struct fault fault;
    enum documents_end end;
    AUTO(attachment_free)
    struct attachment attachment = {.body = BUF(DOCUMENT_MAX + READ_BYTES),
                                    .summary = BUF(DOCUMENT_SUMMARY_MAX)};
    if (read_request(request, kind, &attachment, &fault) != 0 ||
        understand(gateway_of(request), &attachment, &fault) != 0 ||
        documents_attach(pg_of(request), caller_of(request)->tenant_id, &attachment.artifact,
                         &attachment.offer, make_event, &attachment, &end, &fault) != 0)
        return reply_fault(request, &fault);
    return reply_artifact(request, end == DOCUMENTS_ATTACHED ? 201 : 200, &attachment.artifact);
}

enum answer handle_artifact_sbom_put(struct request *request)
{
    return put_document(request, DOCUMENT_SBOM);
}

enum answer handle_artifact_report_put(struct request *request)
{
    return put_document(request, DOCUMENT_REPORT);
}

/* ---- give back ---- */

/* The exact bytes, with their digest as ETag and as RFC 9530 has it. */
static enum answer get_document(struct request *request, enum document_kind kind)
{
    struct fault fault;
    struct digest artifact;
    AUTO_DOCUMENT struct document document = {0};
    AUTO_BUF struct buf digest = BUF(128);
    char etag[DIGEST_TEXT_LEN + 3];
    if (request_check_query(request, NULL, NULL, &fault) != 0 ||
        path_digest(request, &artifact, &fault) != 0 ||
        documents_find(pg_of(request), caller_of(request)->tenant_id, &artifact, kind, &document,
                       &fault) != 0)
        return reply_fault(request, &fault);
    buf_puts(&digest, "sha-256=:");
    base64_encode(&digest, document.sha256.bytes, DIGEST_LEN);
    buf_puts(&digest, ":");
    (void)snprintf(etag, sizeof etag, "\"%s\"", digest_format(&document.sha256).text);
    reply_header(request, "ETag", etag);
    reply_header(request, "Content-Digest", buf_text(&digest));
    return reply_bytes(request, 200, type_of(document.format), document.body);
}

enum answer handle_artifact_sbom_get(struct request *request)
{
    return get_document(request, DOCUMENT_SBOM);
}

enum answer handle_artifact_report_get(struct request *request)
{
    return get_document(request, DOCUMENT_REPORT);
}
