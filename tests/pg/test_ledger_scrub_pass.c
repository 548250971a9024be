/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the scrub reads all of a log at the pace it was given; what is only new, waiting, expired
 * or out of reach is no difference to it; and a difference stops whoever is told of it. */
#include "storage/ledger_scrub.h"
#include "tests/support/scrub_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_a_whole_log(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct signer_evidence evidence;
    struct sequencer_status status;
    struct sequencer_config config = ledger_fixture_config(fixture);
    config.batch_max = 8192;
    AUTO_SEQUENCER struct sequencer *sequencer = NULL;
    assert_ok(sequencer_open(&config, &sequencer, &fault));
    scrub_fixture_insert(fixture, "many", 66000); /* a tile of level 1, too */
    ledger_fixture_settle(sequencer);
    sequencer_status(sequencer, &status);
    const struct scrub_target target = {.size = status.signed_size, .root = status.signed_root};
    AUTO_SCRUB struct scrub *scrub = scrub_fixture_scrub();
    for (uint64_t pass = 1; pass <= 2; pass++) {
        assert_ok(scrub_fixture_pass(scrub, fixture->ledger, &target, &evidence, &fault));
        struct scrub_status seen = scrub_status(scrub);
        assert_int_equal(seen.passes, pass);
        assert_int_equal(seen.entries, 66000 * pass);
        assert_int_equal(seen.position, 66000);
        assert_int_equal(seen.differences, 0);
        assert_true(seen.last_pass_ms > 0);
    }
    ledger_fixture_tamper(fixture, "UPDATE ledger_tile SET hashes = set_byte(hashes, 8000, 255 - "
                                   "get_byte(hashes, 8000)) WHERE level = 1 AND n = 0");
    assert_fault(scrub_fixture_pass(scrub, fixture->ledger, &target, &evidence, &fault),
                 FAULT_CONTENT_MISMATCH, "tile 0 of level 1 of the ledger has hash");
    assert_non_null(strstr(fault.detail, "at 250, but its entries make"));
}

static void test_an_empty_log(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct signer_evidence evidence;
    const struct scrub_target nothing = {.root = merkle_empty_root()};
    int wait_ms = 0;
    AUTO_SCRUB struct scrub *scrub = scrub_fixture_scrub();
    assert_ok(scrub_step(scrub, fixture->ledger, &nothing, &wait_ms, &evidence, &fault));
    assert_true(wait_ms >= 1000);
    assert_int_equal(scrub_status(scrub).passes, 0);
}

/* The row stays with its hash, the bytes are gone: no difference; but the hash must be right. */
static void test_an_expired_body(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct signer_evidence evidence;
    const struct scrub_target target = scrub_fixture_log(fixture, 300, 300);
    ledger_fixture_tamper(fixture, SCRUB_FIXTURE_NO_CHECKS
                          "ALTER TABLE event ALTER body DROP NOT NULL;"
                          "UPDATE event SET body = NULL WHERE " SCRUB_FIXTURE_EVENT_OF(77));
    AUTO_SCRUB struct scrub *scrub = scrub_fixture_scrub();
    assert_ok(scrub_fixture_pass(scrub, fixture->ledger, &target, &evidence, &fault));
    ledger_fixture_tamper(
        fixture, "UPDATE event SET hash = sha256('forged') WHERE " SCRUB_FIXTURE_EVENT_OF(77));
    assert_fault(scrub_fixture_pass(scrub, fixture->ledger, &target, &evidence, &fault),
                 FAULT_CONTENT_MISMATCH, "entry 77 of the ledger is ");
}

/* The log grows while it is read: the pass goes as far as it was when it began. */
static void test_a_log_that_grows(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct signer_evidence evidence;
    const struct scrub_target target = scrub_fixture_log(fixture, 300, 700);
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    AUTO_SCRUB struct scrub *scrub = scrub_fixture_scrub();
    for (int i = 0; scrub_status(scrub).passes == 0; i++) {
        int wait_ms;
        assert_true(i < 100);
        scrub_fixture_insert(fixture, "ordered", 5);
        ledger_fixture_settle(sequencer);
        scrub_fixture_insert(fixture, "waiting", 5);
        assert_ok(scrub_step(scrub, fixture->ledger, &target, &wait_ms, &evidence, &fault));
    }
    assert_int_equal(scrub_status(scrub).entries, 1000);
}

