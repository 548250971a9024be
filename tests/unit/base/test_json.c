/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static json_t *parsed(const char *text)
{
    json_t *object = NULL;
    struct fault fault = {0};
    if (json_object_parse(span_text(text), FAULT_MANIFEST_INVALID, "it", &object, &fault) != 0)
        fail_msg("%s: %s", text, fault.detail);
    assert_int_equal(fault.code, FAULT_NONE);
    return object;
}

static void assert_refused(const void *text, size_t len, const char *words)
{
    json_t *object = NULL;
    struct fault fault = {0};
    if (json_object_parse(span_of(text, len), FAULT_MANIFEST_INVALID, "it", &object, &fault) != -1)
        fail_msg("accepted: %.*s", (int)len, (const char *)text);
    assert_null(object);
    assert_int_equal(fault.code, FAULT_MANIFEST_INVALID);
    assert_memory_equal(fault.detail, "it: ", 4);
    if (strstr(fault.detail, words) == NULL)
        fail_msg("'%s' has no '%s'", fault.detail, words);
}

static void objects_are_parsed(void **state)
{
    (void)state;
    static const char *const texts[] = {"{}",
                                        " \t\r\n{ } \n",
                                        "{\"a\":1}",
                                        "{\"a\":{\"a\":{}}}",
                                        "{\"a\":[{\"b\":1},{\"b\":1}]}",
                                        "{\"\":\"\"}",
                                        "{\"a\":\"\\u20ac\xe2\x82\xac\\ud83d\\udd12\"}"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        AUTO_JSON json_t *object = parsed(texts[i]);
        assert_true(json_is_object(object));
    }
}

static void what_is_not_strict_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"{",
                                        "}",
                                        "{\"a\":1}{}",
                                        "{\"a\":1},",
                                        "{} x",
                                        "{\"a\":1,}",
                                        "{\"a\":01}",
                                        "{\"a\":.5}",
                                        "{\"a\":1.}",
                                        "{\"a\":+1}",
                                        "{\"a\":NaN}",
                                        "{\"a\":Infinity}",
                                        "{a:1}",
                                        "{'a':1}",
                                        "{\"a\":1 /* no */}",
                                        "{\"a\":\"\n\"}",
                                        "{\"a\":\"\\x41\"}",
                                        "{\"a\":\"\\ud83d\"}",
                                        "{\"a\":\"\\udd12\"}",
                                        "{\"a\":\"\\u0000\"}",
                                        "{\"\\u0000\":1}",
                                        "{\"a\":\"\xff\"}",
                                        "{\"a\":\"\xc0\xaf\"}",
                                        "{\"a\":\"\xed\xa0\x80\"}",
                                        "\xef\xbb\xbf{}",
                                        "{\"a\":1e999}",
                                        "{\"a\":9223372036854775808}",
                                        "{\"a\":True}",
                                        "{\"a\"}",
                                        "{\"a\":}",
                                        "{1:1}"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_refused(texts[i], strlen(texts[i]), "not strict JSON");
    assert_refused("", 0, "found nothing");
    assert_refused(NULL, 0, "found nothing");
    assert_refused("  ", 2, "not strict JSON");
    static const char *const others[] = {"[]", "[{}]"};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_refused(others[i], strlen(others[i]), "expected a JSON object");
    static const char *const scalars[] = {"1", "\"a\"", "null", "true"};
    for (size_t i = 0; i < ARRAY_LEN(scalars); i++)
        assert_refused(scalars[i], strlen(scalars[i]), "");
}

static void a_doubled_member_is_refused_at_any_depth(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"a\":1,\"a\":1}",         "{\"a\":1,\"b\":2,\"a\":3}",
        "{\"x\":{\"a\":1,\"a\":2}}", "{\"x\":[0,[{\"a\":1,\"a\":2}]]}",
        "{\"a\":1,\"\\u0061\":2}",   "{\"\":1,\"\":2}"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_refused(texts[i], strlen(texts[i]), "duplicate member");
}

/* A NUL ends a C string: behind it could hide what another parser reads. */
static void a_nul_byte_is_refused_anywhere(void **state)
{
    (void)state;
    assert_refused("{\"a\":1}\0", 8, "NUL");
    assert_refused("\0{}", 3, "NUL");
    assert_refused("{\"a\":\"b\0c\"}", 11, "NUL");
    assert_refused("{}\0{\"a\":1}", 10, "NUL");
}

