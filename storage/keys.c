/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/keys.h"

#include "storage/api_key_live.h"
#include "storage/events.h"
#include "storage/locks.h"
#include "storage/revocation.h"

#include <string.h>

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

enum column {
    C_KID,
    C_ALG,
    C_PEM,
    C_SECRET,
    C_NOT_BEFORE,
    C_NOT_AFTER,
    C_CREATED_BY,
    C_CREATED,
    COLUMN_COUNT
};

static const enum pg_array_kind column_kinds[COLUMN_COUNT] = {
    [C_KID] = PG_ARRAY_TEXT,        [C_ALG] = PG_ARRAY_TEXT,        [C_PEM] = PG_ARRAY_TEXT,
    [C_SECRET] = PG_ARRAY_BYTEA,    [C_NOT_BEFORE] = PG_ARRAY_TIME, [C_NOT_AFTER] = PG_ARRAY_TIME,
    [C_CREATED_BY] = PG_ARRAY_TEXT, [C_CREATED] = PG_ARRAY_TIME,
};

static void add_row(struct pg_array *columns, const struct key_record *record)
{
    bool hmac = jws_alg_is_hmac(record->alg);
    pg_array_text(&columns[C_KID], record->kid);
    pg_array_text(&columns[C_ALG], jws_alg_name(record->alg));
    pg_array_text(&columns[C_PEM], hmac ? NULL : record->public_pem);
    pg_array_bytes(&columns[C_SECRET], hmac ? record->wrapped_secret : span_of(NULL, 0));
    pg_array_int(&columns[C_NOT_BEFORE], record->not_before_ms);
    pg_array_int(&columns[C_NOT_AFTER], record->not_after_ms);
    pg_array_text(&columns[C_CREATED_BY], record->created_by);
    pg_array_int(&columns[C_CREATED], record->created_ms);
}

/* Which of them the insert left out, a key of that name being there. */
static int check_added(const struct key_record *records, size_t count, const PGresult *added,
                       struct fault *fault)
{
    for (size_t i = 0; i < count; i++) {
        int row = 0;
        while (row < PQntuples(added) && strcmp(pg_get_text(added, row, 0), records[i].kid) != 0)
            row++;
        if (row == PQntuples(added))
            return fault_set(fault, FAULT_STATE_CONFLICT, "kid: %s exists already, or once did",
                             records[i].kid);
    }
    return (size_t)PQntuples(added) == count
               ? 0
               : fault_set(fault, FAULT_STATE_CONFLICT, "kid: one exists twice among them");
}

/* In one order, or two sets with some in common would wait for each other. */
static int insert_all(struct pg *tx, const char *tenant, const struct key_record *records,
                      size_t count, struct fault *fault)
{
    static const struct pg_statement insert = {
        "keys_add", "INSERT INTO verification_key (tenant_id, kid, alg, public_pem, wrapped_secret,"
                    " not_before, not_after, created_by, created_at)"
                    " SELECT $1, u.* FROM unnest($2::text[], $3::text[], $4::text[], $5::bytea[],"
                    " $6::timestamptz[], $7::timestamptz[], $8::text[], $9::timestamptz[]) u(kid)"
                    " ORDER BY u.kid ON CONFLICT DO NOTHING RETURNING kid"};
    struct pg_array columns[COLUMN_COUNT];
    for (int c = 0; c < COLUMN_COUNT; c++)
        columns[c] = pg_array_new(column_kinds[c]);
    for (size_t i = 0; i < count; i++)
        add_row(columns, &records[i]);
    struct pg_params params = {0};
    pg_text(&params, tenant);
    for (int c = 0; c < COLUMN_COUNT; c++)
        pg_array_bind(&params, &columns[c]);
    AUTO_PGRESULT PGresult *added = NULL;
    int status = pg_step(tx, &insert, &params, &added, fault);
    for (int c = 0; c < COLUMN_COUNT; c++)
        pg_array_free(&columns[c]);
    return status == 0 ? check_added(records, count, added, fault) : -1;
}

int keys_add(struct pg *pg, const char *tenant, const struct key_record *records,
             const struct event *const *events, size_t count, struct fault *fault)
{
    const char *tenants[] = {tenant, NULL};
    AUTO_PG_TX struct pg *tx = pg;
    pg_begin(tx, tenants);
    if (api_keys_recheck(tx, records[0].created_by_key, fault) != 0 ||
        insert_all(tx, tenant, records, count, fault) != 0)
        return -1;
    return events_commit(tx, events, count, fault);
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
        "keys_list",
        "SELECT * FROM (SELECT kid, alg, not_before, not_after, created_by, created_at, revoked_at"
        "  FROM verification_key WHERE tenant_id = $1"
        " ORDER BY revoked_at IS NULL AND (not_after IS NULL OR not_after > now()) DESC,"
        "   created_at DESC, kid LIMIT $2) k ORDER BY created_at DESC, kid"};
    struct pg_params params = {0};
    pg_text(&params, tenant);
    pg_int4(&params, KEYS_LIVE_MAX);
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