/* Out of reach is not different: the step is made again, and the pass is the same one. */
static void test_a_database_that_goes_away(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct signer_evidence evidence;
    int wait_ms, failures = 0;
    const struct scrub_target target = scrub_fixture_log(fixture, 300, 700);
    AUTO_SCRUB struct scrub *scrub = scrub_fixture_scrub();
    for (int i = 0; scrub_status(scrub).passes == 0; i++) {
        assert_true(i < 100);
        if (i % 2 == 1) /* an error of the server's, whatever the step asks it */
            assert_ok(pg_execute(fixture->super, "ALTER SCHEMA sallyport RENAME TO away", &fault));
        int status = scrub_step(scrub, fixture->ledger, &target, &wait_ms, &evidence, &fault);
        if (i % 2 == 1)
            assert_ok(pg_execute(fixture->super, "ALTER SCHEMA away RENAME TO sallyport", &fault));
        if (status != 0) {
            failures++;
            assert_true(fault.code != FAULT_CONTENT_MISMATCH);
        }
        if (i % 3 == 2)
            assert_ok(pg_cluster_disconnect_all(fixture->cluster, &fault));
        struct fault ignored;
        (void)!pg_execute(fixture->super, "SELECT 1", &ignored);
    }
    assert_true(failures >= 2);
    assert_int_equal(scrub_status(scrub).entries, 1000);
    assert_int_equal(scrub_status(scrub).differences, 0);
}

/* One call has the database hash a few MiB at most, and no more entries than a tile's. */
static void test_what_one_call_may_cost(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct digest entries[LEDGER_SCRUB_MAX];
    size_t count;
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    assert_ok(
        pg_execute(fixture->super,
                   "INSERT INTO event (event_id, tenant_id, type, subject, hash, body) SELECT "
                   "gen_random_uuid(), 'acme', 'io.sallyport.execution.accepted.v1', 'large', "
                   "sha256(b), b FROM generate_series(1, 10) n, LATERAL (SELECT "
                   "convert_to(n || repeat('x', 1000000), 'UTF8') AS b) large",
                   &fault));
    scrub_fixture_insert(fixture, "small", 600);
    ledger_fixture_settle(sequencer);
    assert_ok(ledger_scrub_entries(fixture->ledger, 0, 610, entries, &count, &fault));
    assert_int_equal(count, 5);
    assert_ok(ledger_scrub_entries(fixture->ledger, 9, 610, entries, &count, &fault));
    assert_int_equal(count, LEDGER_SCRUB_MAX);
    assert_ok(ledger_scrub_entries(fixture->ledger, 600, 610, entries, &count, &fault));
    assert_int_equal(count, 10);
    assert_int_equal(
        ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_scrub(0, 9000000000000000000)"),
        5);
    assert_int_equal(ledger_fixture_number(fixture, "SELECT seen FROM event_places(NULL, "
                                                    "'ffffffff-ffff-ffff-ffff-ffffffffffff')"),
                     LEDGER_SCRUB_MAX);
    /* A step over large ones counts as a whole one. */
    struct sequencer_status status;
    struct signer_evidence evidence;
    int wait_ms;
    AUTO_SCRUB struct scrub *scrub = NULL;
    sequencer_status(sequencer, &status);
    const struct scrub_target target = {.size = status.signed_size, .root = status.signed_root};
    assert_ok(scrub_new(128, &scrub, &fault));
    assert_ok(scrub_step(scrub, fixture->ledger, &target, &wait_ms, &evidence, &fault));
    assert_int_equal(scrub_status(scrub).entries, 5);
    assert_int_equal(wait_ms, 2000);
}

