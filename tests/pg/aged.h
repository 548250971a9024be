/* SPDX-License-Identifier: Apache-2.0 */
/* A log whose events have an age: their batches are moved into the past, as no role can do it. */
#pragma once

#include "storage/retention.h"
#include "tests/support/ledger_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define NOTICE "io.sallyport.events.expired.v1"
#define HOUR 1
#define DAY 24

/* The tenant keeps its events for so many days; 0: for ever. */
static inline void aged_policy(struct ledger_fixture *fixture, const char *tenant, int days)
{
    struct fault fault;
    char sql[320];
    (void)snprintf(sql, sizeof sql,
                   "INSERT INTO tenant (tenant_id, event_retention_days) VALUES ('%s', nullif(%d, "
                   "0)) ON CONFLICT (tenant_id) DO UPDATE SET event_retention_days = nullif(%d, 0)",
                   tenant, days, days);
    assert_ok(pg_execute(fixture->super, sql, &fault));
}

/* Batches that end above `above` were made so many hours ago. */
static inline void aged_batches(struct ledger_fixture *fixture, int64_t above, int hours)
{
    char sql[160];
    (void)snprintf(sql, sizeof sql,
                   "UPDATE ledger_batch SET created_at = now() - interval '%d hours' WHERE size > "
                   "%d",
                   hours, (int)above);
    ledger_fixture_tamper(fixture, sql);
}

/* `count` events of the tenant, ordered and signed, that old. */
static inline void aged_events(struct ledger_fixture *fixture, struct sequencer *sequencer,
                               const char *tenant, const char *type, int count, int hours)
{
    struct fault fault;
    int64_t before = ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_entry");
    assert_ok(ledger_fixture_insert(fixture->super, tenant, type, "aged", count, &fault));
    ledger_fixture_settle(sequencer);
    aged_batches(fixture, before, hours);
}

/* How many of the tenant's events have no body any more. */
static inline int64_t aged_gone(struct ledger_fixture *fixture, const char *tenant)
{
    char sql[128];
    (void)snprintf(sql, sizeof sql,
                   "SELECT count(*) FROM event WHERE tenant_id = '%s' AND body IS NULL", tenant);
    return ledger_fixture_number(fixture, sql);
}

/* One batch as the ledger's role, without its event; what it says. */
static inline struct retention_batch aged_take(struct ledger_fixture *fixture, const char *tenant,
                                               int most)
{
    struct fault fault;
    struct retention_batch batch;
    assert_ok(retention_take(fixture->ledger, tenant, most, &batch, &fault));
    assert_ok(retention_commit(fixture->ledger, NULL, &fault));
    return batch;
}

#define AGED_TEST(name)                                                                            \
    cmocka_unit_test_setup_teardown(name, ledger_fixture_setup, ledger_fixture_teardown)
