/* SPDX-License-Identifier: Apache-2.0 */
/* What a request must look like, what is refused before and while its body comes. */
#include "tests/unit/server/loopback.h"

static enum answer answer_echo(struct request *request)
{
    return reply_bytes(request, 200, "application/octet-stream", request_body(request));
}

static enum answer answer_ok(struct request *request)
{
    return reply_json(request, 200, json_pack("{s:s}", "route", request_route(request)->path));
}

static const struct route routes[] = {
    {.method = HTTP_GET, .path = "/ok", .handle = answer_ok},
    {.method = HTTP_GET, .path = "/item/{id}", .handle = answer_ok},
    {.method = HTTP_POST, .path = "/act", .handle = answer_ok},
    {.method = HTTP_POST,
     .path = "/echo",
     .body = ROUTE_BODY_BUFFERED,
     .body_max = 100000,
     .handle = answer_echo},
    {.method = HTTP_POST,
     .path = "/large",
     .body = ROUTE_BODY_BUFFERED,
     .body_max = 1U << 20,
     .handle = answer_echo},
};

static struct http *http;
static unsigned port;

static int setup(void **state)
{
    (void)state;
    struct http_config config = test_config(routes, ARRAY_LEN(routes));
    config.bodies_max = 256 << 10;
    http = test_start(&config);
    port = http_port(http);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    http_stop(http);
    return 0;
}

#define HOST "Host: x\r\n"

static void test_keeps_connection_open(void **state)
{
    (void)state;
    struct client *client = client_open(port);
    for (int i = 0; i < 3; i++) {
        client_send(client, "GET /ok HTTP/1.1\r\n" HOST "\r\n");
        struct reply *reply = client_reply(client);
        assert_int_equal(reply->status, 200);
        assert_string_equal(reply->body, "{\"route\":\"/ok\"}");
        assert_string_equal(reply_value(reply, "Content-Type"), "application/json");
        assert_string_equal(reply_value(reply, "X-Content-Type-Options"), "nosniff");
        assert_string_equal(reply_value(reply, "Cache-Control"), "no-store");
        assert_int_equal(strlen(reply_value(reply, "X-Request-Id")), 36);
        assert_false(reply_closes(reply));
        reply_free(reply);
    }
    client_close(client);
}

static void test_not_found_keeps_connection_open(void **state)
{
    (void)state;
    struct client *client = client_open(port);
    client_send(client, "GET /nowhere HTTP/1.1\r\n" HOST "\r\nGET /ok HTTP/1.1\r\n" HOST "\r\n");
    struct reply *reply = client_reply(client);
    expect_problem(reply, FAULT_NOT_FOUND);
    reply_free(reply);
    reply = client_reply(client);
    assert_int_equal(reply->status, 200);
    reply_free(reply);
    client_close(client);
}

static void test_head_has_no_body(void **state)
{
    (void)state;
    struct client *client = client_open(port);
    client_send(client, "HEAD /ok HTTP/1.1\r\n" HOST "\r\nGET /ok HTTP/1.1\r\n" HOST "\r\n");
    struct reply *head = client_reply_to(client, true);
    struct reply *get = client_reply(client);
    assert_int_equal(head->status, 200);
    assert_string_equal(reply_value(head, "Content-Length"), "15");
    assert_string_equal(reply_value(get, "Content-Length"), "15");
    assert_string_equal(reply_value(head, "Content-Type"), "application/json");
    reply_free(head);
    reply_free(get);
    client_close(client);

    client = client_open(port); /* nor has one that is refused at once */
    client_send(client, "HEAD /ok HTTP/1.1\r\n\r\n");
    head = client_reply_to(client, true);
    assert_int_equal(head->status, 400);
    client_expect_end(client);
    reply_free(head);
    client_close(client);
}

