/* SPDX-License-Identifier: Apache-2.0 */
/* Verification keys: the records manifests are proven with. */
#pragma once

#include "ledger/event.h"
#include "storage/pg.h"
#include "trust/alg.h"

/* Texts are borrowed from the row's result and live as long as it. */
struct key_record {
    const char *kid;
    enum jws_alg alg;
    const char *public_pem;     /* "" for HMAC */
    struct span wrapped_secret; /* empty but for HMAC */
    int64_t not_before_ms;      /* INT64_MIN: none, as in all of these */
    int64_t not_after_ms;
    const char *created_by;
    const char *created_by_key; /* the API key that asks, in keys_add(); NULL: the operator */
    int64_t created_ms;
    int64_t revoked_ms;
    PGresult *owner; /* freed by key_record_free() where set */
};
#define AUTO_KEY_RECORD AUTO(key_record_free)
void key_record_free(struct key_record *record);

/* The tenant's live key: not revoked, inside its validity, HMAC only where the tenant allows it.
 * With kid NULL: the only live key it has. FAULT_NOT_FOUND otherwise. */
int keys_find(struct pg *pg, const char *tenant, const char *kid, struct key_record *ret_record,
              struct fault *fault) MUST_CHECK;

#define KEYS_LIVE_MAX 1000 /* of a tenant, neither revoked nor expired; the table says so too */

/* Adds `count` (1 or more) records, each with its event, all or none, for one API key: the first
 * record's. FAULT_STATE_CONFLICT names a kid that is taken (for ever); FAULT_QUOTA_EXCEEDED past
 * KEYS_LIVE_MAX. */
int keys_add(struct pg *pg, const char *tenant, const struct key_record *records,
             const struct event *const *events, size_t count, struct fault *fault) MUST_CHECK;

/* Revokes (storage/revocation.h), with its event: when this returns nothing is accepted or started
 * with the key any more. asked_by_key is the API key that asks; NULL: the operator. */
int keys_revoke(struct pg *pg, const char *tenant, const char *kid, const char *asked_by_key,
                const struct event *event, struct fault *fault) MUST_CHECK;

/* The tenant's keys, newest first, at most KEYS_LIVE_MAX, the live ones before all others are left
 * out; without secrets. */
typedef int keys_each(void *context, const struct key_record *record);
int keys_list(struct pg *pg, const char *tenant, keys_each *each, void *context,
              struct fault *fault) MUST_CHECK;
