/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the key that signs the log changes with an overlap or not at all; what it was and is the
 * log says itself, once; what was retired never signs again. */
#include "base/clock.h"
#include "base/json.h"
#include "ledger/checkpoint.h"
#include "sequencer/key_file.h"
#include "storage/ledger_keys.h"
#include "tests/support/signer_fixture.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* A second key of the same log. */
struct next {
    char file[128];
    struct note_verifier verifier;
};

static struct next next_key(struct ledger_fixture *fixture, const char *name)
{
    struct fault fault;
    struct next next;
    AUTO_NOTE_SIGNER struct note_signer *key = NULL;
    (void)snprintf(next.file, sizeof next.file, "%s/%s", fixture->folder, name);
    assert_ok(key_file_make(next.file, FIXTURE_ORIGIN, &key, &fault));
    next.verifier = *note_signer_verifier(key);
    return next;
}

/* One process of the log, with these keys and a state of its own. */
static int process(struct ledger_fixture *fixture, const char *name, const char *key_file,
                   const char *next_file, struct sequencer **ret_sequencer, struct fault *fault)
{
    char state_file[160];
    struct sequencer_config config = ledger_fixture_config(fixture);
    (void)snprintf(state_file, sizeof state_file, "%s/of-%s", fixture->folder, name);
    config.node = name;
    config.key_file = key_file;
    config.next_key_file = next_file;
    config.state_file = state_file;
    config.init = access(state_file, F_OK) != 0;
    return sequencer_open(&config, ret_sequencer, fault);
}

static struct sequencer *start(struct ledger_fixture *fixture, const char *name,
                               const char *key_file, const char *next_file)
{
    struct fault fault;
    struct sequencer *sequencer = NULL;
    assert_ok(process(fixture, name, key_file, next_file, &sequencer, &fault));
    return sequencer;
}

/* Orders and signs `count` more events as a leader with these keys, then goes. */
static void lead(struct ledger_fixture *fixture, const char *key_file, const char *next_file,
                 int count)
{
    struct fault fault;
    AUTO_SEQUENCER struct sequencer *sequencer = start(fixture, "a", key_file, next_file);
    assert_ok(ledger_fixture_insert(fixture->api, FIXTURE_TENANT, FIXTURE_ACCEPTED, "more", count,
                                    &fault));
    ledger_fixture_settle(sequencer);
    assert_ok(sequencer_release(sequencer, &fault));
}

static bool newest_is_signed_by(struct ledger_fixture *fixture,
                                const struct note_verifier *verifier)
{
    struct fault fault;
    struct checkpoint checkpoint;
    uint64_t size;
    struct digest root;
    AUTO_BUF struct buf note = BUF(NOTE_MAX);
    assert_ok(ledger_checkpoint_latest(fixture->ledger, &size, &root, &note, &fault));
    bool is = checkpoint_open(buf_span(&note), FIXTURE_ORIGIN, verifier, 1, &checkpoint, NULL) == 0;
    return is && checkpoint.size == size && digest_equal(&checkpoint.root, &root);
}

#define BODY(type, n)                                                                              \
    "SELECT convert_from(body, 'UTF8') FROM event WHERE type = 'io.sallyport.ledger." type         \
    "' AND tenant_id = '' ORDER BY event_id OFFSET " n " LIMIT 1"

/* The data of an event of the log itself, as its members should stand. */
static void assert_says(struct ledger_fixture *fixture, const char *sql,
                        const struct note_verifier *key, int size,
                        const struct note_verifier *before[2])
{
    AUTO_BUF struct buf body = BUF(65536), expected = BUF(4096);
    ledger_fixture_text(fixture, sql, &body);
    buf_puts(&expected, "\"data\":{\"origin\":\"" FIXTURE_ORIGIN "\",\"vkey\":\"");
    note_verifier_format(key, &expected);
    buf_printf(&expected, "\",\"size\":%d,\"previous\":[", size);
    for (int i = 0; i < 2 && before[i] != NULL; i++) {
        buf_puts(&expected, i == 0 ? "\"" : ",\"");
        note_verifier_format(before[i], &expected);
        buf_puts(&expected, "\"");
    }
    buf_puts(&expected, "]}}");
    if (strstr(buf_text(&body), buf_text(&expected)) == NULL)
        fail_msg("%s\nis not\n%s", buf_text(&body), buf_text(&expected));
    assert_null(strstr(buf_text(&body), "tenantid"));
}

