/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: events get contiguous places in their order, exactly once, whoever inserts them. */
#include "base/clock.h"
#include "storage/ledger_batch.h"
#include "tests/support/ledger_fixture.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_an_empty_log_stays_empty(void **state)
{
    struct ledger_fixture *fixture = *state;
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    ledger_fixture_settle(sequencer);
    struct sequencer_status status;
    sequencer_status(sequencer, &status);
    assert_int_equal(status.role, SEQUENCER_LEADER);
    assert_int_equal(status.size, 0);
    assert_int_equal(status.checkpoints, 0);
    ledger_fixture_verify(fixture, 0);
}

static void test_one_connection_s_events_keep_their_order(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    for (int i = 0; i < 20; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "step-%02d", i);
        assert_ok(ledger_fixture_insert(fixture->api, FIXTURE_TENANT, FIXTURE_ACCEPTED, name, 15,
                                        &fault));
    }
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    ledger_fixture_settle(sequencer);
    ledger_fixture_verify(fixture, 300);
    assert_int_equal(ledger_fixture_number(fixture,
                                           "SELECT count(*) FROM ledger_entry l JOIN event e "
                                           "USING (event_id) WHERE convert_from(e.body, 'UTF8') <> "
                                           "format('{\"name\":\"step-%s\",\"n\":%s}', "
                                           "lpad((l.idx / 15)::text, 2, '0'), l.idx % 15 + 1)"),
                     0);
}

/* Batches end where they end; the tree is the same. */
static void test_batches_of_all_sizes_make_one_tree(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    static const int sizes[] = {1, 1, 2, 252, 1, 255, 256, 257, 511, 1};
    struct sequencer_config config = ledger_fixture_config(fixture);
    config.batch_max = 200;
    AUTO_SEQUENCER struct sequencer *sequencer = NULL;
    assert_ok(sequencer_open(&config, &sequencer, &fault));
    uint64_t total = 0;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        assert_ok(ledger_fixture_insert(fixture->api, FIXTURE_TENANT, FIXTURE_ACCEPTED, "some",
                                        sizes[i], &fault));
        total += (uint64_t)sizes[i];
        ledger_fixture_settle(sequencer);
        ledger_fixture_verify(fixture, total);
    }
    struct sequencer_status status;
    sequencer_status(sequencer, &status);
    assert_int_equal(status.size, total);
    assert_int_equal(status.signed_size, total);
    assert_int_equal(status.events, total);
    assert_true(status.batches > ARRAY_LEN(sizes));
}

/* Between two looks events gather; what is there already is not made to wait for more. */
static void test_a_trickle_is_gathered(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct sequencer_status status;
    struct sequencer_config config = ledger_fixture_config(fixture);
    config.look_every_ms = 1000;
    config.batch_max = 8;
    AUTO_SEQUENCER struct sequencer *sequencer = NULL;
    assert_ok(sequencer_open(&config, &sequencer, &fault));
    int64_t began = clock_monotonic_ms();
    ledger_fixture_settle(sequencer);
    int wait_ms = 0;
    assert_ok(
        ledger_fixture_insert(fixture->api, FIXTURE_TENANT, FIXTURE_ACCEPTED, "one", 1, &fault));
    assert_ok(sequencer_turn(sequencer, &wait_ms, &fault));
    sequencer_status(sequencer, &status);
    /* Unless the machine stood still that long. */
    assert_true(status.size == 0 || clock_monotonic_ms() - began >= config.look_every_ms);
    bool together = status.size == 0;
    assert_ok(
        ledger_fixture_insert(fixture->api, FIXTURE_TENANT, FIXTURE_ACCEPTED, "two", 1, &fault));
    while (status.signed_size < 2) {
        assert_ok(sequencer_wait(sequencer, -1, wait_ms, &fault));
        assert_ok(sequencer_turn(sequencer, &wait_ms, &fault));
        sequencer_status(sequencer, &status);
    }
    assert_int_equal(status.batches, together ? 1 : 2);
    ledger_fixture_verify(fixture, 2);

    uint64_t before = status.batches;
    assert_ok(
        ledger_fixture_insert(fixture->api, FIXTURE_TENANT, FIXTURE_ACCEPTED, "many", 33, &fault));
    while (status.size == 2) {
        assert_ok(sequencer_wait(sequencer, -1, wait_ms, &fault));
        assert_ok(sequencer_turn(sequencer, &wait_ms, &fault));
        sequencer_status(sequencer, &status);
    }
    while (status.size < 35) {
        assert_int_equal(wait_ms, 0);
        assert_ok(sequencer_turn(sequencer, &wait_ms, &fault));
        sequencer_status(sequencer, &status);
    }
    assert_int_equal(status.batches, before + 5); /* 8, 8, 8, 8, 1 */
    ledger_fixture_settle(sequencer);
    ledger_fixture_verify(fixture, 35);
}

