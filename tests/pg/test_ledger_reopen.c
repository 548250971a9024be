/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: after a restore the log goes on under another name, over what is left, and says so first;
 * never over what is not a beginning of what was signed, never twice under one name. */
#include "sequencer/reopen.h"

#include "base/file.h"
#include "ledger/checkpoint.h"
#include "sequencer/key_file.h"
#include "tests/support/signer_fixture.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define NEW_ORIGIN "ledger.test/log-2"
#define KEPT 300
#define SIGNED 400

static const char *in(struct ledger_fixture *fixture, const char *name, char path[160])
{
    (void)snprintf(path, 160, "%s/%s", fixture->folder, name);
    return path;
}

/* The key of a new log, made where it is not there yet. */
static struct note_verifier new_key(struct ledger_fixture *fixture, const char *origin,
                                    const char *name)
{
    struct fault fault;
    char path[160];
    AUTO_NOTE_SIGNER struct note_signer *key = NULL;
    if (key_file_read(in(fixture, name, path), origin, &key, &fault) != 0)
        assert_ok(key_file_make(path, origin, &key, &fault));
    return *note_signer_verifier(key);
}

struct attempt {
    const char *origin, *key_name; /* the new log's */
    const char *state_file;
    const struct note_verifier *previous;
    bool state_lost;
};

static struct attempt attempt(struct ledger_fixture *fixture)
{
    (void)new_key(fixture, NEW_ORIGIN, "new.key");
    return (struct attempt){.origin = NEW_ORIGIN,
                            .key_name = "new.key",
                            .state_file = fixture->state_file,
                            .previous = &fixture->verifier};
}

static int reopen(struct ledger_fixture *fixture, const struct attempt *attempt,
                  struct reopen_report *ret_report, struct fault *fault)
{
    char key_file[160];
    const struct reopen_config config = {
        .conninfo = pg_cluster_conninfo(fixture->cluster, "sallyport_ledger"),
        .node = "test",
        .origin = attempt->origin,
        .key_file = in(fixture, attempt->key_name, key_file),
        .state_file = attempt->state_file,
        .previous = attempt->previous,
        .previous_count = 1,
        .reason = "the disk of the database was lost",
        .state_lost = attempt->state_lost,
        .lease_ms = 5000};
    return reopen_run(&config, ret_report, fault);
}

static void assert_refused(struct ledger_fixture *fixture, const struct attempt *attempt,
                           enum fault_code code, const char *words)
{
    struct fault fault;
    struct reopen_report report;
    int64_t rows = ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_reopening");
    assert_fault(reopen(fixture, attempt, &report, &fault), code, words);
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_reopening"), rows);
    assert_int_equal(ledger_fixture_number(
                         fixture, "SELECT count(*) FROM event WHERE type LIKE '%ledger.reopened%'"),
                     rows);
}

static void add(struct ledger_fixture *fixture, struct sequencer *sequencer, int count)
{
    struct fault fault;
    assert_ok(ledger_fixture_insert(fixture->api, FIXTURE_TENANT, FIXTURE_ACCEPTED, "event", count,
                                    &fault));
    ledger_fixture_settle(sequencer);
}

static void log_of(struct ledger_fixture *fixture, int first, int second)
{
    struct fault fault;
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    add(fixture, sequencer, first);
    if (second > 0)
        add(fixture, sequencer, second);
    assert_ok(sequencer_release(sequencer, &fault));
}

/* What a restore of a backup taken at KEPT entries leaves. */
#define RESTORE                                                                                    \
    "DELETE FROM event e USING ledger_entry l WHERE l.event_id = e.event_id AND l.idx >= 300;"     \
    "DELETE FROM ledger_entry WHERE idx >= 300; DELETE FROM ledger_batch WHERE size > 300;"        \
    "DELETE FROM ledger_checkpoint WHERE size > 300"

/* A log of SIGNED entries, of which a restore has left KEPT; its ledger process has seen it. */
static void rolled_back(struct ledger_fixture *fixture)
{
    struct sequencer_status status;
    struct fault fault;
    log_of(fixture, KEPT, SIGNED - KEPT);
    ledger_fixture_tamper(fixture, RESTORE);
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    ledger_fixture_settle(sequencer);
    sequencer_status(sequencer, &status);
    assert_int_equal(status.role, SEQUENCER_STOPPED);
    assert_non_null(strstr(status.problem, "rolled back: a tree of size 400"));
    assert_ok(sequencer_release(sequencer, &fault));
}

