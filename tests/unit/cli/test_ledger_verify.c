/* SPDX-License-Identifier: Apache-2.0 */
/* ledger verify on receipts and on two checkpoints: what it says of sound ones, and its exit code
 * for each way they can be false: 6 where the mathematics says no, 2 where there is nothing to
 * compute. */
#include "tests/unit/cli/ledger_log.h"

#define INDEX 42
#define SIZE 77

/* `vkey` is the name of a file in the fixture's folder, as all files here. */
static int verify(struct fixture *fixture, const char *vkey)
{
    return FIXTURE_RUN(fixture, "ledger", "verify", fixture_path(fixture, "r.tlog-proof"), "--vkey",
                       fixture_path(fixture, vkey), "-o", "json");
}

static void write_pair(const struct fixture *fixture, const struct buf *receipt, const char *event)
{
    (void)fixture_file(fixture, "r.tlog-proof", receipt->data, receipt->len, 0644);
    (void)fixture_file(fixture, "r.tlog-proof.json", event, strlen(event), 0644);
}

static void test_a_sound_receipt(void **state)
{
    struct fixture *fixture = *state;
    AUTO_LOG struct test_log *log = log_new();
    (void)log_vkey(fixture, "vkey", log->signer);
    for (uint64_t index = 0; index < SIZE; index += 7) {
        AUTO_BUF struct buf text = BUF(RECEIPT_MAX);
        log_receipt(log, index, SIZE, &text);
        write_pair(fixture, &text, log->events[index]);
        assert_int_equal(verify(fixture, "vkey"), 0);
        AUTO_JSON json_t *result = json_loads(fixture->out, 0, NULL);
        assert_true(json_is_true(json_object_get(result, "verified")));
        assert_int_equal(json_integer_value(json_object_get(result, "index")), index);
        assert_int_equal(json_integer_value(json_object_get(result, "entries")), SIZE);
        assert_string_equal(json_string_value(json_object_get(result, "origin")), LOG_ORIGIN);
        assert_string_equal(json_string_value(json_object_get(result, "entry")),
                            digest_format(&log->entries[index]).text);
        assert_string_equal(json_string_value(json_object_get(result, "type")), "test");
    }
    /* The event may lie elsewhere. */
    AUTO_BUF struct buf text = BUF(RECEIPT_MAX);
    log_receipt(log, INDEX, SIZE, &text);
    write_pair(fixture, &text, log->events[INDEX + 1]);
    const char *event =
        fixture_file(fixture, "event", log->events[INDEX], strlen(log->events[INDEX]), 0644);
    assert_int_equal(verify(fixture, "vkey"), 6);
    assert_int_equal(FIXTURE_RUN(fixture, "ledger", "verify", "--vkey",
                                 fixture_path(fixture, "vkey"), "--event", event,
                                 fixture_path(fixture, "r.tlog-proof")),
                     0);
}

/* The first `old` replaced; NULL: appended. */
struct forgery {
    const char *old, *new;
    int exit_code;
};

static void forge(const struct buf *good, const struct forgery *forgery, struct buf *forged)
{
    const char *at =
        forgery->old == NULL ? buf_text(good) + good->len : strstr(buf_text(good), forgery->old);
    assert_non_null(at);
    buf_append(forged, good->data, (size_t)(at - buf_text(good)));
    buf_puts(forged, forgery->new);
    buf_puts(forged, at + (forgery->old == NULL ? 0 : strlen(forgery->old)));
    assert_false(buf_failed(forged));
}

static void test_hostile_receipts(void **state)
{
    struct fixture *fixture = *state;
    static const struct forgery forgeries[] = {
        {"index 42\n", "index 43\n", 6},
        {"index 42\n", "index 0\n", 6},
        {"index 42\n", "index 77\n", 6},
        {"index 42\n", "index 9223372036854775807\n", 6},
        {"index 42\n", "index 9223372036854775808\n", 2},
        {"index 42\n", "index 042\n", 2},
        {"index 42\n", "index -42\n", 2},
        {"index 42\n", "index 42\r\n", 2},
        {"index 42\n", "", 2},
        /* a spare hash */
        {"index 42\n", "index 42\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n", 6},
        {"index 42\n", "index 42\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=\n", 2},
        {"index 42\n", "index 42\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU\n", 2},
        {"\n77\n", "\n78\n", 6}, /* a size that was not signed, and so on */
        {"\n77\n", "\n0\n", 2},  /* size 0 has the empty tree's root only */
        {"\n77\n", "\n077\n", 2},
        {"\n" LOG_ORIGIN "\n", "\nledger.test/other\n", 6},
        {"@v1\n", "@v2\n", 2},
        {"@v1\n", "@v1\r\n", 2},
        {NULL, "\n", 2},
        {NULL, "more\n", 2},
        {NULL, " ", 2},
        /* a key that is not ours to know changes nothing */
        {NULL,
         "\xe2\x80\x94 witness.example "
         "AQIDBFpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpaWlpa"
         "Wlo=\n",
         0},
    };
    AUTO_LOG struct test_log *log = log_new();
    AUTO_BUF struct buf good = BUF(RECEIPT_MAX);
    (void)log_vkey(fixture, "vkey", log->signer);
    log_receipt(log, INDEX, SIZE, &good);
    for (size_t i = 0; i < ARRAY_LEN(forgeries); i++) {
        AUTO_BUF struct buf forged = BUF(RECEIPT_MAX);
        forge(&good, &forgeries[i], &forged);
        write_pair(fixture, &forged, log->events[INDEX]);
        int exit_code = verify(fixture, "vkey");
        if (exit_code != forgeries[i].exit_code)
            fail_msg("forgery %zu: exit %d, not %d: %s", i, exit_code, forgeries[i].exit_code,
                     fixture->fault.detail);
    }
}

