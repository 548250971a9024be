/* SPDX-License-Identifier: Apache-2.0 */
/* Tables, records, JSON and NDJSON; to a terminal and elsewhere. */
#include "cli/output.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct column columns[] = {
    {"ID", "id", COLUMN_TEXT},
    {"STATE", "state", COLUMN_STATE},
    {"TOOL", "tool", COLUMN_DIGEST},
    {"INDEX", "ledger.index", COLUMN_TEXT},
};

/* What a call writes, with `output`'s mode and terminal. */
struct written {
    char *text;
    size_t len;
};

static void written_free(struct written *written)
{
    free(written->text);
}

static json_t *items_make(void)
{
    json_t *items = json_pack(
        "[{s:s, s:s, s:s, s:{s:i}}, {s:s, s:s, s:s, s:n}]", "id", "a\x1b[31m", "state", "succeeded",
        "tool", "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824", "ledger",
        "index", 17, "id", "Gr\xc3\xbc\xc3\x9f", "state", "failed", "tool", "x", "ledger");
    assert_non_null(items);
    return items;
}

static struct written write_items(struct output output, const char *next)
{
    struct written written = {0};
    AUTO_JSON json_t *items = items_make();
    output.out = open_memstream(&written.text, &written.len);
    assert_int_equal(output_items(&output, columns, ARRAY_LEN(columns), items, next, NULL), 0);
    assert_int_equal(fclose(output.out), 0);
    return written;
}

static void test_table_lines_up_and_is_neutral(void **state)
{
    (void)state;
    AUTO(written_free)
    struct written written = write_items((struct output){.mode = OUTPUT_TABLE}, NULL);
    assert_string_equal(written.text,
                        "ID         STATE      TOOL                 INDEX\n"
                        "a\\x1b[31m  succeeded  sha256:2cf24dba5fb0  17\n"
                        "Gr\xc3\xbc\xc3\x9f       failed     x                    -\n");
}

static void test_table_has_colours_only_where_wanted(void **state)
{
    (void)state;
    AUTO(written_free)
    struct written written =
        write_items((struct output){.mode = OUTPUT_TABLE, .terminal = true, .color = true}, NULL);
    assert_non_null(strstr(written.text, "\x1b[32msucceeded\x1b[0m"));
    assert_non_null(strstr(written.text, "\x1b[31mfailed\x1b[0m"));
    assert_null(strstr(written.text, "a\x1b"));
}

static void test_json_is_one_document(void **state)
{
    (void)state;
    AUTO(written_free)
    struct written written = write_items((struct output){.mode = OUTPUT_JSON}, "cursor");
    AUTO_JSON json_t *list = json_loads(written.text, JSON_REJECT_DUPLICATES, NULL);
    assert_int_equal(json_array_size(json_object_get(list, "items")), 2);
    assert_string_equal(json_string_value(json_object_get(list, "next")), "cursor");
    assert_non_null(strstr(written.text, "\xc3\xbc")); /* as it is: not a terminal */
}

static void test_json_on_a_terminal_is_ascii(void **state)
{
    (void)state;
    AUTO(written_free)
    struct written written =
        write_items((struct output){.mode = OUTPUT_JSON, .terminal = true}, NULL);
    AUTO_JSON json_t *list = json_loads(written.text, JSON_REJECT_DUPLICATES, NULL);
    assert_true(json_is_null(json_object_get(list, "next")));
    for (size_t i = 0; i < written.len; i++)
        assert_true((unsigned char)written.text[i] < 0x7F);
}

static void test_ndjson_is_a_line_an_item(void **state)
{
    (void)state;
    AUTO(written_free)
    struct written written = write_items((struct output){.mode = OUTPUT_NDJSON}, NULL);
    char *second = strchr(written.text, '\n');
    assert_non_null(second);
    assert_ptr_equal(strchr(second + 1, '\n'), written.text + written.len - 1);
    AUTO_JSON json_t *item = json_loads(second + 1, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(item, "state")), "failed");
}

static void test_records(void **state)
{
    (void)state;
    struct written written = {0};
    AUTO_JSON json_t *object =
        json_pack("{s:s, s:n, s:b, s:[s,s], s:{s:i}, s:s}", "id", "x", "reason", "platform", 0,
                  "roles", "viewer", "admin", "usage", "wall_ms", 3, "na\nme", "v\r");
    struct output output = {.mode = OUTPUT_TABLE};
    output.out = open_memstream(&written.text, &written.len);
    assert_int_equal(output_record(&output, NULL, 0, object, NULL), 0);
    assert_int_equal(fclose(output.out), 0);
    assert_string_equal(written.text, "id        x\n"
                                      "reason    -\n"
                                      "platform  no\n"
                                      "roles     viewer,admin\n"
                                      "usage     {\"wall_ms\":3}\n"
                                      "na\\x0ame  v\\x0d\n");
    written_free(&written);
}

static void test_bytes_are_exact_but_for_terminals(void **state)
{
    (void)state;
    static const char bytes[] = "a\x1b[2J\0\xff\nb";
    for (int terminal = 0; terminal < 2; terminal++) {
        struct written written = {0};
        struct output output = {.terminal = terminal == 1};
        output.out = open_memstream(&written.text, &written.len);
        assert_int_equal(output_bytes(&output, span_of(bytes, sizeof bytes - 1), NULL), 0);
        assert_int_equal(fclose(output.out), 0);
        if (terminal == 1)
            assert_string_equal(written.text, "a\\x1b[2J\\x00\\xff\nb");
        else {
            assert_int_equal(written.len, sizeof bytes - 1);
            assert_memory_equal(written.text, bytes, written.len);
        }
        written_free(&written);
    }
}

static void test_a_full_disk_is_noticed(void **state)
{
    (void)state;
    struct output output = {.mode = OUTPUT_TABLE};
    struct fault fault = {0};
    output.out = fopen("/dev/full", "we");
    assert_non_null(output.out);
    assert_int_equal(output_bytes(&output, span_text("x"), NULL), 0); /* in stdio's buffer */
    assert_int_equal(output_close(&output, &fault), -1);
    assert_int_equal(fault.code, FAULT_INTERNAL);
    (void)fclose(output.out);
}

static void test_modes(void **state)
{
    (void)state;
    enum output_mode mode = OUTPUT_TABLE;
    assert_int_equal(output_mode_parse("ndjson", &mode), 0);
    assert_int_equal(mode, OUTPUT_NDJSON);
    assert_int_equal(output_mode_parse("yaml", &mode), -1);
    assert_int_equal(mode, OUTPUT_NDJSON);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_lines_up_and_is_neutral),
        cmocka_unit_test(test_table_has_colours_only_where_wanted),
        cmocka_unit_test(test_json_is_one_document),
        cmocka_unit_test(test_json_on_a_terminal_is_ascii),
        cmocka_unit_test(test_ndjson_is_a_line_an_item),
        cmocka_unit_test(test_records),
        cmocka_unit_test(test_bytes_are_exact_but_for_terminals),
        cmocka_unit_test(test_a_full_disk_is_noticed),
        cmocka_unit_test(test_modes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
