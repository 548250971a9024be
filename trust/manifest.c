/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/manifest.h"

#include "base/clock.h"
#include "base/text.h"
#include "trust/caller.h"
#include "trust/manifest_parts.h"
#include "trust/urn.h"

#include <string.h>

#define WORD_MAX 256 /* bytes of operator_id, source, action, correlation_id */

static int invalid(struct fault *fault, const char *member, const char *expected)
{
    return fault_set(fault, FAULT_MANIFEST_INVALID, "%s: expected %s", member, expected);
}

static int read_time(const char *member, const char *text, int64_t *ret_ms, struct fault *fault)
{
    if (time_parse(text, strlen(text), ret_ms) != 0)
        return invalid(fault, member, "an RFC 3339 time with offset, such as 2026-01-02T03:04:05Z");
    return 0;
}

/* Digits without a leading zero; the place after them, NULL where there are none. */
static const char *after_number(const char *at)
{
    size_t len = strspn(at, "0123456789");
    return len == 0 || len > 9 || (len > 1 && *at == '0') ? NULL : at + len;
}

/* 1.x.y: another major version may mean something else by the same names. */
static bool version_valid(const char *text)
{
    if (strncmp(text, "1.", 2) != 0)
        return false;
    const char *at = after_number(text + 2);
    if (at == NULL || *at != '.')
        return false;
    at = after_number(at + 1);
    return at != NULL && *at == '\0';
}

static bool task_id_valid(const char *text)
{
    return text_in_set(text, strlen(text), 3, 128, TEXT_TOKEN) &&
           strchr(TEXT_ALNUM, text[0]) != NULL;
}

/* Something is said, on one line. */
static bool word_valid(const char *text)
{
    size_t len = strlen(text);
    return !text_has_control(text, len) && strspn(text, " ") != len;
}

static int read_task_context(const json_t *context, struct manifest *manifest, struct fault *fault)
{
    static const char prefix[] = "task_context.";
    const char *requested_at = NULL;
    const struct json_field fields[] = {
        {"task_id", JSON_KIND_STRING, true, 0, 0, &manifest->task_id},
        {"tenant_id", JSON_KIND_STRING, true, 0, 0, &manifest->tenant_id},
        {"operator_id", JSON_KIND_STRING, true, 1, WORD_MAX, &manifest->operator_id},
        {"source", JSON_KIND_STRING, true, 1, WORD_MAX, &manifest->source},
        {"action", JSON_KIND_STRING, true, 1, WORD_MAX, &manifest->action},
        {"requested_at", JSON_KIND_STRING, true, 0, 0, &requested_at},
        {"correlation_id", JSON_KIND_STRING, true, 1, WORD_MAX, &manifest->correlation_id},
    };
    if (json_read(context, prefix, fields, ARRAY_LEN(fields), false, FAULT_MANIFEST_INVALID,
                  fault) != 0)
        return -1;
    if (!task_id_valid(manifest->task_id))
        return invalid(fault, "task_context.task_id",
                       "3 to 128 of A-Z a-z 0-9 . _ : -, the first a letter or digit");
    if (!tenant_id_valid(manifest->tenant_id, strlen(manifest->tenant_id)))
        return invalid(fault, "task_context.tenant_id",
                       "1 to 64 of a-z 0-9 . _ -, the first a letter or digit");
    const struct {
        const char *member;
        const char *text;
    } words[] = {{"task_context.operator_id", manifest->operator_id},
                 {"task_context.source", manifest->source},
                 {"task_context.action", manifest->action},
                 {"task_context.correlation_id", manifest->correlation_id}};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (!word_valid(words[i].text))
            return invalid(fault, words[i].member, "text without control characters, not blank");
    return read_time("task_context.requested_at", requested_at, &manifest->requested_at_ms, fault);
}

struct top_level {
    const char *version;
    const char *issued_at;
    const char *tool_sha256;
    const char *not_before;
    const char *expires_at;
    const json_t *task_context;
    const json_t *parameters;
};