static void test_whom_it_believes(void **state)
{
    struct fixture *fixture = *state;
    AUTO_LOG struct test_log *log = log_new();
    AUTO_NOTE_SIGNER struct note_signer *other = log_signer(2);
    AUTO_BUF struct buf text = BUF(RECEIPT_MAX);
    (void)log_vkey(fixture, "vkey", log->signer);
    log_receipt(log, INDEX, SIZE, &text);
    write_pair(fixture, &text, log->events[INDEX]);
    assert_int_equal(verify(fixture, "vkey"), 0);
    /* Our name and another's key; no key; another log's name. */
    (void)log_vkey(fixture, "other", other);
    assert_int_equal(verify(fixture, "other"), 6);
    const char *receipt = fixture_path(fixture, "r.tlog-proof");
    const char *vkey = fixture_path(fixture, "vkey");
    assert_int_equal(FIXTURE_RUN(fixture, "ledger", "verify", receipt), 2);
    assert_int_equal(FIXTURE_RUN(fixture, "ledger", "verify", receipt, "--vkey", vkey, "--origin",
                                 "ledger.test/other"),
                     6);
    /* Other bytes than were logged, be it by one. */
    char longer[200];
    (void)snprintf(longer, sizeof longer, "%s\n", log->events[INDEX]);
    write_pair(fixture, &text, longer);
    assert_int_equal(verify(fixture, "vkey"), 6);
    write_pair(fixture, &text, "");
    assert_int_equal(verify(fixture, "vkey"), 6);
    /* Files that are not there, or no receipt. */
    assert_int_equal(unlink(fixture_path(fixture, "r.tlog-proof.json")), 0);
    assert_int_equal(verify(fixture, "vkey"), 2);
    vkey = fixture_path(fixture, "vkey");
    assert_int_equal(FIXTURE_RUN(fixture, "ledger", "verify", "/nowhere", "--vkey", vkey), 2);
    assert_int_equal(
        FIXTURE_RUN(fixture, "ledger", "verify", vkey, "--vkey", vkey, "--event", vkey), 2);
}

static void write_checkpoint(struct fixture *fixture, struct test_log *log, const char *name,
                             uint64_t size, const struct note_signer *signer)
{
    AUTO_BUF struct buf note = BUF(NOTE_MAX);
    log_checkpoint(log, size, signer, &note);
    (void)fixture_file(fixture, name, note.data, note.len, 0644);
}

static int compare(struct fixture *fixture, const char *proof)
{
    return FIXTURE_RUN(fixture, "ledger", "verify", "--vkey", fixture_path(fixture, "vkey"),
                       "--old", fixture_path(fixture, "old"), "--new", fixture_path(fixture, "new"),
                       "--proof", fixture_file(fixture, "proof", proof, strlen(proof), 0644), "-o",
                       "json");
}

static void test_two_checkpoints(void **state)
{
    struct fixture *fixture = *state;
    AUTO_LOG struct test_log *log = log_new();
    (void)log_vkey(fixture, "vkey", log->signer);
    static const uint64_t sizes[] = {0, 1, 42, 64, 77, 128, 199, 200};
    for (size_t n = 0; n < ARRAY_LEN(sizes); n++)
        for (size_t o = 0; o <= n; o++) {
            AUTO_BUF struct buf proof = BUF(65536);
            write_checkpoint(fixture, log, "old", sizes[o], log->signer);
            write_checkpoint(fixture, log, "new", sizes[n], log->signer);
            log_consistency(log, sizes[o], sizes[n], &proof);
            assert_int_equal(compare(fixture, buf_text(&proof)), 0);
            AUTO_JSON json_t *result = json_loads(fixture->out, 0, NULL);
            assert_int_equal(json_integer_value(json_object_get(result, "since")), sizes[o]);
            assert_int_equal(json_integer_value(json_object_get(result, "entries")), sizes[n]);
        }
    /* The newer one as the older. */
    write_checkpoint(fixture, log, "old", 200, log->signer);
    write_checkpoint(fixture, log, "new", 77, log->signer);
    assert_int_equal(compare(fixture, "{\"from\":200,\"to\":77,\"hashes\":[]}"), 6);
    /* No proof is needed for the same tree, and no gateway. */
    write_checkpoint(fixture, log, "new", 200, log->signer);
    assert_int_equal(
        FIXTURE_RUN(fixture, "ledger", "verify", "--vkey", fixture_path(fixture, "vkey"), "--old",
                    fixture_path(fixture, "old"), "--new", fixture_path(fixture, "new")),
        0);
}

