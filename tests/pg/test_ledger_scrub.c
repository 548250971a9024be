/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: whatever is edited in the tables of the log, the scrub comes upon it and says what it is.
 */
#include "base/encode.h"
#include "tests/support/scrub_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void passes(struct ledger_fixture *fixture, const struct scrub_target *target)
{
    struct fault fault;
    struct signer_evidence evidence;
    AUTO_SCRUB struct scrub *scrub = scrub_fixture_scrub();
    assert_ok(scrub_fixture_pass(scrub, fixture->ledger, target, &evidence, &fault));
}

/* 300 entries and 300 more; somebody edits; the pass ends there. */
static void found(struct ledger_fixture *fixture, const char *sql, const char *words)
{
    struct fault fault;
    struct signer_evidence evidence;
    const struct scrub_target target = scrub_fixture_log(fixture, 300, 300);
    passes(fixture, &target);
    ledger_fixture_tamper(fixture, sql);
    AUTO_SCRUB struct scrub *scrub = scrub_fixture_scrub();
    assert_fault(scrub_fixture_pass(scrub, fixture->ledger, &target, &evidence, &fault),
                 FAULT_CONTENT_MISMATCH, words);
    assert_int_equal(scrub_status(scrub).differences, 1);
    assert_int_equal(scrub_status(scrub).passes, 0);
    assert_int_equal(evidence.found_size, target.size);
    assert_true(digest_equal(&evidence.found_root, &target.root));
    /* Nor does it find it right when it is asked once more. */
    assert_fault(scrub_fixture_pass(scrub, fixture->ledger, &target, &evidence, &fault),
                 FAULT_CONTENT_MISMATCH, words);
    assert_int_equal(scrub_status(scrub).differences, 2);
}

static void test_an_edited_body(void **state)
{
    found(*state,
          SCRUB_FIXTURE_NO_CHECKS
          "UPDATE event SET body = 'forged' WHERE " SCRUB_FIXTURE_EVENT_OF(77),
          "entry 77 of the ledger is ");
}

static void test_an_edited_body_with_its_hash(void **state)
{
    found(*state,
          "UPDATE event SET body = 'forged', hash = sha256('forged') WHERE " SCRUB_FIXTURE_EVENT_OF(
              578),
          "entry 578 of the ledger is ");
}

static void test_an_edited_hash_of_an_event(void **state)
{
    found(*state,
          SCRUB_FIXTURE_NO_CHECKS
          "UPDATE event SET hash = sha256('forged') WHERE " SCRUB_FIXTURE_EVENT_OF(0),
          "but its event's bytes make ");
}

static void test_a_hash_of_an_event_that_is_none(void **state)
{
    found(*state,
          SCRUB_FIXTURE_NO_CHECKS
          "UPDATE event SET hash = 'short' WHERE " SCRUB_FIXTURE_EVENT_OF(5),
          "but its event's ");
}

static void test_an_edited_entry(void **state)
{
    found(*state, "UPDATE ledger_entry SET hash = sha256('forged') WHERE idx = 300",
          "entry 300 of the ledger is ");
}

static void test_a_deleted_entry(void **state)
{
    found(*state, "DELETE FROM ledger_entry WHERE idx = 299", "entry 299 of the ledger is missing");
}

static void test_a_deleted_event(void **state)
{
    found(*state, "DELETE FROM event WHERE " SCRUB_FIXTURE_EVENT_OF(123),
          "but its event is missing");
}

static void test_two_entries_that_changed_places(void **state)
{
    found(*state,
          "UPDATE ledger_entry e SET event_id = o.event_id, tenant_id = o.tenant_id, hash = o.hash "
          "FROM ledger_entry o WHERE (e.idx, o.idx) IN ((10, 11), (11, 10))",
          "tile 0 of level 0 of the ledger has hash ");
}

/* Where no tile is full yet the batch says so. */
static void test_two_late_entries_that_changed_places(void **state)
{
    found(*state,
          "UPDATE ledger_entry e SET event_id = o.event_id, tenant_id = o.tenant_id, hash = o.hash "
          "FROM ledger_entry o WHERE (e.idx, o.idx) IN ((590, 599), (599, 590))",
          "the batch of size 600 has root ");
}

static void test_an_entry_given_to_another_tenant(void **state)
{
    found(*state, "UPDATE ledger_entry SET tenant_id = 'globex' WHERE idx = 42",
          "entry 42 of the ledger is of another tenant than its event");
}