static struct sequencer_config new_config(struct ledger_fixture *fixture, const char *state_file,
                                          char key_file[160])
{
    struct sequencer_config config = ledger_fixture_config(fixture);
    config.origin = NEW_ORIGIN;
    config.key_file = in(fixture, "new.key", key_file);
    config.state_file = state_file;
    return config;
}

static struct sequencer *new_log(struct ledger_fixture *fixture, const char *state_file,
                                 int batch_max)
{
    struct fault fault;
    char key_file[160];
    struct sequencer *sequencer = NULL;
    struct sequencer_config config = new_config(fixture, state_file, key_file);
    config.batch_max = batch_max;
    assert_ok(sequencer_open(&config, &sequencer, &fault));
    return sequencer;
}

static struct checkpoint checkpoint_at(struct ledger_fixture *fixture, uint64_t size,
                                       const struct note_verifier *verifier)
{
    struct fault fault;
    struct checkpoint checkpoint;
    AUTO_BUF struct buf note = BUF(NOTE_MAX);
    assert_ok(ledger_checkpoint_read_at(fixture->ledger, size, &note, &fault));
    assert_ok(checkpoint_open(buf_span(&note), verifier->name, verifier, 1, &checkpoint, &fault));
    assert_int_equal(checkpoint.size, size);
    return checkpoint;
}

static struct reopen_report reopened(struct ledger_fixture *fixture)
{
    struct fault fault;
    struct reopen_report report;
    const struct attempt here = attempt(fixture);
    assert_ok(reopen(fixture, &here, &report, &fault));
    assert_true(report.reopened);
    return report;
}

static void test_a_restored_log_goes_on(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    char path[160];
    rolled_back(fixture);
    struct note_verifier key = new_key(fixture, NEW_ORIGIN, "new.key");
    struct reopen_report report = reopened(fixture);
    assert_int_equal(report.kept, KEPT);
    assert_int_equal(report.signed_size, SIGNED);
    /* The old memory is under another name, with the evidence; a new one is in its place. */
    struct signer_state old, new;
    assert_ok(signer_state_read(report.aside, FIXTURE_ORIGIN, &old, &fault));
    assert_int_equal(old.range.size, SIGNED);
    (void)snprintf(path, sizeof path, "%s.evidence", report.aside);
    assert_int_equal(access(path, F_OK), 0);
    assert_ok(signer_state_read(fixture->state_file, NEW_ORIGIN, &new, &fault));
    assert_int_equal(new.range.size, KEPT);
    assert_int_equal(signer_previous_latest(&new.previous)->size, KEPT);
    assert_string_equal(signer_previous_latest(&new.previous)->origin, FIXTURE_ORIGIN);
    free(report.aside);
    assert_int_equal(ledger_fixture_number(
                         fixture, "SELECT count(*) FROM ledger_lease WHERE problem IS NOT NULL"),
                     0);
    AUTO_SEQUENCER struct sequencer *sequencer =
        new_log(fixture, fixture->state_file, SEQUENCER_BATCH_MAX);
    ledger_fixture_settle(sequencer);
    /* Kept, ledger.reopened, ledger.key_added. */
    (void)checkpoint_at(fixture, KEPT + 2, &key);
    (void)checkpoint_at(fixture, KEPT, &fixture->verifier);
    add(fixture, sequencer, 50);
    (void)checkpoint_at(fixture, KEPT + 52, &key);
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_entry"),
                     KEPT + 52);
}

static void assert_has(struct buf *text, const char *words)
{
    if (strstr(buf_text(text), words) == NULL)
        fail_msg("%s\ndoes not say\n%s", buf_text(text), words);
}