#define INSERTERS 4
#define ROUNDS 100
#define ROUND_EVENTS 25 /* 4 * 100 * 25 = 10,000 events */

struct inserter {
    struct ledger_fixture *fixture;
    int number;
    bool failed;
    struct fault fault;
};

/* Multi-row inserts, each followed by one that is rolled back: a gap in seq. */
static int insert_rounds(struct inserter *inserter)
{
    struct pg_cluster *cluster = inserter->fixture->cluster;
    bool worker = inserter->number % 2 != 0;
    const char *type = worker ? FIXTURE_STARTED : FIXTURE_ACCEPTED;
    struct fault *fault = &inserter->fault;
    AUTO_PG struct pg *pg = NULL;
    static const struct pg_statement abandoned = {
        "abandoned", "INSERT INTO event (event_id, tenant_id, type, subject, hash, body) "
                     "VALUES (gen_random_uuid(), 'acme', $1, 'gone', sha256('\\x00'), '\\x00')"};
    if (pg_open(pg_cluster_conninfo(cluster, worker ? "sallyport_worker" : "sallyport_api"), "test",
                &pg, fault) != 0)
        return -1;
    for (int i = 0; i < ROUNDS; i++) {
        char name[32];
        const char *tenants[] = {FIXTURE_TENANT, NULL};
        struct pg_params params = {0};
        (void)snprintf(name, sizeof name, "%d-%03d", inserter->number, i);
        if (ledger_fixture_insert(pg, FIXTURE_TENANT, type, name, ROUND_EVENTS, fault) != 0)
            return -1;
        pg_text(&params, type);
        pg_begin(pg, tenants);
        if (pg_step(pg, &abandoned, &params, NULL, fault) != 0)
            return -1;
        pg_rollback(pg);
    }
    return 0;
}

static void *inserter_main(void *argument)
{
    struct inserter *inserter = argument;
    inserter->failed = insert_rounds(inserter) != 0;
    return NULL;
}

static void test_ten_thousand_events_of_concurrent_inserters(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct inserter inserters[INSERTERS];
    pthread_t threads[INSERTERS];
    /* Connection strings are made by the main thread. */
    (void)pg_cluster_conninfo(fixture->cluster, "sallyport_worker");
    (void)pg_cluster_conninfo(fixture->cluster, "sallyport_api");
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    for (int i = 0; i < INSERTERS; i++) {
        inserters[i] = (struct inserter){.fixture = fixture, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, inserter_main, &inserters[i]), 0);
    }
    struct sequencer_status status = {0};
    while (status.events < (uint64_t)INSERTERS * ROUNDS * ROUND_EVENTS / 2) {
        ledger_fixture_settle(sequencer); /* in the midst of them */
        sequencer_status(sequencer, &status);
    }
    for (int i = 0; i < INSERTERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        fixture_assert_ok(inserters[i].failed ? -1 : 0, &inserters[i].fault, __FILE__, __LINE__);
    }
    ledger_fixture_settle(sequencer);
    ledger_fixture_verify(fixture, (uint64_t)INSERTERS * ROUNDS * ROUND_EVENTS);
    /* What one connection committed later has a greater place. */
    assert_int_equal(
        ledger_fixture_number(
            fixture, "SELECT count(*) FROM (SELECT b->>'name' AS name, (b->>'n')::integer AS n, "
                     "lag(b->>'name') OVER w AS before, lag((b->>'n')::integer) OVER w AS n_before "
                     "FROM (SELECT l.idx, convert_from(e.body, 'UTF8')::json AS b "
                     "FROM ledger_entry l JOIN event e USING (event_id)) x "
                     "WINDOW w AS (PARTITION BY left(b->>'name', 1) ORDER BY idx)) y "
                     "WHERE (before, n_before) >= (name, n)"),
        0);
}

