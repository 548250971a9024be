/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the signer signs nothing but what extends what it signed, whatever the tables say. */
#include "tests/support/signer_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* 200 more, and what is then done to the tables before the signer looks. It must say `words`, sign
 * nothing, and go on saying so. */
static struct signer_evidence signed_then(struct ledger_fixture *fixture, const char *sql,
                                          const char *words)
{
    struct fault fault;
    struct ledger_lease lease;
    AUTO_SIGNER struct signer *signer = signer_fixture_signed_log(fixture, &lease);
    enum signer_step step;
    struct signer_evidence evidence = {0};
    assert_ok(ledger_lease_release(fixture->ledger, &lease, &fault));
    ledger_fixture_tamper(fixture, "CREATE TABLE kept AS SELECT * FROM ledger_checkpoint");
    signer_fixture_order(fixture, "news", 200);
    ledger_fixture_tamper(fixture, "INSERT INTO ledger_checkpoint SELECT * FROM kept");
    lease = signer_fixture_lease(fixture);
    ledger_fixture_tamper(fixture, sql);
    for (int i = 0; i < 2; i++)
        assert_fault(
            signer_fixture_settle(signer, fixture->ledger, &lease, &step, &evidence, &fault),
            FAULT_CONTENT_MISMATCH, words);
    assert_int_equal(signer_signed(signer)->size, 300);
    assert_int_equal(evidence.signed_size, 300);
    assert_int_equal(
        ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_checkpoint WHERE size = 500 "
                                       "AND note <> 'forged'"),
        0);
    return evidence;
}

static void test_the_good_neighbour_is_signed(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct ledger_lease lease;
    AUTO_SIGNER struct signer *signer = signer_fixture_signed_log(fixture, &lease);
    enum signer_step step;
    struct signer_evidence evidence;
    assert_ok(signer_fixture_settle(signer, fixture->ledger, &lease, &step, &evidence, &fault));
    assert_int_equal(step, SIGNER_IDLE);
    assert_ok(ledger_lease_release(fixture->ledger, &lease, &fault));
    ledger_fixture_tamper(fixture, "CREATE TABLE kept AS SELECT * FROM ledger_checkpoint");
    signer_fixture_order(fixture, "news", 200);
    ledger_fixture_tamper(fixture, "INSERT INTO ledger_checkpoint SELECT * FROM kept");
    lease = signer_fixture_lease(fixture);
    assert_ok(signer_fixture_settle(signer, fixture->ledger, &lease, &step, &evidence, &fault));
    assert_int_equal(step, SIGNER_PUBLISHED);
    assert_int_equal(signer_signed(signer)->size, 500);
    ledger_fixture_verify(fixture, 500);
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_checkpoint"), 2);
}

static void test_an_edited_entry(void **state)
{
    struct signer_evidence evidence =
        signed_then(*state, "UPDATE ledger_entry SET hash = sha256('forged') WHERE idx = 450",
                    "the batch of size 500 has root");
    assert_int_equal(evidence.found_size, 500);
    assert_int_equal(evidence.computed_size, 500);
    assert_memory_not_equal(evidence.found_root.bytes, evidence.computed_root.bytes, DIGEST_LEN);
}

static void test_swapped_entries(void **state)
{
    (void)signed_then(*state,
                      "CREATE TABLE two AS SELECT * FROM ledger_entry WHERE idx IN (400, 401);"
                      "UPDATE ledger_entry l SET hash = two.hash FROM two "
                      "WHERE two.idx = 801 - l.idx AND l.idx IN (400, 401)",
                      "the batch of size 500 has root");
}

static void test_a_deleted_entry(void **state)
{
    (void)signed_then(*state, "DELETE FROM ledger_entry WHERE idx = 400",
                      "entry 400 of the ledger is missing");
}

static void test_an_entry_beyond_the_head(void **state)
{
    (void)signed_then(*state,
                      "INSERT INTO ledger_entry VALUES (500, gen_random_uuid(), 'acme', "
                      "sha256('smuggled'))",
                      "ends at size 500, but there are 501 entries");
}

static void test_an_edited_root(void **state)
{
    (void)signed_then(*state, "UPDATE ledger_batch SET root = sha256('forged') WHERE size = 500",
                      "the batch of size 500 has root");
}

static void test_an_edited_frontier(void **state)
{
    (void)signed_then(*state,
                      "UPDATE ledger_batch SET frontier = set_byte(frontier, 0, "
                      "255 - get_byte(frontier, 0)) WHERE size = 500",
                      "has a frontier that its entries do not make");
}

