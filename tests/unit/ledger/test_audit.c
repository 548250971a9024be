/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An export, and what may be done to it: each attack is found, and where the log's own entries
 * are at hand the line is named.
 */
#include "ledger/audit.h"

#include "ledger/event.h"
#include "tests/unit/ledger/reference.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define LINES 20

/* The lines of an export, and the entries the log recorded. */
struct export
{
    size_t count;
    char lines[LINES + 2][128];
    struct digest entries[LINES];
    struct digest roots[LINES + 1];
};

static struct export export_make(void)
{
    struct export export = {.count = LINES};
    struct digest leaves[LINES] = {{{0}}};
    export.roots[0] = reference_root(leaves, 0);
    for (size_t i = 0; i < LINES; i++) {
        (void)snprintf(export.lines[i], sizeof export.lines[i],
                       "{\"specversion\":\"1.0\",\"id\":\"event-%zu\",\"data\":{\"n\":%zu}}", i,
                       i * i);
        export.entries[i] = reference_sha256(export.lines[i], strlen(export.lines[i]));
        leaves[i] = reference_leaf(export.entries[i].bytes, DIGEST_LEN);
        export.roots[i + 1] = reference_root(leaves, i + 1);
    }
    return export;
}

static void withhold(struct export *export, size_t i)
{
    char hex[65];
    for (size_t b = 0; b < DIGEST_LEN; b++)
        (void)snprintf(hex + 2 * b, 3, "%02x", export->entries[i].bytes[b]);
    (void)snprintf(export->lines[i], sizeof export->lines[i], "sha256:%s", hex);
}

/* Runs the whole export, with or without the recorded entries, against the last checkpoint. */
static int run(const struct export *export, bool recorded, struct fault *fault)
{
    AUTO_AUDIT struct audit *audit = NULL;
    assert_int_equal(audit_new(&audit, NULL), 0);
    for (size_t i = 0; i < export->count; i++) {
        const struct digest *entry = recorded && i < LINES ? &export->entries[i] : NULL;
        if (audit_line(audit, span_text(export->lines[i]), entry, fault) != 0)
            return -1;
    }
    return audit_compare(audit, LINES, &export->roots[LINES], fault);
}

static void refused(const struct export *export, bool recorded, enum fault_code code,
                    const char *named)
{
    struct fault fault = {.code = FAULT_NONE};
    assert_int_equal(run(export, recorded, &fault), -1);
    assert_int_equal(fault.code, code);
    if (strncmp(fault.detail, named, strlen(named)) != 0)
        fail_msg("\"%s\" does not begin with \"%s\"", fault.detail, named);
}

static void an_honest_export_rebuilds_the_root(void **state)
{
    (void)state;
    struct export export = export_make();
    assert_int_equal(run(&export, false, NULL), 0);
    assert_int_equal(run(&export, true, NULL), 0);
}

static void withheld_events_leave_the_root(void **state)
{
    (void)state;
    struct export export = export_make();
    for (size_t i = 0; i < LINES; i++) {
        withhold(&export, i);
        assert_int_equal(run(&export, false, NULL), 0);
        assert_int_equal(run(&export, true, NULL), 0);
    }
}

static void counts_tell_events_from_hashes(void **state)
{
    (void)state;
    struct export export = export_make();
    withhold(&export, 3);
    withhold(&export, 7);
    AUTO_AUDIT struct audit *audit = NULL;
    assert_int_equal(audit_new(&audit, NULL), 0);
    for (size_t i = 0; i < LINES; i++) {
        struct digest root = audit_root(audit);
        assert_true(digest_equal(&root, &export.roots[i]));
        assert_int_equal(audit_count(audit), i);
        assert_int_equal(audit_line(audit, span_text(export.lines[i]), NULL, NULL), 0);
    }
    assert_int_equal(audit_count(audit), LINES);
    assert_int_equal(audit_events(audit), LINES - 2);
}

/* A checkpoint kept from before is compared on the way, a later one at the end. */
static void every_checkpoint_on_the_way_compares(void **state)
{
    (void)state;
    struct export export = export_make();
    AUTO_AUDIT struct audit *audit = NULL;
    assert_int_equal(audit_new(&audit, NULL), 0);
    for (size_t i = 0;; i++) {
        for (size_t size = 0; size <= LINES; size++)
            for (size_t root = 0; root <= LINES; root++)
                assert_int_equal(audit_compare(audit, size, &export.roots[root], NULL),
                                 size == i && root == i ? 0 : -1);
        if (i == LINES)
            break;
        assert_int_equal(audit_line(audit, span_text(export.lines[i]), NULL, NULL), 0);
    }
}

static void an_edited_line_is_found_and_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < LINES; i++) {
        struct export export = export_make();
        char expected[64];
        (void)snprintf(expected, sizeof expected, "line %zu (entry %zu): the event's bytes", i + 1,
                       i);
        export.lines[i][20] ^= 1;
        refused(&export, true, FAULT_CONTENT_MISMATCH, expected);
        refused(&export, false, FAULT_CONTENT_MISMATCH, "the root over 20 lines");
    }
}

