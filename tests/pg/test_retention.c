/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: bodies of events expire when their tenant's policy says so: not before, no others, and
 * nothing but the body and its subject. */
#include "base/clock.h"
#include "sequencer/retention.h"
#include "tests/pg/aged.h"

static void test_not_before_its_time(void **state)
{
    struct ledger_fixture *fixture = *state;
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    aged_policy(fixture, FIXTURE_TENANT, 2);
    static const struct {
        int hours, gone;
    } steps[] = {{0, 0}, {DAY, 0}, {2 * DAY - HOUR, 0}, {2 * DAY + HOUR, 10}, {2 * DAY + HOUR, 0}};
    aged_events(fixture, sequencer, FIXTURE_TENANT, FIXTURE_ACCEPTED, 10, 0);
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        aged_batches(fixture, 0, steps[i].hours);
        assert_int_equal(aged_take(fixture, FIXTURE_TENANT, 1000).count, steps[i].gone);
    }
    assert_int_equal(aged_gone(fixture, FIXTURE_TENANT), 10);
}

/* A writer's own time is not asked: neither that in the body nor that of a UUIDv7. Nothing
 * overtakes what is to stay. */
static void test_the_batch_s_time_counts(void **state)
{
    struct ledger_fixture *fixture = *state;
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    struct fault fault;
    aged_policy(fixture, FIXTURE_TENANT, 1);
    static const char old[] =
        "INSERT INTO event (event_id, tenant_id, type, subject, hash, body) SELECT "
        "'00000001-0000-7000-8000-000000000001', 'acme', '" FIXTURE_ACCEPTED "', 's', sha256(b), b "
        "FROM (SELECT convert_to('{\"time\":\"1970-01-02T00:00:00Z\"}', 'UTF8') AS b) x";
    assert_ok(pg_execute(fixture->super, old, &fault));
    ledger_fixture_settle(sequencer);
    assert_int_equal(aged_take(fixture, FIXTURE_TENANT, 1000).count, 0);
    aged_events(fixture, sequencer, FIXTURE_TENANT, FIXTURE_ACCEPTED, 3, 2 * DAY);
    assert_int_equal(aged_take(fixture, FIXTURE_TENANT, 1000).count, 0);
    aged_batches(fixture, 0, 2 * DAY);
    assert_int_equal(aged_take(fixture, FIXTURE_TENANT, 1000).count, 4);
}

static void test_without_a_policy_nothing_goes(void **state)
{
    struct ledger_fixture *fixture = *state;
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    char tenant[TENANT_ID_MAX + 1];
    struct fault fault;
    aged_policy(fixture, FIXTURE_TENANT, 0);
    aged_events(fixture, sequencer, FIXTURE_TENANT, FIXTURE_ACCEPTED, 5, 9999 * DAY);
    aged_events(fixture, sequencer, "", FIXTURE_ACCEPTED, 5, 9999 * DAY);
    static const char *const tenants[] = {FIXTURE_TENANT, "", "nobody"};
    for (size_t i = 0; i < ARRAY_LEN(tenants); i++)
        assert_int_equal(aged_take(fixture, tenants[i], 1000).count, 0);
    assert_ok(retention_tenant_next(fixture->ledger, "", tenant, &fault));
    assert_string_equal(tenant, "");
    assert_int_equal(aged_gone(fixture, FIXTURE_TENANT) + aged_gone(fixture, ""), 0);
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM event_retention"), 0);
}

static void test_tenants_with_a_policy_in_their_order(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    char tenant[TENANT_ID_MAX + 1] = "";
    static const char *const expected[] = {"a", "b.c", "z", ""};
    static const char *const keepers[] = {"a0", "b", "zz"};
    for (size_t i = 0; i < ARRAY_LEN(keepers); i++)
        aged_policy(fixture, keepers[i], 0);
    for (size_t i = 0; i + 1 < ARRAY_LEN(expected); i++)
        aged_policy(fixture, expected[i], 30);
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        assert_ok(retention_tenant_next(fixture->ledger, tenant, tenant, &fault));
        assert_string_equal(tenant, expected[i]);
    }
}