/* An event's place is for ever: its index and hash are those that were seen first. */
static void test_places_never_change(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    assert_ok(ledger_fixture_insert(fixture->api, FIXTURE_TENANT, FIXTURE_ACCEPTED, "first", 300,
                                    &fault));
    ledger_fixture_settle(sequencer);
    assert_ok(
        pg_execute(fixture->super, "CREATE TABLE seen AS SELECT * FROM ledger_entry", &fault));
    assert_ok(ledger_fixture_insert(fixture->api, FIXTURE_TENANT, FIXTURE_ACCEPTED, "second", 700,
                                    &fault));
    ledger_fixture_settle(sequencer);
    assert_int_equal(ledger_fixture_number(fixture,
                                           "SELECT count(*) FROM seen s "
                                           "JOIN ledger_entry l ON s IS NOT DISTINCT FROM l"),
                     300);
}

static void test_partition_is_made_ahead_of_need(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    assert_ok(ledger_partition_make(fixture->ledger, (uint64_t)1 << 24, &fault));
    assert_ok(ledger_partition_make(fixture->ledger, (uint64_t)1 << 24, &fault));
    assert_ok(pg_execute(fixture->ledger,
                         "INSERT INTO ledger_entry (idx, event_id, tenant_id, hash) VALUES "
                         "(16777216, gen_random_uuid(), 'acme', sha256(''))",
                         &fault));
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_entry_1"), 1);
    /* Long readers and writers are not in the way, nor it in theirs. */
    assert_ok(pg_execute(fixture->super,
                         "BEGIN; SELECT count(*) FROM ledger_entry; "
                         "INSERT INTO ledger_entry (idx, event_id, tenant_id, hash) VALUES "
                         "(16777217, gen_random_uuid(), 'acme', sha256(''))",
                         &fault));
    assert_ok(ledger_partition_make(fixture->ledger, (uint64_t)3 << 24, &fault));
    assert_ok(pg_execute(fixture->super, "COMMIT", &fault));
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_entry_1"), 2);
    /* Maintenance is: it says so soon. */
    assert_ok(pg_execute(fixture->super,
                         "BEGIN; LOCK TABLE ledger_entry IN SHARE UPDATE EXCLUSIVE MODE", &fault));
    assert_fault(ledger_partition_make(fixture->ledger, (uint64_t)2 << 24, &fault),
                 FAULT_UNAVAILABLE, "lock");
    assert_ok(pg_execute(fixture->super, "ROLLBACK", &fault));
    assert_ok(ledger_partition_make(fixture->ledger, (uint64_t)2 << 24, &fault));
    /* As good as those made otherwise: the same indexes, attached, and append-only. */
    assert_int_equal(ledger_fixture_number(
                         fixture, "SELECT count(*) FROM pg_inherits i JOIN pg_class c ON c.oid = "
                                  "i.inhrelid WHERE c.relkind = 'i' AND i.inhparent IN "
                                  "('ledger_entry_pkey'::regclass, 'ledger_entry_event'::regclass, "
                                  "'ledger_entry_tenant'::regclass)"),
                     4 * 3);
    assert_fault(pg_execute(fixture->super, "DELETE FROM ledger_entry_1", &fault), FAULT_INTERNAL,
                 "append-only");
    assert_int_equal(
        ledger_fixture_number(fixture,
                              "SELECT count(*) FROM pg_class WHERE relname LIKE "
                              "'ledger\\_entry\\__' AND relrowsecurity AND relforcerowsecurity"),
        4);
}

int main(void)
{
#define LEDGER_TEST(name)                                                                          \
    cmocka_unit_test_setup_teardown(name, ledger_fixture_setup, ledger_fixture_teardown)
    const struct CMUnitTest tests[] = {
        LEDGER_TEST(test_an_empty_log_stays_empty),
        LEDGER_TEST(test_one_connection_s_events_keep_their_order),
        LEDGER_TEST(test_batches_of_all_sizes_make_one_tree),
        LEDGER_TEST(test_a_trickle_is_gathered),
        LEDGER_TEST(test_ten_thousand_events_of_concurrent_inserters),
        LEDGER_TEST(test_places_never_change),
        LEDGER_TEST(test_partition_is_made_ahead_of_need),
    };
    return cmocka_run_group_tests_name("ledger_append", tests, ledger_fixture_group_setup,
                                       ledger_fixture_group_teardown);
}
