/* SPDX-License-Identifier: Apache-2.0 */
/* What a handler sees of a request. */
#include "tests/unit/server/loopback.h"

#include <stdatomic.h>

static const char *const known[] = {"limit", "after", NULL};
static const char *const repeatable[] = {"entrypoint", NULL};
static atomic_int callers_destroyed;

/* Tells all it sees; strings that are absent are null. */
static enum answer answer_all(struct request *request)
{
    struct fault fault = {0};
    const char *query_fault = "";
    if (request_check_query(request, known, repeatable, &fault) != 0)
        query_fault = fault_name(fault.code);
    struct span body = request_body(request);
    return reply_json(
        request, 200,
        json_pack("{s:s, s:i, s:s, s:s, s:s?, s:s?, s:s?, s:s?, s:s?, s:s?, s:s?, s:s?, s:s, s:I, "
                  "s:s#, s:s?}",
                  "path", request_route(request)->path, "method", request_method(request), "id",
                  request_id(request), "trace", request_traceparent(request), "a",
                  request_path_value(request, "a"), "bb", request_path_value(request, "bb"), "b",
                  request_path_value(request, "b"), "header", request_header(request, "x-TEST"),
                  "limit", request_query(request, "limit", 0), "limit2",
                  request_query(request, "limit", 1), "entry0",
                  request_query(request, "entrypoint", 0), "entry1",
                  request_query(request, "entrypoint", 1), "query_fault", query_fault, "length",
                  (json_int_t)request_content_length(request), "body", (const char *)body.data,
                  (int)body.len, "caller", (const char *)request_caller(request)));
}

static enum answer answer_twice(struct request *request)
{
    struct fault fault = {0};
    char byte;
    size_t len = 77;
    assert_int_equal(request_read(request, &byte, 1, &len, &fault), -1); /* is not streamed */
    assert_int_equal(fault.code, FAULT_INTERNAL);
    assert_int_equal(len, 77);
    return answer_all(request);
}

static void caller_destroy(void *caller)
{
    free(caller);
    atomic_fetch_add(&callers_destroyed, 1);
}

static int admit(struct request *request, struct fault *fault)
{
    const char *authorization = request_header(request, "Authorization");
    if (request_route(request)->access == 0)
        return 0;
    if (authorization == NULL)
        return fault_set(fault, FAULT_NOT_AUTHENTICATED, "no caller");
    request_set_caller(request, strdup("nobody"), caller_destroy);
    request_set_caller(request, strdup(authorization), caller_destroy);
    return 0;
}

static const struct route routes[] = {
    {.method = HTTP_GET, .path = "/all/{a}/{bb}", .handle = answer_all},
    {.method = HTTP_POST,
     .path = "/body",
     .body = ROUTE_BODY_BUFFERED,
     .body_max = 100,
     .handle = answer_twice},
    {.method = HTTP_GET, .path = "/guarded", .access = 1, .handle = answer_all},
};

static struct http *http;

static int setup(void **state)
{
    (void)state;
    struct http_config config = test_config(routes, ARRAY_LEN(routes));
    config.admit = admit;
    http = test_start(&config);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    http_stop(http);
    return 0;
}

/* The answer's body as JSON; the caller owns it. */
static json_t *tell(const char *line_and_headers)
{
    char request[4096];
    (void)snprintf(request, sizeof request, "%sHost: x\r\n\r\n", line_and_headers);
    struct reply *reply = ask(http_port(http), request);
    assert_int_equal(reply->status, 200);
    json_t *told = json_loads(reply->body, 0, NULL);
    assert_non_null(told);
    assert_string_equal(json_string_value(json_object_get(told, "id")),
                        reply_value(reply, "X-Request-Id"));
    reply_free(reply);
    return told;
}

static const char *said(const json_t *told, const char *name)
{
    return json_string_value(json_object_get(told, name));
}

static void test_path_values(void **state)
{
    (void)state;
    AUTO_JSON json_t *told = tell("GET /all/x%2Fy%20+z/%C3%A4 HTTP/1.1\r\n");
    assert_string_equal(said(told, "path"), "/all/{a}/{bb}");
    assert_string_equal(said(told, "a"), "x/y +z");
    assert_string_equal(said(told, "bb"), "\xc3\xa4");
    assert_null(said(told, "b")); /* no prefix of a name is a name */
    assert_int_equal(json_integer_value(json_object_get(told, "length")), 0);
    assert_int_equal(json_integer_value(json_object_get(told, "method")), HTTP_GET);
}

