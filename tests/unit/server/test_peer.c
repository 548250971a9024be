/* SPDX-License-Identifier: Apache-2.0 */
/* Clients that are slow on purpose: each is ended by its deadline, however lively it looks. */
#include "tests/unit/server/loopback.h"

#include <poll.h>

static enum answer answer_ok(struct request *request)
{
    return reply_empty(request, 204);
}

static enum answer answer_large(struct request *request)
{
    AUTO_BUF struct buf body = BUF(32U << 20);
    char *bytes = buf_reserve(&body, 32U << 20);
    if (bytes != NULL) {
        memset(bytes, 'x', 32U << 20);
        buf_commit(&body, 32U << 20);
    }
    return reply_buf(request, 200, "text/plain", &body);
}

static sem_t go;

static enum answer answer_late(struct request *request)
{
    wait_for(&go);
    return reply_empty(request, 204);
}

static const struct route routes[] = {
    {.method = HTTP_GET, .path = "/ok", .handle = answer_ok},
    {.method = HTTP_GET, .path = "/large", .handle = answer_large},
    {.method = HTTP_GET, .path = "/late", .handle = answer_late},
    {.method = HTTP_POST,
     .path = "/post",
     .body = ROUTE_BODY_BUFFERED,
     .body_max = 1000,
     .handle = answer_ok},
};

static struct http *http;
static unsigned port;

static struct http_config slow_config(void)
{
    struct http_config config = test_config(routes, ARRAY_LEN(routes));
    config.receive_seconds = 1;
    config.stream_seconds = 2;
    config.idle_seconds = 10;
    return config;
}

static int setup(void **state)
{
    (void)state;
    struct http_config config = slow_config();
    sem_init(&go, 0, 0);
    http = test_start(&config);
    port = http_port(http);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    http_stop(http);
    sem_destroy(&go);
    return 0;
}

#define HOST "Host: x\r\n"

/* Sends a byte every 100 ms until the server answers; returns the time that took. The bytes
 * come in time to keep any timeout of inactivity from firing. */
static int64_t dribble(struct client *client, const char *bytes, size_t at_once)
{
    int64_t begin = now_ms();
    client_send_bytes(client, bytes, at_once);
    struct pollfd answered = {.fd = client->fd, .events = POLLIN};
    for (const char *at = bytes + at_once; poll(&answered, 1, 100) == 0; at++) {
        if (*at == '\0' || now_ms() - begin > 8000)
            fail_msg("the server let a slow client live");
        client_send_bytes(client, at, 1);
    }
    return now_ms() - begin;
}

static void expect_timed_out(struct client *client, int64_t took)
{
    struct reply *reply = client_reply(client);
    expect_problem(reply, FAULT_REQUEST_TIMEOUT);
    assert_true(reply_closes(reply));
    client_expect_end(client);
    assert_true(took >= 900);
    assert_true(took < 4000);
    reply_free(reply);
    client_close(client);
}

static char *long_text(const char *start)
{
    char *text = malloc(1000);
    assert_non_null(text);
    memset(text, 'x', 999);
    text[999] = '\0';
    memcpy(text, start, strlen(start));
    return text;
}

static void test_dribbled_request_line(void **state)
{
    (void)state;
    AUTO_FREE char *text = long_text("GET /");
    struct client *client = client_open(port);
    expect_timed_out(client, dribble(client, text, 1));
}

static void test_dribbled_header(void **state)
{
    (void)state;
    static const char start[] = "GET /ok HTTP/1.1\r\n" HOST "X-Long: ";
    AUTO_FREE char *text = long_text(start);
    struct client *client = client_open(port);
    expect_timed_out(client, dribble(client, text, strlen(start)));
}

static void test_dribbled_body(void **state)
{
    (void)state;
    static const char start[] = "POST /post HTTP/1.1\r\n" HOST "Content-Length: 900\r\n\r\n";
    AUTO_FREE char *text = long_text(start);
    struct client *client = client_open(port);
    expect_timed_out(client, dribble(client, text, strlen(start)));
}

