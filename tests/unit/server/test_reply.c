/* SPDX-License-Identifier: Apache-2.0 */
/* How handlers answer. */
#include "tests/unit/server/loopback.h"

static enum answer answer_json(struct request *request)
{
    reply_header(request, "Cache-Control", "max-age=60");
    reply_header(request, "ETag", "\"1\"");
    reply_header(request, "X-Bad", "a\r\nSet-Cookie: b");
    reply_header(request, "X-Empty", "");
    return reply_json(request, 201, json_pack("{s:[i,i], s:s}", "a", 1, 2, "b", "\xc3\xa4"));
}

static enum answer answer_no_json(struct request *request)
{
    return reply_json(request, 200, NULL);
}

static enum answer answer_bytes(struct request *request)
{
    return reply_bytes(request, 200, "application/octet-stream", span_of("a\0b", 3));
}

static enum answer answer_untyped(struct request *request)
{
    return reply_bytes(request, 200, NULL, span_text("plain"));
}

static enum answer answer_buf(struct request *request)
{
    struct buf bytes = BUF(1U << 20);
    for (int i = 0; i < 100000; i++)
        buf_printf(&bytes, "%d,", i % 10);
    enum answer answer = reply_buf(request, 200, "text/plain", &bytes);
    assert_null(bytes.data); /* taken over */
    return answer;
}

static enum answer answer_failed_buf(struct request *request)
{
    struct buf bytes = BUF(4);
    buf_puts(&bytes, "abc");
    buf_puts(&bytes, "defgh");
    return reply_buf(request, 200, "text/plain", &bytes);
}

static enum answer answer_empty_buf(struct request *request)
{
    struct buf bytes = BUF(4);
    return reply_buf(request, 200, "text/plain", &bytes);
}

static enum answer answer_not_modified(struct request *request)
{
    reply_header(request, "ETag", "\"1\"");
    return reply_empty(request, 304);
}

static enum answer answer_bad_status(struct request *request)
{
    return reply_empty(request, 99);
}

static enum answer answer_fault(struct request *request)
{
    struct fault fault = {0};
    const char *code = request_query(request, "code", 0);
    (void)fault_set(&fault, fault_from_name(code), "the secret detail of %s", code);
    reply_header(request, "ETag", "\"of what it did not give\"");
    reply_header(request, "Cache-Control", "max-age=60");
    reply_header(request, "Content-Type", "text/plain");
    if (request_query(request, "wait", 0) != NULL)
        reply_header(request, "Retry-After", "30");
    for (int i = 0; i < 30; i++) /* there is room for 16, and always for ours */
        reply_header(request, "X-Many", "1");
    return reply_fault(request, &fault);
}

static enum answer answer_none(struct request *request)
{
    (void)request;
    return ANSWER_GIVEN; /* a bug: it gave none */
}

static const struct route routes[] = {
    {.method = HTTP_GET, .path = "/json", .handle = answer_json},
    {.method = HTTP_GET, .path = "/no-json", .handle = answer_no_json},
    {.method = HTTP_GET, .path = "/bytes", .handle = answer_bytes},
    {.method = HTTP_GET, .path = "/untyped", .handle = answer_untyped},
    {.method = HTTP_GET, .path = "/buf", .handle = answer_buf},
    {.method = HTTP_GET, .path = "/failed-buf", .handle = answer_failed_buf},
    {.method = HTTP_GET, .path = "/empty-buf", .handle = answer_empty_buf},
    {.method = HTTP_GET, .path = "/not-modified", .handle = answer_not_modified},
    {.method = HTTP_GET, .path = "/bad-status", .handle = answer_bad_status},
    {.method = HTTP_GET, .path = "/fault", .handle = answer_fault},
    {.method = HTTP_GET, .path = "/none", .handle = answer_none},
};

static struct http *http;

static int setup(void **state)
{
    (void)state;
    struct http_config config = test_config(routes, ARRAY_LEN(routes));
    http = test_start(&config);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    http_stop(http);
    return 0;
}

static struct reply *get(const char *path)
{
    char request[256];
    (void)snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
    return ask(http_port(http), request);
}