static void test_an_edited_tile(void **state)
{
    found(*state,
          "UPDATE ledger_tile SET hashes = set_byte(hashes, 99, 255 - get_byte(hashes, 99)) "
          "WHERE level = 0 AND n = 1",
          "tile 1 of level 0 of the ledger has hash ");
}

static void test_an_edited_root_of_a_tile(void **state)
{
    found(*state, "UPDATE ledger_tile SET root = sha256('forged') WHERE level = 0 AND n = 1",
          "tile 1 of level 0 of the ledger has root ");
}

static void test_a_deleted_tile(void **state)
{
    found(*state, "DELETE FROM ledger_tile WHERE level = 0 AND n = 0",
          "tile 0 of level 0 of the ledger is missing");
}

static void test_an_edited_batch(void **state)
{
    found(*state, "UPDATE ledger_batch SET root = sha256('forged') WHERE size = 300",
          "the batch of size 300 has root ");
}

static void test_an_edited_frontier(void **state)
{
    found(*state,
          "UPDATE ledger_batch SET frontier = set_byte(frontier, 40, 255 - get_byte(frontier, 40)) "
          "WHERE size = 300",
          "the batch of size 300 has a frontier that its entries do not make");
}

static void test_a_deleted_batch(void **state)
{
    found(*state, "DELETE FROM ledger_batch WHERE size = 300",
          "the batch of size 600 follows on size 300, but the batch before it ends at size 0");
}

static void test_a_deleted_last_batch(void **state)
{
    found(*state, "DELETE FROM ledger_batch WHERE size = 600",
          "the last batch up to it ends at size 300");
}

static void test_an_edited_checkpoint(void **state)
{
    found(*state, "UPDATE ledger_checkpoint SET root = sha256('forged') WHERE size = 300",
          "the checkpoint of size 300 has root ");
}

static void test_a_checkpoint_with_the_note_of_another(void **state)
{
    found(*state,
          "UPDATE ledger_checkpoint SET note = (SELECT note FROM ledger_checkpoint WHERE size = "
          "600) WHERE size = 300",
          "but its note is of size 600");
}

/* Row and note say the same; only that tree never was. */
static void test_a_checkpoint_of_another_tree(void **state)
{
    found(*state,
          "UPDATE ledger_checkpoint SET root = sha256('forged'), note = regexp_replace(note, "
          "E'\\n300\\n[^\\n]*', E'\\n300\\n' || encode(sha256('forged'), 'base64')) WHERE size = "
          "300",
          "the checkpoint of size 300 has root ");
}

static void test_a_note_that_is_none(void **state)
{
    found(*state, "UPDATE ledger_checkpoint SET note = 'nothing' WHERE size = 300",
          "the checkpoint of size 300 is none");
}

static void test_a_truncated_log(void **state)
{
    found(*state,
          "DELETE FROM ledger_entry WHERE idx >= 300; DELETE FROM ledger_batch WHERE size > 300;"
          "DELETE FROM ledger_checkpoint WHERE size > 300; DELETE FROM ledger_tile WHERE n = 1",
          "entry 300 of the ledger is missing");
}

static void test_an_event_that_was_dropped_before_it_had_a_place(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct signer_evidence evidence;
    const struct scrub_target target = scrub_fixture_log(fixture, 300, 300);
    AUTO_SCRUB struct scrub *scrub = scrub_fixture_scrub();
    scrub_fixture_insert(fixture, "waiting", 3);
    assert_ok(scrub_fixture_pass(scrub, fixture->ledger, &target, &evidence, &fault));
    assert_ok(pg_execute(fixture->super,
                         "DELETE FROM event_pending WHERE seq = (SELECT min(seq) FROM "
                         "event_pending)",
                         &fault));
    assert_fault(scrub_fixture_pass(scrub, fixture->ledger, &target, &evidence, &fault),
                 FAULT_CONTENT_MISMATCH, "has no place in the ledger and does not wait for one");
}

static void test_an_event_that_was_given_two_places(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct signer_evidence evidence;
    struct sequencer_status status;
    (void)scrub_fixture_log(fixture, 300, 300);
    scrub_fixture_insert(fixture, "twice", 3);
    assert_ok(pg_execute(fixture->super,
                         "INSERT INTO event_pending (event_id, tenant_id, hash) SELECT event_id, "
                         "tenant_id, hash FROM event_pending ORDER BY seq LIMIT 1",
                         &fault));
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    ledger_fixture_settle(sequencer);
    sequencer_status(sequencer, &status);
    const struct scrub_target target = {.size = status.signed_size, .root = status.signed_root};
    assert_int_equal(target.size, 604);
    AUTO_SCRUB struct scrub *scrub = scrub_fixture_scrub();
    assert_fault(scrub_fixture_pass(scrub, fixture->ledger, &target, &evidence, &fault),
                 FAULT_CONTENT_MISMATCH, "has 2 places in the ledger");
}

