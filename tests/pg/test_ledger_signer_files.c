/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the signer's own files: made once, durable before a signature, never guessed. */
#include "base/file.h"
#include "tests/support/signer_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

/* The state is on disk before the signature is published: whoever dies in between publishes the
 * very same when he comes back. */
static void test_a_crash_between_state_and_publication(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct signer_evidence evidence;
    enum signer_step step;
    signer_fixture_order(fixture, "events", 10);
    struct ledger_lease lease = signer_fixture_lease(fixture), lost = lease;
    lost.epoch--;
    {
        AUTO_SIGNER struct signer *signer = NULL;
        assert_ok(signer_fixture_open(fixture, fixture->state_file, true, &signer, &fault));
        assert_ok(signer_fixture_settle(signer, fixture->ledger, &lost, &step, &evidence, &fault));
        assert_int_equal(step, SIGNER_LEASE_LOST);
        assert_int_equal(signer_signed(signer)->size, 10);
    }
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_checkpoint"), 0);
    AUTO_SIGNER struct signer *signer = NULL;
    assert_ok(signer_fixture_open(fixture, fixture->state_file, false, &signer, &fault));
    assert_int_equal(signer_signed(signer)->size, 10);
    assert_ok(signer_fixture_settle(signer, fixture->ledger, &lease, &step, &evidence, &fault));
    assert_int_equal(step, SIGNER_PUBLISHED);
    ledger_fixture_verify(fixture, 10);
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_checkpoint"), 1);
}