static void an_exchanged_hash_is_found_and_named(void **state)
{
    (void)state;
    struct export export = export_make();
    withhold(&export, 4);
    char last = export.lines[4][DIGEST_TEXT_LEN - 1];
    export.lines[4][DIGEST_TEXT_LEN - 1] = last == 'a' ? 'b' : 'a';
    refused(&export, true, FAULT_CONTENT_MISMATCH, "line 5 (entry 4): the hash is not");
    refused(&export, false, FAULT_CONTENT_MISMATCH, "the root over 20 lines");
}

static void a_deleted_line_is_found(void **state)
{
    (void)state;
    struct export export = export_make();
    memmove(export.lines[6], export.lines[7], (LINES - 7) * sizeof export.lines[0]);
    export.count--;
    refused(&export, true, FAULT_CONTENT_MISMATCH, "line 7 (entry 6)");
    refused(&export, false, FAULT_CONTENT_MISMATCH, "the export has 19 lines");
    /* and something else put in at the end, so that the count is right */
    (void)snprintf(export.lines[LINES - 1], sizeof export.lines[0], "{}");
    export.count++;
    refused(&export, false, FAULT_CONTENT_MISMATCH, "the root over 20 lines");
}

static void swapped_lines_are_found(void **state)
{
    (void)state;
    struct export export = export_make();
    char kept[sizeof export.lines[0]];
    memcpy(kept, export.lines[8], sizeof kept);
    memcpy(export.lines[8], export.lines[9], sizeof kept);
    memcpy(export.lines[9], kept, sizeof kept);
    refused(&export, true, FAULT_CONTENT_MISMATCH, "line 9 (entry 8)");
    refused(&export, false, FAULT_CONTENT_MISMATCH, "the root over 20 lines");
}

static void a_truncated_export_is_found(void **state)
{
    (void)state;
    for (size_t count = 0; count < LINES; count++) {
        struct export export = export_make();
        char expected[64];
        (void)snprintf(expected, sizeof expected, "the export has %zu lines", count);
        export.count = count;
        refused(&export, true, FAULT_CONTENT_MISMATCH, expected);
    }
}

static void an_added_line_is_found(void **state)
{
    (void)state;
    struct export export = export_make();
    memmove(export.lines[11], export.lines[10], (LINES - 10) * sizeof export.lines[0]);
    export.count++;
    refused(&export, true, FAULT_CONTENT_MISMATCH, "line 12 (entry 11)");
    refused(&export, false, FAULT_CONTENT_MISMATCH, "the export has 21 lines");
}

static void what_is_no_line_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "\r",
        "{}\r", /* CRLF */
        " {}",
        "{} ",
        "{",
        "}",
        "[]",
        "null",
        "\"text\"",
        "sha256:",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b85",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b8555",
        "sha256:E3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "SHA256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "sha512:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\r",
    };
    struct export export = export_make();
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        (void)snprintf(export.lines[5], sizeof export.lines[5], "%s", bad[i]);
        refused(&export, true, FAULT_MALFORMED_REQUEST, "line 6 (entry 5)");
        refused(&export, false, FAULT_MALFORMED_REQUEST, "line 6 (entry 5)");
    }
}

static void a_refused_line_is_not_counted(void **state)
{
    (void)state;
    struct export export = export_make();
    AUTO_AUDIT struct audit *audit = NULL;
    assert_int_equal(audit_new(&audit, NULL), 0);
    for (size_t i = 0; i < LINES; i++) {
        assert_int_equal(audit_line(audit, span_text("nonsense"), NULL, NULL), -1);
        assert_int_equal(audit_line(audit, span_text("{}"), &export.entries[i], NULL), -1);
        assert_int_equal(audit_line(audit, span_text(export.lines[i]), &export.entries[i], NULL),
                         0);
    }
    assert_int_equal(audit_compare(audit, LINES, &export.roots[LINES], NULL), 0);
    assert_int_equal(audit_events(audit), LINES);
}

static void a_line_has_a_maximum(void **state)
{
    (void)state;
    AUTO_FREE char *line = malloc(EVENT_MAX + 1);
    assert_non_null(line);
    memset(line, 'x', EVENT_MAX + 1);
    line[0] = '{';
    line[EVENT_MAX - 1] = line[EVENT_MAX] = '}';
    AUTO_AUDIT struct audit *audit = NULL;
    assert_int_equal(audit_new(&audit, NULL), 0);
    struct fault fault = {.code = FAULT_NONE};
    assert_int_equal(audit_line(audit, span_of(line, EVENT_MAX + 1), NULL, &fault), -1);
    assert_int_equal(fault.code, FAULT_MALFORMED_REQUEST);
    assert_int_equal(audit_line(audit, span_of(line, EVENT_MAX), NULL, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_honest_export_rebuilds_the_root),
        cmocka_unit_test(withheld_events_leave_the_root),
        cmocka_unit_test(counts_tell_events_from_hashes),
        cmocka_unit_test(every_checkpoint_on_the_way_compares),
        cmocka_unit_test(an_edited_line_is_found_and_named),
        cmocka_unit_test(an_exchanged_hash_is_found_and_named),
        cmocka_unit_test(a_deleted_line_is_found),
        cmocka_unit_test(swapped_lines_are_found),
        cmocka_unit_test(a_truncated_export_is_found),
        cmocka_unit_test(an_added_line_is_found),
        cmocka_unit_test(what_is_no_line_is_refused),
        cmocka_unit_test(a_refused_line_is_not_counted),
        cmocka_unit_test(a_line_has_a_maximum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
