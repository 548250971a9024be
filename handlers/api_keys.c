/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/api-keys and /v1/whoami: the callers of a tenant. */
#include "storage/api_keys.h"
#include "base/clock.h"
#include "base/encode.h"
#include "handlers/execution_json.h"
#include "handlers/gateway.h"
#include "handlers/handlers.h"
#include "handlers/media.h"
#include "handlers/request_event.h"
#include "storage/usage.h"

#include <openssl/crypto.h>
#include <string.h>

static json_t *roles_json(unsigned roles)
{
    AUTO_BUF struct buf text = BUF(256);
    role_set_format(roles, &text);
    json_t *names = json_array();
    for (const char *at = buf_text(&text); *at != '\0';) {
        size_t len = strcspn(at, ",");
        (void)json_array_append_new(names, json_stringn(at, len));
        at += len + (at[len] == ',');
    }
    return names;
}

static json_t *api_key_json(const struct api_key *key)
{
    return json_pack("{s:s, s:s, s:o, s:s, s:o, s:o, s:o}", "id", key->id, "principal",
                     key->principal, "roles", roles_json(key->roles), "created_by", key->created_by,
                     "created_at", json_time(key->created_ms), "expires_at",
                     json_time(key->expires_ms), "revoked_at", json_time(key->revoked_ms));
}

static json_t *usage_json(const struct usage *usage)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "input_bytes", (json_int_t)usage->inputs,
                     "input_quota_bytes", (json_int_t)usage->inputs_quota, "artifact_bytes",
                     (json_int_t)usage->artifacts, "artifact_quota_bytes",
                     (json_int_t)usage->artifacts_quota);
}

enum answer handle_whoami(struct request *request)
{
    const struct caller *caller = caller_of(request);
    struct fault fault;
    struct usage usage;
    if (request_check_query(request, NULL, NULL, &fault) != 0 ||
        usage_read(pg_of(request), caller->tenant_id, &usage, &fault) != 0)
        return reply_fault(request, &fault);
    return reply_json(request, 200,
                      json_pack("{s:s, s:s, s:o, s:s, s:b, s:o}", "tenant_id", caller->tenant_id,
                                "principal", caller->principal, "roles", roles_json(caller->roles),
                                "api_key_id", caller->api_key_id, "platform", caller->platform,
                                "usage", usage_json(&usage)));
}

static int read_roles(const json_t *array, unsigned *ret_roles, struct fault *fault)
{
    AUTO_BUF struct buf names = BUF(256);
    size_t i;
    json_t *item;
    json_array_foreach(array, i, item) buf_printf(
        &names, "%s%s", i == 0 ? "" : ",", json_is_string(item) ? json_string_value(item) : "?");
    if (buf_failed(&names) || role_set_parse(buf_text(&names), ret_roles) != 0)
        return fault_set(
            fault, FAULT_MALFORMED_REQUEST,
            "roles: expected different names of viewer, submitter, publisher, approver, "
            "auditor, admin");
    return 0;
}

static int read_new_key(const struct request *request, struct api_key *ret_key, struct fault *fault)
{
    AUTO_JSON json_t *body = NULL;
    const char *principal = NULL, *expires = NULL;
    json_t *roles = NULL;
    const struct json_field fields[] = {
        {"principal", JSON_KIND_STRING, true, 1, PRINCIPAL_MAX, &principal},
        {"roles", JSON_KIND_ARRAY, true, 1, 6, &roles},
        {"expires_at", JSON_KIND_STRING, false, 1, 64, &expires},
    };
    struct api_key key = {
        .created_ms = clock_wall_ms(), .expires_ms = INT64_MIN, .revoked_ms = INT64_MIN};
    if (body_object(request, &body, fault) != 0 ||
        json_read(body, "", fields, ARRAY_LEN(fields), true, FAULT_MALFORMED_REQUEST, fault) != 0 ||
        read_roles(roles, &key.roles, fault) != 0)
        return -1;
    if (!principal_valid(principal, strlen(principal)))
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "principal: expected [A-Za-z0-9][A-Za-z0-9._:@-]*");
    if (expires != NULL && (time_parse(expires, strlen(expires), &key.expires_ms) != 0 ||
                            key.expires_ms <= key.created_ms))
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "expires_at: expected an RFC 3339 date-time in the future");
    (void)snprintf(key.principal, sizeof key.principal, "%s", principal);
    *ret_key = key;
    return 0;
}