static int64_t changes(struct ledger_fixture *fixture)
{
    int64_t rows = ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_key_change");
    assert_int_equal(
        ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_key_change c JOIN event e "
                                       "USING (event_id) WHERE e.type = "
                                       "'io.sallyport.ledger.key_' || c.change || '.v1'"),
        ledger_fixture_number(fixture,
                              "SELECT count(*) FROM event WHERE type LIKE '%.ledger.key_%'"));
    return rows;
}

static void test_the_first_key_of_a_log(void **state)
{
    struct ledger_fixture *fixture = *state;
    const struct note_verifier *none[2] = {NULL};
    ledger_fixture_forget_key(fixture);
    lead(fixture, fixture->key_file, NULL, 10);
    assert_int_equal(changes(fixture), 1);
    assert_says(fixture, BODY("key_added.v1", "0"), &fixture->verifier, 0, none);
    ledger_fixture_verify(fixture, 11);
    lead(fixture, fixture->key_file, NULL, 10);
    assert_int_equal(changes(fixture), 1);
    ledger_fixture_verify(fixture, 21);
}

/* A log that an older build has led says so when it is first led by this one. */
static void test_the_key_of_an_older_log(void **state)
{
    struct ledger_fixture *fixture = *state;
    const struct note_verifier *none[2] = {NULL};
    lead(fixture, fixture->key_file, NULL, 10);
    ledger_fixture_forget_key(fixture);
    lead(fixture, fixture->key_file, NULL, 10);
    assert_says(fixture, BODY("key_added.v1", "0"), &fixture->verifier, 10, none);
    ledger_fixture_verify(fixture, 21);
}

static void test_an_overlap(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct next next = next_key(fixture, "next");
    const struct note_verifier *old[2] = {&fixture->verifier};
    const struct note_verifier *both[2] = {&fixture->verifier, &next.verifier};
    lead(fixture, fixture->key_file, NULL, 10);
    lead(fixture, fixture->key_file, next.file, 10);
    assert_int_equal(changes(fixture), 2);
    assert_says(fixture, BODY("key_added.v1", "0"), &next.verifier, 10, old);
    assert_true(newest_is_signed_by(fixture, &fixture->verifier));
    assert_true(newest_is_signed_by(fixture, &next.verifier));
    lead(fixture, next.file, NULL, 10);
    assert_int_equal(changes(fixture), 3);
    assert_says(fixture, BODY("key_retired.v1", "0"), &fixture->verifier, 21, both);
    assert_false(newest_is_signed_by(fixture, &fixture->verifier));
    assert_true(newest_is_signed_by(fixture, &next.verifier));
    lead(fixture, next.file, NULL, 0);
    assert_int_equal(changes(fixture), 3);
    assert_int_equal(ledger_fixture_number(fixture, "SELECT max(size) FROM ledger_checkpoint"), 32);
}

/* No news but the keys' own: they are signed at once. */
static void test_an_overlap_of_a_quiet_log(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct next next = next_key(fixture, "next");
    lead(fixture, fixture->key_file, NULL, 10);
    lead(fixture, fixture->key_file, next.file, 0);
    assert_true(newest_is_signed_by(fixture, &next.verifier));
    lead(fixture, next.file, NULL, 0);
    assert_false(newest_is_signed_by(fixture, &fixture->verifier));
    assert_int_equal(ledger_fixture_number(fixture, "SELECT max(size) FROM ledger_checkpoint"), 12);
}

static void assert_no_start(struct ledger_fixture *fixture, const char *key_file,
                            const char *next_file, const char *words)
{
    struct fault fault;
    AUTO_SEQUENCER struct sequencer *sequencer = NULL;
    assert_fault(process(fixture, "refused", key_file, next_file, &sequencer, &fault),
                 FAULT_KEY_INVALID, words);
}

