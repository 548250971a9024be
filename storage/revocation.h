/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every revocation is, of keys, API keys and artifacts alike: under the exclusive lock of what
 * it takes back, so that whatever is accepted or started with it has committed before or sees it
 * gone (storage/locks.h); asked for by a caller whose API key still lives; once, for ever.
 */
#pragma once

#include "storage/pg.h"

struct revocation {
    const char *noun; /* "key": what a refusal calls it */
    int64_t lock;
    const char *asked_by_key; /* the API key that asks; NULL: the operator */
    /* Both take the tenant and the name as their first parameters, `update` perhaps more. */
    const struct pg_statement
        *update;                     /* touches one row, or none where there is nothing to revoke */
    const struct pg_statement *look; /* for that case: one row with how it stands, if it exists */
};

/* Steps of an open transaction; the event is left to be said, and the commit. FAULT_NOT_FOUND;
 * FAULT_STATE_CONFLICT in the words of `look`; FAULT_NOT_AUTHENTICATED. */
int revocation_make(struct pg *tx, const struct revocation *revocation,
                    const struct pg_params *params, struct fault *fault) MUST_CHECK;
