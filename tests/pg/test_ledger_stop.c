/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: where the database contradicts itself or what was signed, the ledger stops, for all, for
 * good, and says what disagrees: in its status, in the database, in a file. */
#include "base/encode.h"
#include "base/file.h"
#include "sequencer/signer_state.h"
#include "storage/ledger_lease.h"
#include "tests/support/ledger_fixture.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

static void insert(struct ledger_fixture *fixture, const char *name, int count)
{
    struct fault fault;
    assert_ok(
        ledger_fixture_insert(fixture->api, FIXTURE_TENANT, FIXTURE_ACCEPTED, name, count, &fault));
}

static void make_log(struct ledger_fixture *fixture, int count)
{
    struct fault fault;
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    insert(fixture, "good", count);
    ledger_fixture_settle(sequencer);
    assert_ok(sequencer_release(sequencer, &fault));
    ledger_fixture_verify(fixture, (uint64_t)count);
}

/* It has stopped for a reason that holds these words, everywhere it should say so. */
static void assert_stopped(struct ledger_fixture *fixture, struct sequencer *sequencer,
                           const char *words)
{
    struct fault fault;
    struct sequencer_status status;
    struct ledger_status seen;
    char path[160];
    AUTO_BUF struct buf evidence = BUF(8192);
    sequencer_status(sequencer, &status);
    assert_int_equal(status.role, SEQUENCER_STOPPED);
    assert_non_null(strstr(status.problem, words));
    assert_fault(sequencer_ready(sequencer, &fault), FAULT_UNAVAILABLE, words);
    assert_ok(ledger_status_read(fixture->api, &seen, &fault));
    assert_non_null(strstr(seen.problem, words));
    assert_fault(ledger_status_check(&seen, &fault), FAULT_UNAVAILABLE, words);
    (void)snprintf(path, sizeof path, "%s.evidence", fixture->state_file);
    assert_ok(file_read(path, &evidence, &fault));
    assert_non_null(strstr(buf_text(&evidence), words));
}

/* Neither this process nor a new one on another machine orders or signs anything. */
static void assert_nothing_moves(struct ledger_fixture *fixture, struct sequencer *sequencer)
{
    struct fault fault;
    int64_t batches = ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_batch");
    int64_t checkpoints = ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_checkpoint");
    int64_t pending = ledger_fixture_number(fixture, "SELECT count(*) FROM event_pending");
    char other_file[160];
    insert(fixture, "late", 10);
    ledger_fixture_settle(sequencer);
    assert_ok(sequencer_release(sequencer, &fault));
    struct sequencer_config config = ledger_fixture_config(fixture);
    (void)snprintf(other_file, sizeof other_file, "%s/other", fixture->folder);
    config.state_file = other_file;
    config.init = true;
    AUTO_SEQUENCER struct sequencer *other = NULL;
    assert_ok(sequencer_open(&config, &other, &fault));
    ledger_fixture_settle(other);
    struct sequencer_status status;
    sequencer_status(other, &status);
    assert_int_equal(status.role, SEQUENCER_STOPPED);
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_batch"), batches);
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_checkpoint"),
                     checkpoints);
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM event_pending"),
                     pending + 10);
}

/* What a new leader says to a log of 600 entries that somebody has touched. */
static void touched(struct ledger_fixture *fixture, const char *sql, const char *words)
{
    make_log(fixture, 600);
    ledger_fixture_tamper(fixture, sql);
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    insert(fixture, "more", 10);
    ledger_fixture_settle(sequencer);
    assert_stopped(fixture, sequencer, words);
    assert_nothing_moves(fixture, sequencer);
}

static void test_an_edited_entry_at_the_edge(void **state)
{
    touched(*state, "UPDATE ledger_entry SET hash = sha256('forged') WHERE idx = 550",
            "the batch of size 600 has root");
}

static void test_an_edited_tile(void **state)
{
    touched(*state,
            "UPDATE ledger_tile SET hashes = set_byte(hashes, 99, 255 - get_byte(hashes, 99)) "
            "WHERE level = 0 AND n = 1",
            "tile 1 of level 0 of the ledger is not whole: a root that its hashes do not make");
}