static void test_an_abrupt_change(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct next next = next_key(fixture, "next");
    lead(fixture, fixture->key_file, NULL, 10);
    assert_no_start(fixture, next.file, NULL, "bears no signature of this process's keys");
    assert_no_start(fixture, next.file, NULL, "ledger-key the old key and ledger-next-key the new");
    assert_no_start(fixture, fixture->key_file, fixture->key_file, "once more");
    /* Nor where the log does not know its keys, being of an older build. */
    ledger_fixture_forget_key(fixture);
    assert_no_start(fixture, next.file, NULL, "bears no signature of this process's keys");
    assert_int_equal(changes(fixture), 0);
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM event"), 10);
}

static void test_a_retired_key(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct next next = next_key(fixture, "next");
    lead(fixture, fixture->key_file, NULL, 10);
    lead(fixture, fixture->key_file, next.file, 0);
    /* Began already beside the one that retires a key: it must not lead any more. */
    AUTO_SEQUENCER struct sequencer *late = start(fixture, "late", fixture->key_file, next.file);
    lead(fixture, next.file, NULL, 0);
    assert_no_start(fixture, fixture->key_file, NULL, "was retired and never signs again");
    assert_no_start(fixture, fixture->key_file, next.file, "was retired and never signs again");
    assert_no_start(fixture, next.file, fixture->key_file, "was retired and never signs again");
    struct fault fault;
    struct sequencer_status status = {.signed_size = 0};
    for (int i = 0; status.barred[0] == '\0' && i < 1000; i++) {
        int wait_ms;
        assert_ok(sequencer_turn(late, &wait_ms, &fault));
        assert_ok(sequencer_wait(late, -1, wait_ms, &fault));
        sequencer_status(late, &status);
    }
    assert_non_null(strstr(status.barred, "was retired"));
    assert_int_equal(status.role, SEQUENCER_STANDBY);
    assert_fault(sequencer_ready(late, &fault), FAULT_UNAVAILABLE, "must not lead");
    assert_int_equal(changes(fixture), 3);
    lead(fixture, next.file, NULL, 5); /* the lease is free, and the log goes on */
    assert_true(newest_is_signed_by(fixture, &next.verifier));
}

/* What the table itself refuses, whoever asks. */
static void test_the_table_says_it_too(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    char sql[1024];
    AUTO_BUF struct buf vkey = BUF(512);
    static const char insert[] =
        "INSERT INTO ledger_key_change (change_no, origin, vkey, change, retires, size, event_id) "
        "SELECT %d, '%s', '%s', c, CASE c WHEN 'retired' THEN 'added' END, 0, gen_random_uuid() "
        "FROM (VALUES ('%s')) v(c)";
    note_verifier_format(&fixture->verifier, &vkey);
#define PUT(number, origin, vkey, change)                                                          \
    (snprintf(sql, sizeof sql, insert, number, origin, vkey, change),                              \
     pg_execute(fixture->ledger, sql, &fault))
    assert_fault(PUT(2, FIXTURE_ORIGIN, buf_text(&vkey), "added"), FAULT_STATE_CONFLICT, "");
    assert_fault(PUT(2, FIXTURE_ORIGIN, FIXTURE_ORIGIN "+x+y", "retired"), FAULT_INTERNAL,
                 "foreign key");
    assert_fault(PUT(2, "another/log", buf_text(&vkey), "retired"), FAULT_INTERNAL, "check");
    assert_fault(PUT(2, FIXTURE_ORIGIN, buf_text(&vkey), "lost"), FAULT_INTERNAL, "check");
    assert_fault(pg_execute(fixture->ledger,
                            "INSERT INTO ledger_key_change SELECT 2, origin, vkey, 'retired', 0, "
                            "gen_random_uuid() FROM ledger_key_change",
                            &fault),
                 FAULT_INTERNAL, "check");
    assert_ok(PUT(2, FIXTURE_ORIGIN, buf_text(&vkey), "retired"));
    assert_fault(PUT(3, FIXTURE_ORIGIN, buf_text(&vkey), "added"), FAULT_STATE_CONFLICT, "");
    assert_fault(PUT(3, FIXTURE_ORIGIN, buf_text(&vkey), "retired"), FAULT_STATE_CONFLICT, "");
#undef PUT
}