/* What no checkpoint covers is not given up: its hash is nowhere yet but in this database. */
static void test_what_is_not_signed_stays(void **state)
{
    struct ledger_fixture *fixture = *state;
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    aged_policy(fixture, FIXTURE_TENANT, 1);
    aged_events(fixture, sequencer, FIXTURE_TENANT, FIXTURE_ACCEPTED, 4, 3 * DAY);
    aged_events(fixture, sequencer, FIXTURE_TENANT, FIXTURE_ACCEPTED, 6, 2 * DAY);
    ledger_fixture_tamper(fixture, "DELETE FROM ledger_checkpoint WHERE size > 4");
    struct retention_batch batch = aged_take(fixture, FIXTURE_TENANT, 1000);
    assert_int_equal(batch.count, 4);
    assert_int_equal(batch.last, 3);
    ledger_fixture_tamper(fixture, "DELETE FROM ledger_checkpoint");
    assert_int_equal(aged_take(fixture, FIXTURE_TENANT, 1000).count, 0);
}

/* While the ledger has stopped all of it is evidence. */
static void test_nothing_goes_while_the_ledger_has_stopped(void **state)
{
    struct ledger_fixture *fixture = *state;
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    struct fault fault;
    aged_policy(fixture, FIXTURE_TENANT, 1);
    aged_events(fixture, sequencer, FIXTURE_TENANT, FIXTURE_ACCEPTED, 4, 3 * DAY);
    assert_ok(pg_execute(fixture->super, "UPDATE ledger_lease SET problem = 'edited'", &fault));
    assert_int_equal(aged_take(fixture, FIXTURE_TENANT, 1000).count, 0);
    assert_ok(pg_execute(fixture->super, "UPDATE ledger_lease SET problem = NULL", &fault));
    assert_int_equal(aged_take(fixture, FIXTURE_TENANT, 1000).count, 4);
}

static void test_other_tenants_keep_theirs(void **state)
{
    struct ledger_fixture *fixture = *state;
    ledger_fixture_two_tenants(fixture, 2);
    aged_policy(fixture, FIXTURE_TENANT, 1);
    aged_policy(fixture, FIXTURE_OTHER, 30);
    aged_batches(fixture, 0, 2 * DAY);
    struct retention_batch batch = aged_take(fixture, FIXTURE_TENANT, 1000);
    assert_int_equal(batch.count, 40);
    assert_int_equal(batch.first, 0);
    assert_int_equal(batch.last, 99);
    assert_int_equal(aged_take(fixture, FIXTURE_OTHER, 1000).count, 0);
    assert_int_equal(aged_gone(fixture, FIXTURE_TENANT), 40);
    assert_int_equal(aged_gone(fixture, FIXTURE_OTHER), 0);
}

/* A batch is bounded, and the next one goes on behind it. */
static void test_batches_follow_one_another(void **state)
{
    struct ledger_fixture *fixture = *state;
    ledger_fixture_two_tenants(fixture, 1); /* 0 to 14 and 45 to 49 are the tenant's */
    aged_policy(fixture, FIXTURE_TENANT, 7);
    aged_batches(fixture, 0, 8 * DAY);
    static const struct retention_batch expected[] = {
        {.count = 8, .first = 0, .last = 7, .more = true},
        {.count = 8, .first = 8, .last = 45, .more = true},
        {.count = 4, .first = 46, .last = 49},
        {.count = 0}};
    int64_t now = clock_wall_ms();
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        struct retention_batch batch = aged_take(fixture, FIXTURE_TENANT, 8);
        assert_int_equal(batch.count, expected[i].count);
        assert_int_equal(batch.first, expected[i].first);
        assert_int_equal(batch.last, expected[i].last);
        assert_int_equal(batch.more, expected[i].more);
        if (batch.count == 0)
            continue;
        assert_int_equal(batch.days, 7);
        assert_true(now - batch.before_ms < (int64_t)8 * DAY * 3600 * 1000);
        assert_true(now - batch.before_ms > (int64_t)6 * DAY * 3600 * 1000);
    }
    struct fault fault;
    struct retention_batch batch;
    assert_fault(retention_take(fixture->ledger, FIXTURE_TENANT, 0, &batch, &fault), FAULT_INTERNAL,
                 "a batch of 0");
    assert_fault(
        retention_take(fixture->ledger, FIXTURE_TENANT, RETENTION_BATCH_MAX + 1, &batch, &fault),
        FAULT_INTERNAL, "a batch of 10001");
}

