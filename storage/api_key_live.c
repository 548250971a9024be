/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/api_key_live.h"

#include "storage/locks.h"

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
