/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/api_keys.h"

#include "storage/api_key_live.h"
#include "storage/events.h"
#include "storage/locks.h"
#include "storage/revocation.h"

#include <string.h>

static void copy_text(char *place, size_t size, const char *text)
{
    (void)snprintf(place, size, "%s", text);
}

int api_keys_find(struct pg *pg, const char *id, struct api_key *ret_key, struct fault *fault)
{
    static const struct pg_statement read = {
        "api_keys_find", "SELECT tenant_id, principal, roles, secret_hash FROM api_key_find($1)"};
    struct pg_params params = {0};
    pg_text(&params, id);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query_as(pg, NULL, &read, &params, &result, fault) != 0)
        return -1;
    if (PQntuples(result) == 0)
        return fault_set(fault, FAULT_NOT_FOUND, "no such API key");
    struct api_key key = {.expires_ms = INT64_MIN, .revoked_ms = INT64_MIN};
    copy_text(key.id, sizeof key.id, id);
    copy_text(key.tenant_id, sizeof key.tenant_id, pg_get_text(result, 0, 0));
    copy_text(key.principal, sizeof key.principal, pg_get_text(result, 0, 1));
    if (role_set_parse(pg_get_text(result, 0, 2), &key.roles) != 0)
        return fault_set(fault, FAULT_INTERNAL, "an API key has unknown roles");
    key.secret_hash = pg_get_digest(result, 0, 3);
    *ret_key = key;
    return 0;
}

int api_keys_living(struct pg *pg, const char *const *ids, size_t count, bool *ret_live,
                    struct fault *fault)
{
    static const struct pg_statement read = {
        "api_keys_living", "SELECT u.n FROM unnest($1::text[]) WITH ORDINALITY u(id, n)"
                           " WHERE u.id IN (SELECT l.api_key_id FROM api_keys_live($1) l)"};
    AUTO_PG_ARRAY struct pg_array array = pg_array_new(PG_ARRAY_TEXT);
    for (size_t i = 0; i < count; i++)
        pg_array_text(&array, ids[i]);
    struct pg_params params = {0};
    pg_array_bind(&params, &array);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query_as(pg, NULL, &read, &params, &result, fault) != 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        ret_live[i] = false;
    for (int row = 0; row < PQntuples(result); row++)
        ret_live[pg_get_int(result, row, 0) - 1] = true;
    return 0;
}

int api_keys_create(struct pg *pg, const struct api_key *key, const struct event *event,
                    struct fault *fault)
{
    static const struct pg_statement insert = {
        "api_keys_create", "INSERT INTO api_key (api_key_id, tenant_id, principal, roles, "
                           "secret_hash, created_by, expires_at) "
                           "VALUES ($1, $2, $3, string_to_array($4, ','), $5, $6, $7)"};
    AUTO_BUF struct buf roles = BUF(256);
    role_set_format(key->roles, &roles);
    const char *tenants[] = {event->tenant_id, NULL};
    struct pg_params params = {0};
    pg_text(&params, key->id);
    pg_text(&params, key->tenant_id[0] == '\0' ? NULL : key->tenant_id);
    pg_text(&params, key->principal);
    pg_text(&params, buf_text(&roles));
    pg_digest(&params, &key->secret_hash);
    pg_text(&params, key->created_by);
    pg_time(&params, key->expires_ms);
    AUTO_PG_TX struct pg *tx = pg;
    pg_begin(tx, tenants);
    if (api_keys_recheck(tx, key->created_by_key, fault) != 0 ||
        pg_step(tx, &insert, &params, NULL, fault) != 0)
        return -1;
    return events_commit(tx, &event, 1, fault);
}

int api_keys_revoke(struct pg *pg, const char *tenant, const char *id, const char *asked_by_key,
                    const struct event *event, struct fault *fault)
{
    static const struct pg_statement update = {
        "api_keys_revoke", "UPDATE api_key SET revoked_at = now() "
                           "WHERE tenant_id = $1 AND api_key_id = $2 AND revoked_at IS NULL"};
    static const struct pg_statement look = {
        "api_keys_look",
        "SELECT 'revoked already' FROM api_key WHERE tenant_id = $1 AND api_key_id = $2"};
    const char *tenants[] = {tenant, NULL};
    const struct revocation revocation = {.noun = "API key",
                                          .lock = lock_of_api_key(id),
                                          .asked_by_key = asked_by_key,
                                          .update = &update,
                                          .look = &look};
    struct pg_params params = {0};
    pg_text(&params, tenant);
    pg_text(&params, id);
    AUTO_PG_TX struct pg *tx = pg;
    pg_begin(tx, tenants);
    if (revocation_make(tx, &revocation, &params, fault) != 0)
        return -1;
    return events_commit(tx, &event, 1, fault);
}

int api_keys_list(struct pg *pg, const char *tenant, api_keys_each *each, void *context,
                  struct fault *fault)
{
    static const struct pg_statement read = {
        "api_keys_list",
        "SELECT * FROM (SELECT api_key_id, principal, array_to_string(roles, ','), created_by,"
        "    created_at, expires_at, revoked_at FROM api_key WHERE tenant_id = $1"
        "   ORDER BY revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()) DESC,"
        "     created_at DESC, api_key_id LIMIT $2) k ORDER BY created_at DESC, api_key_id"};
    struct pg_params params = {0};
    pg_text(&params, tenant);
    pg_int4(&params, API_KEYS_LIVE_MAX);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query_as(pg, tenant, &read, &params, &result, fault) != 0)
        return -1;
    for (int row = 0; row < PQntuples(result); row++) {
        struct api_key key = {0};
        copy_text(key.id, sizeof key.id, pg_get_text(result, row, 0));
        copy_text(key.tenant_id, sizeof key.tenant_id, tenant);
        copy_text(key.principal, sizeof key.principal, pg_get_text(result, row, 1));
        if (role_set_parse(pg_get_text(result, row, 2), &key.roles) != 0)
            return fault_set(fault, FAULT_INTERNAL, "an API key has unknown roles");
        copy_text(key.created_by, sizeof key.created_by, pg_get_text(result, row, 3));
        key.created_ms = pg_get_time(result, row, 4);
        key.expires_ms = pg_get_time(result, row, 5);
        key.revoked_ms = pg_get_time(result, row, 6);
        if (each(context, &key) != 0)
            break;
    }
    return 0;
}
