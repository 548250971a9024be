/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/keys.h"

#include "storage/events.h"
#include "storage/locks.h"
#include "storage/revocation.h"
#include "storage/tenants.h"

void key_record_free(struct key_record *record)
{
    PQclear(TAKE(record->owner));
}

int keys_find(struct pg *pg, const char *tenant, const char *kid, struct key_record *ret_record,
              struct fault *fault)
{
    static const struct pg_statement read = {
        "keys_find",
        "SELECT k.kid, k.alg, k.public_pem, k.wrapped_secret, k.not_before, k.not_after "
        "  FROM verification_key k JOIN tenant t USING (tenant_id)"
        " WHERE k.tenant_id = $1 AND ($2::text IS NULL OR k.kid = $2) AND k.revoked_at IS NULL"
        "   AND (k.not_before IS NULL OR k.not_before <= now())"
        "   AND (k.not_after IS NULL OR k.not_after > now())"
        "   AND (k.wrapped_secret IS NULL OR t.allow_hmac) LIMIT 2"};
    struct pg_params params = {0};
    pg_text(&params, tenant);
    pg_text(&params, kid);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query_as(pg, tenant, &read, &params, &result, fault) != 0)
        return -1;
    if (PQntuples(result) != 1)
        return fault_set(fault, FAULT_NOT_FOUND, "no such key");
    struct key_record record = {.kid = pg_get_text(result, 0, 0),
                                .public_pem = pg_get_text(result, 0, 2),
                                .wrapped_secret = pg_get_bytes(result, 0, 3),
                                .not_before_ms = pg_get_time(result, 0, 4),
                                .not_after_ms = pg_get_time(result, 0, 5),
                                .created_by = "",
                                .created_ms = INT64_MIN,
                                .revoked_ms = INT64_MIN};
    if (jws_alg_parse(pg_get_text(result, 0, 1), &record.alg) != 0)
        return fault_set(fault, FAULT_INTERNAL, "a key has an unknown algorithm");
    record.owner = TAKE(result);
    *ret_record = record;
    return 0;
}

int keys_add(struct pg *pg, const char *tenant, const struct key_record *record,
             const struct event *event, struct fault *fault)
{
    static const struct pg_statement insert = {
        "keys_add", "INSERT INTO verification_key (tenant_id, kid, alg, public_pem, wrapped_secret,"
                    " not_before, not_after, created_by, created_at)"
                    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"};
    const char *tenants[] = {tenant, NULL};
    bool hmac = jws_alg_is_hmac(record->alg);
    struct pg_params params = {0};
    pg_text(&params, tenant);
    pg_text(&params, record->kid);
    pg_text(&params, jws_alg_name(record->alg));
    pg_text(&params, hmac ? NULL : record->public_pem);
    pg_bytes(&params, hmac ? record->wrapped_secret : span_of(NULL, 0));
    pg_time(&params, record->not_before_ms);
    pg_time(&params, record->not_after_ms);
    pg_text(&params, record->created_by);
    pg_time(&params, record->created_ms);
    AUTO_PG_TX struct pg *tx = pg;
    pg_begin(tx, tenants);
    if (api_keys_recheck(tx, record->created_by_key, fault) != 0 ||
        pg_step(tx, &insert, &params, NULL, fault) != 0)
        return -1;
    return events_commit(tx, &event, 1, fault);
}

int keys_revoke(struct pg *pg, const char *tenant, const char *kid, const char *asked_by_key,
                const struct event *event, struct fault *fault)
{
    static const struct pg_statement update = {
        "keys_revoke", "UPDATE verification_key SET revoked_at = now()"
                       " WHERE tenant_id = $1 AND kid = $2 AND revoked_at IS NULL"};
    static const struct pg_statement look = {
        "keys_look",
        "SELECT 'revoked already' FROM verification_key WHERE tenant_id = $1 AND kid = $2"};
    const char *tenants[] = {tenant, NULL};
    const struct revocation revocation = {.noun = "key",
                                          .lock = lock_of_key(tenant, kid),
                                          .asked_by_key = asked_by_key,
                                          .update = &update,
                                          .look = &look};
    struct pg_params params = {0};
    pg_text(&params, tenant);
    pg_text(&params, kid);
    AUTO_PG_TX struct pg *tx = pg;
    pg_begin(tx, tenants);
    if (revocation_make(tx, &revocation, &params, fault) != 0)
        return -1;
    return events_commit(tx, &event, 1, fault);
}

int keys_list(struct pg *pg, const char *tenant, keys_each *each, void *context,
              struct fault *fault)
{
    static const struct pg_statement read = {
        "keys_list", "SELECT kid, alg, not_before, not_after, created_by, created_at, revoked_at "
                     "FROM verification_key WHERE tenant_id = $1 "
                     "ORDER BY created_at DESC, kid LIMIT 1000"};
    struct pg_params params = {0};
    pg_text(&params, tenant);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query_as(pg, tenant, &read, &params, &result, fault) != 0)
        return -1;
    for (int row = 0; row < PQntuples(result); row++) {
        struct key_record record = {.kid = pg_get_text(result, row, 0),
                                    .public_pem = "",
                                    .not_before_ms = pg_get_time(result, row, 2),
                                    .not_after_ms = pg_get_time(result, row, 3),
                                    .created_by = pg_get_text(result, row, 4),
                                    .created_ms = pg_get_time(result, row, 5),
                                    .revoked_ms = pg_get_time(result, row, 6)};
        if (jws_alg_parse(pg_get_text(result, row, 1), &record.alg) != 0)
            return fault_set(fault, FAULT_INTERNAL, "a key has an unknown algorithm");
        if (each(context, &record) != 0)
            break;
    }
    return 0;
}
