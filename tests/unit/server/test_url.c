/* SPDX-License-Identifier: Apache-2.0 */
#include "server/url.h"

#include "tests/unit/server/loopback.h"

static void expect_split(const char *target, const char *path, const char *query)
{
    struct span got_path, got_query;
    struct fault fault = {0};
    if (url_split(span_text(target), &got_path, &got_query, &fault) != 0)
        fail_msg("%s: %s", target, fault.detail);
    assert_true(span_equal(got_path, span_text(path)));
    assert_true(span_equal(got_query, span_text(query)));
}

static void test_split(void **state)
{
    (void)state;
    expect_split("/", "/", "");
    expect_split("/a/b", "/a/b", "");
    expect_split("/a?", "/a", "");
    expect_split("/a?b=c", "/a", "b=c");
    expect_split("/a?b=?&c", "/a", "b=?&c");
    expect_split("/a%2fb?c=%20", "/a%2fb", "c=%20");
    expect_split("http://h/a?b", "/a", "b");
    expect_split("HTTPS://h:1/a", "/a", "");
}

static void test_split_refuses(void **state)
{
    (void)state;
    static const char *const targets[] = {
        "",      "*",    "a",     "?a",        "http://h",  "ftp://h/a", "/a b",
        "/a\tb", "/a#b", "/\"",   "/<",        "/\\",       "/^",        "/`",
        "/{",    "/|",   "/\x7f", "/\xc3\xa4", "/a?b=\x80", "h:443"};
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        struct span path = {.len = 77}, query = {.len = 77};
        struct fault fault = {0};
        assert_int_equal(url_split(span_text(targets[i]), &path, &query, &fault), -1);
        assert_int_equal(fault.code, FAULT_MALFORMED_REQUEST);
        assert_int_equal(path.len, 77);
        assert_int_equal(query.len, 77);
    }
    struct span path, query;
    assert_int_equal(url_split(span_of("/a\0b", 4), &path, &query, NULL), -1);
}

static void test_decode(void **state)
{
    (void)state;
    static const struct {
        const char *text, *path, *query;
    } cases[] = {
        {"", "", ""},
        {"abc", "abc", "abc"},
        {"a+b", "a+b", "a b"},
        {"%41%7a%7A", "Azz", "Azz"},
        {"%2B%20%25", "+ %", "+ %"},
        {"%2f%2e%2e", "/..", "/.."},
        {"%c3%a4%E2%82%AC%f0%9f%98%80", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80",
         "\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[64];
        struct fault fault = {0};
        assert_int_equal(url_decode(span_text(cases[i].text), false, "x", text, &fault), 0);
        assert_string_equal(text, cases[i].path);
        assert_int_equal(url_decode(span_text(cases[i].text), true, "x", text, &fault), 0);
        assert_string_equal(text, cases[i].query);
    }
}

static void test_decode_refuses(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "%",   "%4",     "a%",     "a%4",    "%4g",       "%g4",          "%%41", "%-1",
        "% 4", "%00",    "a%00b",  "%0a",    "%0d%0a",    "%1f",          "%7f",  "%80",
        "%c3", "%c3%28", "%c0%af", "%e0%80", "%ed%a0%80", "%f4%90%80%80", "%ff",  "%u0041",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        char text[64];
        struct fault fault = {0};
        if (url_decode(span_text(texts[i]), false, "the path", text, &fault) != -1)
            fail_msg("%s was decoded", texts[i]);
        assert_int_equal(fault.code, FAULT_MALFORMED_REQUEST);
        assert_true(text_begins(fault.detail, "the path "));
    }
    /* An escape cut by the span's end is not completed from what lies behind it. */
    char text[8];
    assert_int_equal(url_decode(span_of("%41", 2), false, "x", text, NULL), -1);
}

static void test_query(void **state)
{
    (void)state;
    struct url_parameter parameters[4];
    size_t count = 77;
    struct fault fault = {0};
    char text[64];
    assert_int_equal(url_query(span_text(""), text, parameters, 4, &count, &fault), 0);
    assert_int_equal(count, 0);

    assert_int_equal(
        url_query(span_text("a=1&b&c=&%61=x+y%3D=z"), text, parameters, 4, &count, &fault), 0);
    static const char *const wanted[][2] = {{"a", "1"}, {"b", ""}, {"c", ""}, {"a", "x y==z"}};
    assert_int_equal(count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_string_equal(parameters[i].name, wanted[i][0]);
        assert_string_equal(parameters[i].value, wanted[i][1]);
    }
}

/* The promised room is enough for every shape: nothing is written past it. */
static void test_query_room(void **state)
{
    (void)state;
    static const char *const queries[] = {"a", "a=", "a&b", "a=&b=", "a=1&b", "a&b&c&d", "a=b=c"};
    for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
        size_t len = strlen(queries[i]);
        struct url_parameter parameters[4];
        size_t count = 0;
        char *text = malloc(len + 2);
        assert_non_null(text);
        assert_int_equal(url_query(span_text(queries[i]), text, parameters, 4, &count, NULL), 0);
        for (size_t j = 0; j < count; j++)
            assert_true(strlen(parameters[j].name) == 1);
        free(text);
    }
}

static void test_query_refuses(void **state)
{
    (void)state;
    static const char *const queries[] = {"=",   "=a",  "&",     "a&",    "&a",       "a&&b",
                                          "a=%", "%=a", "a=%ff", "a=%00", "a&b&c&d&e"};
    for (size_t i = 0; i < ARRAY_LEN(queries); i++) {
        struct url_parameter parameters[4];
        size_t count = 77;
        char text[64];
        struct fault fault = {0};
        assert_int_equal(url_query(span_text(queries[i]), text, parameters, 4, &count, &fault), -1);
        assert_int_equal(fault.code, FAULT_MALFORMED_REQUEST);
        assert_int_equal(count, 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split),         cmocka_unit_test(test_split_refuses),
        cmocka_unit_test(test_decode),        cmocka_unit_test(test_decode_refuses),
        cmocka_unit_test(test_query),         cmocka_unit_test(test_query_room),
        cmocka_unit_test(test_query_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