static void test_what_the_new_log_says_first(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    AUTO_BUF struct buf body = BUF(65536), words = BUF(4096);
    rolled_back(fixture);
    struct signer_state before, after;
    assert_ok(signer_state_read(fixture->state_file, FIXTURE_ORIGIN, &before, &fault));
    struct reopen_report report = reopened(fixture);
    free(report.aside);
    assert_ok(signer_state_read(fixture->state_file, NEW_ORIGIN, &after, &fault));
    ledger_fixture_text(fixture,
                        "SELECT convert_from(e.body, 'UTF8') FROM event e JOIN ledger_reopening r "
                        "USING (event_id) WHERE e.tenant_id = '' AND r.origin = '" NEW_ORIGIN
                        "' AND r.previous_origin = '" FIXTURE_ORIGIN "' AND r.size = 300",
                        &body);
    struct digest kept = merkle_range_root(&after.range), lost = merkle_range_root(&before.range);
    assert_has(&body, "\"reason\":\"the disk of the database was lost\"");
    assert_has(&body, "\"previous_origin\":\"" FIXTURE_ORIGIN "\",\"previous_vkeys\":[\"");
    buf_printf(&words, "\"kept\":{\"size\":300,\"root\":\"%s\"},\"signed\":{\"size\":400,",
               digest_format(&kept).text);
    assert_has(&body, buf_text(&words));
    assert_has(&body, digest_format(&lost).text);
    assert_has(&body, "\"previous_checkpoint\":\"" FIXTURE_ORIGIN "\\n300\\n");
    assert_has(&body, "\"problem\":\"the ledger was rolled back");
}

/* Nothing of the new name is signed before the event that explains it has its place, however many
 * events were before it. */
static void test_the_first_checkpoint_covers_the_event(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    rolled_back(fixture);
    struct note_verifier key = new_key(fixture, NEW_ORIGIN, "new.key");
    assert_ok(ledger_fixture_insert(fixture->api, FIXTURE_TENANT, FIXTURE_ACCEPTED, "waiting", 35,
                                    &fault));
    struct reopen_report report = reopened(fixture);
    free(report.aside);
    for (int i = 0; i < 3; i++) { /* started anew in between, too */
        AUTO_SEQUENCER struct sequencer *sequencer = new_log(fixture, fixture->state_file, 10);
        for (int turns = 0; turns < 2 + i; turns++) {
            int wait_ms;
            assert_ok(sequencer_turn(sequencer, &wait_ms, &fault));
        }
        assert_ok(sequencer_release(sequencer, &fault));
    }
    AUTO_SEQUENCER struct sequencer *sequencer = new_log(fixture, fixture->state_file, 10);
    ledger_fixture_settle(sequencer);
    int64_t place = ledger_fixture_number(
        fixture, "SELECT l.idx FROM ledger_entry l JOIN ledger_reopening USING (event_id)");
    int64_t first =
        ledger_fixture_number(fixture, "SELECT min(size) FROM ledger_checkpoint WHERE size > 300");
    assert_int_equal(place, KEPT + 35);
    assert_true(first > place);
    (void)checkpoint_at(fixture, (uint64_t)first, &key);
    assert_int_equal(ledger_fixture_number(fixture, "SELECT max(size) FROM ledger_checkpoint"),
                     KEPT + 37);
}

/* The hosts of standbys: their own states are turned, ahead of the restore, behind it, or gone. */
static void test_a_standby_is_turned(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    char ahead[160], behind[160];
    struct sequencer_config config = ledger_fixture_config(fixture);
    config.state_file = in(fixture, "behind", behind);
    {
        AUTO_SEQUENCER struct sequencer *standby = NULL;
        assert_ok(sequencer_open(&config, &standby, &fault));
        log_of(fixture, 100, 0);
        ledger_fixture_settle(standby);
        assert_ok(sequencer_release(standby, &fault));
    }
    log_of(fixture, KEPT - 100, SIGNED - KEPT);
    AUTO_BUF struct buf bytes = BUF(65536);
    assert_ok(file_read(fixture->state_file, &bytes, &fault));
    assert_ok(file_replace(in(fixture, "ahead", ahead), bytes.data, bytes.len, 0600, &fault));
    ledger_fixture_tamper(fixture, RESTORE);
    struct reopen_report report = reopened(fixture);
    free(report.aside);
    AUTO_SEQUENCER struct sequencer *leader =
        new_log(fixture, fixture->state_file, SEQUENCER_BATCH_MAX);
    add(fixture, leader, 10);
    struct attempt there = attempt(fixture);
    const char *states[] = {ahead, behind};
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        struct sequencer_status status;
        there.state_file = states[i];
        assert_ok(reopen(fixture, &there, &report, &fault));
        assert_false(report.reopened);
        assert_int_equal(report.kept, KEPT);
        free(report.aside);
        AUTO_SEQUENCER struct sequencer *standby = new_log(fixture, states[i], SEQUENCER_BATCH_MAX);
        do {
            int wait_ms;
            assert_ok(sequencer_turn(standby, &wait_ms, &fault));
            sequencer_status(standby, &status);
        } while (status.role == SEQUENCER_STANDBY && status.signed_size != KEPT + 12);
        assert_int_equal(status.role, SEQUENCER_STANDBY);
    }
    assert_int_equal(ledger_fixture_number(
                         fixture, "SELECT count(*) FROM event WHERE type LIKE '%ledger.reopened%'"),
                     1);
}

