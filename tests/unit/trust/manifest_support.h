/* SPDX-License-Identifier: Apache-2.0 */
/* A good manifest, and the same with one member replaced, added or taken away. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/json.h"
#include "trust/manifest.h"

#include <string.h>

#define SHA_TEXT "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

#define GOOD_MANIFEST                                                                              \
    "{\"manifest_version\":\"1.0.0\",\"issued_at\":\"2026-01-02T03:04:05Z\","                      \
    "\"nonce\":\"nonce-0001\",\"target_urn\":\"urn:target:host:db-01\","                           \
    "\"tool_sha256\":\"" SHA_TEXT "\",\"task_context\":{\"task_id\":\"task-1\","                   \
    "\"tenant_id\":\"acme\",\"operator_id\":\"operator-1\",\"source\":\"soar\","                   \
    "\"action\":\"scan\",\"requested_at\":\"2026-01-02T03:04:00+01:00\","                          \
    "\"correlation_id\":\"c-1\"},\"parameters\":{}}"

/* The good manifest with the value at a dotted path set to this JSON text, or without it where
 * json is NULL. */
static inline struct buf manifest_with(const char *path, const char *json)
{
    AUTO_JSON json_t *manifest = json_loads(GOOD_MANIFEST, 0, NULL);
    assert_non_null(manifest);
    json_t *object = manifest;
    const char *dot = strchr(path, '.');
    if (dot != NULL) {
        char parent[64];
        (void)snprintf(parent, sizeof parent, "%.*s", (int)(dot - path), path);
        object = json_object_get(manifest, parent);
        path = dot + 1;
    }
    if (json == NULL)
        assert_int_equal(json_object_del(object, path), 0);
    else {
        json_error_t error;
        json_t *value = json_loads(json, JSON_DECODE_ANY, &error);
        if (value == NULL)
            fail_msg("%s: %s", json, error.text);
        assert_int_equal(json_object_set_new(object, path, value), 0);
    }
    struct buf text = BUF(1 << 20);
    json_append(&text, manifest);
    assert_false(buf_failed(&text));
    return text;
}

static inline void assert_manifest_refused(struct span payload, const char *detail)
{
    struct manifest *manifest = NULL;
    struct fault fault = {0};
    if (manifest_parse(payload, &manifest, &fault) == 0) {
        manifest_free(manifest);
        fail_msg("accepted: %.*s", (int)payload.len, (const char *)payload.data);
    }
    assert_null(manifest);
    assert_int_equal(fault.code, FAULT_MANIFEST_INVALID);
    if (strncmp(fault.detail, detail, strlen(detail)) != 0)
        fail_msg("'%s' does not begin with '%s'", fault.detail, detail);
}

static inline struct manifest *manifest_good(struct span payload)
{
    struct manifest *manifest = NULL;
    struct fault fault = {0};
    if (manifest_parse(payload, &manifest, &fault) != 0)
        fail_msg("%s", fault.detail);
    return manifest;
}
