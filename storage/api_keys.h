/* SPDX-License-Identifier: Apache-2.0 */
/* The API keys of tenants' callers, and of the platform's. */
#pragma once

#include "ledger/event.h"
#include "storage/pg.h"
#include "trust/caller.h"

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