/* The row is the tombstone: hash, type and execution stay, body and subject are gone. */
static void test_what_is_left(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    ledger_fixture_two_tenants(fixture, 1);
    assert_ok(
        pg_execute(fixture->super, "CREATE TABLE public.kept AS SELECT * FROM event", &fault));
    aged_policy(fixture, FIXTURE_TENANT, 1);
    aged_batches(fixture, 0, 2 * DAY);
    assert_int_equal(aged_take(fixture, FIXTURE_TENANT, 1000).count, 20);
    assert_int_equal(
        ledger_fixture_number(fixture, "SELECT count(*) FROM event e JOIN public.kept k USING "
                                       "(event_id, tenant_id, type, hash) WHERE e.execution_id IS "
                                       "NOT DISTINCT FROM k.execution_id AND e.body IS NULL AND "
                                       "e.subject = '' AND k.subject <> '' AND e.expired_at <= "
                                       "clock_timestamp() AND e.tenant_id = 'acme'"),
        20);
    assert_int_equal(ledger_fixture_number(fixture,
                                           "SELECT count(*) FROM event e JOIN public.kept k USING "
                                           "(event_id, tenant_id, type, hash, body, subject) WHERE "
                                           "e.expired_at IS NULL AND e.tenant_id = 'globex'"),
                     30);
}

/* The event that says so is the tenant's, in the same commit; it waits for its place like others.
 */
static void test_what_has_expired_is_said(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    int64_t count;
    bool more;
    ledger_fixture_two_tenants(fixture, 1);
    aged_policy(fixture, FIXTURE_TENANT, 7);
    aged_batches(fixture, 0, 8 * DAY);
    assert_ok(retention_expire(fixture->ledger, "node", FIXTURE_TENANT, 16, &count, &more, &fault));
    assert_int_equal(count, 16);
    assert_true(more);
    assert_ok(retention_expire(fixture->ledger, "node", FIXTURE_TENANT, 16, &count, &more, &fault));
    assert_int_equal(count, 4);
    assert_false(more);
    assert_ok(retention_expire(fixture->ledger, "node", FIXTURE_TENANT, 16, &count, &more, &fault));
    assert_int_equal(count, 0);
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM event_pending"), 2);
    assert_int_equal(
        ledger_fixture_number(
            fixture,
            "SELECT count(*) FROM event e, LATERAL (SELECT convert_from(e.body, 'UTF8')::jsonb AS "
            "b) x WHERE e.type = '" NOTICE "' AND e.tenant_id = 'acme' AND b ->> 'tenantid' = "
            "'acme' AND b ->> 'type' = e.type AND (b -> 'data') - 'before'::text IN ("
            "'{\"count\": 16, \"first_index\": 0, \"last_index\": 45, \"retention_days\": 7}', "
            "'{\"count\": 4, \"first_index\": 46, \"last_index\": 49, \"retention_days\": 7}') "
            "AND (b -> 'data' ->> 'before')::timestamptz BETWEEN now() - interval '169 hours' AND "
            "now() - interval '167 hours'"),
        2);
}

/* No body goes unsaid: where its event cannot be written, nothing has expired. */
static void test_nothing_goes_unsaid(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    int64_t count;
    bool more;
    ledger_fixture_two_tenants(fixture, 1);
    aged_policy(fixture, FIXTURE_TENANT, 1);
    aged_batches(fixture, 0, 2 * DAY);
    assert_ok(pg_execute(fixture->super,
                         "ALTER TABLE event ADD CONSTRAINT mute CHECK (type <> "
                         "'" NOTICE "') NOT VALID",
                         &fault));
    assert_fault(
        retention_expire(fixture->ledger, "node", FIXTURE_TENANT, 100, &count, &more, &fault),
        FAULT_INTERNAL, "23514");
    assert_int_equal(aged_gone(fixture, FIXTURE_TENANT), 0);
    assert_int_equal(
        ledger_fixture_number(fixture, "SELECT count(*) FROM event_retention WHERE expired_to > 0"),
        0);
}

