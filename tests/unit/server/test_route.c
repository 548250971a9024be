/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/server/loopback.h"

static const struct route routes[] = {
    {.method = HTTP_GET, .path = "/"},
    {.method = HTTP_GET, .path = "/v1/things"},
    {.method = HTTP_POST, .path = "/v1/things"},
    {.method = HTTP_GET, .path = "/v1/things/{id}"},
    {.method = HTTP_GET, .path = "/v1/things/all"},
    {.method = HTTP_PUT, .path = "/v1/things/{id}/part"},
    {.method = HTTP_GET, .path = "/v1/{kind}/{id}/part"},
    {.method = HTTP_HEAD, .path = "/v1/only/head"},
    {.method = HTTP_GET, .path = "/v1/both"},
    {.method = HTTP_HEAD, .path = "/v1/both"},
    {.method = HTTP_GET, .path = "/v1/tile/{a}/{b}/{c}/{d}"},
};

static int match(enum http_method method, const char *path, struct route_match *ret_match,
                 char *ret_allow, struct fault *fault)
{
    return route_match(routes, ARRAY_LEN(routes), method, span_text(path), ret_match, ret_allow,
                       fault);
}

static void expect_row(enum http_method method, const char *path, size_t row, const char *first)
{
    struct route_match found;
    char allow[64] = "untouched";
    struct fault fault = {0};
    if (match(method, path, &found, allow, &fault) != 0)
        fail_msg("%s: %s", path, fault.detail);
    assert_ptr_equal(found.route, &routes[row]);
    assert_string_equal(allow, "untouched");
    if (first == NULL)
        assert_int_equal(found.value_count, 0);
    else
        assert_true(span_equal(found.values[0], span_text(first)));
}

static void expect_none(const char *path)
{
    struct route_match found = {.value_count = 77};
    char allow[64] = "untouched";
    struct fault fault = {0};
    assert_int_equal(match(HTTP_GET, path, &found, allow, &fault), -1);
    if (fault.code != FAULT_NOT_FOUND)
        fail_msg("%s: %s", path, fault.detail);
    assert_int_equal(found.value_count, 77);
}

static void test_matches(void **state)
{
    (void)state;
    expect_row(HTTP_GET, "/", 0, NULL);
    expect_row(HTTP_GET, "/v1/things", 1, NULL);
    expect_row(HTTP_POST, "/v1/things", 2, NULL);
    expect_row(HTTP_GET, "/v1/things/7", 3, "7");
    expect_row(HTTP_GET, "/v1/things/a%2Fb", 3, "a%2Fb");
    expect_row(HTTP_GET, "/v1/things/...", 3, "...");
    expect_row(HTTP_PUT, "/v1/things/7/part", 5, "7");
}

static void test_literal_wins(void **state)
{
    (void)state;
    expect_row(HTTP_GET, "/v1/things/all", 4, NULL);
    expect_row(HTTP_GET, "/v1/things/al", 3, "al");
    expect_row(HTTP_GET, "/v1/others/7/part", 6, "others");
    /* The more literal row has another method: the other one serves. */
    expect_row(HTTP_GET, "/v1/things/7/part", 6, "things");
}

static void test_head(void **state)
{
    (void)state;
    expect_row(HTTP_HEAD, "/v1/things", 1, NULL);
    expect_row(HTTP_HEAD, "/v1/only/head", 7, NULL);
    expect_row(HTTP_HEAD, "/v1/both", 9, NULL);
    expect_row(HTTP_GET, "/v1/both", 8, NULL);
}

static void test_values(void **state)
{
    (void)state;
    struct route_match found;
    char allow[64];
    struct fault fault = {0};
    assert_int_equal(match(HTTP_GET, "/v1/tile/0/x001/x234/567", &found, allow, &fault), 0);
    static const char *const values[] = {"0", "x001", "x234", "567"};
    assert_int_equal(found.value_count, 4);
    for (size_t i = 0; i < 4; i++)
        assert_true(span_equal(found.values[i], span_text(values[i])));
}

static void test_not_found(void **state)
{
    (void)state;
    static const char *const paths[] = {"",
                                        "v1",
                                        "*",
                                        "//",
                                        "/v1",
                                        "/v1/",
                                        "/v1/things/",
                                        "/v1//things",
                                        "/v1/things//part",
                                        "/v1/./things",
                                        "/v1/../v1/things",
                                        "/v1/things/.",
                                        "/v1/things/..",
                                        "/v1/things/%2e",
                                        "/v1/things/%2E%2e",
                                        "/v1/things/.%2e",
                                        "/v1/thing",
                                        "/v1/thingsx",
                                        "/v1/%74hings",
                                        "/V1/things",
                                        "/v1/things/7/",
                                        "/v1/things/7/part/more",
                                        "/v1/tile/1/2/3",
                                        "/{id}",
                                        "/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17",
                                        "/v1/things\0"};
    for (size_t i = 0; i < ARRAY_LEN(paths) - 1; i++)
        expect_none(paths[i]);
    /* A {name} of the table is no wildcard of the caller's. */
    expect_row(HTTP_GET, "/v1/things/{id}", 3, "{id}");
}

static void test_embedded_nul(void **state)
{
    (void)state;
    struct route_match found;
    char allow[64];
    struct fault fault = {0};
    assert_int_equal(route_match(routes, ARRAY_LEN(routes), HTTP_GET, span_of("/v1/things\0", 11),
                                 &found, allow, &fault),
                     -1);
    assert_int_equal(fault.code, FAULT_NOT_FOUND);
}

static void test_method_not_allowed(void **state)
{
    (void)state;
    static const struct {
        enum http_method method;
        const char *path, *allow;
    } cases[] = {
        {HTTP_DELETE, "/v1/things", "GET, HEAD, POST"},
        {HTTP_OTHER, "/v1/things", "GET, HEAD, POST"},
        {HTTP_POST, "/v1/things/7/part", "GET, HEAD, PUT"},
        {HTTP_GET, "/v1/only/head", "HEAD"},
        {HTTP_OTHER, "/", "GET, HEAD"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct route_match found = {.value_count = 77};
        char allow[64] = "";
        struct fault fault = {0};
        assert_int_equal(match(cases[i].method, cases[i].path, &found, allow, &fault), -1);
        assert_int_equal(fault.code, FAULT_METHOD_NOT_ALLOWED);
        assert_string_equal(allow, cases[i].allow);
        assert_int_equal(found.value_count, 77);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matches),
        cmocka_unit_test(test_literal_wins),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_not_found),
        cmocka_unit_test(test_embedded_nul),
        cmocka_unit_test(test_method_not_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
