/* SPDX-License-Identifier: Apache-2.0 */
/* ledger verify on exports made here: sound ones, and each way an export can be false. */
#include "cli/ledger_files.h"

#include "ledger/event.h"
#include "tests/unit/cli/fixture.h"

#include <inttypes.h>
#include <unistd.h>

#define ORIGIN "ledger.test/cli"
#define LINES 300

/* An export in memory, to be changed before it is written. */
struct export
{
    char lines[LINES + 1][160];
    struct digest entries[LINES + 1];
    size_t line_count, entry_count;
    bool no_entries; /* entries.sha256 is not written */
    const char *origin;
    uint64_t size;      /* what the checkpoint says */
    struct digest root; /* the same */
};

static struct export export_make(void)
{
    struct export export = {
        .line_count = LINES, .entry_count = LINES, .origin = ORIGIN, .size = LINES};
    struct merkle_range range = {0};
    for (size_t i = 0; i < LINES; i++) {
        (void)snprintf(export.lines[i], sizeof export.lines[i],
                       "{\"specversion\":\"1.0\",\"id\":\"event-%zu\"}", i);
        export.entries[i] = digest_of(export.lines[i], strlen(export.lines[i]));
        struct digest leaf = merkle_entry_leaf(&export.entries[i]);
        assert_int_equal(merkle_range_append(&range, &leaf, NULL), 0);
        if (i % 3 == 0)
            (void)snprintf(export.lines[i], sizeof export.lines[i], "%s",
                           digest_format(&export.entries[i]).text);
    }
    export.root = merkle_range_root(&range);
    return export;
}

static struct note_signer *signer_make(uint8_t seed_byte)
{
    uint8_t seed[NOTE_SEED_LEN];
    struct note_signer *signer = NULL;
    memset(seed, seed_byte, sizeof seed);
    assert_int_equal(note_signer_new(ORIGIN, seed, &signer, NULL), 0);
    return signer;
}

static void write_checkpoint(const struct fixture *fixture, const struct export *export)
{
    AUTO_NOTE_SIGNER struct note_signer *signer = signer_make(1);
    const struct note_signer *signers[] = {signer};
    struct checkpoint checkpoint = {.size = export->size, .root = export->root};
    AUTO_BUF struct buf note = BUF(NOTE_MAX), vkey = BUF(1024);
    (void)snprintf(checkpoint.origin, sizeof checkpoint.origin, "%s", export->origin);
    assert_int_equal(checkpoint_sign(&checkpoint, signers, 1, &note, NULL), 0);
    (void)fixture_file(fixture, "export/checkpoint", note.data, note.len, 0644);
    note_verifier_format(note_signer_verifier(signer), &vkey);
    buf_puts(&vkey, "\n");
    (void)fixture_file(fixture, "vkey", vkey.data, vkey.len, 0644);
}

static void write_export(const struct fixture *fixture, const struct export *export)
{
    AUTO_BUF struct buf lines = BUF(1024 * 1024), entries = BUF(1024 * 1024);
    assert_int_equal(dir_make(fixture_path(fixture, "export"), 0755, NULL), 0);
    write_checkpoint(fixture, export);
    for (size_t i = 0; i < export->line_count; i++)
        buf_printf(&lines, "%s\n", export->lines[i]);
    for (size_t i = 0; i < export->entry_count; i++)
        buf_printf(&entries, "%s\n", digest_hex(&export->entries[i]).text);
    (void)fixture_file(fixture, "export/events.ndjson", lines.data, lines.len, 0644);
    if (export->no_entries)
        (void)unlink(fixture_path(fixture, "export/entries.sha256"));
    else
        (void)fixture_file(fixture, "export/entries.sha256", entries.data, entries.len, 0644);
}

static int verify(struct fixture *fixture, const struct export *export)
{
    write_export(fixture, export);
    return FIXTURE_RUN(fixture, "ledger", "verify", fixture_path(fixture, "export"), "--vkey",
                       fixture_path(fixture, "vkey"), "--output", "json");
}

static void expect(struct fixture *fixture, const struct export *export, int exit_code,
                   const char *says)
{
    int result = verify(fixture, export);
    if (result != exit_code || strstr(fixture->fault.detail, says) == NULL)
        fail_msg("exit %d (expected %d): %s (expected: %s)", result, exit_code,
                 fixture->fault.detail, says);
}