static void test_the_rate_is_kept(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct signer_evidence evidence;
    int wait_ms;
    const struct scrub_target target = scrub_fixture_log(fixture, 300, 300);
    AUTO_SCRUB struct scrub *scrub = NULL;
    assert_fault(scrub_new(0, &scrub, &fault), FAULT_INTERNAL, "rate");
    assert_ok(scrub_new(128, &scrub, &fault));
    assert_ok(scrub_step(scrub, fixture->ledger, &target, &wait_ms, &evidence, &fault));
    assert_int_equal(scrub_status(scrub).entries, LEDGER_SCRUB_MAX);
    assert_int_equal(wait_ms, 2000);
}

/* What the scrub finds stops the process it belongs to, and by it the log. */
static void accused(struct ledger_fixture *fixture, bool leads)
{
    struct fault fault;
    struct sequencer_status status;
    struct ledger_status seen;
    char other[160];
    (void)scrub_fixture_log(fixture, 10, 10);
    AUTO_SEQUENCER struct sequencer *leader = ledger_fixture_sequencer(fixture);
    ledger_fixture_await_role(leader, SEQUENCER_LEADER);
    struct sequencer_config config = ledger_fixture_config(fixture);
    (void)snprintf(other, sizeof other, "%s/other", fixture->folder);
    config.state_file = other;
    config.init = true;
    AUTO_SEQUENCER struct sequencer *standby = NULL;
    assert_ok(sequencer_open(&config, &standby, &fault));
    ledger_fixture_await_role(standby, SEQUENCER_STANDBY);
    struct sequencer *told = leads ? leader : standby, *stopped_by_it = leads ? standby : leader;
    const struct signer_evidence first = {.problem = "entry 7 is another", .found_size = 20};
    const struct signer_evidence second = {.problem = "entry 8 is another"};
    sequencer_accuse(told, &first);
    sequencer_accuse(told, &second);
    ledger_fixture_await_role(told, SEQUENCER_STOPPED);
    sequencer_status(told, &status);
    assert_string_equal(status.problem, "entry 7 is another");
    assert_fault(sequencer_ready(told, &fault), FAULT_UNAVAILABLE, "entry 7 is another");
    int wait_ms;
    assert_ok(sequencer_turn(told, &wait_ms, &fault)); /* tells */
    assert_ok(ledger_status_read(fixture->api, &seen, &fault));
    assert_string_equal(seen.problem, "entry 7 is another");
    assert_fault(signer_evidence_check(leads ? fixture->state_file : other, &fault),
                 FAULT_STATE_CONFLICT, "says why");
    assert_ok(sequencer_release(told, &fault));
    scrub_fixture_insert(fixture, "never", 3);
    ledger_fixture_settle(stopped_by_it);
    sequencer_status(stopped_by_it, &status);
    assert_int_equal(status.role, SEQUENCER_STOPPED);
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_entry"), 20);
}

static void test_a_leader_that_is_accused(void **state)
{
    accused(*state, true);
}

static void test_a_standby_that_is_accused(void **state)
{
    accused(*state, false);
}

int main(void)
{
#define LEDGER_TEST(name)                                                                          \
    cmocka_unit_test_setup_teardown(name, ledger_fixture_setup, ledger_fixture_teardown)
    const struct CMUnitTest tests[] = {
        LEDGER_TEST(test_a_whole_log),
        LEDGER_TEST(test_an_empty_log),
        LEDGER_TEST(test_an_expired_body),
        LEDGER_TEST(test_a_log_that_grows),
        LEDGER_TEST(test_a_database_that_goes_away),
        LEDGER_TEST(test_what_one_call_may_cost),
        LEDGER_TEST(test_the_rate_is_kept),
        LEDGER_TEST(test_a_leader_that_is_accused),
        LEDGER_TEST(test_a_standby_that_is_accused),
    };
    return cmocka_run_group_tests_name("ledger_scrub_pass", tests, ledger_fixture_group_setup,
                                       ledger_fixture_group_teardown);
}