static void test_false_consistency(void **state)
{
    struct fixture *fixture = *state;
    AUTO_LOG struct test_log *log = log_new();
    AUTO_NOTE_SIGNER struct note_signer *other = log_signer(2);
    AUTO_BUF struct buf proof = BUF(65536), wrong = BUF(65536);
    (void)log_vkey(fixture, "vkey", log->signer);
    write_checkpoint(fixture, log, "old", 77, log->signer);
    write_checkpoint(fixture, log, "new", 200, log->signer);
    log_consistency(log, 77, 200, &proof);
    assert_int_equal(compare(fixture, buf_text(&proof)), 0);
    log_consistency(log, 78, 200, &wrong);
    assert_int_equal(compare(fixture, buf_text(&wrong)), 6);
    static const struct forgery forgeries[] = {
        {"\"from\":77", "\"from\":76", 6},
        {"\"to\":200", "\"to\":201", 6},
        {"\"hashes\":[", "\"hashes\":[\"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\",", 6},
        {"\"hashes\":[", "\"hashes\":[\"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=\",", 2},
        {"\"hashes\":[", "\"hashes\":[1,", 2},
        {"\"hashes\":[", "\"hashes\":[\"\",", 2},
        {"\"from\":77", "\"from\":\"77\"", 2},
        {"\"from\":77", "\"from\":77,\"from\":77", 2},
        {"\"from\":77", "\"from\":77.0", 2},
        {"\"from\":77,", "", 2},
        {"\"hashes\"", "\"hashs\"", 2},
        {NULL, "x", 2},
    };
    for (size_t i = 0; i < ARRAY_LEN(forgeries); i++) {
        AUTO_BUF struct buf forged = BUF(65536);
        forge(&proof, &forgeries[i], &forged);
        int exit_code = compare(fixture, buf_text(&forged));
        if (exit_code != forgeries[i].exit_code)
            fail_msg("forgery %zu: exit %d, not %d: %s", i, exit_code, forgeries[i].exit_code,
                     fixture->fault.detail);
    }
    /* A log that was rewritten in between, and signed again: the key cannot help. */
    log->leaves[5].bytes[0] ^= 1;
    write_checkpoint(fixture, log, "new", 200, log->signer);
    buf_reset(&wrong);
    log_consistency(log, 77, 200, &wrong);
    assert_int_equal(compare(fixture, buf_text(&wrong)), 6);
    assert_int_equal(compare(fixture, buf_text(&proof)), 6);
    /* A split view: one size, two roots, both signed. */
    write_checkpoint(fixture, log, "new", 77, log->signer);
    assert_int_equal(compare(fixture, "{\"from\":77,\"to\":77,\"hashes\":[]}"), 6);
    assert_non_null(strstr(fixture->fault.detail, "two different roots"));
    log->leaves[5].bytes[0] ^= 1;
    write_checkpoint(fixture, log, "new", 200, other);
    assert_int_equal(compare(fixture, buf_text(&proof)), 6);
}

/* Options of one form in another, and half a form. */
static void test_forms_are_not_mixed(void **state)
{
    struct fixture *fixture = *state;
    AUTO_LOG struct test_log *log = log_new();
    const char *vkey = log_vkey(fixture, "vkey", log->signer);
    assert_int_equal(FIXTURE_RUN(fixture, "ledger", "verify", "--vkey", vkey), 2);
    assert_int_equal(FIXTURE_RUN(fixture, "ledger", "verify", "--vkey", vkey, "--old", vkey), 2);
    assert_int_equal(FIXTURE_RUN(fixture, "ledger", "verify", "--vkey", vkey, "--new", vkey), 2);
    assert_int_equal(
        FIXTURE_RUN(fixture, "ledger", "verify", vkey, "--vkey", vkey, "--proof", vkey), 2);
    assert_int_equal(FIXTURE_RUN(fixture, "ledger", "verify", vkey, "--vkey", vkey, "--old", vkey,
                                 "--new", vkey),
                     2);
    assert_int_equal(
        FIXTURE_RUN(fixture, "ledger", "verify", fixture->folder, "--vkey", vkey, "--event", vkey),
        2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_sound_receipt), TEST(test_hostile_receipts),  TEST(test_whom_it_believes),
        TEST(test_two_checkpoints), TEST(test_false_consistency), TEST(test_forms_are_not_mixed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