static void test_a_name_is_used_once(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    rolled_back(fixture);
    struct attempt here = attempt(fixture);
    (void)new_key(fixture, FIXTURE_ORIGIN, "same.key");
    here.origin = FIXTURE_ORIGIN;
    here.key_name = "same.key";
    assert_refused(fixture, &here, FAULT_STATE_CONFLICT, "two logs would be signed");
    struct note_verifier second = new_key(fixture, NEW_ORIGIN, "new.key");
    struct reopen_report report = reopened(fixture);
    /* Again, with the new state, and with the old one put back. */
    here = attempt(fixture);
    assert_refused(fixture, &here, FAULT_STATE_CONFLICT, "the log is or was " NEW_ORIGIN);
    /* Back to the first name, from the second. */
    {
        AUTO_SEQUENCER struct sequencer *sequencer =
            new_log(fixture, fixture->state_file, SEQUENCER_BATCH_MAX);
        ledger_fixture_settle(sequencer);
        assert_ok(sequencer_release(sequencer, &fault));
    }
    here = (struct attempt){.origin = FIXTURE_ORIGIN,
                            .key_name = "same.key",
                            .state_file = fixture->state_file,
                            .previous = &second};
    assert_refused(fixture, &here, FAULT_STATE_CONFLICT, "the log is or was " FIXTURE_ORIGIN);
    /* A third name, but out of the first log, which was left already. */
    (void)new_key(fixture, "ledger.test/log-3", "third.key");
    here = (struct attempt){.origin = "ledger.test/log-3",
                            .key_name = "third.key",
                            .state_file = report.aside,
                            .previous = &fixture->verifier};
    assert_refused(fixture, &here, FAULT_CONTENT_MISMATCH, "is not of " FIXTURE_ORIGIN);
    free(report.aside);
    /* Nor does a process of the first log lead again. */
    char state_file[160];
    struct sequencer_config config = ledger_fixture_config(fixture);
    AUTO_SEQUENCER struct sequencer *sequencer = NULL;
    config.state_file = in(fixture, "another", state_file);
    config.init = true;
    assert_fault(sequencer_open(&config, &sequencer, &fault), FAULT_STATE_CONFLICT,
                 "was reopened as " NEW_ORIGIN);
}

/* Processes of the old log that nobody has stopped, and that noticed nothing: one whose memory ends
 * before what was kept, one that has proven what is lost. Neither leads, neither stops the new log.
 */