static void test_json(void **state)
{
    (void)state;
    struct reply *reply = get("/json");
    assert_int_equal(reply->status, 201);
    assert_string_equal(reply->body, "{\"a\":[1,2],\"b\":\"\xc3\xa4\"}");
    assert_string_equal(reply_value(reply, "Content-Type"), "application/json");
    assert_string_equal(reply_value(reply, "Cache-Control"), "max-age=60");
    assert_string_equal(reply_value(reply, "ETag"), "\"1\"");
    assert_null(strstr(reply->head, "Set-Cookie"));
    assert_null(reply_value(reply, "X-Bad"));
    assert_null(reply_value(reply, "X-Empty"));
    assert_non_null(reply_value(reply, "Date"));
    reply_free(reply);

    reply = get("/no-json");
    expect_problem(reply, FAULT_INTERNAL);
    reply_free(reply);
}

static void test_bytes(void **state)
{
    (void)state;
    struct reply *reply = get("/bytes");
    assert_int_equal(reply->body_len, 3);
    assert_memory_equal(reply->body, "a\0b", 3);
    assert_string_equal(reply_value(reply, "Content-Type"), "application/octet-stream");
    reply_free(reply);

    reply = get("/untyped");
    assert_string_equal(reply->body, "plain");
    assert_null(reply_value(reply, "Content-Type"));
    reply_free(reply);
}

static void test_buf(void **state)
{
    (void)state;
    struct reply *reply = get("/buf");
    assert_int_equal(reply->status, 200);
    assert_int_equal(reply->body_len, 200000);
    assert_true(text_begins(reply->body, "0,1,2,3,4,5,6,7,8,9,0,"));
    reply_free(reply);

    reply = get("/failed-buf");
    expect_problem(reply, FAULT_INTERNAL);
    reply_free(reply);

    reply = get("/empty-buf");
    assert_int_equal(reply->status, 200);
    assert_string_equal(reply_value(reply, "Content-Length"), "0");
    reply_free(reply);
}

static void test_empty(void **state)
{
    (void)state;
    struct client *client = client_open(http_port(http));
    client_send(client, "GET /not-modified HTTP/1.1\r\nHost: x\r\n\r\n"
                        "GET /untyped HTTP/1.1\r\nHost: x\r\n\r\n");
    struct reply *reply = client_reply_to(client, true);
    assert_int_equal(reply->status, 304);
    assert_string_equal(reply_value(reply, "ETag"), "\"1\"");
    reply_free(reply);
    reply = client_reply(client);
    assert_string_equal(reply->body, "plain");
    reply_free(reply);
    client_close(client);

    reply = get("/bad-status");
    expect_problem(reply, FAULT_INTERNAL);
    reply_free(reply);
}

/* Every code of the registry, with its status, title and headers. */
static void test_faults(void **state)
{
    (void)state;
    for (int code = FAULT_NONE + 1; code < FAULT_CODE_COUNT; code++) {
        char path[128];
        (void)snprintf(path, sizeof path, "/fault?code=%s", fault_name((enum fault_code)code));
        struct reply *reply = get(path);
        expect_problem(reply, (enum fault_code)code);
        bool masked = code == FAULT_INTERNAL || code == FAULT_UNAVAILABLE;
        assert_int_equal(strstr(reply->body, "secret") == NULL, masked);
        const char *retry = reply_value(reply, "Retry-After");
        bool again = reply->status == 429 || reply->status == 503;
        assert_int_equal(retry != NULL, again);
        assert_int_equal(reply_value(reply, "WWW-Authenticate") != NULL, reply->status == 401);
        assert_null(reply_value(reply, "ETag"));
        assert_non_null(reply_value(reply, "X-Many"));
        assert_false(reply_closes(reply));
        reply_free(reply);
    }
    struct reply *reply = get("/fault?code=rate_limited&wait=1");
    assert_string_equal(reply_value(reply, "Retry-After"), "30");
    reply_free(reply);
    reply = get("/none");
    expect_problem(reply, FAULT_INTERNAL);
    reply_free(reply);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json),  cmocka_unit_test(test_bytes),  cmocka_unit_test(test_buf),
        cmocka_unit_test(test_empty), cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