static void test_methods(void **state)
{
    (void)state;
    static const struct {
        const char *request, *allow;
        enum fault_code code;
    } cases[] = {
        {"POST /ok HTTP/1.1\r\n" HOST "\r\n", "GET, HEAD", FAULT_METHOD_NOT_ALLOWED},
        {"PATCH /ok HTTP/1.1\r\n" HOST "\r\n", "GET, HEAD", FAULT_METHOD_NOT_ALLOWED},
        {"BREW /act HTTP/1.1\r\n" HOST "\r\n", "POST", FAULT_METHOD_NOT_ALLOWED},
        {"get /ok HTTP/1.1\r\n" HOST "\r\n", "GET, HEAD", FAULT_METHOD_NOT_ALLOWED},
        {"OPTIONS /item/3 HTTP/1.1\r\n" HOST "\r\n", "GET, HEAD", FAULT_METHOD_NOT_ALLOWED},
        {"BREW /nowhere HTTP/1.1\r\n" HOST "\r\n", NULL, FAULT_NOT_FOUND},
        {"OPTIONS * HTTP/1.1\r\n" HOST "\r\n", NULL, FAULT_MALFORMED_REQUEST},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct reply *reply = ask(port, cases[i].request);
        expect_problem(reply, cases[i].code);
        const char *allow = reply_value(reply, "Allow");
        if (cases[i].allow == NULL)
            assert_null(allow);
        else
            assert_string_equal(allow, cases[i].allow);
        reply_free(reply);
    }
}

/* Each would let two servers in a row disagree on where a request ends, or is not HTTP. */
static void test_refuses_ambiguous_heads(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
        "0\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"
        "0\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" HOST
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\nhello",
        "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length : 5\r\n\r\nhello",
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: +5\r\n\r\nhello",
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: -5\r\n\r\nhello",
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 0x5\r\n\r\nhello",
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5, 5\r\n\r\nhello",
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\nhello",
        "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked \t\r\n\r\n0\r\n\r\n",
        "GET /ok HTTP/1.1\r\n\r\n",
        "GET /ok HTTP/1.1\r\n" HOST "Host: y\r\n\r\n",
        "GET /ok HTTP/1.1\r\n" HOST "Authorization: a\r\nAuthorization: b\r\n\r\n",
        "GET /ok HTTP/1.1\r\n" HOST "Bad Name: a\r\n\r\n",
        "GET /ok HTTP/1.1\r\n" HOST "no colon\r\n\r\n",
        "GET /ok HTTP/1.1\r\n" HOST "A: b\x01"
        "c\r\n\r\n",
        "GET /ok HTTP/2.0\r\n" HOST "\r\n",
    };
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        struct client *client = client_open(port);
        client_send(client, requests[i]);
        struct reply *reply = client_reply(client);
        if (reply->status != 400)
            fail_msg("case %zu: %s", i, reply->head);
        expect_problem(reply, FAULT_MALFORMED_REQUEST);
        assert_true(reply_closes(reply));
        client_expect_end(client);
        reply_free(reply);
        client_close(client);
    }
}

static void test_refuses_malformed_targets(void **state)
{
    (void)state;
    static const char *const targets[] = {
        "/item/%",        "/item/%4",     "/item/%zz", "/item/%00", "/item/a%0ab",
        "/item/%ff",      "/item/%c3%28", "/item/%7f", "/item/a b", "/item/<a>",
        "/ok?a=%zz",      "/ok?a=%00",    "/ok?%ff=1", "/ok?=1",    "/ok?a=1&&b=2",
        "/item/\xc3\xa9", "/ok#fragment", "ok",        "http://x",
    };
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        char request[256];
        (void)snprintf(request, sizeof request, "GET %s HTTP/1.1\r\n" HOST "\r\n", targets[i]);
        struct reply *reply = ask(port, request);
        if (reply->status != 400)
            fail_msg("target %s: %s", targets[i], reply->head);
        expect_problem(reply, FAULT_MALFORMED_REQUEST);
        reply_free(reply);
    }
}

static void test_http_1_0_and_absolute_form(void **state)
{
    (void)state;
    struct client *client = client_open(port);
    client_send(client, "GET /ok HTTP/1.0\r\n\r\n");
    struct reply *reply = client_reply(client);
    assert_int_equal(reply->status, 200);
    client_expect_end(client);
    reply_free(reply);
    client_close(client);

    reply = ask(port, "GET http://example.test/ok HTTP/1.1\r\nHost: example.test\r\n\r\n");
    assert_int_equal(reply->status, 200);
    reply_free(reply);
}

static void test_bodies(void **state)
{
    (void)state;
    struct client *client = client_open(port);
    client_send(client, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello"
                        "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                        "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: a\r\n\r\n"
                        "POST /echo HTTP/1.1\r\n" HOST "\r\n"
                        "POST /act HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n");
    static const char *const bodies[] = {"hello", "abcde", "", "{\"route\":\"/act\"}"};
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        struct reply *reply = client_reply(client);
        assert_int_equal(reply->status, 200);
        assert_string_equal(reply->body, bodies[i]);
        reply_free(reply);
    }
    client_close(client);
}

