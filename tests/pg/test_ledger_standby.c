/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a standby believes no leader: it proves each checkpoint itself, keeps what it has proven,
 * stops where that is contradicted, and leads on from nothing else. */
#include "base/clock.h"
#include "base/file.h"
#include "sequencer/signer_state.h"
#include "storage/ledger_lease.h"
#include "tests/support/ledger_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define FOLLOW_MS 60000

static void file_of(const struct ledger_fixture *fixture, const char *node, char *path, size_t room)
{
    (void)snprintf(path, room, "%s/%s", fixture->folder, node);
}

static int open_node(struct ledger_fixture *fixture, const char *node, bool init,
                     struct sequencer **ret_sequencer, struct fault *fault)
{
    char state_file[160];
    struct sequencer_config config = ledger_fixture_config(fixture);
    file_of(fixture, node, state_file, sizeof state_file);
    config.node = node;
    config.state_file = state_file;
    config.init = init;
    config.lease_ms = 60000;
    return sequencer_open(&config, ret_sequencer, fault);
}

static struct sequencer *node(struct ledger_fixture *fixture, const char *name)
{
    struct fault fault;
    struct sequencer *sequencer = NULL;
    assert_ok(open_node(fixture, name, false, &sequencer, &fault));
    return sequencer;
}

static void insert(struct ledger_fixture *fixture, const char *name, int count)
{
    struct fault fault;
    assert_ok(
        ledger_fixture_insert(fixture->api, FIXTURE_TENANT, FIXTURE_ACCEPTED, name, count, &fault));
}

/* Turns as a standby until it has proven the tree of this size, or has stopped. */
static struct sequencer_status follow(struct sequencer *standby, uint64_t size)
{
    struct fault fault;
    struct sequencer_status status;
    int64_t deadline = clock_monotonic_ms() + FOLLOW_MS;
    for (;;) {
        int wait_ms;
        assert_ok(sequencer_turn(standby, &wait_ms, &fault));
        sequencer_status(standby, &status);
        assert_int_not_equal(status.role, SEQUENCER_LEADER);
        if (status.role == SEQUENCER_STOPPED || status.signed_size == size)
            return status;
        assert_true(clock_monotonic_ms() < deadline);
        assert_ok(sequencer_wait(standby, -1, wait_ms, &fault));
    }
}

static void assert_proven(struct ledger_fixture *fixture, const char *name, uint64_t size)
{
    struct fault fault;
    struct signer_state kept;
    char path[160];
    file_of(fixture, name, path, sizeof path);
    assert_ok(signer_state_read(path, FIXTURE_ORIGIN, &kept, &fault));
    assert_int_equal(kept.range.size, size);
}

static void test_a_standby_proves_what_the_leader_signs(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    AUTO_SEQUENCER struct sequencer *a = node(fixture, "a");
    AUTO_SEQUENCER struct sequencer *b = node(fixture, "b");
    insert(fixture, "first", 300);
    ledger_fixture_settle(a);
    assert_int_equal(follow(b, 300).followed, 1);
    assert_proven(fixture, "b", 300);
    insert(fixture, "second", 400);
    ledger_fixture_settle(a);
    assert_int_equal(follow(b, 700).checkpoints, 0);
    assert_proven(fixture, "b", 700);
    assert_ok(sequencer_release(a, &fault));
    insert(fixture, "third", 50);
    ledger_fixture_settle(b);
    ledger_fixture_verify(fixture, 750);
    assert_int_equal(follow(a, 750).role, SEQUENCER_STANDBY);
}

/* Its file is of long ago: it goes through the entries since, and signs nothing on the way. */
static void test_a_standby_with_an_old_state_file(void **state)
{
    struct ledger_fixture *fixture = *state;
    AUTO_SEQUENCER struct sequencer *a = node(fixture, "a");
    {
        AUTO_SEQUENCER struct sequencer *b = node(fixture, "b");
        insert(fixture, "first", 100);
        ledger_fixture_settle(a);
        assert_int_equal(follow(b, 100).role, SEQUENCER_STANDBY);
    }
    for (int i = 0; i < 3; i++)
        insert(fixture, "many", 8000);
    ledger_fixture_settle(a);
    int64_t signed_before =
        ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_checkpoint");
    AUTO_SEQUENCER struct sequencer *b = node(fixture, "b");
    assert_int_equal(follow(b, 24100).followed, 1);
    assert_proven(fixture, "b", 24100);
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_checkpoint"),
                     signed_before);
}

static void test_a_standby_without_its_state_file(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    AUTO_SEQUENCER struct sequencer *a = node(fixture, "a");
    insert(fixture, "first", 100);
    ledger_fixture_settle(a);
    AUTO_SEQUENCER struct sequencer *b = NULL;
    assert_fault(open_node(fixture, "b", false, &b, &fault), FAULT_STATE_CONFLICT,
                 "the log is not empty");
    assert_ok(open_node(fixture, "b", true, &b, &fault));
    assert_proven(fixture, "b", 0);
    assert_int_equal(follow(b, 100).followed, 1);
}