static int check_top_level(const struct top_level *top, struct manifest *manifest,
                           struct fault *fault)
{
    if (!version_valid(top->version))
        return invalid(fault, "manifest_version", "1.x.y");
    if (read_time("issued_at", top->issued_at, &manifest->issued_at_ms, fault) != 0)
        return -1;
    if (!text_in_set(manifest->nonce, strlen(manifest->nonce), 8, 128, TEXT_TOKEN))
        return invalid(fault, "nonce", "8 to 128 of A-Z a-z 0-9 . _ : -");
    if (!urn_valid(manifest->target_urn, strlen(manifest->target_urn)))
        return invalid(fault, "target_urn", "urn:<nid>:<nss> (RFC 8141) of at most 512 bytes");
    if (digest_parse(top->tool_sha256, strlen(top->tool_sha256), &manifest->tool_sha256) != 0)
        return invalid(fault, "tool_sha256", "sha256: and 64 lower-case hex digits");
    if (top->not_before != NULL &&
        read_time("not_before", top->not_before, &manifest->not_before_ms, fault) != 0)
        return -1;
    if (top->expires_at != NULL &&
        read_time("expires_at", top->expires_at, &manifest->expires_at_ms, fault) != 0)
        return -1;
    return 0;
}

static int read_manifest(struct manifest_store *store, struct fault *fault)
{
    struct manifest *manifest = &store->manifest;
    manifest->not_before_ms = INT64_MIN;
    manifest->expires_at_ms = INT64_MAX;
    struct top_level top = {0};
    const struct json_field fields[] = {
        {"manifest_version", JSON_KIND_STRING, true, 0, 0, &top.version},
        {"issued_at", JSON_KIND_STRING, true, 0, 0, &top.issued_at},
        {"nonce", JSON_KIND_STRING, true, 0, 0, &manifest->nonce},
        {"target_urn", JSON_KIND_STRING, true, 0, 0, &manifest->target_urn},
        {"tool_sha256", JSON_KIND_STRING, true, 0, 0, &top.tool_sha256},
        {"task_context", JSON_KIND_OBJECT, true, 0, 0, &top.task_context},
        {"parameters", JSON_KIND_OBJECT, true, 0, 0, &top.parameters},
        {"not_before", JSON_KIND_STRING, false, 0, 0, &top.not_before},
        {"expires_at", JSON_KIND_STRING, false, 0, 0, &top.expires_at},
    };
    if (json_read(store->object, "", fields, ARRAY_LEN(fields), false, FAULT_MANIFEST_INVALID,
                  fault) != 0 ||
        check_top_level(&top, manifest, fault) != 0 ||
        read_task_context(top.task_context, manifest, fault) != 0)
        return -1;
    return manifest_read_parameters(top.parameters, store, fault);
}

int manifest_parse(struct span payload, struct manifest **ret_manifest, struct fault *fault)
{
    struct manifest_store *store = calloc(1, sizeof *store);
    if (store == NULL)
        return fault_errno(fault, "manifest");
    AUTO_MANIFEST struct manifest *manifest = &store->manifest;
    if (json_object_parse(payload, FAULT_MANIFEST_INVALID, "manifest", &store->object, fault) !=
            0 ||
        read_manifest(store, fault) != 0)
        return -1;
    manifest->sha256 = digest_of_span(payload);
    *ret_manifest = TAKE(manifest);
    return 0;
}

static int stale(struct fault *fault, const char *member, const char *rule)
{
    return fault_set(fault, FAULT_MANIFEST_STALE, "%s: %s", member, rule);
}

int manifest_check_window(const struct manifest *manifest, struct manifest_window window,
                          int64_t now_ms, struct fault *fault)
{
    int64_t age;
    if (__builtin_sub_overflow(now_ms, manifest->issued_at_ms, &age))
        return stale(fault, "issued_at", "out of range");
    if (age > window.max_age_ms)
        return fault_set(fault, FAULT_MANIFEST_STALE,
                         "issued_at: more than %lld seconds in the past",
                         (long long)window.max_age_ms / 1000);
    if (window.max_ahead_ms < 0 || age < -window.max_ahead_ms)
        return fault_set(fault, FAULT_MANIFEST_STALE,
                         "issued_at: more than %lld seconds in the future",
                         (long long)window.max_ahead_ms / 1000);
    if (now_ms < manifest->not_before_ms)
        return stale(fault, "not_before", "is not yet reached");
    if (now_ms >= manifest->expires_at_ms)
        return stale(fault, "expires_at", "has passed");
    return 0;
}

void manifest_free(struct manifest *manifest)
{
    if (manifest == NULL)
        return;
    struct manifest_store *store = (struct manifest_store *)manifest;
    json_decref(store->object);
    free(store->args);
    free(store->env);
    free(store->inputs);
    free(store);
}

void manifest_cleanup(struct manifest **manifest)
{
    manifest_free(*manifest);
}