static void test_body_of_the_maximum(void **state)
{
    (void)state;
    struct client *client = client_open(port);
    char *body = malloc(100000);
    assert_non_null(body);
    for (size_t i = 0; i < 100000; i++)
        body[i] = (char)('a' + i % 23);
    client_send(client, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\n");
    client_send_bytes(client, body, 100000);
    struct reply *reply = client_reply(client);
    assert_int_equal(reply->status, 200);
    assert_int_equal(reply->body_len, 100000);
    assert_memory_equal(reply->body, body, 100000);
    reply_free(reply);
    client_close(client);
    free(body);
}

static void test_expect_continue(void **state)
{
    (void)state;
    struct client *client = client_open(port);
    client_send(client,
                "POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    struct reply *reply = client_reply(client);
    assert_int_equal(reply->status, 100);
    reply_free(reply);
    client_send(client, "hello");
    reply = client_reply(client);
    assert_int_equal(reply->status, 200);
    assert_string_equal(reply->body, "hello");
    reply_free(reply);
    client_close(client);
}

/* Refused from the head alone: nothing of the body is sent, no 100 is given. */
static void test_refuses_before_the_body(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        enum fault_code code;
    } cases[] = {
        {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 100001\r\n\r\n", FAULT_TOO_LARGE},
        {"POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 100001\r\n\r\n",
         FAULT_TOO_LARGE},
        {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999\r\n\r\n",
         FAULT_TOO_LARGE},
        {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999999\r\n\r\n",
         FAULT_TOO_LARGE},
        {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 9000000000000000000\r\n\r\n",
         FAULT_TOO_LARGE},
        {"POST /act HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\n", FAULT_TOO_LARGE},
        {"POST /nowhere HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
         FAULT_NOT_FOUND},
        {"PUT /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
         FAULT_METHOD_NOT_ALLOWED},
        {"POST /large HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 300000\r\n\r\n",
         FAULT_UNAVAILABLE},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct client *client = client_open(port);
        client_send(client, cases[i].request);
        struct reply *reply = client_reply(client);
        if (reply->status != fault_http_status(cases[i].code))
            fail_msg("case %zu: %s", i, reply->head);
        expect_problem(reply, cases[i].code);
        assert_true(reply_closes(reply));
        if (cases[i].code == FAULT_UNAVAILABLE)
            assert_non_null(reply_value(reply, "Retry-After"));
        client_expect_end(client);
        reply_free(reply);
        client_close(client);
    }
}

/* A client that sends its body without waiting must be able to read why it is refused: the
 * server may not close over unread bytes. */
static void test_refusal_reaches_a_sending_client(void **state)
{
    (void)state;
    const size_t size = 2U << 20;
    char *body = calloc(1, size);
    assert_non_null(body);
    for (int i = 0; i < 20; i++) {
        struct client *client = client_open(port);
        client_send(client, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2097152\r\n\r\n");
        client_send_bytes(client, body, size);
        struct reply *reply = client_reply(client);
        expect_problem(reply, FAULT_TOO_LARGE);
        assert_true(reply_closes(reply));
        reply_free(reply);
        client_close(client);
    }
    free(body);
}

/* Sends chunks until the server answers; it must not take them for ever. */
static struct reply *flood_chunks(const char *head, size_t chunks)
{
    struct client *client = client_open(port);
    client_send(client, head);
    char chunk[4096 + 16];
    size_t len = (size_t)snprintf(chunk, sizeof chunk, "1000\r\n");
    memset(chunk + len, 'x', 4096);
    memcpy(chunk + len + 4096, "\r\n", 2);
    len += 4096 + 2;
    for (size_t i = 0; i < chunks; i++)
        if (send(client->fd, chunk, len, MSG_NOSIGNAL) != (ssize_t)len)
            break;
    struct reply *reply = client_reply(client);
    client_close(client);
    return reply;
}

static void test_counts_chunked_bodies(void **state)
{
    (void)state;
    struct reply *reply =
        flood_chunks("POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", 25);
    expect_problem(reply, FAULT_TOO_LARGE);
    assert_true(reply_closes(reply));
    reply_free(reply);

    reply = flood_chunks("POST /act HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", 1);
    expect_problem(reply, FAULT_TOO_LARGE);
    reply_free(reply);

    reply = flood_chunks("POST /large HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", 70);
    expect_problem(reply, FAULT_UNAVAILABLE);
    reply_free(reply);
}

/* The budget is given back: by refusals, by answers, by clients that leave. */
static void test_budget_is_given_back(void **state)
{
    (void)state;
    struct client *holder = client_open(port);
    client_send(holder, "POST /large HTTP/1.1\r\n" HOST
                        "Expect: 100-continue\r\nContent-Length: 200000\r\n\r\n");
    struct reply *reply = client_reply(holder);
    assert_int_equal(reply->status, 100); /* its 200,000 bytes are reserved */
    reply_free(reply);
    ask_problem(port, "POST /large HTTP/1.1\r\n" HOST "Content-Length: 100000\r\n\r\n",
                FAULT_UNAVAILABLE);
    client_close(holder);
    assert_true(http_wait_idle(http, 10000));

    for (int i = 0; i < 4; i++) {
        struct client *client = client_open(port);
        client_send(client, "POST /large HTTP/1.1\r\n" HOST "Content-Length: 200000\r\n\r\n");
        char *body = calloc(1, 200000);
        client_send_bytes(client, body, 200000);
        free(body);
        reply = client_reply(client);
        assert_int_equal(reply->status, 200);
        assert_int_equal(reply->body_len, 200000);
        reply_free(reply);
        client_close(client);
        assert_true(http_wait_idle(http, 10000));
    }
}

static void test_limits_the_head(void **state)
{
    (void)state;
    static const size_t sizes[] = {15000, 17000, 24000, 60000};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        AUTO_BUF struct buf request = BUF(1 << 20);
        buf_puts(&request, "GET /ok HTTP/1.1\r\n" HOST "A: ");
        for (size_t j = 0; j < sizes[i]; j++)
            buf_puts(&request, "x");
        buf_puts(&request, "\r\n\r\n");
        struct reply *reply = ask(port, buf_text(&request));
        if (sizes[i] == 15000) {
            assert_int_equal(reply->status, 200);
        } else {
            expect_problem(reply, FAULT_TOO_LARGE);
            assert_true(reply_closes(reply));
        }
        reply_free(reply);

        buf_reset(&request);
        buf_puts(&request, "GET /ok?a=");
        for (size_t j = 0; j < sizes[i]; j++)
            buf_puts(&request, "x");
        buf_puts(&request, " HTTP/1.1\r\n" HOST "\r\n");
        reply = ask(port, buf_text(&request));
        if (sizes[i] == 15000)
            assert_int_equal(reply->status, 200);
        else
            expect_problem(reply, FAULT_TOO_LARGE);
        reply_free(reply);
    }

    AUTO_BUF struct buf request = BUF(1 << 20);
    buf_puts(&request, "GET /ok HTTP/1.1\r\n" HOST);
    for (int i = 0; i < 100; i++)
        buf_printf(&request, "A%d: b\r\n", i);
    buf_puts(&request, "\r\n");
    ask_problem(port, buf_text(&request), FAULT_TOO_LARGE);
}

static void test_refuses_bad_chunks(void **state)
{
    (void)state;
    static const char *const bodies[] = {"zz\r\nhello\r\n0\r\n\r\n", "-5\r\nhello\r\n0\r\n\r\n",
                                         "5\r\nhelloXX0\r\n\r\n"};
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
        struct client *client = client_open(port);
        client_send(client, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
        client_send(client, bodies[i]);
        struct reply *reply = client_reply(client);
        expect_problem(reply, FAULT_MALFORMED_REQUEST);
        assert_true(reply_closes(reply));
        client_expect_end(client);
        reply_free(reply);
        client_close(client);
    }
    struct client *client = client_open(port);
    client_send(client, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                        "ffffffffffffffffffff\r\n");
    struct reply *reply = client_reply(client);
    expect_problem(reply, FAULT_TOO_LARGE);
    reply_free(reply);
    client_close(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeps_connection_open),
        cmocka_unit_test(test_not_found_keeps_connection_open),
        cmocka_unit_test(test_head_has_no_body),
        cmocka_unit_test(test_methods),
        cmocka_unit_test(test_refuses_ambiguous_heads),
        cmocka_unit_test(test_refuses_malformed_targets),
        cmocka_unit_test(test_http_1_0_and_absolute_form),
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_body_of_the_maximum),
        cmocka_unit_test(test_expect_continue),
        cmocka_unit_test(test_refuses_before_the_body),
        cmocka_unit_test(test_refusal_reaches_a_sending_client),
        cmocka_unit_test(test_counts_chunked_bodies),
        cmocka_unit_test(test_budget_is_given_back),
        cmocka_unit_test(test_limits_the_head),
        cmocka_unit_test(test_refuses_bad_chunks),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