static void test_dribbled_second_request(void **state)
{
    (void)state;
    struct client *client = client_open(port);
    client_send(client, "GET /ok HTTP/1.1\r\n" HOST "\r\n");
    struct reply *reply = client_reply(client);
    assert_int_equal(reply->status, 204);
    reply_free(reply);
    AUTO_FREE char *text = long_text("GET /");
    expect_timed_out(client, dribble(client, text, 0));
}

/* No byte at all, after the head: the deadline of the body holds too. */
static void test_stalled_body(void **state)
{
    (void)state;
    struct client *client = client_open(port);
    int64_t begin = now_ms();
    client_send(client, "POST /post HTTP/1.1\r\n" HOST "Content-Length: 900\r\n\r\nabc");
    struct pollfd answered = {.fd = client->fd, .events = POLLIN};
    assert_int_equal(poll(&answered, 1, 8000), 1);
    expect_timed_out(client, now_ms() - begin);
}

/* A client that asks for much and takes little of it. */
static void test_dribbled_answer(void **state)
{
    (void)state;
    struct client *client = client_open(port);
    int64_t begin = now_ms();
    client_send(client, "GET /large HTTP/1.1\r\n" HOST "\r\n");
    char bytes[512];
    struct pollfd ended = {.fd = client->fd, .events = POLLRDHUP};
    while (poll(&ended, 1, 50) == 0) {
        assert_true(recv(client->fd, bytes, sizeof bytes, 0) > 0);
        assert_true(now_ms() - begin < 10000);
    }
    assert_true(now_ms() - begin >= 1900);
    client_close(client);
    assert_true(http_wait_idle(http, 10000));
}

/* Being quiet between requests is no offence: no 408 for it, only an end when idle_seconds are
 * over. */
static void test_quiet_connection(void **state)
{
    (void)state;
    struct http_config config = slow_config();
    config.idle_seconds = 3;
    struct http *idle = test_start(&config);
    struct client *used = client_open(http_port(idle));
    struct client *silent = client_open(http_port(idle)); /* never says a word */
    client_send(used, "GET /ok HTTP/1.1\r\n" HOST "\r\n");
    reply_free(client_reply(used));
    int64_t begin = now_ms();
    client_expect_end(used);
    assert_true(now_ms() - begin >= 1900);
    client_expect_end(silent);
    assert_true(now_ms() - begin < 8000);
    client_close(used);
    client_close(silent);
    http_stop(idle);
}

/* A handler's time is its own. */
static void test_slow_handler_is_not_timed(void **state)
{
    (void)state;
    struct http_config config = slow_config();
    config.receive_seconds = 1;
    config.idle_seconds = 1;
    struct http *busy = test_start(&config);
    struct client *client = client_open(http_port(busy));
    client_send(client, "GET /late HTTP/1.1\r\n" HOST "\r\n");
    struct pollfd answered = {.fd = client->fd, .events = POLLIN};
    assert_int_equal(poll(&answered, 1, 2000), 0);
    sem_post(&go);
    struct reply *reply = client_reply(client);
    assert_int_equal(reply->status, 204);
    reply_free(reply);
    client_close(client);
    http_stop(busy);
}