/* Events that say what has expired do not keep each other going. */
static void test_notices_expire_in_company(void **state)
{
    struct ledger_fixture *fixture = *state;
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    aged_policy(fixture, FIXTURE_TENANT, 1);
    aged_events(fixture, sequencer, FIXTURE_TENANT, NOTICE, 3, 2 * DAY);
    for (int i = 0; i < 3; i++)
        assert_int_equal(aged_take(fixture, FIXTURE_TENANT, 100).count, 0);
    aged_events(fixture, sequencer, FIXTURE_TENANT, FIXTURE_ACCEPTED, 1, 2 * DAY);
    aged_events(fixture, sequencer, FIXTURE_TENANT, NOTICE, 2, 2 * DAY);
    assert_int_equal(aged_take(fixture, FIXTURE_TENANT, 100).count, 6);
    /* So many that they would stand in the way of others go, too. */
    aged_events(fixture, sequencer, FIXTURE_TENANT, NOTICE, 5, 2 * DAY);
    assert_int_equal(aged_take(fixture, FIXTURE_TENANT, 6).count, 0);
    assert_int_equal(aged_take(fixture, FIXTURE_TENANT, 5).count, 5);
}

/* An event that is not what the ledger recorded is evidence: it stays, and all the tenant's with
 * it, and it is said which. */
static void test_evidence_does_not_expire(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct retention_batch batch;
    static const char *const edits[] = {
        "ALTER TABLE event DROP CONSTRAINT event_check; UPDATE event SET body = '{\"forged\":1}' "
        "WHERE event_id = (SELECT event_id FROM ledger_entry WHERE idx = 7)",
        "UPDATE event SET body = '{\"forged\":1}', hash = sha256('{\"forged\":1}') WHERE event_id "
        "= (SELECT event_id FROM ledger_entry WHERE idx = 7)",
        "UPDATE event SET tenant_id = 'globex' WHERE event_id = (SELECT event_id FROM ledger_entry "
        "WHERE idx = 7)",
        "DELETE FROM event WHERE event_id = (SELECT event_id FROM ledger_entry WHERE idx = 7)"};
    ledger_fixture_two_tenants(fixture, 1);
    aged_policy(fixture, FIXTURE_TENANT, 1);
    aged_batches(fixture, 0, 2 * DAY);
    for (size_t i = 0; i < ARRAY_LEN(edits); i++) {
        ledger_fixture_tamper(fixture, edits[i]);
        assert_fault(retention_take(fixture->ledger, FIXTURE_TENANT, 1000, &batch, &fault),
                     FAULT_INTERNAL, "entry 7 ");
        assert_int_equal(aged_gone(fixture, FIXTURE_TENANT), 0);
    }
    /* What lies before it is no evidence. */
    assert_int_equal(aged_take(fixture, FIXTURE_TENANT, 7).count, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        AGED_TEST(test_not_before_its_time),
        AGED_TEST(test_the_batch_s_time_counts),
        AGED_TEST(test_without_a_policy_nothing_goes),
        AGED_TEST(test_tenants_with_a_policy_in_their_order),
        AGED_TEST(test_what_is_not_signed_stays),
        AGED_TEST(test_nothing_goes_while_the_ledger_has_stopped),
        AGED_TEST(test_other_tenants_keep_theirs),
        AGED_TEST(test_batches_follow_one_another),
        AGED_TEST(test_what_is_left),
        AGED_TEST(test_what_has_expired_is_said),
        AGED_TEST(test_nothing_goes_unsaid),
        AGED_TEST(test_notices_expire_in_company),
        AGED_TEST(test_evidence_does_not_expire),
    };
    return cmocka_run_group_tests_name("retention", tests, ledger_fixture_group_setup,
                                       ledger_fixture_group_teardown);
}
