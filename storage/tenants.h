/* SPDX-License-Identifier: Apache-2.0 */
/* Tenants and their callers' API keys. */
#pragma once

#include "ledger/event.h"
#include "storage/pg.h"
#include "trust/caller.h"
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

struct api_key {
    char id[API_KEY_ID_LEN + 1];
    char tenant_id[TENANT_ID_MAX + 1]; /* "": the platform's */
    char principal[PRINCIPAL_MAX + 1];
    unsigned roles;
    struct digest secret_hash;
    char created_by[PRINCIPAL_MAX + 1];
    const char *created_by_key; /* the API key that asks; NULL: the operator */
    int64_t created_ms;
    int64_t expires_ms; /* INT64_MIN: never */
    int64_t revoked_ms; /* INT64_MIN: not */
};

/* A step of an open transaction: locks the key that asks against its revocation, then looks whether
 * it still lives. FAULT_NOT_AUTHENTICATED if not; NULL, the operator, always does. */
int api_keys_recheck(struct pg *pg, const char *id, struct fault *fault) MUST_CHECK;
/* The same, and takes `lock` too, shared or exclusively, both in the order in which all take their
 * locks. */
int api_keys_recheck_shared(struct pg *pg, const char *id, int64_t lock,
                            struct fault *fault) MUST_CHECK;
int api_keys_recheck_exclusive(struct pg *pg, const char *id, int64_t lock,
                               struct fault *fault) MUST_CHECK;

/* The live key of this id, of any tenant: tenant, principal, roles and secret_hash are set.
 * FAULT_NOT_FOUND for one that is unknown, revoked or expired. */
int api_keys_find(struct pg *pg, const char *id, struct api_key *ret_key,
                  struct fault *fault) MUST_CHECK;

/* Which of these keys live now; ret_live has `count` places. */
int api_keys_living(struct pg *pg, const char *const *ids, size_t count, bool *ret_live,
                    struct fault *fault) MUST_CHECK;

#define API_KEYS_LIVE_MAX                                                                          \
    1000 /* of a tenant, neither revoked nor expired; the table says so too                        \
          */

/* Stores a key with its event. FAULT_QUOTA_EXCEEDED past API_KEYS_LIVE_MAX. */
int api_keys_create(struct pg *pg, const struct api_key *key, const struct event *event,
                    struct fault *fault) MUST_CHECK;

/* Revokes (storage/revocation.h), with its event: when this returns nothing is accepted or started
 * with the key any more. asked_by_key, the API key that asks, may be this very one; NULL: the
 * operator. */
int api_keys_revoke(struct pg *pg, const char *tenant, const char *id, const char *asked_by_key,
                    const struct event *event, struct fault *fault) MUST_CHECK;

/* The tenant's keys, newest first, at most API_KEYS_LIVE_MAX, the live ones before all others are
 * left out; without their hashes. -1 from `each` stops. */
typedef int api_keys_each(void *context, const struct api_key *key);
int api_keys_list(struct pg *pg, const char *tenant, api_keys_each *each, void *context,
                  struct fault *fault) MUST_CHECK;