/* Two who would write the same change: one does. Nor does one who leads no more. */
static void test_a_change_is_written_once(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct next next = next_key(fixture, "next");
    bool led;
    AUTO_FREE struct ledger_keys_known *known = calloc(1, sizeof *known);
    AUTO_EVENT struct event *event = NULL;
    AUTO_JSON json_t *data = json_object();
    AUTO_BUF struct buf vkey = BUF(512);
    const struct event_head head = {.id = uuid_v7(),
                                    .type = EVENT_LEDGER_KEY_ADDED,
                                    .node = "test",
                                    .subject = "key",
                                    .time_ms = clock_wall_ms()};
    assert_non_null(known);
    note_verifier_format(&next.verifier, &vkey);
    assert_ok(event_build(&head, data, &event, &fault));
    const struct ledger_key_change change = {.vkey = buf_text(&vkey), .event = event};
    struct ledger_lease lease = signer_fixture_lease(fixture), before = lease;
    before.epoch--;
#define WRITE(lease)                                                                               \
    ledger_keys_change(fixture->ledger, lease, FIXTURE_ORIGIN, known, 0, &change, 1, &led, &fault)
    assert_ok(ledger_keys_read(fixture->ledger, FIXTURE_ORIGIN, known, &fault));
    assert_int_equal(known->count, 1);
    assert_null(ledger_keys_find(known, &next.verifier));
    assert_ok(WRITE(&before));
    assert_false(led);
    assert_int_equal(changes(fixture), 1);
    assert_ok(WRITE(&lease));
    assert_true(led);
    assert_int_equal(changes(fixture), 2);
    assert_ok(WRITE(&lease)); /* as one would who had read what the other had */
    assert_false(led);
    assert_int_equal(changes(fixture), 2);
    assert_ok(ledger_keys_read(fixture->ledger, FIXTURE_ORIGIN, known, &fault));
    assert_int_equal(known->count, 2);
    assert_ptr_equal(ledger_keys_find(known, &next.verifier), &known->keys[1]);
    assert_fault(WRITE(&lease), FAULT_STATE_CONFLICT, ""); /* the table's own word */
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM event"), 1);
#undef WRITE
}

/* A leader that was not told of the new key yet ends nothing. */
static void test_a_leader_that_is_behind(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct next next = next_key(fixture, "next");
    lead(fixture, fixture->key_file, NULL, 10);
    lead(fixture, fixture->key_file, next.file, 10);
    lead(fixture, fixture->key_file, NULL, 10);
    assert_int_equal(changes(fixture), 2);
    assert_true(newest_is_signed_by(fixture, &fixture->verifier));
    assert_false(newest_is_signed_by(fixture, &next.verifier));
    lead(fixture, fixture->key_file, next.file, 10);
    assert_int_equal(changes(fixture), 2);
    assert_true(newest_is_signed_by(fixture, &next.verifier));
}

/* Turns the standby until it has proven so much, or is barred. */
static struct sequencer_status follow(struct sequencer *standby, uint64_t size)
{
    struct fault fault;
    struct sequencer_status status;
    for (int i = 0; i < 1000; i++) {
        int wait_ms;
        assert_ok(sequencer_turn(standby, &wait_ms, &fault));
        sequencer_status(standby, &status);
        if (status.signed_size == size || status.barred[0] != '\0')
            return status;
        assert_ok(sequencer_wait(standby, -1, wait_ms, &fault));
    }
    fail_msg("the standby has proven %" PRIu64 ", not %" PRIu64, status.signed_size, size);
    return status;
}