static int build_event(const struct request *request, enum event_type type,
                       const struct api_key *key, struct event **ret_event, struct fault *fault)
{
    json_t *data = json_pack("{s:s, s:s}", "id", key->id, "by", caller_of(request)->principal);
    if (data != NULL && type == EVENT_APIKEY_CREATED) {
        (void)json_object_set_new(data, "principal", json_string(key->principal));
        (void)json_object_set_new(data, "roles", roles_json(key->roles));
        (void)json_object_set_new(data, "expires_at", json_time(key->expires_ms));
    }
    return request_event(request, type, key->id, data, ret_event, fault);
}

enum answer handle_api_key_create(struct request *request)
{
    const struct caller *caller = caller_of(request);
    struct fault fault;
    struct api_key key;
    AUTO_EVENT struct event *event = NULL;
    if (request_check_query(request, NULL, NULL, &fault) != 0 ||
        read_new_key(request, &key, &fault) != 0)
        return reply_fault(request, &fault);
    uint8_t id[8], secret[32];
    random_bytes(id, sizeof id);
    random_bytes(secret, sizeof secret);
    struct api_key_text text = api_key_format(id, secret);
    key.secret_hash = digest_of(secret, sizeof secret);
    OPENSSL_cleanse(secret, sizeof secret);
    hex_encode(id, sizeof id, key.id);
    (void)snprintf(key.tenant_id, sizeof key.tenant_id, "%s", caller->tenant_id);
    (void)snprintf(key.created_by, sizeof key.created_by, "%s", caller->principal);
    key.created_by_key = caller->api_key_id;
    if (build_event(request, EVENT_APIKEY_CREATED, &key, &event, &fault) != 0 ||
        api_keys_create(pg_of(request), &key, event, &fault) != 0)
        return reply_fault(request, &fault);
    json_t *shown = api_key_json(&key);
    (void)json_object_set_new(shown, "key", json_string(text.text));
    OPENSSL_cleanse(&text, sizeof text);
    return reply_json(request, 201, shown);
}

static int append_api_key(void *context, const struct api_key *key)
{
    return json_array_append_new(context, api_key_json(key));
}

enum answer handle_api_key_list(struct request *request)
{
    struct fault fault;
    AUTO_JSON json_t *items = json_array();
    if (request_check_query(request, NULL, NULL, &fault) != 0 ||
        api_keys_list(pg_of(request), caller_of(request)->tenant_id, append_api_key, items,
                      &fault) != 0)
        return reply_fault(request, &fault);
    return reply_page(request, TAKE(items), NULL);
}

enum answer handle_api_key_revoke(struct request *request)
{
    struct fault fault;
    struct api_key key = {0};
    uint8_t id[8];
    AUTO_EVENT struct event *event = NULL;
    const char *text = request_path_value(request, "id");
    if (request_check_query(request, NULL, NULL, &fault) != 0)
        return reply_fault(request, &fault);
    if (text == NULL || hex_decode(text, strlen(text), id, sizeof id) != 0) {
        (void)fault_set(&fault, FAULT_NOT_FOUND, "no such API key");
        return reply_fault(request, &fault);
    }
    (void)snprintf(key.id, sizeof key.id, "%s", text);
    if (build_event(request, EVENT_APIKEY_REVOKED, &key, &event, &fault) != 0 ||
        api_keys_revoke(pg_of(request), caller_of(request)->tenant_id, key.id,
                        caller_of(request)->api_key_id, event, &fault) != 0)
        return reply_fault(request, &fault);
    ttl_cache_put(gateway_of(request)->callers, key.id, NULL);
    return reply_empty(request, 204);
}
