/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: whoever is paused, killed or cut off, the log is one log, and no event is lost or doubled.
 */
#include "base/clock.h"
#include "storage/ledger_batch.h"
#include "tests/support/ledger_fixture.h"
#include "tests/support/ledger_process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct sequencer *another(struct ledger_fixture *fixture, const char *node, int lease_ms)
{
    struct fault fault;
    struct sequencer *sequencer = NULL;
    char state_file[160];
    struct sequencer_config config = ledger_fixture_config(fixture);
    (void)snprintf(state_file, sizeof state_file, "%s/%s", fixture->folder, node);
    config.node = node;
    config.state_file = state_file;
    config.lease_ms = lease_ms;
    assert_ok(sequencer_open(&config, &sequencer, &fault));
    return sequencer;
}

static void insert(struct ledger_fixture *fixture, const char *name, int count)
{
    struct fault fault;
    assert_ok(
        ledger_fixture_insert(fixture->api, FIXTURE_TENANT, FIXTURE_ACCEPTED, name, count, &fault));
}

static enum sequencer_role role_of(struct sequencer *sequencer)
{
    struct sequencer_status status;
    sequencer_status(sequencer, &status);
    return status.role;
}

static int turn(struct sequencer *sequencer, struct fault *fault)
{
    int wait_ms;
    return sequencer_turn(sequencer, &wait_ms, fault);
}

static void test_one_leads_and_hands_over(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    AUTO_SEQUENCER struct sequencer *a = another(fixture, "a", 60000);
    AUTO_SEQUENCER struct sequencer *b = another(fixture, "b", 60000);
    insert(fixture, "first", 100);
    ledger_fixture_settle(a);
    insert(fixture, "second", 100);
    assert_ok(turn(b, &fault));
    assert_int_equal(role_of(b), SEQUENCER_STANDBY);
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM event_pending"), 100);
    assert_ok(sequencer_ready(a, &fault));
    assert_ok(sequencer_ready(b, &fault));
    assert_ok(sequencer_release(a, &fault));
    ledger_fixture_settle(b);
    ledger_fixture_verify(fixture, 200);
    assert_int_equal(ledger_fixture_number(fixture, "SELECT max(epoch) FROM ledger_batch"), 2);
}

/* The leader sleeps between two batches until another has taken over and gone on. */
static void test_a_leader_paused_between_batches(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    AUTO_SEQUENCER struct sequencer *a = another(fixture, "a", 300);
    AUTO_SEQUENCER struct sequencer *b = another(fixture, "b", 60000);
    insert(fixture, "first", 300);
    ledger_fixture_settle(a);
    insert(fixture, "second", 300);
    ledger_fixture_settle(b); /* waits for a's lease to run out */
    insert(fixture, "third", 300);
    assert_ok(turn(a, &fault));
    assert_int_equal(role_of(a), SEQUENCER_STANDBY);
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM event_pending"), 300);
    ledger_fixture_settle(b);
    assert_ok(sequencer_release(b, &fault));
    insert(fixture, "fourth", 300);
    ledger_fixture_settle(a);
    ledger_fixture_verify(fixture, 1200);
    assert_int_equal(ledger_fixture_number(fixture, "SELECT max(epoch) FROM ledger_batch"), 3);
}

static struct ledger_lease lease_of(struct pg *pg, const char *holder, int duration_ms)
{
    struct fault fault;
    struct ledger_lease lease = {.duration_ms = duration_ms};
    (void)snprintf(lease.holder, sizeof lease.holder, "%s", holder);
    assert_ok(ledger_lease_acquire(pg, &lease, &fault));
    return lease;
}

static struct ledger_batch *take(struct ledger_fixture *fixture, const struct ledger_lease *lease)
{
    struct fault fault;
    enum ledger_batch_outcome outcome;
    const struct digest empty = merkle_empty_root();
    struct ledger_batch *batch = NULL;
    assert_ok(ledger_batch_take(fixture->ledger, lease, 0, &empty, 100, &outcome, &batch, &fault));
    assert_int_equal(outcome, LEDGER_BATCH_TAKEN);
    return batch;
}

/* The leader sleeps in the midst of a batch. Nobody takes over while the database may still commit
 * it, though the lease has run out. */