static void nest(struct buf *buf, const char *open, const char *inner, const char *close, int depth)
{
    buf_puts(buf, "{\"x\":");
    for (int i = 1; i < depth; i++)
        buf_puts(buf, open);
    buf_puts(buf, inner);
    for (int i = 1; i < depth; i++)
        buf_puts(buf, close);
    buf_puts(buf, "}");
}

static void nesting_has_a_maximum(void **state)
{
    (void)state;
    static const char *const opens[] = {"[", "{\"y\":"}, *const closes[] = {"]", "}"};
    for (size_t kind = 0; kind < 2; kind++) {
        AUTO_BUF struct buf deepest = BUF(4096), deeper = BUF(4096), hostile = BUF(1 << 20);
        nest(&deepest, opens[kind], "1", closes[kind], 64);
        AUTO_JSON json_t *object = parsed(buf_text(&deepest));
        assert_non_null(object);
        nest(&deeper, opens[kind], "1", closes[kind], 65);
        assert_refused(deeper.data, deeper.len, "deeper than 64");
        nest(&hostile, opens[kind], "1", "", 100000);
        assert_refused(hostile.data, hostile.len, "deeper than 64");
    }
    /* Brackets inside strings are text; an escaped quote does not end a string, an escaped
     * backslash does not keep it open. */
    AUTO_BUF struct buf text = BUF(4096), hidden = BUF(4096);
    buf_puts(&text, "{\"a\":\"\\\"");
    for (int i = 0; i < 100; i++)
        buf_puts(&text, "[{");
    buf_puts(&text, "\"}");
    AUTO_JSON json_t *of_text = parsed(buf_text(&text));
    assert_non_null(of_text);
    buf_puts(&hidden, "{\"a\":\"\\\\\",\"b\":");
    for (int i = 0; i < 100; i++)
        buf_puts(&hidden, "[");
    assert_refused(hidden.data, hidden.len, "deeper than 64");
    char brackets[300];
    memset(brackets, '[', sizeof brackets);
    memcpy(brackets, "{\"a\\\"\":\"\\\\\\\"", 12);
    memcpy(brackets + sizeof brackets - 3, "\"}", 3);
    AUTO_JSON json_t *object = parsed(brackets);
    assert_non_null(object);
}

static void appended_bytes_are_compact_and_in_order(void **state)
{
    (void)state;
    AUTO_JSON json_t *object = parsed("{ \"z\" : [ 1 , true , null ] , \"a\" : \"\\u00e9/\" }");
    AUTO_BUF struct buf buf = BUF(100);
    buf_puts(&buf, ">");
    json_append(&buf, object);
    assert_string_equal(buf_text(&buf), ">{\"z\":[1,true,null],\"a\":\"\xc3\xa9/\"}");
    AUTO_BUF struct buf small = BUF(10);
    json_append(&small, object);
    assert_true(buf_failed(&small));
    AUTO_BUF struct buf none = BUF(10);
    json_append(&none, NULL);
    assert_true(buf_failed(&none));
}

struct values {
    const char *text;
    int64_t number;
    bool flag;
    json_t *object, *array;
};

static const struct values untouched = {.text = "before", .number = -1};

static int read_values(const char *json, bool closed, struct values *values, json_t **ret_object,
                       struct fault *fault)
{
    const struct json_field fields[] = {
        {"text", JSON_KIND_STRING, true, 2, 4, &values->text},
        {"number", JSON_KIND_INTEGER, false, -5, 10, &values->number},
        {"flag", JSON_KIND_BOOL, false, 0, 0, &values->flag},
        {"object", JSON_KIND_OBJECT, false, 0, 0, &values->object},
        {"array", JSON_KIND_ARRAY, false, 1, 2, &values->array},
    };
    *ret_object = parsed(json);
    return json_read(*ret_object, "top.", fields, ARRAY_LEN(fields), closed,
                     FAULT_MALFORMED_REQUEST, fault);
}

