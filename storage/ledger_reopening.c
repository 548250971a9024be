/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/ledger_reopening.h"

#include "storage/events.h"
#include "storage/ledger_batch.h"

int ledger_reopening_read(struct pg *pg, const char *origin, struct ledger_reopening *ret_reopening,
                          struct fault *fault)
{
    static const struct pg_statement read = {
        "ledger_reopening_read",
        "SELECT origin, previous_origin, size, root, event_id FROM ledger_reopening "
        "WHERE origin = $1"};
    struct pg_params params = {0};
    pg_text(&params, origin);
    AUTO_PGRESULT PGresult *row = NULL;
    if (pg_query(pg, NULL, &read, &params, &row, fault) != 0)
        return -1;
    if (PQntuples(row) == 0)
        return fault_set(fault, FAULT_NOT_FOUND, "no log was reopened as %.100s", origin);
    struct ledger_reopening reopening = {
        .size = (uint64_t)pg_get_int(row, 0, 2),
        .root = pg_get_digest(row, 0, 3),
        .event_id = pg_get_uuid(row, 0, 4),
    };
    (void)snprintf(reopening.origin, sizeof reopening.origin, "%s", pg_get_text(row, 0, 0));
    (void)snprintf(reopening.previous_origin, sizeof reopening.previous_origin, "%s",
                   pg_get_text(row, 0, 1));
    *ret_reopening = reopening;
    return 0;
}

static const struct pg_statement successor_read = {
    "ledger_reopening_successor", "SELECT origin FROM ledger_reopening WHERE previous_origin = $1"};

static int left_behind(const char *origin, const PGresult *row, struct fault *fault)
{
    return PQntuples(row) == 0
               ? 0
               : fault_set(fault, FAULT_STATE_CONFLICT,
                           "the log %.80s was reopened as %.80s: say `sallyportd ledger reopen` "
                           "here too",
                           origin, pg_get_text(row, 0, 0));
}

int ledger_reopening_check(struct pg *pg, const char *origin, struct fault *fault)
{
    struct pg_params params = {0};
    pg_text(&params, origin);
    AUTO_PGRESULT PGresult *row = NULL;
    if (pg_query(pg, NULL, &successor_read, &params, &row, fault) != 0)
        return -1;
    return left_behind(origin, row, fault);
}

int ledger_reopening_step(struct pg *tx, const char *origin, struct fault *fault)
{
    struct pg_params params = {0};
    pg_text(&params, origin);
    AUTO_PGRESULT PGresult *row = NULL;
    if (pg_step(tx, &successor_read, &params, &row, fault) != 0)
        return -1;
    return left_behind(origin, row, fault);
}

/* In a statement after the lock. A log has had an origin if it left it, began with it, or had a key
 * of that name. */
static int insert(struct pg *tx, const struct ledger_reopening *reopening, struct fault *fault)
{
    static const struct pg_statement put = {
        "ledger_reopening_insert",
        "INSERT INTO ledger_reopening (origin, previous_origin, size, root, event_id) "
        "SELECT $1, $2, $3, $4, $5 "
        "WHERE NOT EXISTS (SELECT FROM ledger_reopening WHERE $1 IN (origin, previous_origin)) "
        "AND NOT EXISTS (SELECT FROM ledger_reopening WHERE previous_origin = $2) "
        "AND NOT EXISTS (SELECT FROM ledger_key_change WHERE origin = $1)"};
    struct pg_params params = {0};
    pg_text(&params, reopening->origin);
    pg_text(&params, reopening->previous_origin);
    pg_int8(&params, (int64_t)reopening->size);
    pg_digest(&params, &reopening->root);
    pg_uuid(&params, &reopening->event_id);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_step(tx, &put, &params, &result, fault) != 0)
        return -1;
    return pg_affected(result) == 1
               ? 0
               : fault_set(fault, FAULT_STATE_CONFLICT,
                           "the log has been %.80s before, or has left %.80s already: a name is "
                           "used once",
                           reopening->origin, reopening->previous_origin);
}

/* What had stopped the old log is said in the event. */
static int let_go(struct pg *tx, struct fault *fault)
{
    static const struct pg_statement clear = {
        "ledger_reopening_clear",
        "UPDATE ledger_lease SET problem = NULL, holder = NULL, expires_at = '-infinity', "
        "updated_at = clock_timestamp()"};
    return pg_step(tx, &clear, NULL, NULL, fault);
}

int ledger_reopening_commit(struct pg *pg, const struct ledger_lease *lease,
                            const struct ledger_reopening *reopening, const struct event *event,
                            bool *ret_led, struct fault *fault)
{
    bool led, same = false;
    AUTO_PG_TX struct pg *tx = pg;
    pg_begin(tx, NULL);
    if (ledger_lease_lock(tx, lease, &led, NULL, fault) != 0 ||
        (led && ledger_batch_head_is(tx, reopening->size, &reopening->root, &same, fault) != 0))
        return -1;
    if (!led || !same) {
        *ret_led = false;
        return 0;
    }
    if (insert(tx, reopening, fault) != 0 || let_go(tx, fault) != 0 ||
        events_commit(tx, &event, 1, fault) != 0)
        return -1;
    *ret_led = true;
    return 0;
}
