/* SPDX-License-Identifier: Apache-2.0 */
/* Documents beside an artifact: attach one, fetch one. Both are checked by digest here. */
#include "cli/armory.h"
#include "cli/commands.h"
#include "cli/query.h"
#include "trust/report.h"
#include "trust/sbom.h"

#include <string.h>

/* Read here as the gateway will read it, so that what is no such document is told at once. */
static int check(const char *kind, struct span document, struct fault *fault)
{
    struct sbom sbom;
    struct report report;
    return strcmp(kind, "sbom") == 0 ? sbom_read(document, &sbom, fault)
                                     : report_read(document, &report, fault);
}

/* Exactly one of --sbom and --report. */
static int which(const struct args *args, const char **ret_kind, const char **ret_file,
                 struct fault *fault)
{
    const char *sbom = args_value(args, "sbom"), *report = args_value(args, "report");
    if ((sbom == NULL) == (report == NULL))
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "expected either --sbom or --report");
    *ret_kind = sbom != NULL ? "sbom" : "report";
    *ret_file = sbom != NULL ? sbom : report;
    return 0;
}

/* The digest that the server shows of the artifact's document; FAULT_NOT_FOUND if there is none. */
static int shown_digest(const json_t *artifact, const char *kind, struct digest *ret_digest,
                        struct fault *fault)
{
    const json_t *document = json_object_get(json_object_get(artifact, "documents"), kind);
    const char *text;
    if (!json_is_object(document))
        return fault_set(fault, FAULT_NOT_FOUND, "the artifact has no %s", kind);
    if (client_member(document, "sha256", &text, fault) != 0)
        return -1;
    return client_digest(text, ret_digest, fault);
}

static int put(struct client *client, const struct digest *artifact, const char *kind,
               struct span document, json_t **ret_artifact, struct fault *fault)
{
    AUTO_BUF struct buf path = BUF(QUERY_PATH_MAX);
    AUTO_HTTP_ANSWER struct http_answer answer = {0};
    struct digest sent = digest_of_span(document), held;
    AUTO_JSON json_t *shown = NULL;
    armory_path(artifact, strcmp(kind, "sbom") == 0 ? "/sbom" : "/report", &path);
    query_add(&path, "sha256", digest_format(&sent).text);
    struct http_request request = {.method = "PUT",
                                   .path = buf_text(&path),
                                   .content_type = "application/json",
                                   .body = document};
    if (client_call(client, &request, &answer, fault) != 0 ||
        client_parse(&answer, &shown, fault) != 0 || shown_digest(shown, kind, &held, fault) != 0)
        return -1;
    if (!digest_equal(&held, &sent))
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "the server shows %s, but what was sent is %s", digest_format(&held).text,
                         digest_format(&sent).text);
    *ret_artifact = TAKE(shown);
    return 0;
}

int armory_attach(struct client *client, const struct args *args, struct fault *fault)
{
    struct digest digest;
    const char *kind, *file;
    AUTO_BUF struct buf document = BUF(DOCUMENT_MAX);
    AUTO_JSON json_t *artifact = NULL;
    if (client_digest(args->operands[0], &digest, fault) != 0 ||
        which(args, &kind, &file, fault) != 0 || client_read(file, &document, fault) != 0 ||
        check(kind, buf_span(&document), fault) != 0 ||
        put(client, &digest, kind, buf_span(&document), &artifact, fault) != 0)
        return -1;
    return armory_print(client, artifact, fault);
}

int armory_document(struct client *client, const struct args *args, struct fault *fault)
{
    struct digest digest, shown, got;
    const char *kind = args->operands[1];
    AUTO_BUF struct buf path = BUF(QUERY_PATH_MAX);
    AUTO_JSON json_t *artifact = NULL;
    AUTO_HTTP_ANSWER struct http_answer answer = {0};
    if (strcmp(kind, "sbom") != 0 && strcmp(kind, "report") != 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "%.80s: expected sbom or report", kind);
    if (client_digest(args->operands[0], &digest, fault) != 0 ||
        armory_fetch(client, &digest, &artifact, fault) != 0 ||
        shown_digest(artifact, kind, &shown, fault) != 0)
        return -1;
    armory_path(&digest, strcmp(kind, "sbom") == 0 ? "/sbom" : "/report", &path);
    struct http_request request = {
        .method = "GET", .path = buf_text(&path), .accept = "*/*", .answer_max = DOCUMENT_MAX};
    if (client_call(client, &request, &answer, fault) != 0)
        return -1;
    got = digest_of_span(buf_span(&answer.body));
    if (!digest_equal(&got, &shown))
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "the server gives %s, but the artifact has %s", digest_format(&got).text,
                         digest_format(&shown).text);
    return output_bytes(&client->output, buf_span(&answer.body), fault);
}
