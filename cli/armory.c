/* SPDX-License-Identifier: Apache-2.0 */
/* The Armory: push, approve, revoke, look. What is approved is shown, and checked to be what its
 * digest covers. */
#include "cli/armory.h"

#include "base/clock.h"
#include "cli/commands.h"
#include "cli/outcome.h"
#include "cli/query.h"
#include "cli/upload.h"
#include "trust/descriptor.h"

#include <poll.h>
#include <string.h>

#define INSPECT_SECONDS 600
#define POLL_MS 200
#define CELL_MAX (64 * 1024 * 12) /* an escape may take twelve bytes */

static const struct column list_columns[] = {
    {"SHA256", "sha256", COLUMN_DIGEST}, {"KIND", "kind", COLUMN_TEXT},
    {"NAME", "name", COLUMN_TEXT},       {"VERSION", "version", COLUMN_TEXT},
    {"STATE", "state", COLUMN_STATE},    {"SIZE", "size", COLUMN_TEXT},
    {"BY", "ingested_by", COLUMN_TEXT},  {"AT", "ingested_at", COLUMN_TEXT},
};

static const struct column approval_columns[] = {
    {"APPROVED BY", "principal", COLUMN_TEXT},
    {"AT", "approved_at", COLUMN_TEXT},
    {"EXPIRES", "expires_at", COLUMN_TEXT},
    {"COUNTS", "counts", COLUMN_TEXT},
    {"VOID", "void", COLUMN_TEXT},
    {"COMMENT", "comment", COLUMN_TEXT},
};

void armory_path(const struct digest *digest, const char *part, struct buf *ret_path)
{
    buf_printf(ret_path, "/v1/armory/artifacts/%s%s", digest_format(digest).text, part);
}

int armory_fetch(struct client *client, const struct digest *digest, json_t **ret_artifact,
                 struct fault *fault)
{
    AUTO_BUF struct buf path = BUF(QUERY_PATH_MAX);
    armory_path(digest, "", &path);
    return client_json(client, buf_text(&path), NULL, ret_artifact, fault);
}

int armory_print(struct client *client, const json_t *artifact, struct fault *fault)
{
    static const struct column columns[] = {
        {"sha256", "sha256", COLUMN_TEXT},
        {"state", "state", COLUMN_STATE},
        {"reason", "reason", COLUMN_TEXT},
        {"kind", "kind", COLUMN_TEXT},
        {"name", "name", COLUMN_TEXT},
        {"version", "version", COLUMN_TEXT},
        {"size", "size", COLUMN_TEXT},
        {"entrypoint", "descriptor.entrypoint", COLUMN_TEXT},
        {"env_allowed", "descriptor.env_allowed", COLUMN_TEXT},
        {"limits", "descriptor.limits", COLUMN_TEXT},
        {"descriptor_sha256", "descriptor_sha256", COLUMN_TEXT},
        {"ingested_by", "ingested_by", COLUMN_TEXT},
        {"ingested_at", "ingested_at", COLUMN_TEXT},
        {"quorum", "quorum", COLUMN_TEXT},
        {"round", "round", COLUMN_TEXT},
        {"lacks", "lacks", COLUMN_TEXT},
        {"sbom", "documents.sbom.sha256", COLUMN_TEXT},
        {"sbom says", "documents.sbom.summary", COLUMN_TEXT},
        {"report", "documents.report.sha256", COLUMN_TEXT},
        {"report says", "documents.report.summary", COLUMN_TEXT},
        {"revoked_by", "revoked_by", COLUMN_TEXT},
        {"revoked_at", "revoked_at", COLUMN_TEXT},
        {"image", "image", COLUMN_TEXT},
    };
    const json_t *approvals = json_object_get(artifact, "approvals");
    if (output_record(&client->output, columns, ARRAY_LEN(columns), artifact, fault) != 0)
        return -1;
    if (client->output.mode != OUTPUT_TABLE || json_array_size(approvals) == 0)
        return 0;
    if (output_bytes(&client->output, span_text("\n"), fault) != 0)
        return -1;
    return output_items(&client->output, approval_columns, ARRAY_LEN(approval_columns), approvals,
                        NULL, fault);
}

static int push_path(const struct args *args, struct buf *path, struct fault *fault)
{
    static const char *const needed[] = {"kind", "name", "version"};
    static const char *const limits[][2] = {{"timeout-seconds", "timeout_seconds"},
                                            {"memory-mib", "memory_mib"},
                                            {"pids", "pids"},
                                            {"cpu-percent", "cpu_percent"},
                                            {"tmp-mib", "tmp_mib"}};
    buf_puts(path, "/v1/armory/artifacts");
    for (size_t i = 0; i < ARRAY_LEN(needed); i++) {
        const char *value;
        if (args_need(args, needed[i], &value, fault) != 0)
            return -1;
        query_add(path, needed[i], value);
    }
    for (size_t i = 0; i < args_count(args, "entrypoint"); i++)
        query_add(path, "entrypoint", args_nth(args, "entrypoint", i));
    for (size_t i = 0; i < args_count(args, "env-allowed"); i++)
        query_add(path, "env_allowed", args_nth(args, "env-allowed", i));
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        int64_t value = 0;
        if (args_number(args, limits[i][0], 1, INT32_MAX, &value, fault) != 0)
            return -1;
        if (value > 0)
            query_add_number(path, limits[i][1], value);
    }
    if (buf_failed(path))
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "the descriptor is too long");
    return 0;
}