static void test_a_frontier_of_another_size(void **state)
{
    (void)signed_then(*state,
                      "UPDATE ledger_batch SET frontier = frontier || sha256('') WHERE size = 500",
                      "the batch of size 500 has no valid frontier");
}

static void test_a_signed_head_edited(void **state)
{
    (void)signed_then(*state, "UPDATE ledger_batch SET root = sha256('forged') WHERE size = 300",
                      "the tree signed last of size 300 has root");
}

static void test_a_signed_head_deleted(void **state)
{
    (void)signed_then(*state, "DELETE FROM ledger_batch WHERE size = 300",
                      "no batch ends at that size");
}

static void test_a_checkpoint_edited(void **state)
{
    (void)signed_then(*state,
                      "UPDATE ledger_checkpoint SET root = sha256('forged') WHERE size = 300",
                      "the newest checkpoint of size 300 has root");
}

static void test_a_forged_checkpoint_of_what_is_not_signed(void **state)
{
    (void)signed_then(*state,
                      "INSERT INTO ledger_checkpoint VALUES (500, sha256('forged'), 'forged')",
                      "the newest checkpoint of size 500 has root");
}

/* An old backup: the log is shorter than what was signed. */
static void test_a_restored_backup(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct ledger_lease lease;
    AUTO_SIGNER struct signer *signer = signer_fixture_signed_log(fixture, &lease);
    enum signer_step step;
    struct signer_evidence evidence;
    assert_ok(ledger_lease_release(fixture->ledger, &lease, &fault));
    ledger_fixture_tamper(fixture, SIGNER_FIXTURE_RESTORE);
    signer_fixture_order(fixture, "after", 299);
    lease = signer_fixture_lease(fixture);
    assert_fault(signer_fixture_settle(signer, fixture->ledger, &lease, &step, &evidence, &fault),
                 FAULT_CONTENT_MISMATCH, "rolled back: a tree of size 300");
    assert_int_equal(evidence.signed_size, 300);
    assert_int_equal(evidence.found_size, 299);
}

/* The same, grown to the same size and beyond with other events: a fork. */
static void test_a_restored_backup_that_grew_on(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct ledger_lease lease;
    AUTO_SIGNER struct signer *signer = signer_fixture_signed_log(fixture, &lease);
    enum signer_step step;
    struct signer_evidence evidence;
    assert_ok(ledger_lease_release(fixture->ledger, &lease, &fault));
    ledger_fixture_tamper(fixture, SIGNER_FIXTURE_RESTORE);
    signer_fixture_order(fixture, "after", 300);
    lease = signer_fixture_lease(fixture);
    assert_fault(signer_fixture_settle(signer, fixture->ledger, &lease, &step, &evidence, &fault),
                 FAULT_CONTENT_MISMATCH, "the tree signed last of size 300 has root");
    assert_ok(ledger_lease_release(fixture->ledger, &lease, &fault));
    signer_fixture_order(fixture, "more", 100);
    lease = signer_fixture_lease(fixture);
    assert_fault(signer_fixture_settle(signer, fixture->ledger, &lease, &step, &evidence, &fault),
                 FAULT_CONTENT_MISMATCH, "the tree signed last of size 300 has root");
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_checkpoint"), 0);
}

int main(void)
{
#define LEDGER_TEST(name)                                                                          \
    cmocka_unit_test_setup_teardown(name, ledger_fixture_setup, ledger_fixture_teardown)
    const struct CMUnitTest tests[] = {
        LEDGER_TEST(test_the_good_neighbour_is_signed),
        LEDGER_TEST(test_an_edited_entry),
        LEDGER_TEST(test_swapped_entries),
        LEDGER_TEST(test_a_deleted_entry),
        LEDGER_TEST(test_an_entry_beyond_the_head),
        LEDGER_TEST(test_an_edited_root),
        LEDGER_TEST(test_an_edited_frontier),
        LEDGER_TEST(test_a_frontier_of_another_size),
        LEDGER_TEST(test_a_signed_head_edited),
        LEDGER_TEST(test_a_signed_head_deleted),
        LEDGER_TEST(test_a_checkpoint_edited),
        LEDGER_TEST(test_a_forged_checkpoint_of_what_is_not_signed),
        LEDGER_TEST(test_a_restored_backup),
        LEDGER_TEST(test_a_restored_backup_that_grew_on),
    };
    return cmocka_run_group_tests_name("ledger_signer", tests, ledger_fixture_group_setup,
                                       ledger_fixture_group_teardown);
}
