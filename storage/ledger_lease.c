/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/ledger_lease.h"

#include <string.h>

/* clock_timestamp(), not now(): a statement may have waited, and the lease counts from the moment
 * it is written. */

int ledger_lease_acquire(struct pg *pg, struct ledger_lease *lease, struct fault *fault)
{
    /* SKIP LOCKED: a row that is locked is in use, by a batch or by another's take-over. The own
     * name is there where the answer to an earlier call was lost. */
    static const struct pg_statement acquire = {
        "ledger_lease_acquire",
        "WITH free AS (SELECT only_row FROM ledger_lease "
        "WHERE holder IS NULL OR holder = $1 OR expires_at <= clock_timestamp() FOR UPDATE SKIP "
        "LOCKED) "
        "UPDATE ledger_lease l SET epoch = l.epoch + 1, holder = $1, "
        "expires_at = clock_timestamp() + $2 * interval '1 millisecond', "
        "updated_at = clock_timestamp() FROM free WHERE l.only_row = free.only_row "
        "RETURNING l.epoch"};
    struct pg_params params = {0};
    pg_text(&params, lease->holder);
    pg_int4(&params, lease->duration_ms);
    AUTO_PGRESULT PGresult *row = NULL;
    if (pg_query(pg, NULL, &acquire, &params, &row, fault) != 0)
        return -1;
    lease->epoch = PQntuples(row) == 1 ? pg_get_int(row, 0, 0) : 0;
    return 0;
}

int ledger_lease_renew(struct pg *pg, struct ledger_lease *lease, char *ret_problem,
                       struct fault *fault)
{
    /* An expired lease that nobody took is still ours: its epoch says so. */
    static const struct pg_statement renew = {
        "ledger_lease_renew",
        "UPDATE ledger_lease SET expires_at = clock_timestamp() + $3 * interval '1 millisecond', "
        "updated_at = clock_timestamp() WHERE epoch = $1 AND holder = $2 "
        "RETURNING coalesce(problem, '')"};
    struct pg_params params = {0};
    pg_int8(&params, lease->epoch);
    pg_text(&params, lease->holder);
    pg_int4(&params, lease->duration_ms);
    AUTO_PGRESULT PGresult *row = NULL;
    if (pg_query(pg, NULL, &renew, &params, &row, fault) != 0)
        return -1;
    bool held = PQntuples(row) == 1;
    (void)snprintf(ret_problem, LEDGER_PROBLEM_MAX + 1, "%s", held ? pg_get_text(row, 0, 0) : "");
    if (!held)
        lease->epoch = 0;
    return 0;
}

int ledger_lease_release(struct pg *pg, struct ledger_lease *lease, struct fault *fault)
{
    static const struct pg_statement release = {
        "ledger_lease_release", "UPDATE ledger_lease SET holder = NULL, expires_at = '-infinity', "
                                "updated_at = clock_timestamp() WHERE epoch = $1 AND holder = $2"};
    if (lease->epoch == 0)
        return 0;
    struct pg_params params = {0};
    pg_int8(&params, lease->epoch);
    pg_text(&params, lease->holder);
    lease->epoch = 0;
    return pg_query(pg, NULL, &release, &params, NULL, fault);
}

int ledger_lease_lock(struct pg *tx, const struct ledger_lease *lease, bool *ret_led,
                      bool *ret_stopped, struct fault *fault)
{
    static const struct pg_statement lock = {
        "ledger_lease_lock",
        "SELECT epoch = $1 AND holder = $2 AND expires_at > clock_timestamp(), "
        "problem IS NOT NULL FROM ledger_lease FOR UPDATE"};
    struct pg_params params = {0};
    pg_int8(&params, lease->epoch);
    pg_text(&params, lease->holder);
    AUTO_PGRESULT PGresult *row = NULL;
    if (pg_step(tx, &lock, &params, &row, fault) != 0)
        return -1;
    *ret_led = PQntuples(row) == 1 && pg_get_bool(row, 0, 0);
    if (ret_stopped != NULL)
        *ret_stopped = PQntuples(row) == 1 && pg_get_bool(row, 0, 1);
    return 0;
}

int ledger_lease_stop(struct pg *pg, const char *problem, struct fault *fault)
{
    static const struct pg_statement stop = {
        "ledger_lease_stop", "UPDATE ledger_lease SET problem = $1, updated_at = clock_timestamp() "
                             "WHERE problem IS NULL"};
    struct pg_params params = {0};
    pg_text(&params, problem);
    return pg_query(pg, NULL, &stop, &params, NULL, fault);
}
