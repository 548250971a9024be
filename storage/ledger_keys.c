/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/ledger_keys.h"

#include "storage/events.h"
#include "storage/ledger_reopening.h"

#include <string.h>

#define CHANGES_MAX 8

int ledger_keys_read(struct pg *pg, const char *origin, struct ledger_keys_known *ret_known,
                     struct fault *fault)
{
    static const struct pg_statement read = {
        "ledger_keys_read",
        "SELECT (SELECT count(*)::integer FROM ledger_key_change), a.vkey, "
        "EXISTS (SELECT FROM ledger_key_change r WHERE r.vkey = a.vkey AND r.change = 'retired') "
        "FROM (VALUES (1)) one LEFT JOIN ledger_key_change a "
        "ON a.origin = $1 AND a.change = 'added' ORDER BY a.change_no"};
    struct pg_params params = {0};
    pg_text(&params, origin);
    AUTO_PGRESULT PGresult *rows = NULL;
    if (pg_query(pg, NULL, &read, &params, &rows, fault) != 0)
        return -1;
    if (PQntuples(rows) > LEDGER_KEYS_MAX)
        return fault_set(fault, FAULT_TOO_LARGE, "the log has had more than %d keys",
                         LEDGER_KEYS_MAX);
    ret_known->changes = (int)pg_get_int(rows, 0, 0);
    ret_known->count = 0;
    for (int row = 0; row < PQntuples(rows); row++) {
        if (pg_is_null(rows, row, 1))
            continue; /* none of this origin */
        struct ledger_key *key = &ret_known->keys[ret_known->count++];
        (void)snprintf(key->vkey, sizeof key->vkey, "%s", pg_get_text(rows, row, 1));
        key->retired = pg_get_bool(rows, row, 2);
    }
    return 0;
}

const struct ledger_key *ledger_keys_find(const struct ledger_keys_known *known,
                                          const struct note_verifier *verifier)
{
    AUTO_BUF struct buf vkey = BUF(LEDGER_VKEY_MAX);
    note_verifier_format(verifier, &vkey);
    for (size_t i = 0; i < known->count; i++)
        if (strcmp(known->keys[i].vkey, buf_text(&vkey)) == 0)
            return &known->keys[i];
    return NULL;
}

/* In a statement after the lock: its snapshot sees every change that was committed under it. */
static int compare(struct pg *tx, const char *origin, const struct ledger_keys_known *known,
                   bool *ret_same, struct fault *fault)
{
    static const struct pg_statement read = {"ledger_keys_compare",
                                             "SELECT count(*)::integer FROM ledger_key_change"};
    AUTO_PGRESULT PGresult *row = NULL;
    if (ledger_reopening_step(tx, origin, fault) != 0 || pg_step(tx, &read, NULL, &row, fault) != 0)
        return -1;
    *ret_same = pg_get_int(row, 0, 0) == known->changes;
    return 0;
}

static int insert_change(struct pg *tx, const char *origin, int change_no, uint64_t size,
                         const struct ledger_key_change *change, struct fault *fault)
{
    static const struct pg_statement insert = {
        "ledger_keys_insert",
        "INSERT INTO ledger_key_change (change_no, origin, vkey, change, retires, size, event_id) "
        "VALUES ($1, $2, $3, $4, CASE $4 WHEN 'retired' THEN 'added' END, $5, $6)"};
    struct pg_params params = {0};
    pg_int4(&params, change_no);
    pg_text(&params, origin);
    pg_text(&params, change->vkey);
    pg_text(&params, change->retired ? "retired" : "added");
    pg_int8(&params, (int64_t)size);
    pg_uuid(&params, &change->event->id);
    return pg_step(tx, &insert, &params, NULL, fault);
}

int ledger_keys_change(struct pg *pg, const struct ledger_lease *lease, const char *origin,
                       const struct ledger_keys_known *known, uint64_t size,
                       const struct ledger_key_change *changes, size_t count, bool *ret_led,
                       struct fault *fault)
{
    const struct event *events[CHANGES_MAX];
    bool led, same;
    AUTO_PG_TX struct pg *tx = pg;
    if (count > CHANGES_MAX)
        return fault_set(fault, FAULT_INTERNAL, "ledger: %zu changes of keys at once", count);
    pg_begin(tx, NULL);
    if (ledger_lease_lock(tx, lease, &led, NULL, fault) != 0 ||
        (led && compare(tx, origin, known, &same, fault) != 0))
        return -1;
    if (!led || !same) {
        *ret_led = false;
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        events[i] = changes[i].event;
        if (insert_change(tx, origin, known->changes + (int)i + 1, size, &changes[i], fault) != 0)
            return -1;
    }
    if (events_commit(tx, events, count, fault) != 0)
        return -1;
    *ret_led = true;
    return 0;
}