static void test_a_batch_in_flight_holds_off_a_take_over(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    insert(fixture, "first", 50);
    struct ledger_lease lease = lease_of(fixture->ledger, "sleeper", 200);
    AUTO_LEDGER_BATCH struct ledger_batch *batch = take(fixture, &lease);
    ledger_process_await(fixture,
                         "SELECT (expires_at < clock_timestamp())::integer FROM ledger_lease", 1);
    AUTO_SEQUENCER struct sequencer *b = another(fixture, "b", 60000);
    assert_ok(turn(b, &fault));
    assert_int_equal(role_of(b), SEQUENCER_STANDBY);
    ledger_batch_free(TAKE(batch));
    ledger_fixture_settle(b);
    ledger_fixture_verify(fixture, 50);
}

/* He sleeps on: the database gives his batch up after the lease's time, long before its own. */
static void test_a_leader_paused_in_mid_batch(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    insert(fixture, "first", 50);
    struct ledger_lease lease = lease_of(fixture->ledger, "sleeper", 600);
    assert_int_equal(lease.epoch, 1);
    assert_ok(ledger_session_begin(fixture->ledger, &lease, &fault));
    AUTO_LEDGER_BATCH struct ledger_batch *batch = take(fixture, &lease);
    AUTO_SEQUENCER struct sequencer *b = another(fixture, "b", 60000);
    assert_ok(turn(b, &fault));
    assert_int_equal(role_of(b), SEQUENCER_STANDBY);
    int64_t began = clock_monotonic_ms();
    ledger_fixture_settle(b); /* as soon as it may */
    assert_true(clock_monotonic_ms() - began < 20000);
    ledger_fixture_verify(fixture, 50);
    /* The sleeper wakes. */
    struct merkle_range range = {0};
    for (size_t i = 0; i < ledger_batch_count(batch); i++) {
        struct digest leaf = merkle_entry_leaf(&ledger_batch_entries(batch)[i]);
        assert_ok(merkle_range_append(&range, &leaf, &fault));
    }
    assert_fault(ledger_batch_commit(batch, &range, &fault), FAULT_UNAVAILABLE, "");
    ledger_fixture_verify(fixture, 50);
}

/* Every door that is shut to a leader whose epoch is past, one by one. */
static void test_a_past_epoch_opens_nothing(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    enum ledger_batch_outcome outcome;
    const struct digest empty = merkle_empty_root();
    AUTO_LEDGER_BATCH struct ledger_batch *batch = NULL;
    char problem[LEDGER_PROBLEM_MAX + 1];
    bool led = true;
    insert(fixture, "first", 50);
    struct ledger_lease past = lease_of(fixture->ledger, "a", 60000), released = past;
    assert_ok(ledger_lease_release(fixture->ledger, &released, &fault));
    struct ledger_lease present = lease_of(fixture->ledger, "b", 60000);
    assert_int_equal(present.epoch, past.epoch + 1);
    assert_ok(ledger_batch_take(fixture->ledger, &past, 0, &empty, 100, &outcome, &batch, &fault));
    assert_int_equal(outcome, LEDGER_BATCH_LEASE_LOST);
    assert_ok(ledger_checkpoint_put(fixture->ledger, past.epoch, 7, &empty, span_text("note"), &led,
                                    &fault));
    assert_false(led);
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_checkpoint"), 0);
    struct ledger_lease renewed = past;
    assert_ok(ledger_lease_renew(fixture->ledger, &renewed, problem, &fault));
    assert_int_equal(renewed.epoch, 0);
    released = past;
    assert_ok(ledger_lease_release(fixture->ledger, &released, &fault));
    assert_ok(ledger_lease_renew(fixture->ledger, &present, problem, &fault));
    assert_int_equal(present.epoch, past.epoch + 1);
    /* Somebody else's lease is not to be had while it runs. */
    assert_int_equal(lease_of(fixture->ledger, "c", 60000).epoch, 0);
    /* One who has taken it again himself goes by his last epoch, too. */
    struct ledger_lease again = lease_of(fixture->ledger, "b", 60000);
    assert_int_equal(again.epoch, present.epoch + 1);
    renewed = present;
    assert_ok(ledger_lease_renew(fixture->ledger, &renewed, problem, &fault));
    assert_int_equal(renewed.epoch, 0);
    present = again;
    /* A run-out lease takes no batch, even where nobody has taken over. */
    assert_ok(pg_execute(fixture->super, "UPDATE ledger_lease SET expires_at = now()", &fault));
    assert_ok(
        ledger_batch_take(fixture->ledger, &present, 0, &empty, 100, &outcome, &batch, &fault));
    assert_int_equal(outcome, LEDGER_BATCH_LEASE_LOST);
    assert_null(batch);
}