/* All rows that tell of an event rewritten, so that they agree with each other: a log short of a
 * full tile. Only the tree that was signed knows better. */
static void test_rows_that_all_agree(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct signer_evidence evidence;
    struct digest entries[200];
    struct merkle_range range = {0};
    char sql[2048], frontier[HEX_LEN(8 * DIGEST_LEN) + 1];
    const struct scrub_target target = scrub_fixture_log(fixture, 150, 50);
    passes(fixture, &target);
    assert_ok(ledger_entries_read(fixture->super, 0, 200, entries, &fault));
    entries[170] = digest_of("forged", strlen("forged"));
    for (size_t i = 0; i < ARRAY_LEN(entries); i++) {
        struct digest leaf = merkle_entry_leaf(&entries[i]);
        assert_ok(merkle_range_append(&range, &leaf, &fault));
    }
    AUTO_BUF struct buf bytes = BUF((size_t)8 * DIGEST_LEN);
    merkle_range_encode(&range, &bytes);
    hex_encode(bytes.data, bytes.len, frontier);
    struct digest root = merkle_range_root(&range);
    (void)snprintf(
        sql, sizeof sql,
        "UPDATE event SET body = 'forged', hash = sha256('forged') WHERE " SCRUB_FIXTURE_EVENT_OF(
            170) "; UPDATE ledger_entry SET hash = sha256('forged') WHERE idx = 170; "
                 "UPDATE ledger_batch SET root = '\\x%s', frontier = '\\x%s' WHERE size "
                 "= 200; DELETE FROM ledger_checkpoint WHERE size = 200",
        digest_hex(&root).text, frontier);
    ledger_fixture_tamper(fixture, sql);
    AUTO_SCRUB struct scrub *scrub = scrub_fixture_scrub();
    assert_fault(scrub_fixture_pass(scrub, fixture->ledger, &target, &evidence, &fault),
                 FAULT_CONTENT_MISMATCH, "the tree of size 200 was signed with root ");
}

int main(void)
{
#define LEDGER_TEST(name)                                                                          \
    cmocka_unit_test_setup_teardown(name, ledger_fixture_setup, ledger_fixture_teardown)
    const struct CMUnitTest tests[] = {
        LEDGER_TEST(test_an_edited_body),
        LEDGER_TEST(test_an_edited_body_with_its_hash),
        LEDGER_TEST(test_an_edited_hash_of_an_event),
        LEDGER_TEST(test_a_hash_of_an_event_that_is_none),
        LEDGER_TEST(test_an_edited_entry),
        LEDGER_TEST(test_a_deleted_entry),
        LEDGER_TEST(test_a_deleted_event),
        LEDGER_TEST(test_two_entries_that_changed_places),
        LEDGER_TEST(test_two_late_entries_that_changed_places),
        LEDGER_TEST(test_an_entry_given_to_another_tenant),
        LEDGER_TEST(test_an_edited_tile),
        LEDGER_TEST(test_an_edited_root_of_a_tile),
        LEDGER_TEST(test_a_deleted_tile),
        LEDGER_TEST(test_an_edited_batch),
        LEDGER_TEST(test_an_edited_frontier),
        LEDGER_TEST(test_a_deleted_batch),
        LEDGER_TEST(test_a_deleted_last_batch),
        LEDGER_TEST(test_an_edited_checkpoint),
        LEDGER_TEST(test_a_checkpoint_with_the_note_of_another),
        LEDGER_TEST(test_a_checkpoint_of_another_tree),
        LEDGER_TEST(test_a_note_that_is_none),
        LEDGER_TEST(test_a_truncated_log),
        LEDGER_TEST(test_an_event_that_was_dropped_before_it_had_a_place),
        LEDGER_TEST(test_an_event_that_was_given_two_places),
        LEDGER_TEST(test_rows_that_all_agree),
    };
    return cmocka_run_group_tests_name("ledger_scrub", tests, ledger_fixture_group_setup,
                                       ledger_fixture_group_teardown);
}