static void test_an_edited_root_of_a_tile(void **state)
{
    touched(*state, "UPDATE ledger_tile SET root = sha256('forged') WHERE level = 0 AND n = 1",
            "tile 1 of level 0 of the ledger is not whole: a root that its hashes do not make");
}

/* Which has no root recorded: it is the head that the hashes do not make. */
static void test_an_edited_tile_of_an_older_build(void **state)
{
    touched(*state,
            "UPDATE ledger_tile SET hashes = set_byte(hashes, 99, 255 - get_byte(hashes, 99)), "
            "root = NULL WHERE level = 0 AND n = 1",
            "the batch of size 600 has root");
}

static void test_a_deleted_tile(void **state)
{
    touched(*state, "DELETE FROM ledger_tile WHERE level = 0 AND n = 0",
            "tile 0 of level 0 of the ledger is missing");
}

static void test_a_truncated_log(void **state)
{
    touched(*state, "DELETE FROM ledger_entry WHERE idx >= 590",
            "ends at size 600, but there are 590 entries");
}

static void test_an_edited_head(void **state)
{
    touched(*state, "UPDATE ledger_batch SET root = sha256('forged')",
            "the batch of size 600 has root");
}

static void test_a_pending_hash_that_is_none(void **state)
{
    struct ledger_fixture *fixture = *state;
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    insert(fixture, "pending", 3);
    ledger_fixture_tamper(fixture, "UPDATE event_pending SET hash = 'short' WHERE seq = 2");
    ledger_fixture_settle(sequencer);
    assert_stopped(fixture, sequencer, "the pending event of seq 2 has a hash of 5 bytes");
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM event_pending"), 3);
}

/* Under a running leader, whose tree in memory is good: it is the signer that sees it. */
static void test_the_signer_of_a_running_leader(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct sequencer_config config = ledger_fixture_config(fixture);
    struct sequencer_status status;
    int wait_ms;
    config.sign_every_ms = 700;
    AUTO_SEQUENCER struct sequencer *sequencer = NULL;
    assert_ok(sequencer_open(&config, &sequencer, &fault));
    insert(fixture, "signed", 100);
    ledger_fixture_settle(sequencer);
    insert(fixture, "ordered", 100);
    assert_ok(sequencer_turn(sequencer, &wait_ms, &fault));
    sequencer_status(sequencer, &status);
    assert_int_equal(status.size, 200);
    assert_int_equal(status.signed_size, 100);
    ledger_fixture_tamper(fixture, "UPDATE ledger_entry SET hash = sha256('forged') "
                                   "WHERE idx = 150");
    ledger_fixture_settle(sequencer);
    assert_stopped(fixture, sequencer, "the batch of size 200 has root");
    assert_nothing_moves(fixture, sequencer);
    assert_int_equal(ledger_fixture_number(fixture, "SELECT max(size) FROM ledger_checkpoint"),
                     100);
}

/* The tables are emptied under a running leader, who knows better. */
static void test_heads_deleted_under_a_running_leader(void **state)
{
    struct ledger_fixture *fixture = *state;
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    insert(fixture, "before", 100);
    ledger_fixture_settle(sequencer);
    ledger_fixture_tamper(fixture, "DELETE FROM ledger_batch");
    insert(fixture, "after", 10);
    ledger_fixture_settle(sequencer);
    assert_stopped(fixture, sequencer, "ends at size 0, but there are 100 entries");
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_batch"), 0);
}

/* An event is exchanged in all tables that tell of it, so that they agree with each other again. */
static void rewrite_history(struct ledger_fixture *fixture, uint64_t index, uint64_t size)
{
    struct fault fault;
    struct digest entries[256];
    struct merkle_range range = {0};
    char sql[2048], frontier[HEX_LEN(8 * DIGEST_LEN) + 1];
    assert_true(size <= ARRAY_LEN(entries) && merkle_range_count(size) <= 8);
    assert_ok(ledger_entries_read(fixture->super, 0, size, entries, &fault));
    entries[index] = digest_of("forged", strlen("forged"));
    for (uint64_t i = 0; i < size; i++) {
        struct digest leaf = merkle_entry_leaf(&entries[i]);
        assert_ok(merkle_range_append(&range, &leaf, &fault));
    }
    AUTO_BUF struct buf bytes = BUF((size_t)8 * DIGEST_LEN);
    merkle_range_encode(&range, &bytes);
    hex_encode(bytes.data, bytes.len, frontier);
    struct digest root = merkle_range_root(&range);
    (void)snprintf(
        sql, sizeof sql,
        "UPDATE ledger_entry SET hash = sha256('forged') WHERE idx = %" PRIu64 "; "
        "UPDATE ledger_batch SET root = '\\x%s', frontier = '\\x%s' WHERE size = %" PRIu64
        "; UPDATE ledger_checkpoint SET root = '\\x%s' WHERE size = %" PRIu64,
        index, digest_hex(&root).text, frontier, size, digest_hex(&root).text, size);
    ledger_fixture_tamper(fixture, sql);
}