/* One of the two keys is enough to follow; none is no contradiction, if the log knows the key. */
static void test_standbys_with_one_of_two_keys(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct next next = next_key(fixture, "next");
    lead(fixture, fixture->key_file, NULL, 10);
    AUTO_SEQUENCER struct sequencer *old = start(fixture, "old", fixture->key_file, NULL);
    AUTO_SEQUENCER struct sequencer *leader = start(fixture, "a", fixture->key_file, next.file);
    ledger_fixture_settle(leader);
    AUTO_SEQUENCER struct sequencer *new = start(fixture, "new", next.file, NULL);
    assert_int_equal(follow(old, 11).role, SEQUENCER_STANDBY);
    assert_int_equal(follow(new, 11).role, SEQUENCER_STANDBY);
    assert_ok(sequencer_ready(old, &fault));
    assert_ok(sequencer_release(leader, &fault));
    ledger_fixture_settle(new);
    struct sequencer_status status = follow(old, 12);
    assert_int_equal(status.role, SEQUENCER_STANDBY);
    assert_non_null(strstr(status.barred, "which this process does not have"));
    assert_fault(sequencer_ready(old, &fault), FAULT_UNAVAILABLE, "must not lead");
    assert_int_equal(ledger_fixture_number(
                         fixture, "SELECT count(*) FROM ledger_lease WHERE problem IS NOT NULL"),
                     0);
    assert_ok(sequencer_release(new, &fault));
    for (int i = 0; i < 5; i++) {
        int wait_ms;
        assert_ok(sequencer_turn(old, &wait_ms, &fault));
        assert_true(wait_ms > 0);
    }
    assert_int_equal(ledger_fixture_number(
                         fixture, "SELECT count(*) FROM ledger_lease WHERE holder IS NOT NULL"),
                     0);
    lead(fixture, next.file, NULL, 5);
}

/* Attack: a checkpoint by a key that nobody has heard of is a contradiction, whatever its root. */
static void test_a_checkpoint_by_a_stranger_s_key(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct next stranger = next_key(fixture, "stranger");
    AUTO_NOTE_SIGNER struct note_signer *key = NULL;
    AUTO_BUF struct buf note = BUF(NOTE_MAX);
    AUTO_BUF struct buf sql = BUF(NOTE_MAX);
    struct checkpoint checkpoint;
    uint64_t size;
    struct digest root;
    AUTO_SEQUENCER struct sequencer *standby = start(fixture, "b", fixture->key_file, NULL);
    lead(fixture, fixture->key_file, NULL, 10);
    assert_ok(key_file_read(stranger.file, FIXTURE_ORIGIN, &key, &fault));
    assert_ok(ledger_checkpoint_latest(fixture->ledger, &size, &root, NULL, &fault));
    assert_ok(checkpoint_init(&checkpoint, FIXTURE_ORIGIN, size, &root, &fault));
    assert_ok(
        checkpoint_sign(&checkpoint, (const struct note_signer *const[]){key}, 1, &note, &fault));
    buf_printf(&sql, "UPDATE ledger_checkpoint SET note = '%s'", buf_text(&note));
    ledger_fixture_tamper(fixture, buf_text(&sql));
    ledger_fixture_await_role(standby, SEQUENCER_STOPPED);
    assert_fault(sequencer_ready(standby, &fault), FAULT_UNAVAILABLE, "is not this log's");
}

int main(void)
{
#define LEDGER_TEST(name)                                                                          \
    cmocka_unit_test_setup_teardown(name, ledger_fixture_setup, ledger_fixture_teardown)
    const struct CMUnitTest tests[] = {
        LEDGER_TEST(test_the_first_key_of_a_log),
        LEDGER_TEST(test_the_key_of_an_older_log),
        LEDGER_TEST(test_an_overlap),
        LEDGER_TEST(test_an_overlap_of_a_quiet_log),
        LEDGER_TEST(test_an_abrupt_change),
        LEDGER_TEST(test_a_retired_key),
        LEDGER_TEST(test_the_table_says_it_too),
        LEDGER_TEST(test_a_change_is_written_once),
        LEDGER_TEST(test_a_leader_that_is_behind),
        LEDGER_TEST(test_standbys_with_one_of_two_keys),
        LEDGER_TEST(test_a_checkpoint_by_a_stranger_s_key),
    };
    return cmocka_run_group_tests_name("ledger_keys", tests, ledger_fixture_group_setup,
                                       ledger_fixture_group_teardown);
}
