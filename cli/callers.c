/* SPDX-License-Identifier: Apache-2.0 */
/* API keys, who the caller is, which workers serve, which version this is. */
#include "base/clock.h"
#include "cli/commands.h"
#include "cli/query.h"

#include <string.h>

static const struct column key_columns[] = {
    {"ID", "id", COLUMN_TEXT},
    {"PRINCIPAL", "principal", COLUMN_TEXT},
    {"ROLES", "roles", COLUMN_TEXT},
    {"BY", "created_by", COLUMN_TEXT},
    {"AT", "created_at", COLUMN_TEXT},
    {"EXPIRES", "expires_at", COLUMN_TEXT},
    {"REVOKED", "revoked_at", COLUMN_TEXT},
};

static const struct column worker_columns[] = {
    {"ID", "id", COLUMN_TEXT},
    {"NODE", "node", COLUMN_TEXT},
    {"SLOTS", "slots", COLUMN_TEXT},
    {"VERSION", "version", COLUMN_TEXT},
    {"STARTED", "started_at", COLUMN_TEXT},
    {"LEASE UNTIL", "lease_expires_at", COLUMN_TEXT},
};

static int key_request(const struct args *args, json_t **ret_body, struct fault *fault)
{
    const char *principal, *expires = args_value(args, "expires");
    int64_t when;
    AUTO_JSON json_t *roles = json_array();
    if (args_need(args, "principal", &principal, fault) != 0)
        return -1;
    for (size_t i = 0; i < args_count(args, "role"); i++)
        if (json_array_append_new(roles, json_string(args_nth(args, "role", i))) != 0)
            return fault_set(fault, FAULT_MALFORMED_REQUEST, "--role: expected a role's name");
    if (json_array_size(roles) == 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "--role is needed, once for each role");
    if (expires != NULL && time_parse(expires, strlen(expires), &when) != 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "--expires: expected a time of RFC 3339, 2026-01-02T03:04:05Z");
    json_t *body = json_pack("{s:s, s:O, s:s*}", "principal", principal, "roles", roles,
                             "expires_at", expires);
    if (body == NULL)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "--principal: expected a name");
    *ret_body = body;
    return 0;
}

int apikey_create(struct client *client, const struct args *args, struct fault *fault)
{
    AUTO_JSON json_t *body = NULL, *key = NULL;
    if (key_request(args, &body, fault) != 0 ||
        client_json(client, "/v1/api-keys", body, &key, fault) != 0)
        return -1;
    output_note("the key is shown this once: keep it now");
    return output_record(&client->output, NULL, 0, key, fault);
}

int apikey_list(struct client *client, const struct args *args, struct fault *fault)
{
    AUTO_BUF struct buf path = BUF(QUERY_PATH_MAX);
    buf_puts(&path, "/v1/api-keys");
    return client_list(client, args, &path, 0, key_columns, ARRAY_LEN(key_columns), fault);
}

int apikey_revoke(struct client *client, const struct args *args, struct fault *fault)
{
    AUTO_BUF struct buf path = BUF(QUERY_PATH_MAX);
    AUTO_HTTP_ANSWER struct http_answer answer = {0};
    buf_puts(&path, "/v1/api-keys/");
    query_escape(&path, args->operands[0]);
    if (buf_failed(&path))
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "expected an API key's id");
    struct http_request request = {.method = "DELETE", .path = buf_text(&path)};
    if (client_call(client, &request, &answer, fault) != 0)
        return -1;
    output_note("revoked %s", args->operands[0]);
    return 0;
}

int whoami_run(struct client *client, const struct args *args, struct fault *fault)
{
    (void)args;
    AUTO_JSON json_t *caller = NULL;
    if (client_json(client, "/v1/whoami", NULL, &caller, fault) != 0)
        return -1;
    return output_record(&client->output, NULL, 0, caller, fault);
}

int workers_run(struct client *client, const struct args *args, struct fault *fault)
{
    AUTO_BUF struct buf path = BUF(QUERY_PATH_MAX);
    buf_puts(&path, "/v1/workers");
    return client_list(client, args, &path, 0, worker_columns, ARRAY_LEN(worker_columns), fault);
}

int version_run(struct client *client, const struct args *args, struct fault *fault)
{
    (void)args;
    AUTO_JSON json_t *version = json_pack("{s:s}", "version", SALLYPORT_VERSION);
    if (version == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    return output_record(&client->output, NULL, 0, version, fault);
}