/* The state can't be written: then nothing is signed either, and it is no contradiction. */
static void test_no_signature_without_a_durable_state(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct signer_evidence evidence;
    enum signer_step step;
    char folder[128], state_file[160];
    (void)snprintf(folder, sizeof folder, "%s/volume", fixture->folder);
    (void)snprintf(state_file, sizeof state_file, "%s/state", folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    AUTO_SIGNER struct signer *signer = NULL;
    assert_ok(signer_fixture_open(fixture, state_file, false, &signer, &fault));
    signer_fixture_order(fixture, "events", 10);
    struct ledger_lease lease = signer_fixture_lease(fixture);
    assert_ok(dir_remove(folder, &fault));
    assert_fault(signer_fixture_settle(signer, fixture->ledger, &lease, &step, &evidence, &fault),
                 FAULT_INTERNAL, "cannot create a file");
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_checkpoint"), 0);
    assert_int_equal(mkdir(folder, 0700), 0);
    assert_ok(signer_fixture_settle(signer, fixture->ledger, &lease, &step, &evidence, &fault));
    assert_int_equal(step, SIGNER_PUBLISHED);
}

/* A standby whose file is old goes through what the other signed meanwhile. */
static void test_two_signers_of_one_log(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct signer_evidence evidence;
    enum signer_step step;
    struct ledger_lease lease;
    char other_file[160];
    (void)snprintf(other_file, sizeof other_file, "%s/other", fixture->folder);
    AUTO_SIGNER struct signer *other = NULL;
    assert_ok(signer_fixture_open(fixture, other_file, false, &other, &fault));
    AUTO_SIGNER struct signer *signer = signer_fixture_signed_log(fixture, &lease);
    assert_int_equal(signer_signed(signer)->size, 300);
    assert_ok(signer_fixture_settle(other, fixture->ledger, &lease, &step, &evidence, &fault));
    assert_int_equal(step, SIGNER_PUBLISHED);
    assert_int_equal(signer_signed(other)->size, 300);
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_checkpoint"), 1);
}

/* A head and its checkpoint both forged, before a standby's time but after his file's: he goes
 * through the entries up to there, not past it. */
static void test_a_past_that_another_signed(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct signer_evidence evidence;
    enum signer_step step;
    struct ledger_lease lease;
    char other_file[160];
    (void)snprintf(other_file, sizeof other_file, "%s/other", fixture->folder);
    AUTO_SIGNER struct signer *other = NULL;
    assert_ok(signer_fixture_open(fixture, other_file, false, &other, &fault));
    AUTO_SIGNER struct signer *signer = signer_fixture_signed_log(fixture, &lease);
    assert_int_equal(signer_signed(signer)->size, 300);
    ledger_fixture_tamper(fixture, "CREATE TABLE kept AS SELECT * FROM ledger_checkpoint");
    assert_ok(ledger_lease_release(fixture->ledger, &lease, &fault));
    signer_fixture_order(fixture, "news", 200);
    ledger_fixture_tamper(fixture,
                          "INSERT INTO ledger_checkpoint SELECT * FROM kept;"
                          "UPDATE ledger_checkpoint SET root = sha256('forged');"
                          "UPDATE ledger_batch SET root = sha256('forged') WHERE size = 300");
    lease = signer_fixture_lease(fixture);
    assert_fault(signer_fixture_settle(other, fixture->ledger, &lease, &step, &evidence, &fault),
                 FAULT_CONTENT_MISMATCH, "but what was signed has size 300 and root");
    assert_int_equal(signer_signed(other)->size, 0);
}

/* One whose file is of a log that was rolled back and forked since is not convinced. */
static void test_an_old_state_of_a_log_that_forked(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct signer_evidence evidence;
    enum signer_step step;
    struct ledger_lease lease;
    char new_file[160];
    (void)snprintf(new_file, sizeof new_file, "%s/new", fixture->folder);
    AUTO_SIGNER struct signer *old = signer_fixture_signed_log(fixture, &lease);
    assert_ok(ledger_lease_release(fixture->ledger, &lease, &fault));
    ledger_fixture_tamper(fixture, SIGNER_FIXTURE_RESTORE);
    signer_fixture_order(fixture, "fork", 700);
    lease = signer_fixture_lease(fixture);
    AUTO_SIGNER struct signer *fresh = NULL;
    assert_ok(signer_fixture_open(fixture, new_file, true, &fresh, &fault));
    assert_ok(signer_fixture_settle(fresh, fixture->ledger, &lease, &step, &evidence, &fault));
    assert_int_equal(step, SIGNER_PUBLISHED);
    assert_fault(signer_fixture_settle(old, fixture->ledger, &lease, &step, &evidence, &fault),
                 FAULT_CONTENT_MISMATCH, "no batch ends at that size");
}

static void test_state_files_that_are_refused(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    AUTO_SIGNER struct signer *signer = NULL;
    signer_fixture_order(fixture, "events", 5);
    /* Missing, over a log that is not empty. */
    assert_fault(signer_fixture_open(fixture, fixture->state_file, false, &signer, &fault),
                 FAULT_STATE_CONFLICT, "--init");
    assert_int_not_equal(access(fixture->state_file, F_OK), 0);
    assert_ok(signer_fixture_open(fixture, fixture->state_file, true, &signer, &fault));
    signer_free(TAKE(signer));
    /* --init over a state. */
    assert_fault(signer_fixture_open(fixture, fixture->state_file, true, &signer, &fault),
                 FAULT_STATE_CONFLICT, "would forget");
    assert_ok(signer_fixture_open(fixture, fixture->state_file, false, &signer, &fault));
    signer_free(TAKE(signer));
    /* No state at all, with and without --init. */
    assert_ok(file_replace(fixture->state_file, "{}", 2, 0600, &fault));
    assert_fault(signer_fixture_open(fixture, fixture->state_file, false, &signer, &fault),
                 FAULT_STATE_CONFLICT, "is not the signer's state");
    assert_fault(signer_fixture_open(fixture, fixture->state_file, true, &signer, &fault),
                 FAULT_STATE_CONFLICT, "is not the signer's state");
}

static void test_a_missing_state_over_an_emptied_log(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    AUTO_SIGNER struct signer *signer = NULL;
    signer_fixture_order(fixture, "events", 5);
    ledger_fixture_tamper(fixture, "DELETE FROM ledger_batch");
    assert_fault(signer_fixture_open(fixture, fixture->state_file, false, &signer, &fault),
                 FAULT_STATE_CONFLICT, "--init");
}

static void test_keys_that_are_refused(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    AUTO_SIGNER struct signer *signer = NULL;
    assert_int_equal(chmod(fixture->key_file, 0640), 0);
    assert_fault(signer_fixture_open(fixture, fixture->state_file, false, &signer, &fault),
                 FAULT_INTERNAL, "0600");
    assert_int_equal(chmod(fixture->key_file, 0600), 0);
    const struct signer_config other = {.origin = "ledger.test/other",
                                        .key_file = fixture->key_file,
                                        .state_file = fixture->state_file};
    assert_fault(signer_open(fixture->ledger, &other, &signer, &fault), FAULT_KEY_INVALID,
                 "ledger.test/other");
    assert_ok(file_replace(fixture->key_file, "no key\n", 7, 0600, &fault));
    assert_int_equal(signer_fixture_open(fixture, fixture->state_file, false, &signer, &fault), -1);
    assert_int_equal(fault.code, FAULT_KEY_INVALID);
    assert_int_not_equal(access(fixture->state_file, F_OK), 0);
}

int main(void)
{
#define LEDGER_TEST(name)                                                                          \
    cmocka_unit_test_setup_teardown(name, ledger_fixture_setup, ledger_fixture_teardown)
    const struct CMUnitTest tests[] = {
        LEDGER_TEST(test_a_crash_between_state_and_publication),
        LEDGER_TEST(test_no_signature_without_a_durable_state),
        LEDGER_TEST(test_two_signers_of_one_log),
        LEDGER_TEST(test_a_past_that_another_signed),
        LEDGER_TEST(test_an_old_state_of_a_log_that_forked),
        LEDGER_TEST(test_state_files_that_are_refused),
        LEDGER_TEST(test_a_missing_state_over_an_emptied_log),
        LEDGER_TEST(test_keys_that_are_refused),
    };
    return cmocka_run_group_tests_name("ledger_signer_files", tests, ledger_fixture_group_setup,
                                       ledger_fixture_group_teardown);
}