static void declared_members_are_read(void **state)
{
    (void)state;
    struct values values = untouched;
    struct fault fault = {0};
    AUTO_JSON json_t *object = NULL;
    assert_int_equal(
        read_values("{\"text\":\"abcd\",\"number\":-5,\"flag\":true,\"object\":{\"x\":1},"
                    "\"array\":[1]}",
                    true, &values, &object, &fault),
        0);
    assert_string_equal(values.text, "abcd");
    assert_int_equal(values.number, -5);
    assert_true(values.flag);
    assert_ptr_equal(values.object, json_object_get(object, "object"));
    assert_int_equal(json_array_size(values.array), 1);
    AUTO_JSON json_t *least = NULL;
    values = untouched;
    assert_int_equal(
        read_values("{\"text\":\"\xe2\x82\xac\",\"other\":1}", false, &values, &least, &fault), 0);
    assert_string_equal(values.text, "\xe2\x82\xac");
    assert_int_equal(values.number, -1);
    assert_null(values.object);
    assert_int_equal(fault.code, FAULT_NONE);
}

static void a_bad_member_is_named_and_nothing_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *json, *detail;
    } cases[] = {
        {"{}", "top.text: required, expected a string"},
        {"{\"text\":null}", "top.text: expected a string"},
        {"{\"text\":1}", "top.text: expected a string"},
        {"{\"text\":\"a\"}", "top.text: expected a string of 2 to 4 bytes"},
        {"{\"text\":\"\xe2\x82\xac\xe2\x82\xac\"}", "top.text: expected a string of 2 to 4 bytes"},
        {"{\"text\":\"ab\",\"number\":11}", "top.number: expected an integer of -5 to 10"},
        {"{\"text\":\"ab\",\"number\":-6}", "top.number: expected an integer of -5 to 10"},
        {"{\"text\":\"ab\",\"number\":1.0}", "top.number: expected an integer"},
        {"{\"text\":\"ab\",\"number\":\"1\"}", "top.number: expected an integer"},
        {"{\"text\":\"ab\",\"number\":null}", "top.number: expected an integer"},
        {"{\"text\":\"ab\",\"flag\":1}", "top.flag: expected true or false"},
        {"{\"text\":\"ab\",\"object\":[]}", "top.object: expected an object"},
        {"{\"text\":\"ab\",\"array\":{}}", "top.array: expected an array"},
        {"{\"text\":\"ab\",\"array\":[]}", "top.array: expected an array of 1 to 2 elements"},
        {"{\"text\":\"ab\",\"array\":[1,2,3]}", "top.array: expected an array of 1 to 2 elements"},
        {"{\"text\":\"ab\",\"Text\":\"ab\"}", "top.Text: not a member known here"},
        {"{\"text\":\"ab\",\"\":1}", "top.: not a member known here"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct values values = untouched;
        struct fault fault = {0};
        AUTO_JSON json_t *object = NULL;
        if (read_values(cases[i].json, true, &values, &object, &fault) != -1)
            fail_msg("accepted: %s", cases[i].json);
        assert_int_equal(fault.code, FAULT_MALFORMED_REQUEST);
        assert_string_equal(fault.detail, cases[i].detail);
        assert_memory_equal(&values, &untouched, sizeof values);
    }
}

static void assert_jcs(const struct jcs_member *members, size_t count, const char *expected)
{
    AUTO_BUF struct buf buf = BUF(4096);
    jcs_object(&buf, members, count);
    assert_false(buf_failed(&buf));
    assert_string_equal(buf_text(&buf), expected);
}

/* RFC 8785 section 3.2.2.2, with the string of its example in 3.2.2. */
static void jcs_strings(void **state)
{
    (void)state;
    assert_jcs(NULL, 0, "{}");
    assert_jcs(&(struct jcs_member){"string", "\xe2\x82\xac$\x0f\nA'B\"\\\\\"/"}, 1,
               "{\"string\":\"\xe2\x82\xac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}");
    assert_jcs(&(struct jcs_member){"s", "\b\t\n\f\r\"\\/"}, 1,
               "{\"s\":\"\\b\\t\\n\\f\\r\\\"\\\\/\"}");
    assert_jcs(&(struct jcs_member){"s", "\x01\x0b\x0e\x1f\x7f"}, 1,
               "{\"s\":\"\\u0001\\u000b\\u000e\\u001f\x7f\"}");
    assert_jcs(&(struct jcs_member){"s", "\xe2\x80\xa8\xf0\x9f\x94\x92\xc2\x80"}, 1,
               "{\"s\":\"\xe2\x80\xa8\xf0\x9f\x94\x92\xc2\x80\"}");
    for (char c = 1; c < 0x20; c++) {
        const char text[] = {c, '\0'};
        AUTO_BUF struct buf buf = BUF(64);
        jcs_object(&buf, &(struct jcs_member){"s", text}, 1);
        AUTO_JSON json_t *back = parsed(buf_text(&buf));
        assert_string_equal(json_string_value(json_object_get(back, "s")), text);
        for (size_t i = 0; i < buf.len; i++)
            assert_true(buf.data[i] >= 0x20);
    }
}

