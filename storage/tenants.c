/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/tenants.h"

#include "storage/events.h"
#include "storage/locks.h"
#include "storage/revocation.h"

/* 1, 0, or null where nothing is wished. */
static void wish_param(struct pg_params *params, enum tenant_wish wish)
{
    if (wish == TENANT_AS_IS)
        pg_int4_null(params);
    else
        pg_int4(params, wish == TENANT_ON);
}

static void policy_params(struct pg_params *params, const char *tenant,
                          const struct tenant_policy *policy)
{
    pg_text(params, tenant);
    if (policy->quorum > 0)
        pg_int4(params, policy->quorum);
    else
        pg_int4_null(params);
    if (policy->allow_hmac >= 0)
        pg_int4(params, policy->allow_hmac);
    else
        pg_int4_null(params);
    wish_param(params, policy->require_sbom);
    wish_param(params, policy->require_report);
    wish_param(params, policy->limit_severity);
    pg_int4(params, severity_weight(policy->max_severity));
}

/* A step of an open transaction, of a tenant that is there; as are the next. */
static int set_quotas(struct pg *tx, const char *tenant, const struct tenant_policy *policy,
                      struct fault *fault)
{
    static const struct pg_statement update = {
        "tenants_quotas",
        "UPDATE tenant SET"
        " input_quota_bytes = CASE WHEN $2 > 0 THEN $2 ELSE input_quota_bytes END,"
        " artifact_quota_bytes = CASE WHEN $3 > 0 THEN $3 ELSE artifact_quota_bytes END"
        " WHERE tenant_id = $1"};
    struct pg_params params = {0};
    pg_text(&params, tenant);
    pg_int8(&params, policy->input_quota_mib << 20);
    pg_int8(&params, policy->artifact_quota_mib << 20);
    return pg_step(tx, &update, &params, NULL, fault);
}

/* What has no bound of its own is null. */
static int set_shares(struct pg *tx, const char *tenant, const struct tenant_policy *policy,
                      struct fault *fault)
{
    static const struct pg_statement update = {
        "tenants_shares",
        "UPDATE tenant SET"
        " max_running = CASE WHEN $2 = 0 THEN max_running WHEN $2 > 0 THEN $2 END,"
        " queue_max = CASE WHEN $3 = 0 THEN queue_max WHEN $3 > 0 THEN $3 END,"
        " event_retention_days = CASE WHEN $4 = 0 THEN event_retention_days WHEN $4 > 0 THEN $4 END"
        " WHERE tenant_id = $1"};
    struct pg_params params = {0};
    pg_text(&params, tenant);
    pg_int4(&params, policy->max_running);
    pg_int4(&params, policy->queue_max);
    pg_int4(&params, policy->event_retention_days);
    return pg_step(tx, &update, &params, NULL, fault);
}

static int set_limits(struct pg *tx, const char *tenant, const struct tenant_policy *policy,
                      struct fault *fault)
{
    static const struct pg_statement update = {
        "tenants_limits",
        "UPDATE tenant SET"
        " max_timeout_seconds = CASE WHEN $2 = 0 THEN max_timeout_seconds WHEN $2 > 0 THEN $2 END,"
        " max_memory_mib = CASE WHEN $3 = 0 THEN max_memory_mib WHEN $3 > 0 THEN $3 END,"
        " max_pids = CASE WHEN $4 = 0 THEN max_pids WHEN $4 > 0 THEN $4 END,"
        " max_cpu_percent = CASE WHEN $5 = 0 THEN max_cpu_percent WHEN $5 > 0 THEN $5 END,"
        " max_tmp_mib = CASE WHEN $6 = 0 THEN max_tmp_mib WHEN $6 > 0 THEN $6 END"
        " WHERE tenant_id = $1"};
    const struct manifest_limits *most = &policy->most;
    struct pg_params params = {0};
    pg_text(&params, tenant);
    pg_int4(&params, (int32_t)most->timeout_seconds);
    pg_int4(&params, (int32_t)most->memory_mib);
    pg_int4(&params, (int32_t)most->pids);
    pg_int4(&params, (int32_t)most->cpu_percent);
    pg_int4(&params, (int32_t)most->tmp_mib);
    return pg_step(tx, &update, &params, NULL, fault);
}

/* What is no yes or no. */
static int set_bounds(struct pg *tx, const char *tenant, const struct tenant_policy *policy,
                      struct fault *fault)
{
    return set_quotas(tx, tenant, policy, fault) != 0 ||
                   set_shares(tx, tenant, policy, fault) != 0 ||
                   set_limits(tx, tenant, policy, fault) != 0
               ? -1
               : 0;
}