/* What a standby finds is told everywhere, stops the leader too, and never lets it lead. */
static void assert_stopped(struct ledger_fixture *fixture, struct sequencer *a, struct sequencer *b,
                           const char *words)
{
    struct fault fault;
    struct sequencer_status status = follow(b, UINT64_MAX);
    int wait_ms;
    char path[160];
    AUTO_BUF struct buf evidence = BUF(8192);
    assert_int_equal(status.role, SEQUENCER_STOPPED);
    assert_non_null(strstr(status.problem, words));
    assert_ok(sequencer_turn(b, &wait_ms, &fault)); /* tells the others */
    assert_fault(sequencer_ready(b, &fault), FAULT_UNAVAILABLE, words);
    file_of(fixture, "b.evidence", path, sizeof path);
    assert_ok(file_read(path, &evidence, &fault));
    assert_non_null(strstr(buf_text(&evidence), words));
    int64_t batches = ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_batch");
    insert(fixture, "after", 10);
    ledger_fixture_settle(a);
    sequencer_status(a, &status);
    assert_int_equal(status.role, SEQUENCER_STOPPED);
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_batch"), batches);
    assert_ok(sequencer_release(a, &fault));
    for (int i = 0; i < 3; i++)
        assert_ok(sequencer_turn(b, &wait_ms, &fault));
    assert_true(wait_ms > 0);
    assert_int_equal(ledger_fixture_number(
                         fixture, "SELECT count(*) FROM ledger_lease WHERE holder IS NOT NULL"),
                     0);
}

/* 100 proven by the standby, 100 more signed by the leader, then the tables are touched. */
static void touched(struct ledger_fixture *fixture, const char *sql, const char *words)
{
    AUTO_SEQUENCER struct sequencer *a = node(fixture, "a");
    AUTO_SEQUENCER struct sequencer *b = node(fixture, "b");
    insert(fixture, "proven", 100);
    ledger_fixture_settle(a);
    assert_int_equal(follow(b, 100).role, SEQUENCER_STANDBY);
    insert(fixture, "signed", 100);
    ledger_fixture_settle(a);
    ledger_fixture_tamper(fixture, sql);
    assert_stopped(fixture, a, b, words);
    assert_proven(fixture, "b", 100);
}

static void test_an_entry_edited_before_the_standby_read_it(void **state)
{
    touched(*state, "UPDATE ledger_entry SET hash = sha256('forged') WHERE idx = 150",
            "the batch of size 200 has root");
}

static void test_a_checkpoint_that_nobody_signed(void **state)
{
    touched(*state,
            "UPDATE ledger_checkpoint SET note = overlay(note placing 'AAAA' from "
            "length(note) - 8) WHERE size = 200",
            "the newest checkpoint of size 200 is not this log's");
}

/* An old checkpoint's note under a new row: signed, but of another tree. */
static void test_a_stale_checkpoint_in_a_new_one_s_place(void **state)
{
    touched(*state,
            "UPDATE ledger_checkpoint SET note = (SELECT note FROM ledger_checkpoint WHERE size = "
            "100) WHERE size = 200",
            "but what was signed has size 100");
}

static void test_a_log_rolled_back_behind_what_is_proven(void **state)
{
    touched(*state,
            "DELETE FROM ledger_entry; DELETE FROM ledger_batch; DELETE FROM ledger_checkpoint",
            "the ledger was rolled back");
}

static void test_a_batch_that_is_proven_and_then_edited(void **state)
{
    touched(*state, "UPDATE ledger_batch SET root = sha256('forged') WHERE size = 100",
            "the tree signed last of size 100 has root");
}

int main(void)
{
#define LEDGER_TEST(name)                                                                          \
    cmocka_unit_test_setup_teardown(name, ledger_fixture_setup, ledger_fixture_teardown)
    const struct CMUnitTest tests[] = {
        LEDGER_TEST(test_a_standby_proves_what_the_leader_signs),
        LEDGER_TEST(test_a_standby_with_an_old_state_file),
        LEDGER_TEST(test_a_standby_without_its_state_file),
        LEDGER_TEST(test_an_entry_edited_before_the_standby_read_it),
        LEDGER_TEST(test_a_checkpoint_that_nobody_signed),
        LEDGER_TEST(test_a_stale_checkpoint_in_a_new_one_s_place),
        LEDGER_TEST(test_a_log_rolled_back_behind_what_is_proven),
        LEDGER_TEST(test_a_batch_that_is_proven_and_then_edited),
    };
    return cmocka_run_group_tests_name("ledger_standby", tests, ledger_fixture_group_setup,
                                       ledger_fixture_group_teardown);
}