/* Until it is no longer inspecting, or the wait has run out. */
static int await_inspection(struct client *client, const struct digest *digest, int64_t seconds,
                            json_t **artifact, struct fault *fault)
{
    int64_t deadline = clock_monotonic_ms() + seconds * 1000;
    for (;;) {
        const char *state;
        if (client_member(*artifact, "state", &state, fault) != 0)
            return -1;
        if (strcmp(state, "rejected") == 0)
            client->exit_code = OUTCOME_REFUSED;
        if (strcmp(state, "inspecting") != 0)
            return 0;
        if (clock_monotonic_ms() >= deadline) {
            output_note("the wait ran out; the artifact is still being inspected");
            client->exit_code = OUTCOME_TIMED_OUT;
            return 0;
        }
        (void)poll(NULL, 0, POLL_MS);
        json_t *latest = NULL;
        if (armory_fetch(client, digest, &latest, fault) != 0)
            return -1;
        json_decref(*artifact);
        *artifact = latest;
    }
}

int armory_push(struct client *client, const struct args *args, struct fault *fault)
{
    AUTO_BUF struct buf path = BUF(QUERY_PATH_MAX);
    AUTO_JSON json_t *artifact = NULL;
    struct digest sent, held;
    const char *sha256;
    int64_t wait = INSPECT_SECONDS;
    if (args_number(args, "wait", 0, 86400, &wait, fault) != 0 ||
        push_path(args, &path, fault) != 0 ||
        upload_file(client, "POST", buf_text(&path), args->operands[0], &sent, &artifact, fault) !=
            0 ||
        client_member(artifact, "sha256", &sha256, fault) != 0)
        return -1;
    if (digest_parse(sha256, strlen(sha256), &held) != 0 || !digest_equal(&held, &sent))
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "the server holds %.80s, but what was sent is %s", sha256,
                         digest_format(&sent).text);
    if (await_inspection(client, &sent, wait, &artifact, fault) != 0)
        return -1;
    return armory_print(client, artifact, fault);
}

/* Does descriptor_sha256 cover this digest and the descriptor as it is shown? The server's word is
 * not enough: an approval is given for what the approver saw. */
static int check_descriptor(const json_t *artifact, const struct digest *digest,
                            const char **ret_descriptor_sha256, struct fault *fault)
{
    const char *stated, *sha256;
    struct digest found;
    AUTO_BUF struct buf json = BUF(DESCRIPTOR_JSON_MAX);
    AUTO_DESCRIPTOR struct descriptor *descriptor = NULL;
    if (client_member(artifact, "descriptor_sha256", &stated, fault) != 0 ||
        client_member(artifact, "sha256", &sha256, fault) != 0)
        return -1;
    json_append(&json, json_object_get(artifact, "descriptor"));
    if (buf_failed(&json) || descriptor_parse(buf_span(&json), &descriptor, NULL) != 0)
        return fault_set(fault, FAULT_CONTENT_MISMATCH, "the server gives no valid descriptor");
    struct digest covers = descriptor_digest(digest, buf_span(&json));
    if (strcmp(sha256, digest_format(digest).text) != 0 ||
        digest_parse(stated, strlen(stated), &found) != 0 || !digest_equal(&found, &covers))
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "descriptor_sha256 does not cover the descriptor that the server shows");
    *ret_descriptor_sha256 = stated;
    return 0;
}

static const char *const document_kinds[] = {"sbom", "report"};

static const json_t *document_of(const json_t *artifact, const char *kind)
{
    return json_object_get(json_object_get(artifact, "documents"), kind);
}

static void announce_member(int indent, const char *name, const json_t *value)
{
    AUTO_BUF struct buf cell = BUF(CELL_MAX);
    output_cell(&cell, value);
    output_note("%*s%-11s %s", indent, "", name, buf_text(&cell));
}

/* What the inspection read in an image; the digest that is approved covers it. */
static void announce_image(const json_t *image)
{
    static const char *const members[] = {"entrypoint", "program", "cmd",
                                          "env",        "user",    "working_dir"};
    if (!json_is_object(image))
        return;
    output_note("  as the image says it is started:");
    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        const json_t *value = json_object_get(image, members[i]);
        if (value != NULL)
            announce_member(4, members[i], value);
    }
}