/* The last line of defence, were all of the above wrong: one head has one successor. */
static void test_two_batches_after_one_head(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    enum ledger_batch_outcome outcome;
    const struct digest empty = merkle_empty_root();
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    insert(fixture, "first", 50);
    ledger_fixture_settle(sequencer);
    assert_fault(pg_execute(fixture->ledger,
                            "INSERT INTO ledger_batch (size, prev_size, root, frontier, epoch) "
                            "VALUES (40, 0, sha256(''), sha256('') || sha256(''), 99)",
                            &fault),
                 FAULT_STATE_CONFLICT, "");
    assert_fault(pg_execute(fixture->ledger,
                            "INSERT INTO ledger_entry (idx, event_id, tenant_id, hash) VALUES "
                            "(49, gen_random_uuid(), 'acme', sha256(''))",
                            &fault),
                 FAULT_STATE_CONFLICT, "");
    /* One who thinks the log is still empty takes nothing. */
    assert_ok(sequencer_release(sequencer, &fault));
    struct ledger_lease lease = lease_of(fixture->ledger, "late", 60000);
    AUTO_LEDGER_BATCH struct ledger_batch *batch = NULL;
    insert(fixture, "second", 50);
    assert_ok(ledger_batch_take(fixture->ledger, &lease, 0, &empty, 100, &outcome, &batch, &fault));
    assert_int_equal(outcome, LEDGER_BATCH_HEAD_MOVED);
    assert_ok(ledger_lease_release(fixture->ledger, &lease, &fault));
    ledger_fixture_settle(sequencer);
    ledger_fixture_verify(fixture, 100);
}

/* A new process finds its place again, wherever the tree's edge is. */
static void test_restarts_rebuild_the_tree(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    static const int counts[] = {1, 254, 1, 1, 255, 700, 3};
    uint64_t total = 0;
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
        insert(fixture, "more", counts[i]);
        total += (uint64_t)counts[i];
        ledger_fixture_settle(sequencer);
        ledger_fixture_verify(fixture, total);
        assert_ok(sequencer_release(sequencer, &fault));
    }
}