static void test_late_processes_of_the_old_log(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    static const char *const names[] = {"behind", "ahead"};
    char files[2][160];
    struct sequencer *late[2] = {NULL};
    struct sequencer_config config = ledger_fixture_config(fixture);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        config.state_file = in(fixture, names[i], files[i]);
        assert_ok(sequencer_open(&config, &late[i], &fault));
    }
    log_of(fixture, KEPT, SIGNED - KEPT);
    ledger_fixture_settle(late[1]);
    assert_ok(sequencer_release(late[1], &fault));
    ledger_fixture_tamper(fixture, RESTORE);
    struct reopen_report report = reopened(fixture);
    free(report.aside);
    for (int round = 0; round < 2;
         round++) { /* before the new log has signed anything, and after */
        for (size_t i = 0; i < ARRAY_LEN(names); i++) {
            struct sequencer_status status;
            int turns = 0;
            do {
                int wait_ms;
                assert_ok(sequencer_turn(late[i], &wait_ms, &fault));
                assert_ok(sequencer_wait(late[i], -1, wait_ms, &fault));
                sequencer_status(late[i], &status);
            } while (++turns < 5 || (status.barred[0] == '\0' && turns < 1000));
            assert_non_null(strstr(status.barred, "was reopened as " NEW_ORIGIN));
            assert_int_equal(status.role, SEQUENCER_STANDBY);
        }
        AUTO_SEQUENCER struct sequencer *sequencer =
            new_log(fixture, fixture->state_file, SEQUENCER_BATCH_MAX);
        add(fixture, sequencer, 10);
        assert_ok(sequencer_release(sequencer, &fault));
    }
    assert_int_equal(ledger_fixture_number(fixture, "SELECT max(size) FROM ledger_checkpoint"),
                     KEPT + 22);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        sequencer_free(late[i]);
}

static void test_not_while_somebody_leads(void **state)
{
    struct ledger_fixture *fixture = *state;
    log_of(fixture, KEPT, SIGNED - KEPT);
    ledger_fixture_tamper(fixture, RESTORE);
    struct ledger_lease lease = signer_fixture_lease(fixture);
    const struct attempt here = attempt(fixture);
    assert_true(lease.epoch > 0);
    assert_refused(fixture, &here, FAULT_UNAVAILABLE, "a ledger process leads");
}

static void test_not_where_nothing_is_lost(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    log_of(fixture, KEPT, SIGNED - KEPT);
    const struct attempt here = attempt(fixture);
    assert_refused(fixture, &here, FAULT_STATE_CONFLICT, "there is nothing to reopen");
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    add(fixture, sequencer, 10); /* it goes on as it was */
    assert_ok(sequencer_release(sequencer, &fault));
    ledger_fixture_verify(fixture, SIGNED + 10);
}

/* Attack: to have what was edited signed under a new name. */
static void edited(struct ledger_fixture *fixture, const char *sql, const char *words)
{
    log_of(fixture, KEPT, SIGNED - KEPT);
    ledger_fixture_tamper(fixture, RESTORE);
    ledger_fixture_tamper(fixture, sql);
    const struct attempt here = attempt(fixture);
    assert_refused(fixture, &here, FAULT_CONTENT_MISMATCH, words);
}

static void test_an_edited_entry(void **state)
{
    edited(*state, "UPDATE ledger_entry SET hash = sha256('forged') WHERE idx = 290",
           "the checkpoint of size 300 has root");
}

static void test_an_edited_entry_without_a_checkpoint(void **state)
{
    edited(*state,
           "DELETE FROM ledger_checkpoint;"
           "UPDATE ledger_entry SET hash = sha256('forged') WHERE idx = 290",
           "the batch of size 300 has root");
}

static void test_an_edited_tile(void **state)
{
    edited(*state,
           "UPDATE ledger_tile SET hashes = set_byte(hashes, 77, 255 - get_byte(hashes, 77))",
           "tile 0 of level 0 is not what its entries make");
}

static void test_an_entry_beyond_the_head(void **state)
{
    edited(*state,
           "INSERT INTO ledger_entry VALUES (300, gen_random_uuid(), 'acme', sha256('smuggled'))",
           "ends at size 300, but there are 301 entries");
}

/* All rows agree with each other, but are another log's of the same name. */
static void test_another_log(void **state)
{
    struct ledger_fixture *fixture = *state;
    log_of(fixture, KEPT, SIGNED - KEPT);
    ledger_fixture_tamper(fixture, SIGNER_FIXTURE_RESTORE);
    signer_fixture_order(fixture, "other", KEPT);
    const struct attempt here = attempt(fixture);
    assert_refused(fixture, &here, FAULT_CONTENT_MISMATCH,
                   "the first 256 entries are not those that were signed");
}