static void test_a_sound_export(void **state)
{
    struct fixture *fixture = *state;
    struct export export = export_make();
    assert_int_equal(verify(fixture, &export), 0);
    AUTO_JSON json_t *result = json_loads(fixture->out, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(result, "entries")), LINES);
    assert_int_equal(json_integer_value(json_object_get(result, "events")), LINES - LINES / 3);
    assert_true(json_is_true(json_object_get(result, "recorded")));
    assert_string_equal(json_string_value(json_object_get(result, "origin")), ORIGIN);
    export.no_entries = true;
    assert_int_equal(verify(fixture, &export), 0);
}

static void test_an_edited_event_is_named(void **state)
{
    struct fixture *fixture = *state;
    struct export export = export_make();
    export.lines[200][30] ^= 1;
    expect(fixture, &export, 6, "line 201 (entry 200)");
    assert_non_null(strstr(fixture->fault.detail, "the event was changed"));
    export.no_entries = true;
    expect(fixture, &export, 6, "not the checkpoint's");
}

static void test_an_edited_record_is_named(void **state)
{
    struct fixture *fixture = *state;
    struct export export = export_make();
    export.entries[99].bytes[0] ^= 1;
    expect(fixture, &export, 6, "line 100 (entry 99)");
    assert_non_null(strstr(fixture->fault.detail, "the recorded entry was changed"));
}

static void test_an_edited_event_with_its_record(void **state)
{
    struct fixture *fixture = *state;
    struct export export = export_make();
    export.lines[200][30] ^= 1;
    export.entries[200] = digest_of(export.lines[200], strlen(export.lines[200]));
    expect(fixture, &export, 6, "not the checkpoint's");
}

static void test_two_changes_name_the_first(void **state)
{
    struct fixture *fixture = *state;
    struct export export = export_make();
    export.lines[200][30] ^= 1;
    export.entries[100].bytes[3] ^= 1;
    expect(fixture, &export, 6, "line 101 (entry 100)");
    assert_non_null(strstr(fixture->fault.detail, "neither"));
}

static void test_swapped_and_lost_lines(void **state)
{
    struct fixture *fixture = *state;
    struct export export = export_make(), whole = export;
    memcpy(export.lines[10], whole.lines[11], sizeof whole.lines[0]);
    memcpy(export.lines[11], whole.lines[10], sizeof whole.lines[0]);
    expect(fixture, &export, 6, "line 11 (entry 10)");
    export = whole;
    export.line_count--;
    expect(fixture, &export, 6, "299 lines");
    export = whole;
    (void)snprintf(export.lines[LINES], sizeof export.lines[0], "{}");
    export.line_count++;
    expect(fixture, &export, 6, "line 301");
    export = whole;
    export.entry_count--;
    expect(fixture, &export, 6, "line 300");
}

static void test_the_checkpoint_is_proven(void **state)
{
    struct fixture *fixture = *state;
    struct export export = export_make();
    export.size--;
    expect(fixture, &export, 6, "line 300");
    export = export_make();
    export.root.bytes[5] ^= 1;
    expect(fixture, &export, 6, "not the checkpoint's");
    export = export_make();
    export.origin = "ledger.test/other";
    expect(fixture, &export, 6, "checkpoint");
    assert_int_equal(FIXTURE_RUN(fixture, "ledger", "verify", fixture_path(fixture, "export"),
                                 "--vkey", fixture_path(fixture, "vkey"), "--origin",
                                 "ledger.test/other"),
                     0);
}

static void test_another_key(void **state)
{
    struct fixture *fixture = *state;
    struct export export = export_make();
    write_export(fixture, &export);
    AUTO_NOTE_SIGNER struct note_signer *signer = signer_make(2);
    AUTO_BUF struct buf vkey = BUF(1024), both = BUF(2048);
    note_verifier_format(note_signer_verifier(signer), &vkey);
    const char *other = fixture_file(fixture, "other", vkey.data, vkey.len, 0644);
    const char *folder = fixture_path(fixture, "export");
    assert_int_equal(FIXTURE_RUN(fixture, "ledger", "verify", folder, "--vkey", other), 6);
    buf_printf(&both, "%s\n", buf_text(&vkey));
    fixture_read(fixture_path(fixture, "vkey"), &both);
    other = fixture_file(fixture, "other", both.data, both.len, 0644);
    assert_int_equal(FIXTURE_RUN(fixture, "ledger", "verify", folder, "--vkey", other), 0);
}

