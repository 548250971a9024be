/* SPDX-License-Identifier: Apache-2.0 */
/* Tenants and their policies. */
#pragma once

#include "ledger/event.h"
#include "storage/pg.h"
#include "trust/manifest.h"
#include "trust/severity.h"

/* AS_IS leaves what is there, or the default, which is OFF. */
enum tenant_wish { TENANT_AS_IS, TENANT_ON, TENANT_OFF };

struct tenant_policy {
    int quorum;     /* different approvers an artifact needs; 0: as it is, or the default */
    int allow_hmac; /* 0 or 1; -1: as it is, or the default */
    enum tenant_wish require_sbom, require_report; /* before approvals count */
    enum tenant_wish limit_severity; /* ON: no finding of a report worse than max_severity */
    enum severity max_severity;      /* if ON; not SEVERITY_UNKNOWN */
    /* What its inputs and its artifacts may amount to; 0: as it is, or the default. */
    int64_t input_quota_mib, artifact_quota_mib;
    /* How many of its executions workers may hold at once, and how many may wait or run; 0: as it
     * is, or the default; TENANT_UNBOUNDED: any number, and the api's setting. */
    int32_t max_running, queue_max;
    /* How long bodies of its events are kept; 0: as it is, or for ever; TENANT_UNBOUNDED: for ever.
     * A change waits for a batch that is expiring under the policy before it. */
    int32_t event_retention_days;
    /* The most a run of it gets, whatever is asked; of each 0: as it is, or the default;
     * TENANT_UNBOUNDED: what its host allows. */
    struct manifest_limits most;
};
#define TENANT_UNBOUNDED (-1)

/* Makes the tenant with its event; FAULT_STATE_CONFLICT if it exists. Needs the owner's role, as
 * the next. */
int tenants_create(struct pg *pg, const char *tenant, const struct tenant_policy *policy,
                   const struct event *event, struct fault *fault) MUST_CHECK;
/* Changes what the policy names, with its event. FAULT_NOT_FOUND. */
int tenants_change(struct pg *pg, const char *tenant, const struct tenant_policy *policy,
                   const struct event *event, struct fault *fault) MUST_CHECK;
/* 0 or FAULT_NOT_FOUND. */
int tenants_exist(struct pg *pg, const char *tenant, struct fault *fault) MUST_CHECK;