/* Nor does a request wait for a thread for ever. */
static void test_wait_for_a_thread_is_bounded(void **state)
{
    (void)state;
    struct http_config config = slow_config();
    config.request_threads = 1;
    struct http *busy = test_start(&config);
    struct client *clients[3];
    struct pollfd polls[3];
    for (size_t i = 0; i < 3; i++) {
        clients[i] = client_open(http_port(busy));
        client_send(clients[i], "GET /late HTTP/1.1\r\n" HOST "\r\n");
        polls[i] = (struct pollfd){.fd = clients[i]->fd, .events = POLLIN};
    }
    size_t refused = 0;
    while (refused < 2) {
        assert_true(poll(polls, 3, CLIENT_SECONDS * 1000) > 0);
        for (size_t i = 0; i < 3; i++) {
            if (polls[i].revents == 0)
                continue;
            struct reply *reply = client_reply(clients[i]);
            expect_problem(reply, FAULT_UNAVAILABLE);
            reply_free(reply);
            polls[i].fd = -1;
            refused++;
        }
    }
    sem_post(&go);
    for (size_t i = 0; i < 3; i++) {
        if (polls[i].fd >= 0) {
            struct reply *reply = client_reply(clients[i]);
            assert_int_equal(reply->status, 204);
            reply_free(reply);
        }
        client_close(clients[i]);
    }
    http_stop(busy);
}

/* An end that comes in one piece with the last bytes is noticed, long before any deadline. */
static void test_end_right_after_bytes(void **state)
{
    (void)state;
    struct http_config config = test_config(routes, ARRAY_LEN(routes));
    struct http *patient = test_start(&config);
    for (int i = 0; i < 20; i++) {
        struct client *client = client_open(http_port(patient));
        static const char text[] = "POST /post HTTP/1.1\r\n" HOST "Content-Length: 900\r\n\r\nabc";
        ssize_t sent = send(client->fd, text, strlen(text), MSG_NOSIGNAL | MSG_MORE);
        assert_int_equal(sent, strlen(text));
        client_close(client); /* the bytes leave now, the end with them */
    }
    int64_t begin = now_ms();
    assert_true(http_wait_idle(patient, 10000));
    assert_true(now_ms() - begin < 5000);
    http_stop(patient);
}

/* One that got its answer before its body's end, and neither goes on nor leaves. */
static void test_lingering_is_bounded(void **state)
{
    (void)state;
    struct http_config config = test_config(routes, ARRAY_LEN(routes));
    struct http *patient = test_start(&config);
    struct client *client = client_open(http_port(patient));
    client_send(client, "POST /post HTTP/1.1\r\n" HOST "Content-Length: 9000\r\n\r\nabc");
    struct reply *reply = client_reply(client);
    expect_problem(reply, FAULT_TOO_LARGE);
    client_expect_end(client);
    assert_true(http_wait_idle(patient, 10000));
    reply_free(reply);
    client_close(client);
    http_stop(patient);
}

/* A client that has said all it will say still gets its answer, and its connection ends then. */
static void test_half_closed_client(void **state)
{
    (void)state;
    struct http_config config = test_config(routes, ARRAY_LEN(routes));
    struct http *patient = test_start(&config);
    struct client *client = client_open(http_port(patient));
    client_send(client, "GET /late HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(shutdown(client->fd, SHUT_WR), 0);
    struct pollfd answered = {.fd = client->fd, .events = POLLIN};
    assert_int_equal(poll(&answered, 1, 1000), 0); /* for many sweeps */
    sem_post(&go);
    struct reply *reply = client_reply(client);
    assert_int_equal(reply->status, 204);
    int64_t begin = now_ms();
    client_expect_end(client);
    assert_true(now_ms() - begin < 5000);
    reply_free(reply);
    client_close(client);
    http_stop(patient);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dribbled_request_line),
        cmocka_unit_test(test_dribbled_header),
        cmocka_unit_test(test_dribbled_body),
        cmocka_unit_test(test_dribbled_second_request),
        cmocka_unit_test(test_stalled_body),
        cmocka_unit_test(test_dribbled_answer),
        cmocka_unit_test(test_quiet_connection),
        cmocka_unit_test(test_slow_handler_is_not_timed),
        cmocka_unit_test(test_wait_for_a_thread_is_bounded),
        cmocka_unit_test(test_end_right_after_bytes),
        cmocka_unit_test(test_lingering_is_bounded),
        cmocka_unit_test(test_half_closed_client),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