/* The checkpoint by two keys; the file of keys: any one of them, with strangers' among them. */
static void test_one_of_several_keys_is_enough(void **state)
{
    struct fixture *fixture = *state;
    struct export export = export_make();
    AUTO_NOTE_SIGNER struct note_signer *old = signer_make(1);
    AUTO_NOTE_SIGNER struct note_signer *new = signer_make(2);
    AUTO_NOTE_SIGNER struct note_signer *stranger = signer_make(3);
    const struct note_signer *both[] = {old, new};
    const struct {
        const struct note_signer *keys[2];
        int exit_code;
    } rows[] = {{{old, NULL}, 0},
                {{new, NULL}, 0},
                {{stranger, new}, 0},
                {{new, old}, 0},
                {{stranger, NULL}, 6}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct checkpoint checkpoint;
        char expected[32] = "";
        AUTO_BUF struct buf note = BUF(NOTE_MAX), vkeys = BUF(4096);
        write_export(fixture, &export);
        assert_int_equal(checkpoint_init(&checkpoint, ORIGIN, export.size, &export.root, NULL), 0);
        assert_int_equal(checkpoint_sign(&checkpoint, both, 2, &note, NULL), 0);
        (void)fixture_file(fixture, "export/checkpoint", note.data, note.len, 0644);
        for (size_t k = 0; k < 2 && rows[i].keys[k] != NULL; k++) {
            note_verifier_format(note_signer_verifier(rows[i].keys[k]), &vkeys);
            buf_puts(&vkeys, "\n");
        }
        (void)fixture_file(fixture, "vkeys", vkeys.data, vkeys.len, 0644);
        assert_int_equal(FIXTURE_RUN(fixture, "ledger", "verify", fixture_path(fixture, "export"),
                                     "--vkey", fixture_path(fixture, "vkeys"), "--output", "json"),
                         rows[i].exit_code);
        if (rows[i].exit_code != 0)
            continue;
        AUTO_JSON json_t *result = json_loads(fixture->out, 0, NULL);
        uint32_t old_id = note_signer_verifier(old)->id, new_id = note_signer_verifier(new)->id;
        if (rows[i].keys[1] == old)
            (void)snprintf(expected, sizeof expected, "%08" PRIx32 " %08" PRIx32, old_id, new_id);
        else
            (void)snprintf(expected, sizeof expected, "%08" PRIx32,
                           rows[i].keys[0] == old ? old_id : new_id);
        assert_string_equal(json_string_value(json_object_get(result, "signed_by")), expected);
    }
}

/* Keys of two logs in one file: the checkpoint's own name says which counts, unless one is asked
 * for. */
static void test_keys_of_two_logs(void **state)
{
    struct fixture *fixture = *state;
    struct export export = export_make();
    uint8_t seed[NOTE_SEED_LEN] = {9};
    AUTO_NOTE_SIGNER struct note_signer *here = signer_make(1);
    AUTO_NOTE_SIGNER struct note_signer *elsewhere = NULL;
    AUTO_BUF struct buf vkeys = BUF(4096);
    assert_int_equal(note_signer_new("ledger.test/else", seed, &elsewhere, NULL), 0);
    write_export(fixture, &export);
    note_verifier_format(note_signer_verifier(elsewhere), &vkeys);
    buf_puts(&vkeys, "\n");
    note_verifier_format(note_signer_verifier(here), &vkeys);
    (void)fixture_file(fixture, "vkeys", vkeys.data, vkeys.len, 0644);
#define VERIFY_AS(...)                                                                             \
    FIXTURE_RUN(fixture, "ledger", "verify", fixture_path(fixture, "export"), "--vkey",            \
                fixture_path(fixture, "vkeys"), __VA_ARGS__)
    assert_int_equal(VERIFY_AS("--output", "json"), 0);
    assert_int_equal(VERIFY_AS("--origin", ORIGIN), 0);
    assert_int_equal(VERIFY_AS("--origin", "ledger.test/else"), 6);
#undef VERIFY_AS
}