/* Under a running leader, who looks at the head before each batch, and finds tables that agree:
 * nothing is built on them before the signer has looked. */
static void not_built_on(struct ledger_fixture *fixture, struct sequencer *sequencer,
                         const char *words)
{
    int64_t batches = ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_batch");
    int64_t entries = ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_entry");
    insert(fixture, "after", 10);
    ledger_fixture_settle(sequencer);
    assert_stopped(fixture, sequencer, words);
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_batch"), batches);
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_entry"), entries);
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM event_pending"), 10);
    assert_nothing_moves(fixture, sequencer);
}

static void test_a_forged_head_is_not_built_on(void **state)
{
    struct ledger_fixture *fixture = *state;
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    insert(fixture, "before", 100);
    ledger_fixture_settle(sequencer);
    rewrite_history(fixture, 50, 100);
    not_built_on(fixture, sequencer, "the tree signed last of size 100 has root");
}

static void test_a_rollback_under_a_running_leader_is_not_built_on(void **state)
{
    struct ledger_fixture *fixture = *state;
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    insert(fixture, "first", 100);
    ledger_fixture_settle(sequencer);
    insert(fixture, "second", 100);
    ledger_fixture_settle(sequencer);
    ledger_fixture_tamper(fixture, "DELETE FROM ledger_entry WHERE idx >= 100; "
                                   "DELETE FROM ledger_batch WHERE size > 100; "
                                   "DELETE FROM ledger_checkpoint WHERE size > 100");
    not_built_on(fixture, sequencer, "the ledger was rolled back");
}

/* The same before it starts: a new leader builds on nothing either. */
static void test_a_forged_head_found_at_take_over(void **state)
{
    struct ledger_fixture *fixture = *state;
    make_log(fixture, 100);
    rewrite_history(fixture, 50, 100);
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    not_built_on(fixture, sequencer, "the tree signed last of size 100 has root");
}

/* What one process has found stops the leader, whoever that is. */
static void test_a_leader_that_is_told(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct sequencer_status status;
    struct sequencer_config config = ledger_fixture_config(fixture);
    config.lease_ms = 60000; /* no renewal in between: the batch itself must see it */
    AUTO_SEQUENCER struct sequencer *sequencer = NULL;
    assert_ok(sequencer_open(&config, &sequencer, &fault));
    insert(fixture, "before", 10);
    ledger_fixture_settle(sequencer);
    assert_ok(ledger_lease_stop(fixture->ledger, "found elsewhere", &fault));
    assert_ok(ledger_lease_stop(fixture->ledger, "a second reason", &fault));
    insert(fixture, "after", 10);
    ledger_fixture_settle(sequencer);
    sequencer_status(sequencer, &status);
    assert_int_equal(status.role, SEQUENCER_STOPPED);
    assert_string_equal(status.problem, "found elsewhere");
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM event_pending"), 10);
    assert_int_equal(ledger_fixture_number(fixture, "SELECT max(size) FROM ledger_batch"), 10);
    /* It has no evidence of its own. */
    assert_ok(signer_evidence_check(fixture->state_file, &fault));
}