int tenants_create(struct pg *pg, const char *tenant, const struct tenant_policy *policy,
                   const struct event *event, struct fault *fault)
{
    static const struct pg_statement insert = {
        "tenants_create",
        "INSERT INTO tenant (tenant_id, quorum, allow_hmac, require_sbom, require_report,"
        " max_severity) VALUES ($1, coalesce($2, 2), coalesce($3, 1) = 1, coalesce($4, 0) = 1,"
        " coalesce($5, 0) = 1, CASE WHEN $6 = 1 THEN $7 END)"};
    const char *tenants[] = {tenant, NULL};
    struct pg_params params = {0};
    policy_params(&params, tenant, policy);
    AUTO_PG_TX struct pg *tx = pg;
    pg_begin(tx, tenants);
    if (pg_step(tx, &insert, &params, NULL, fault) != 0 ||
        set_bounds(tx, tenant, policy, fault) != 0)
        return -1;
    return events_commit(tx, &event, 1, fault);
}

int tenants_change(struct pg *pg, const char *tenant, const struct tenant_policy *policy,
                   const struct event *event, struct fault *fault)
{
    static const struct pg_statement update = {
        "tenants_change",
        "UPDATE tenant SET quorum = coalesce($2, quorum),"
        " allow_hmac = CASE WHEN $3::integer IS NULL THEN allow_hmac ELSE $3 = 1 END,"
        " require_sbom = CASE WHEN $4::integer IS NULL THEN require_sbom ELSE $4 = 1 END,"
        " require_report = CASE WHEN $5::integer IS NULL THEN require_report ELSE $5 = 1 END,"
        " max_severity = CASE WHEN $6::integer IS NULL THEN max_severity WHEN $6 = 1 THEN $7 END"
        " WHERE tenant_id = $1"};
    const char *tenants[] = {tenant, NULL};
    struct pg_params params = {0};
    policy_params(&params, tenant, policy);
    AUTO_PGRESULT PGresult *result = NULL;
    AUTO_PG_TX struct pg *tx = pg;
    pg_begin(tx, tenants);
    if (pg_step(tx, &update, &params, &result, fault) != 0)
        return -1;
    if (pg_affected(result) != 1)
        return fault_set(fault, FAULT_NOT_FOUND, "no such tenant");
    if (set_bounds(tx, tenant, policy, fault) != 0)
        return -1;
    return events_commit(tx, &event, 1, fault);
}

int tenants_exist(struct pg *pg, const char *tenant, struct fault *fault)
{
    static const struct pg_statement read = {"tenants_exist",
                                             "SELECT 1 FROM tenant WHERE tenant_id = $1"};
    struct pg_params params = {0};
    pg_text(&params, tenant);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query_as(pg, tenant, &read, &params, &result, fault) != 0)
        return -1;
    if (PQntuples(result) == 0)
        return fault_set(fault, FAULT_NOT_FOUND, "no such tenant");
    return 0;
}

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

static int still_live(struct pg *pg, const char *id, struct fault *fault)
{
    static const struct pg_statement read = {"api_keys_still_live",
                                             "SELECT 1 FROM api_keys_live(ARRAY[$1])"};
    struct pg_params params = {0};
    pg_text(&params, id);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_step(pg, &read, &params, &result, fault) != 0)
        return -1;
    return PQntuples(result) == 1 ? 0
                                  : fault_set(fault, FAULT_NOT_AUTHENTICATED,
                                              "this API key was revoked or has expired");
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

int api_keys_recheck(struct pg *pg, const char *id, struct fault *fault)
{
    if (id == NULL)
        return 0;
    int64_t lock = lock_of_api_key(id);
    return locks_share(pg, &lock, 1, fault) == 0 ? still_live(pg, id, fault) : -1;
}

int api_keys_recheck_shared(struct pg *pg, const char *id, int64_t lock, struct fault *fault)
{
    int64_t locks[] = {lock, id == NULL ? lock : lock_of_api_key(id)};
    if (locks_share(pg, locks, ARRAY_LEN(locks), fault) != 0)
        return -1;
    return id == NULL ? 0 : still_live(pg, id, fault);
}

int api_keys_recheck_exclusive(struct pg *pg, const char *id, int64_t lock, struct fault *fault)
{
    if (id == NULL)
        return locks_exclude(pg, lock, NULL, fault);
    int64_t caller = lock_of_api_key(id);
    return locks_exclude(pg, lock, &caller, fault) == 0 ? still_live(pg, id, fault) : -1;
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