static void test_without_a_key_nothing_is_believed(void **state)
{
    struct fixture *fixture = *state;
    struct export export = export_make();
    write_export(fixture, &export);
    const char *folder = fixture_path(fixture, "export");
    assert_int_equal(FIXTURE_RUN(fixture, "ledger", "verify", folder), 2);
    assert_int_equal(FIXTURE_RUN(fixture, "ledger", "verify", folder, "--vkey", "/no/such"), 2);
    const char *empty = fixture_file(fixture, "empty", "", 0, 0644);
    assert_int_equal(FIXTURE_RUN(fixture, "ledger", "verify", folder, "--vkey", empty), 2);
}

static void test_malformed_files(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *name, *text;
        int exit_code;
    } cases[] = {
        {"export/checkpoint", "not a note\n", 2}, {"export/events.ndjson", "\n", 2},
        {"export/events.ndjson", "{}", 2}, /* no newline */
        {"export/events.ndjson", "text\n", 2},    {"export/events.ndjson", "{}\r\n", 2},
        {"export/entries.sha256", "abc\n", 2},    {"export/events.ndjson", "", 6},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct export export = export_make();
        write_export(fixture, &export);
        (void)fixture_file(fixture, cases[i].name, cases[i].text, strlen(cases[i].text), 0644);
        int result = FIXTURE_RUN(fixture, "ledger", "verify", fixture_path(fixture, "export"),
                                 "--vkey", fixture_path(fixture, "vkey"));
        if (result != cases[i].exit_code)
            fail_msg("case %zu: exit %d: %s", i, result, fixture->fault.detail);
    }
    assert_int_equal(unlink(fixture_path(fixture, "export/events.ndjson")), 0);
    assert_int_equal(FIXTURE_RUN(fixture, "ledger", "verify", fixture_path(fixture, "export"),
                                 "--vkey", fixture_path(fixture, "vkey")),
                     2);
}

/* Lines as long as events may be cross the reader's window in every way. */
static void test_long_lines(void **state)
{
    struct fixture *fixture = *state;
    struct merkle_range range = {0};
    AUTO_BUF struct buf lines = BUF((size_t)32 * 1024 * 1024);
    struct export export = {.origin = ORIGIN, .no_entries = true};
    for (size_t i = 0; i < 24; i++) {
        size_t len = i % 2 == 0 ? EVENT_MAX : EVENT_MAX - 12345 * i, start = lines.len;
        char *line = buf_reserve(&lines, len + 1);
        assert_non_null(line);
        memset(line, 'x', len);
        line[0] = '{';
        line[len - 1] = '}';
        line[len] = '\n';
        buf_commit(&lines, len + 1);
        struct digest entry = digest_of(lines.data + start, len);
        struct digest leaf = merkle_entry_leaf(&entry);
        assert_int_equal(merkle_range_append(&range, &leaf, NULL), 0);
    }
    export.size = range.size;
    export.root = merkle_range_root(&range);
    write_export(fixture, &export);
    (void)fixture_file(fixture, "export/events.ndjson", lines.data, lines.len, 0644);
    const char *folder = fixture_path(fixture, "export"), *vkey = fixture_path(fixture, "vkey");
    assert_int_equal(FIXTURE_RUN(fixture, "ledger", "verify", folder, "--vkey", vkey), 0);
    memset(lines.data, 'x', lines.len);
    (void)fixture_file(fixture, "export/events.ndjson", lines.data, lines.len, 0644);
    assert_int_equal(FIXTURE_RUN(fixture, "ledger", "verify", folder, "--vkey", vkey), 2);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_a_sound_export),
        TEST(test_an_edited_event_is_named),
        TEST(test_an_edited_record_is_named),
        TEST(test_an_edited_event_with_its_record),
        TEST(test_two_changes_name_the_first),
        TEST(test_swapped_and_lost_lines),
        TEST(test_the_checkpoint_is_proven),
        TEST(test_another_key),
        TEST(test_one_of_several_keys_is_enough),
        TEST(test_keys_of_two_logs),
        TEST(test_without_a_key_nothing_is_believed),
        TEST(test_malformed_files),
        TEST(test_long_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