/* Neither disk nor database at hand: each is told as soon as it can be. */
static void test_evidence_that_cannot_be_kept_at_first(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    char moved[160];
    int wait_ms;
    make_log(fixture, 100);
    ledger_fixture_tamper(fixture, "UPDATE ledger_batch SET root = sha256('forged')");
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    (void)snprintf(moved, sizeof moved, "%s.moved", fixture->folder);
    assert_int_equal(rename(fixture->folder, moved), 0);
    assert_ok(sequencer_turn(sequencer, &wait_ms, &fault));
    assert_ok(pg_cluster_disconnect_all(fixture->cluster, &fault));
    assert_fault(sequencer_turn(sequencer, &wait_ms, &fault), FAULT_INTERNAL, "cannot");
    assert_int_equal(rename(moved, fixture->folder), 0);
    struct fault ignored;
    (void)!pg_execute(fixture->api, "SELECT 1", &ignored);
    (void)!pg_execute(fixture->super, "SELECT 1", &ignored);
    ledger_fixture_settle(sequencer);
    assert_stopped(fixture, sequencer, "the batch of size 100 has root");
}

/* An operator repairs, puts the evidence away, clears the problem, and starts anew. Each of these
 * alone is not enough. */
static void test_what_it_takes_to_go_on(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct sequencer_status status;
    char evidence[160];
    make_log(fixture, 300);
    ledger_fixture_tamper(fixture, "CREATE TABLE kept AS SELECT * FROM ledger_batch;"
                                   "UPDATE ledger_batch SET root = sha256('forged')");
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    insert(fixture, "waiting", 10);
    ledger_fixture_settle(sequencer);
    assert_stopped(fixture, sequencer, "the batch of size 300 has root");
    ledger_fixture_tamper(fixture, "DELETE FROM ledger_batch;"
                                   "INSERT INTO ledger_batch SELECT * FROM kept");
    ledger_fixture_settle(sequencer);
    assert_stopped(fixture, sequencer, "the batch of size 300 has root");
    assert_ok(sequencer_release(sequencer, &fault));
    sequencer_free(TAKE(sequencer));

    struct sequencer_config config = ledger_fixture_config(fixture);
    assert_fault(sequencer_open(&config, &sequencer, &fault), FAULT_STATE_CONFLICT, ".evidence");
    (void)snprintf(evidence, sizeof evidence, "%s.evidence", fixture->state_file);
    assert_int_equal(unlink(evidence), 0);
    assert_ok(sequencer_open(&config, &sequencer, &fault));
    ledger_fixture_settle(sequencer);
    sequencer_status(sequencer, &status);
    assert_int_equal(status.role, SEQUENCER_STOPPED);
    assert_ok(sequencer_release(sequencer, &fault));
    sequencer_free(TAKE(sequencer));

    assert_ok(pg_execute(fixture->super, "UPDATE ledger_lease SET problem = NULL", &fault));
    assert_ok(sequencer_open(&config, &sequencer, &fault));
    ledger_fixture_settle(sequencer);
    ledger_fixture_verify(fixture, 310);
}

int main(void)
{
#define LEDGER_TEST(name)                                                                          \
    cmocka_unit_test_setup_teardown(name, ledger_fixture_setup, ledger_fixture_teardown)
    const struct CMUnitTest tests[] = {
        LEDGER_TEST(test_an_edited_entry_at_the_edge),
        LEDGER_TEST(test_an_edited_tile),
        LEDGER_TEST(test_an_edited_root_of_a_tile),
        LEDGER_TEST(test_an_edited_tile_of_an_older_build),
        LEDGER_TEST(test_a_deleted_tile),
        LEDGER_TEST(test_a_truncated_log),
        LEDGER_TEST(test_an_edited_head),
        LEDGER_TEST(test_a_pending_hash_that_is_none),
        LEDGER_TEST(test_the_signer_of_a_running_leader),
        LEDGER_TEST(test_heads_deleted_under_a_running_leader),
        LEDGER_TEST(test_a_forged_head_is_not_built_on),
        LEDGER_TEST(test_a_rollback_under_a_running_leader_is_not_built_on),
        LEDGER_TEST(test_a_forged_head_found_at_take_over),
        LEDGER_TEST(test_a_leader_that_is_told),
        LEDGER_TEST(test_evidence_that_cannot_be_kept_at_first),
        LEDGER_TEST(test_what_it_takes_to_go_on),
    };
    return cmocka_run_group_tests_name("ledger_stop", tests, ledger_fixture_group_setup,
                                       ledger_fixture_group_teardown);
}
