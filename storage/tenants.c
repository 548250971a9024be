/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/tenants.h"

#include "storage/events.h"

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
