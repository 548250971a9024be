/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/revocation.h"

#include "storage/api_key_live.h"

int revocation_make(struct pg *tx, const struct revocation *revocation,
                    const struct pg_params *params, struct fault *fault)
{
    struct pg_params names = *params;
    names.count = 2;
    AUTO_PGRESULT PGresult *updated = NULL;
    AUTO_PGRESULT PGresult *found = NULL;
    if (api_keys_recheck_exclusive(tx, revocation->asked_by_key, revocation->lock, fault) != 0 ||
        pg_step(tx, revocation->update, params, &updated, fault) != 0)
        return -1;
    if (pg_affected(updated) == 1)
        return 0;
    if (pg_step(tx, revocation->look, &names, &found, fault) != 0)
        return -1;
    if (PQntuples(found) == 0)
        return fault_set(fault, FAULT_NOT_FOUND, "no such %s", revocation->noun);
    return fault_set(fault, FAULT_STATE_CONFLICT, "the %s is %s", revocation->noun,
                     pg_get_text(found, 0, 0));
}