static void test_query(void **state)
{
    (void)state;
    AUTO_JSON json_t *one =
        tell("GET /all/1/2?entrypoint=a%26b&limit=+5&entrypoint=&after HTTP/1.1\r\n");
    assert_string_equal(said(one, "entry0"), "a&b");
    assert_string_equal(said(one, "entry1"), "");
    assert_string_equal(said(one, "limit"), " 5");
    assert_null(said(one, "limit2"));
    assert_string_equal(said(one, "query_fault"), "");
    AUTO_JSON json_t *unknown = tell("GET /all/1/2?Limit=5 HTTP/1.1\r\n");
    assert_string_equal(said(unknown, "query_fault"), "unknown_parameter");
    assert_null(said(unknown, "limit"));
    AUTO_JSON json_t *twice = tell("GET /all/1/2?limit=5&limit=5 HTTP/1.1\r\n");
    assert_string_equal(said(twice, "query_fault"), "malformed_request");
    assert_string_equal(said(twice, "limit2"), "5");
}

static void test_headers(void **state)
{
    (void)state;
    AUTO_JSON json_t *told = tell("GET /all/1/2 HTTP/1.1\r\nX-Test:  a b \xc3\xa4 \t \r\n");
    assert_string_equal(said(told, "header"), "a b \xc3\xa4");
    AUTO_JSON json_t *none = tell("GET /all/1/2 HTTP/1.1\r\n");
    assert_null(said(none, "header"));
}

static void test_request_id(void **state)
{
    (void)state;
    AUTO_JSON json_t *kept = tell("GET /all/1/2 HTTP/1.1\r\nX-Request-Id: my.id_7-A\r\n");
    assert_string_equal(said(kept, "id"), "my.id_7-A");
    char longest[65], request[256];
    memset(longest, 'x', 64);
    longest[64] = '\0';
    (void)snprintf(request, sizeof request, "GET /all/1/2 HTTP/1.1\r\nX-Request-Id: %s\r\n",
                   longest);
    AUTO_JSON json_t *at_most = tell(request);
    assert_string_equal(said(at_most, "id"), longest);

    static const char *const refused[] = {"", "a b", "a\"b", "a/b", "<a>", "\xc3\xa4"};
    for (size_t i = 0; i <= ARRAY_LEN(refused); i++) {
        (void)snprintf(request, sizeof request, "GET /all/1/2 HTTP/1.1\r\nX-Request-Id: %s%s\r\n",
                       i < ARRAY_LEN(refused) ? refused[i] : longest,
                       i < ARRAY_LEN(refused) ? "" : "x");
        AUTO_JSON json_t *ours = tell(request);
        struct uuid uuid;
        assert_int_equal(uuid_parse(said(ours, "id"), strlen(said(ours, "id")), &uuid), 0);
    }
}

#define TRACE "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

static void test_traceparent(void **state)
{
    (void)state;
    AUTO_JSON json_t *kept = tell("GET /all/1/2 HTTP/1.1\r\ntraceparent: " TRACE "\r\n");
    assert_string_equal(said(kept, "trace"), TRACE);
    static const char *const refused[] = {
        "",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        TRACE "-extra",
        TRACE "\r\ntraceparent: " TRACE,
    };
    char last[64] = "";
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        char request[512];
        (void)snprintf(request, sizeof request, "GET /all/1/2 HTTP/1.1\r\ntraceparent: %s\r\n",
                       refused[i]);
        AUTO_JSON json_t *fresh = tell(request);
        const char *trace = said(fresh, "trace");
        assert_int_equal(strlen(trace), 55);
        assert_true(text_begins(trace, "00-"));
        assert_string_not_equal(trace, refused[i]);
        assert_string_not_equal(trace, last);
        (void)snprintf(last, sizeof last, "%s", trace);
    }
}

static void test_body(void **state)
{
    (void)state;
    struct reply *reply = ask(http_port(http), "POST /body HTTP/1.1\r\nHost: x\r\n"
                                               "Content-Length: 5\r\n\r\nhello");
    AUTO_JSON json_t *told = json_loads(reply->body, 0, NULL);
    assert_string_equal(said(told, "body"), "hello");
    assert_int_equal(json_integer_value(json_object_get(told, "length")), 5);
    reply_free(reply);
}

static void test_admit_and_caller(void **state)
{
    (void)state;
    atomic_store(&callers_destroyed, 0);
    struct reply *reply = ask(http_port(http), "GET /guarded HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_problem(reply, FAULT_NOT_AUTHENTICATED);
    assert_string_equal(reply_value(reply, "WWW-Authenticate"), "Bearer realm=\"sallyport\"");
    reply_free(reply);
    AUTO_JSON json_t *told = tell("GET /guarded HTTP/1.1\r\nAuthorization: Bearer me\r\n");
    assert_string_equal(said(told, "caller"), "Bearer me");
    assert_true(http_wait_idle(http, 10000));
    assert_int_equal(atomic_load(&callers_destroyed), 2); /* the replaced one and the last */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path_values),      cmocka_unit_test(test_query),
        cmocka_unit_test(test_headers),          cmocka_unit_test(test_request_id),
        cmocka_unit_test(test_traceparent),      cmocka_unit_test(test_body),
        cmocka_unit_test(test_admit_and_caller),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
