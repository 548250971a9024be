/* SPDX-License-Identifier: Apache-2.0 */
/* Makes a tenant, or changes what it asks of its artifacts and manifests. */
#include "daemon/common.h"
#include "daemon/roles.h"

#include "base/clock.h"
#include "base/log.h"
#include "storage/migrate.h"
#include "storage/tenants.h"
#include "trust/caller.h"

#include <string.h>

/* "on", "off", or "" for what is there. */
static int read_switch(const char *name, const char *value, enum tenant_wish *ret_wish,
                       struct fault *fault)
{
    if (strcmp(value, "on") != 0 && strcmp(value, "off") != 0 && value[0] != '\0')
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "%s: expected on or off", name);
    *ret_wish = value[0] == '\0' ? TENANT_AS_IS : strcmp(value, "on") == 0 ? TENANT_ON : TENANT_OFF;
    return 0;
}

/* A severity that findings can be said to be, "none", or "any". */
static int read_severity(const char *value, struct tenant_policy *policy, struct fault *fault)
{
    if (value[0] == '\0')
        return 0;
    policy->limit_severity = strcmp(value, "any") == 0 ? TENANT_OFF : TENANT_ON;
    if (policy->limit_severity == TENANT_ON && (severity_parse(value, &policy->max_severity) != 0 ||
                                                policy->max_severity == SEVERITY_UNKNOWN))
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "max-severity: expected none, negligible, low, medium, high, critical or "
                         "any");
    return 0;
}

static int read_wishes(const struct settings *settings, struct tenant_policy *ret_policy,
                       struct fault *fault)
{
    struct tenant_policy policy = {.quorum = (int)settings->quorum,
                                   .input_quota_mib = settings->input_quota_mib,
                                   .artifact_quota_mib = settings->artifact_quota_mib,
                                   .max_running = (int32_t)settings->max_running,
                                   .queue_max = (int32_t)settings->tenant_queue_max,
                                   .event_retention_days = (int32_t)settings->event_retention_days,
                                   .most = {.timeout_seconds = settings->max_timeout_seconds,
                                            .memory_mib = settings->max_memory_mib,
                                            .pids = settings->max_pids,
                                            .cpu_percent = settings->max_cpu_percent,
                                            .tmp_mib = settings->max_tmp_mib}};
    enum tenant_wish hmac;
    if (!tenant_id_valid(settings->tenant, strlen(settings->tenant)))
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "tenant: expected [a-z0-9][a-z0-9._-]*");
    if (read_switch("allow-hmac", settings->allow_hmac, &hmac, fault) != 0 ||
        read_switch("require-sbom", settings->require_sbom, &policy.require_sbom, fault) != 0 ||
        read_switch("require-report", settings->require_report, &policy.require_report, fault) !=
            0 ||
        read_severity(settings->max_severity, &policy, fault) != 0)
        return -1;
    policy.allow_hmac = hmac == TENANT_AS_IS ? -1 : hmac == TENANT_ON;
    *ret_policy = policy;
    return 0;
}

static void say_switch(json_t *data, const char *name, enum tenant_wish wish)
{
    if (wish != TENANT_AS_IS)
        (void)json_object_set_new(data, name, json_boolean(wish == TENANT_ON));
}

/* A bound, or null where it has none of its own. */
static void say_bound(json_t *data, const char *name, int64_t bound)
{
    if (bound != 0)
        (void)json_object_set_new(data, name, bound < 0 ? json_null() : json_integer(bound));
}

/* The event says what was asked for, not what was there. */
static int build(const struct settings *settings, enum event_type type,
                 const struct tenant_policy *policy, struct event **ret_event, struct fault *fault)
{
    AUTO_JSON json_t *data = json_pack("{s:s}", "tenant_id", settings->tenant);
    struct event_head head = {.id = uuid_v7(),
                              .type = type,
                              .node = settings->node,
                              .subject = settings->tenant,
                              .tenant_id = settings->tenant,
                              .time_ms = clock_wall_ms()};
    if (data == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (policy->quorum > 0)
        (void)json_object_set_new(data, "quorum", json_integer(policy->quorum));
    if (policy->allow_hmac >= 0)
        (void)json_object_set_new(data, "allow_hmac", json_boolean(policy->allow_hmac));
    say_switch(data, "require_sbom", policy->require_sbom);
    say_switch(data, "require_report", policy->require_report);
    if (policy->limit_severity != TENANT_AS_IS)
        (void)json_object_set_new(data, "max_severity", json_string(settings->max_severity));
    if (policy->input_quota_mib > 0)
        (void)json_object_set_new(data, "input_quota_mib", json_integer(policy->input_quota_mib));
    if (policy->artifact_quota_mib > 0)
        (void)json_object_set_new(data, "artifact_quota_mib",
                                  json_integer(policy->artifact_quota_mib));
    say_bound(data, "max_running", policy->max_running);
    say_bound(data, "queue_max", policy->queue_max);
    say_bound(data, "event_retention_days", policy->event_retention_days);
    say_bound(data, "max_timeout_seconds", policy->most.timeout_seconds);
    say_bound(data, "max_memory_mib", policy->most.memory_mib);
    say_bound(data, "max_pids", policy->most.pids);
    say_bound(data, "max_cpu_percent", policy->most.cpu_percent);
    say_bound(data, "max_tmp_mib", policy->most.tmp_mib);
    return event_build(&head, data, ret_event, fault);
}

static int apply(struct pg *pg, const struct settings *settings, struct fault *fault)
{
    struct tenant_policy policy;
    struct fault missing;
    AUTO_EVENT struct event *created = NULL;
    AUTO_EVENT struct event *changed = NULL;
    if (read_wishes(settings, &policy, fault) != 0 ||
        build(settings, EVENT_TENANT_CREATED, &policy, &created, fault) != 0 ||
        build(settings, EVENT_TENANT_CHANGED, &policy, &changed, fault) != 0)
        return -1;
    if (tenants_exist(pg, settings->tenant, &missing) == 0)
        return tenants_change(pg, settings->tenant, &policy, changed, fault);
    if (missing.code != FAULT_NOT_FOUND) {
        *fault = missing;
        return -1;
    }
    return tenants_create(pg, settings->tenant, &policy, created, fault);
}

int run_tenant(const struct settings *settings)
{
    struct fault fault;
    AUTO_PG struct pg *pg = NULL;
    if (pg_open(settings->database, "tenant", &pg, &fault) != 0 || migrate_check(pg, &fault) != 0 ||
        apply(pg, settings, &fault) != 0)
        return failed("tenant", &fault);
    log_info("the tenant is as asked", "{s:s}", "tenant", settings->tenant);
    return 0;
}