/* 65,536 entries fill a tile of level 1; the edge after them is empty but for the top. */
static void test_a_restart_after_a_level_1_tile(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    for (int i = 0; i < 8; i++)
        insert(fixture, "many", 8192);
    for (int i = 0; i < 2; i++) {
        struct sequencer_config config = ledger_fixture_config(fixture);
        config.batch_max = LEDGER_BATCH_MAX;
        config.lease_ms = 60000;
        AUTO_SEQUENCER struct sequencer *sequencer = NULL;
        assert_ok(sequencer_open(&config, &sequencer, &fault));
        ledger_fixture_settle(sequencer);
        insert(fixture, "more", 300);
        ledger_fixture_settle(sequencer);
        assert_ok(sequencer_release(sequencer, &fault));
    }
    ledger_fixture_verify(fixture, 8 * 8192 + 600);
    assert_int_equal(
        ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_tile WHERE level = 1"), 1);
}

/* Every session of the database is cut, again and again; the process goes on by itself. */
static void test_connections_that_are_cut(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    uint64_t total = 0;
    for (int i = 0; i < 10; i++) {
        insert(fixture, "some", 100);
        total += 100;
        if (i % 2 != 0)
            assert_ok(turn(sequencer, &fault));
        assert_ok(pg_cluster_disconnect_all(fixture->cluster, &fault));
        ledger_fixture_settle(sequencer);
        /* The test's own connections were cut too. */
        struct fault ignored;
        (void)!pg_execute(fixture->super, "SELECT 1", &ignored);
        (void)!pg_execute(fixture->api, "SELECT 1", &ignored);
    }
    ledger_fixture_verify(fixture, total);
}

/* It says at once, not after a while, that it gets nowhere; and that it does again. */
static void test_the_first_failure_is_told(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    AUTO_SEQUENCER struct sequencer *leader = another(fixture, "a", 60000);
    AUTO_SEQUENCER struct sequencer *standby = another(fixture, "b", 60000);
    insert(fixture, "some", 100);
    ledger_fixture_settle(leader);
    ledger_fixture_await_role(standby, SEQUENCER_STANDBY);
    assert_ok(sequencer_ready(leader, &fault));
    assert_ok(sequencer_ready(standby, &fault));
    assert_ok(pg_execute(fixture->super, "ALTER TABLE ledger_batch RENAME TO away", &fault));
    insert(fixture, "more", 100);
    assert_fault(turn(leader, &fault), FAULT_INTERNAL, "ledger_batch");
    assert_fault(sequencer_ready(leader, &fault), FAULT_UNAVAILABLE, "last turn failed: database");
    assert_ok(pg_execute(fixture->super, "ALTER TABLE away RENAME TO ledger_batch", &fault));
    ledger_fixture_settle(leader);
    assert_ok(sequencer_ready(leader, &fault));
    ledger_fixture_verify(fixture, 200);
}

/* A process that is killed while it works, ten times; its successors finish what it began. */
static void test_a_process_killed_at_work(void **state)
{
    struct ledger_fixture *fixture = *state;
    uint64_t total = 0;
    for (int i = 0; i < 10; i++) {
        struct ledger_process process = ledger_process_start(fixture, fixture->state_file, 300);
        for (int j = 0; j < 5; j++)
            insert(fixture, "some", 200);
        total += 1000;
        /* It has begun, not ended. */
        ledger_process_await(fixture, "SELECT coalesce(max(size), 0) FROM ledger_batch",
                             (int64_t)total - 800);
        ledger_process_kill(&process);
    }
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    ledger_fixture_settle(sequencer);
    ledger_fixture_verify(fixture, total);
}

/* SIGSTOP, take-over, SIGCONT: two processes that both have been the leader. */
static void test_a_process_stopped_and_continued(void **state)
{
    struct ledger_fixture *fixture = *state;
    static const char signed_all[] = "SELECT coalesce(max(size), 0) FROM ledger_checkpoint";
    struct fault fault;
    char other[160];
    uint64_t total = 0;
    (void)snprintf(other, sizeof other, "%s/other", fixture->folder);
    struct ledger_process a = ledger_process_start(fixture, fixture->state_file, 300);
    insert(fixture, "first", 500);
    total += 500;
    ledger_process_await(fixture, signed_all, (int64_t)total);
    struct ledger_process b = ledger_process_start(fixture, other, 300);
    struct ledger_process *leader = &a, *standby = &b;
    for (int i = 0; i < 4; i++) {
        int64_t epoch = ledger_fixture_number(fixture, "SELECT epoch FROM ledger_lease");
        insert(fixture, "before", 300);
        ledger_process_pause(leader);
        insert(fixture, "while", 300);
        total += 600;
        ledger_process_await(fixture, signed_all, (int64_t)total);
        assert_true(ledger_fixture_number(fixture, "SELECT epoch FROM ledger_lease") > epoch);
        ledger_process_resume(leader);
        insert(fixture, "after", 300);
        total += 300;
        ledger_process_await(fixture, signed_all, (int64_t)total);
        struct ledger_process *swap = leader;
        leader = standby;
        standby = swap;
    }
    ledger_process_end(&a);
    ledger_process_end(&b);
    ledger_fixture_verify(fixture, total);
    struct ledger_status status;
    assert_ok(ledger_status_read(fixture->api, &status, &fault));
    assert_string_equal(status.problem, "");
    assert_false(status.held);
}

int main(void)
{
#define LEDGER_TEST(name)                                                                          \
    cmocka_unit_test_setup_teardown(name, ledger_fixture_setup, ledger_fixture_teardown)
    const struct CMUnitTest tests[] = {
        LEDGER_TEST(test_one_leads_and_hands_over),
        LEDGER_TEST(test_a_leader_paused_between_batches),
        LEDGER_TEST(test_a_batch_in_flight_holds_off_a_take_over),
        LEDGER_TEST(test_a_leader_paused_in_mid_batch),
        LEDGER_TEST(test_a_past_epoch_opens_nothing),
        LEDGER_TEST(test_two_batches_after_one_head),
        LEDGER_TEST(test_restarts_rebuild_the_tree),
        LEDGER_TEST(test_a_restart_after_a_level_1_tile),
        LEDGER_TEST(test_connections_that_are_cut),
        LEDGER_TEST(test_the_first_failure_is_told),
        LEDGER_TEST(test_a_process_killed_at_work),
        LEDGER_TEST(test_a_process_stopped_and_continued),
    };
    return cmocka_run_group_tests_name("ledger_failover", tests, ledger_fixture_group_setup,
                                       ledger_fixture_group_teardown);
}