static void test_keys_that_are_not_the_old_log_s(void **state)
{
    struct ledger_fixture *fixture = *state;
    log_of(fixture, KEPT, SIGNED - KEPT);
    ledger_fixture_tamper(fixture, RESTORE);
    struct note_verifier other = new_key(fixture, FIXTURE_ORIGIN, "other.key");
    struct note_verifier elsewhere = new_key(fixture, "else/where", "elsewhere.key");
    struct attempt here = attempt(fixture);
    here.previous = &other;
    assert_refused(fixture, &here, FAULT_CONTENT_MISMATCH, "is not of " FIXTURE_ORIGIN);
    here.previous = &elsewhere;
    assert_refused(fixture, &here, FAULT_STATE_CONFLICT, "not of else/where");
    here = attempt(fixture);
    here.key_name = "elsewhere.key";
    assert_refused(fixture, &here, FAULT_KEY_INVALID, "the ledger key is of else/where");
    here.key_name = "no.key";
    assert_refused(fixture, &here, FAULT_NOT_FOUND, "no.key");
}

static void test_a_state_that_is_lost(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct reopen_report report;
    AUTO_BUF struct buf body = BUF(65536);
    log_of(fixture, KEPT, SIGNED - KEPT);
    ledger_fixture_tamper(fixture, RESTORE);
    struct attempt here = attempt(fixture);
    here.state_lost = true;
    assert_refused(fixture, &here, FAULT_STATE_CONFLICT, "state-lost: but there is");
    assert_int_equal(unlink(fixture->state_file), 0);
    here.state_lost = false;
    assert_refused(fixture, &here, FAULT_STATE_CONFLICT, "is missing: bring it back");
    here.state_lost = true;
    assert_ok(reopen(fixture, &here, &report, &fault));
    assert_null(report.aside);
    ledger_fixture_text(fixture,
                        "SELECT convert_from(body, 'UTF8') FROM event WHERE type LIKE '%reopened%'",
                        &body);
    assert_has(&body, "\"signed\":null");
    AUTO_SEQUENCER struct sequencer *sequencer =
        new_log(fixture, fixture->state_file, SEQUENCER_BATCH_MAX);
    add(fixture, sequencer, 10);
}

static void test_a_database_that_is_lost(void **state)
{
    struct ledger_fixture *fixture = *state;
    log_of(fixture, KEPT, SIGNED - KEPT);
    ledger_fixture_tamper(fixture, SIGNER_FIXTURE_RESTORE);
    ledger_fixture_forget_key(fixture);
    struct note_verifier key = new_key(fixture, NEW_ORIGIN, "new.key");
    struct reopen_report report = reopened(fixture);
    assert_int_equal(report.kept, 0);
    free(report.aside);
    AUTO_SEQUENCER struct sequencer *sequencer =
        new_log(fixture, fixture->state_file, SEQUENCER_BATCH_MAX);
    add(fixture, sequencer, 10);
    (void)checkpoint_at(fixture, 12, &key);
}

int main(void)
{
#define LEDGER_TEST(name)                                                                          \
    cmocka_unit_test_setup_teardown(name, ledger_fixture_setup, ledger_fixture_teardown)
    const struct CMUnitTest tests[] = {
        LEDGER_TEST(test_a_restored_log_goes_on),
        LEDGER_TEST(test_what_the_new_log_says_first),
        LEDGER_TEST(test_the_first_checkpoint_covers_the_event),
        LEDGER_TEST(test_a_standby_is_turned),
        LEDGER_TEST(test_a_name_is_used_once),
        LEDGER_TEST(test_late_processes_of_the_old_log),
        LEDGER_TEST(test_not_while_somebody_leads),
        LEDGER_TEST(test_not_where_nothing_is_lost),
        LEDGER_TEST(test_an_edited_entry),
        LEDGER_TEST(test_an_edited_entry_without_a_checkpoint),
        LEDGER_TEST(test_an_edited_tile),
        LEDGER_TEST(test_an_entry_beyond_the_head),
        LEDGER_TEST(test_another_log),
        LEDGER_TEST(test_keys_that_are_not_the_old_log_s),
        LEDGER_TEST(test_a_state_that_is_lost),
        LEDGER_TEST(test_a_database_that_is_lost),
    };
    return cmocka_run_group_tests_name("ledger_reopen", tests, ledger_fixture_group_setup,
                                       ledger_fixture_group_teardown);
}