/* On stderr: what an approval is given for. */
static void announce(const json_t *artifact)
{
    static const char *const members[] = {"kind",       "name",        "version",
                                          "entrypoint", "env_allowed", "limits"};
    const json_t *descriptor = json_object_get(artifact, "descriptor");
    output_note("approving %s", json_string_value(json_object_get(artifact, "sha256")));
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        announce_member(2, members[i], json_object_get(descriptor, members[i]));
    for (size_t i = 0; i < ARRAY_LEN(document_kinds); i++) {
        const json_t *document = document_of(artifact, document_kinds[i]);
        announce_member(2, document_kinds[i], json_object_get(document, "sha256"));
        if (json_is_object(document))
            announce_member(2, "  it says", json_object_get(document, "summary"));
    }
    announce_image(json_object_get(artifact, "image"));
}

/* The approval names the documents that were announced, or that there was none. A gateway of the
 * version before shows none, and takes no such names. */
static int name_documents(const json_t *artifact, json_t *body, struct fault *fault)
{
    if (json_object_get(artifact, "documents") == NULL)
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(document_kinds); i++) {
        const char *kind = document_kinds[i], *sha256 = NULL;
        const json_t *document = document_of(artifact, kind);
        char member[32];
        (void)snprintf(member, sizeof member, "%s_sha256", kind);
        if (!json_is_null(document) && client_member(document, "sha256", &sha256, fault) != 0)
            return -1;
        if (json_object_set_new(body, member, json_pack("s?", sha256)) != 0)
            return fault_set(fault, FAULT_INTERNAL, "out of memory");
    }
    return 0;
}

static int approval_body(const struct args *args, const json_t *artifact,
                         const char *descriptor_sha256, json_t **ret_body, struct fault *fault)
{
    const char *comment, *expires = args_value(args, "expires");
    int64_t when;
    if (args_need(args, "comment", &comment, fault) != 0)
        return -1;
    if (expires != NULL && time_parse(expires, strlen(expires), &when) != 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "--expires: expected a time of RFC 3339, 2026-01-02T03:04:05Z");
    AUTO_JSON json_t *body = json_pack("{s:s, s:s, s:s*}", "descriptor_sha256", descriptor_sha256,
                                       "comment", comment, "expires_at", expires);
    if (body == NULL)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "--comment: expected UTF-8 text");
    if (name_documents(artifact, body, fault) != 0)
        return -1;
    *ret_body = TAKE(body);
    return 0;
}

int armory_approve(struct client *client, const struct args *args, struct fault *fault)
{
    struct digest digest;
    const char *seen = "", *expected = args_value(args, "descriptor");
    AUTO_BUF struct buf path = BUF(QUERY_PATH_MAX);
    AUTO_JSON json_t *artifact = NULL, *body = NULL, *approved = NULL;
    if (client_digest(args->operands[0], &digest, fault) != 0 ||
        armory_fetch(client, &digest, &artifact, fault) != 0 ||
        check_descriptor(artifact, &digest, &seen, fault) != 0)
        return -1;
    if (expected != NULL && strcmp(expected, seen) != 0)
        return fault_set(fault, FAULT_CONTENT_MISMATCH, "the descriptor is %s, not %.80s", seen,
                         expected);
    if (approval_body(args, artifact, seen, &body, fault) != 0)
        return -1;
    announce(artifact);
    armory_path(&digest, "/approvals", &path);
    if (client_json(client, buf_text(&path), body, &approved, fault) != 0)
        return -1;
    return armory_print(client, approved, fault);
}

int armory_revoke(struct client *client, const struct args *args, struct fault *fault)
{
    struct digest digest;
    const char *reason;
    AUTO_BUF struct buf path = BUF(QUERY_PATH_MAX);
    AUTO_JSON json_t *body = NULL, *revoked = NULL;
    if (client_digest(args->operands[0], &digest, fault) != 0 ||
        args_need(args, "reason", &reason, fault) != 0)
        return -1;
    body = json_pack("{s:s, s:b}", "reason", reason, "cancel_running",
                     (int)args_flag(args, "cancel-running"));
    if (body == NULL)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "--reason: expected UTF-8 text");
    armory_path(&digest, "/revocation", &path);
    if (client_json(client, buf_text(&path), body, &revoked, fault) != 0)
        return -1;
    return armory_print(client, revoked, fault);
}

int armory_show(struct client *client, const struct args *args, struct fault *fault)
{
    struct digest digest;
    AUTO_JSON json_t *artifact = NULL;
    if (client_digest(args->operands[0], &digest, fault) != 0 ||
        armory_fetch(client, &digest, &artifact, fault) != 0)
        return -1;
    return armory_print(client, artifact, fault);
}

int armory_list(struct client *client, const struct args *args, struct fault *fault)
{
    AUTO_BUF struct buf path = BUF(QUERY_PATH_MAX);
    buf_puts(&path, "/v1/armory/artifacts");
    return client_list(client, args, &path, 1000, list_columns, ARRAY_LEN(list_columns), fault);
}