static void jcs_members_are_sorted(void **state)
{
    (void)state;
    static const struct jcs_member members[] = {{"literal", "5"}, {"numbers", "4"}, {"", "1"},
                                                {"string", "6"},  {"B", "2"},       {"a", "3"}};
    assert_jcs(members, ARRAY_LEN(members),
               "{\"\":\"1\",\"B\":\"2\",\"a\":\"3\",\"literal\":\"5\",\"numbers\":\"4\","
               "\"string\":\"6\"}");
    struct jcs_member many[33];
    char names[33][4];
    for (size_t i = 0; i < 33; i++) {
        (void)snprintf(names[i], sizeof names[i], "%02zu", 32 - i);
        many[i] = (struct jcs_member){names[i], ""};
    }
    AUTO_BUF struct buf fits = BUF(4096), over = BUF(4096);
    jcs_object(&fits, many, 32);
    assert_false(buf_failed(&fits));
    assert_memory_equal(buf_text(&fits), "{\"01\":\"\",\"02\":\"\",", 17);
    jcs_object(&over, many, 33);
    assert_true(buf_failed(&over));
}

static void a_text_is_measured(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t depth, containers, commas;
    } rows[] = {{"", 0, 0, 0},
                {"7", 0, 0, 0},
                {"{}", 1, 1, 0},
                {"[[],[]]", 2, 3, 1},
                {"{\"a,[{\":\"\\\",}\",\"b\":[1,2]}", 2, 2, 2},
                {"]]][", 1, 1, 0}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct json_size size = json_measure(span_text(rows[i].text));
        assert_int_equal(size.depth, rows[i].depth);
        assert_int_equal(size.containers, rows[i].containers);
        assert_int_equal(size.commas, rows[i].commas);
    }
}

static void arrays_are_parsed_as_strictly(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "", "{}", "[1] x", "[1,]", "[{\"a\":1,\"a\":2}]", "[01]", "null", "[\"\\u0000\"]"};
    struct fault fault = {0};
    AUTO_JSON json_t *array = NULL;
    assert_int_equal(json_array_parse(span_text(" [{\"a\":[]},2]\n"), FAULT_ARTIFACT_INVALID, "it",
                                      &array, &fault),
                     0);
    assert_int_equal(json_array_size(array), 2);
    assert_int_equal(fault.code, FAULT_NONE);
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        AUTO_JSON json_t *none = NULL;
        struct fault why = {0};
        assert_int_equal(
            json_array_parse(span_text(refused[i]), FAULT_ARTIFACT_INVALID, "it", &none, &why), -1);
        assert_int_equal(why.code, FAULT_ARTIFACT_INVALID);
        assert_null(none);
    }
    AUTO_JSON json_t *object = NULL;
    assert_int_equal(
        json_object_parse(span_text("[]"), FAULT_ARTIFACT_INVALID, "it", &object, &fault), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_parsed),
        cmocka_unit_test(what_is_not_strict_is_refused),
        cmocka_unit_test(a_doubled_member_is_refused_at_any_depth),
        cmocka_unit_test(a_nul_byte_is_refused_anywhere),
        cmocka_unit_test(nesting_has_a_maximum),
        cmocka_unit_test(a_text_is_measured),
        cmocka_unit_test(arrays_are_parsed_as_strictly),
        cmocka_unit_test(appended_bytes_are_compact_and_in_order),
        cmocka_unit_test(declared_members_are_read),
        cmocka_unit_test(a_bad_member_is_named_and_nothing_is_read),
        cmocka_unit_test(jcs_strings),
        cmocka_unit_test(jcs_members_are_sorted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
