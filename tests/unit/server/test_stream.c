/* SPDX-License-Identifier: Apache-2.0 */
/* Streamed bodies: the handler runs while the body comes. */
#include "tests/unit/server/loopback.h"

#include "base/digest.h"

#include <poll.h>
#include <stdatomic.h>

#define BODY_MAX (80U << 20)

static struct http *http;
static unsigned port;
static sem_t entered;        /* a handler runs */
static sem_t go;             /* lets it go on */
static sem_t finished;       /* it is about to answer */
static atomic_int read_code; /* what request_read() last failed with */

static enum answer upload(struct request *request)
{
    struct fault fault = {0};
    AUTO_DIGEST_STREAM struct digest_stream *digest = digest_stream_new();
    uint64_t total = 0;
    char bytes[10000];
    size_t len = 0;
    do {
        if (request_read(request, bytes, sizeof bytes, &len, &fault) != 0) {
            read_code = fault.code;
            sem_post(&finished);
            return reply_fault(request, &fault);
        }
        digest_stream_update(digest, bytes, len);
        total += len;
    } while (len > 0);
    struct digest value = digest_stream_value(digest);
    return reply_json(request, 201,
                      json_pack("{s:I, s:I, s:s}", "bytes", (json_int_t)total, "declared",
                                (json_int_t)request_content_length(request), "sha256",
                                digest_hex(&value).text));
}

/* Takes the body only when told to. */
static enum answer gated(struct request *request)
{
    sem_post(&entered);
    wait_for(&go);
    return upload(request);
}

/* One byte, then a pause, then its mind is made up. */
static enum answer early(struct request *request)
{
    struct fault fault = {0};
    char byte;
    size_t len = 0;
    if (request_read(request, &byte, 1, &len, &fault) != 0)
        return reply_fault(request, &fault);
    sem_post(&entered);
    wait_for(&go);
    (void)fault_set(&fault, FAULT_ARTIFACT_INVALID, "its first byte is %d", byte);
    return reply_fault(request, &fault);
}

static enum answer unread(struct request *request)
{
    struct fault fault = {0};
    (void)fault_set(&fault, FAULT_STATE_CONFLICT, "it is there already");
    return reply_fault(request, &fault);
}

static const struct route routes[] = {
    {.method = HTTP_PUT,
     .path = "/upload",
     .body = ROUTE_BODY_STREAMED,
     .body_max = BODY_MAX,
     .handle = upload},
    {.method = HTTP_PUT,
     .path = "/small",
     .body = ROUTE_BODY_STREAMED,
     .body_max = 10000,
     .handle = upload},
    {.method = HTTP_PUT,
     .path = "/gated",
     .body = ROUTE_BODY_STREAMED,
     .body_max = BODY_MAX,
     .handle = gated},
    {.method = HTTP_PUT,
     .path = "/early",
     .body = ROUTE_BODY_STREAMED,
     .body_max = BODY_MAX,
     .handle = early},
    {.method = HTTP_PUT,
     .path = "/unread",
     .body = ROUTE_BODY_STREAMED,
     .body_max = BODY_MAX,
     .handle = unread},
};

static int admit(struct request *request, struct fault *fault)
{
    if (request_header(request, "X-Refuse") != NULL)
        return fault_set(fault, FAULT_NOT_AUTHENTICATED, "refused by the test");
    return 0;
}

static struct http_config stream_config(void)
{
    struct http_config config = test_config(routes, ARRAY_LEN(routes));
    config.admit = admit;
    return config;
}

static int setup(void **state)
{
    (void)state;
    struct http_config config = stream_config();
    sem_init(&entered, 0, 0);
    sem_init(&go, 0, 0);
    sem_init(&finished, 0, 0);
    read_code = FAULT_NONE;
    http = test_start(&config);
    port = http_port(http);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    http_stop(http);
    sem_destroy(&entered);
    sem_destroy(&go);
    sem_destroy(&finished);
    return 0;
}

#define HOST "Host: x\r\n"

/* Bytes that differ from block to block, so that a lost or swapped one shows. */
static void pattern_fill(char *block, size_t len, size_t number)
{
    uint64_t value = number * 0x9E3779B97F4A7C15U + 1;
    for (size_t i = 0; i < len; i++) {
        value ^= value << 13;
        value ^= value >> 7;
        value ^= value << 17;
        block[i] = (char)value;
    }
}

static void send_pattern(struct client *client, size_t total, struct digest_stream *digest)
{
    static char block[65536];
    for (size_t sent = 0, number = 0; sent < total; number++) {
        size_t len = total - sent < sizeof block ? total - sent : sizeof block;
        pattern_fill(block, len, number);
        client_send_bytes(client, block, len);
        digest_stream_update(digest, block, len);
        sent += len;
    }
}

static void put(struct client *client, const char *path, size_t length)
{
    char head[256];
    (void)snprintf(head, sizeof head, "PUT %s HTTP/1.1\r\n" HOST "Content-Length: %zu\r\n\r\n",
                   path, length);
    client_send(client, head);
}

static void expect_uploaded(const struct reply *reply, size_t bytes, int64_t declared,
                            const struct digest_stream *digest)
{
    assert_int_equal(reply->status, 201);
    AUTO_JSON json_t *body = json_loads(reply->body, 0, NULL);
    json_int_t got = 0, told = 0;
    const char *sha256 = NULL;
    assert_int_equal(
        json_unpack(body, "{s:I, s:I, s:s}", "bytes", &got, "declared", &told, "sha256", &sha256),
        0);
    assert_int_equal(got, bytes);
    assert_int_equal(told, declared);
    struct digest value = digest_stream_value(digest);
    assert_string_equal(sha256, digest_hex(&value).text);
}

/* The most memory this process has held, in KiB. */
static long peak_kib(void)
{
    AUTO_FILE FILE *file = fopen("/proc/self/status", "re");
    char line[256];
    long peak = 0;
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "VmHWM: %ld kB", &peak) == 1)
            break;
    assert_true(peak > 0);
    return peak;
}

static void test_large_upload_in_flat_memory(void **state)
{
    (void)state;
    const size_t total = 64U << 20;
    AUTO_DIGEST_STREAM struct digest_stream *digest = digest_stream_new();
    struct client *client = client_open(port);
    long before = peak_kib();
    put(client, "/upload", total);
    send_pattern(client, total, digest);
    struct reply *reply = client_reply(client);
    expect_uploaded(reply, total, (int64_t)total, digest);
    assert_false(reply_closes(reply));
    assert_true(peak_kib() - before < 32 << 10);
    reply_free(reply);

    put(client, "/upload", 3); /* the connection goes on */
    client_send(client, "abc");
    reply = client_reply(client);
    assert_int_equal(reply->status, 201);
    reply_free(reply);
    client_close(client);
}

static void test_chunked_and_empty(void **state)
{
    (void)state;
    struct client *client = client_open(port);
    AUTO_DIGEST_STREAM struct digest_stream *digest = digest_stream_new();
    client_send(client, "PUT /upload HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
    for (size_t i = 0; i < 300; i++) {
        char block[8192], size[16];
        size_t len = 1 + i * 27;
        pattern_fill(block, len, i);
        (void)snprintf(size, sizeof size, "%zx\r\n", len);
        client_send(client, size);
        client_send_bytes(client, block, len);
        client_send(client, "\r\n");
        digest_stream_update(digest, block, len);
    }
    client_send(client, "0\r\n\r\n");
    struct reply *reply = client_reply(client);
    expect_uploaded(reply, 300 + 27 * 299 * 300 / 2, -1, digest);
    reply_free(reply);

    AUTO_DIGEST_STREAM struct digest_stream *empty = digest_stream_new();
    put(client, "/upload", 0);
    reply = client_reply(client);
    expect_uploaded(reply, 0, 0, empty);
    reply_free(reply);
    client_close(client);
}

/* What the client can send while nobody reads is bounded by the window. */
static void test_full_window_holds_the_client_back(void **state)
{
    (void)state;
    const size_t total = 48U << 20;
    struct client *client = client_open(port);
    AUTO_DIGEST_STREAM struct digest_stream *digest = digest_stream_new();
    struct reply *reply;
    put(client, "/early", total);
    char *block = calloc(1, 1 << 20);
    assert_non_null(block);
    const struct timeval briefly = {.tv_sec = 1};
    (void)setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &briefly, sizeof briefly);
    size_t sent = 0;
    for (ssize_t step; sent < total; sent += (size_t)step) {
        step = send(client->fd, block, 1 << 20, MSG_NOSIGNAL);
        if (step <= 0)
            break; /* the buffers on the way are full */
    }
    assert_true(sent >= 1 << 20);
    assert_true(sent < 40U << 20);
    free(block);

    sem_post(&go); /* it answers without reading on, while the library holds the connection */
    reply = client_reply(client);
    expect_problem(reply, FAULT_ARTIFACT_INVALID);
    assert_true(reply_closes(reply));
    reply_free(reply);
    client_close(client);

    client = client_open(port); /* and one that does read on gets every byte */
    put(client, "/gated", 8U << 20);
    wait_for(&entered);
    wait_for(&entered); /* the one above counted too */
    sem_post(&go);
    send_pattern(client, 8U << 20, digest);
    reply = client_reply(client);
    expect_uploaded(reply, 8U << 20, 8 << 20, digest);
    reply_free(reply);
    client_close(client);
}

static void test_body_is_asked_for_when_read(void **state)
{
    (void)state;
    struct client *client = client_open(port);
    client_send(client,
                "PUT /gated HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    wait_for(&entered);
    char byte;
    assert_int_equal(recv(client->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK), -1);
    sem_post(&go);
    struct reply *reply = client_reply(client);
    assert_int_equal(reply->status, 100);
    reply_free(reply);
    client_send(client, "hello");
    reply = client_reply(client);
    assert_int_equal(reply->status, 201);
    reply_free(reply);
    client_close(client);
}

static void test_answers_without_the_body(void **state)
{
    (void)state;
    static const struct {
        const char *request;
        enum fault_code code;
    } cases[] = {
        {"PUT /unread HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
         FAULT_STATE_CONFLICT},
        {"PUT /unread HTTP/1.1\r\n" HOST "Content-Length: 70000000\r\n\r\n", FAULT_STATE_CONFLICT},
        {"PUT /upload HTTP/1.1\r\n" HOST
         "X-Refuse: 1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
         FAULT_NOT_AUTHENTICATED},
        {"PUT /small HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 10001\r\n\r\n",
         FAULT_TOO_LARGE},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct client *client = client_open(port);
        client_send(client, cases[i].request);
        struct reply *reply = client_reply(client);
        expect_problem(reply, cases[i].code);
        assert_true(reply_closes(reply));
        client_expect_end(client);
        reply_free(reply);
        client_close(client);
    }
}

/* Refused by the admit hook while the body is on its way already. */
static void test_refusal_reaches_a_sending_client(void **state)
{
    (void)state;
    char *body = calloc(1, 2U << 20);
    assert_non_null(body);
    for (int i = 0; i < 20; i++) {
        struct client *client = client_open(port);
        client_send(client, "PUT /upload HTTP/1.1\r\n" HOST "X-Refuse: 1\r\n"
                            "Content-Length: 2097152\r\n\r\n");
        client_send_bytes(client, body, 2U << 20);
        struct reply *reply = client_reply(client);
        expect_problem(reply, FAULT_NOT_AUTHENTICATED);
        assert_true(reply_closes(reply));
        reply_free(reply);
        client_close(client);
    }
    free(body);
    struct client *client = client_open(port); /* no body to come: the connection goes on */
    for (int i = 0; i < 2; i++) {
        client_send(client, "PUT /upload HTTP/1.1\r\n" HOST "X-Refuse: 1\r\n"
                            "Content-Length: 0\r\n\r\n");
        struct reply *reply = client_reply(client);
        expect_problem(reply, FAULT_NOT_AUTHENTICATED);
        assert_false(reply_closes(reply));
        reply_free(reply);
    }
    client_close(client);
}

/* The client goes on sending after the answer: it must be able to read it all the same. */
static void test_early_answer_reaches_a_sending_client(void **state)
{
    (void)state;
    struct client *client = client_open(port);
    put(client, "/early", 16U << 20);
    client_send(client, "A");
    wait_for(&entered);
    sem_post(&go);
    char *block = calloc(1, 4U << 20);
    assert_non_null(block);
    client_send_bytes(client, block, 4U << 20);
    free(block);
    struct reply *reply = client_reply(client);
    expect_problem(reply, FAULT_ARTIFACT_INVALID);
    assert_non_null(strstr(reply->body, "its first byte is 65"));
    assert_true(reply_closes(reply));
    reply_free(reply);
    client_close(client);
}

/* ... and one that waits gets it at once, not when the stream's time is over. */
static void test_early_answer_reaches_a_waiting_client(void **state)
{
    (void)state;
    struct client *client = client_open(port);
    put(client, "/early", 16U << 20);
    client_send(client, "A");
    wait_for(&entered);
    sem_post(&go);
    struct reply *reply = client_reply(client);
    expect_problem(reply, FAULT_ARTIFACT_INVALID);
    reply_free(reply);
    client_close(client);
}

static void test_too_large_when_chunked(void **state)
{
    (void)state;
    struct client *client = client_open(port);
    char block[4096] = {0};
    client_send(client, "PUT /small HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 3; i++) {
        client_send(client, "1000\r\n");
        client_send_bytes(client, block, sizeof block);
        client_send(client, "\r\n");
    }
    struct reply *reply = client_reply(client);
    expect_problem(reply, FAULT_TOO_LARGE);
    assert_int_equal(read_code, FAULT_TOO_LARGE);
    reply_free(reply);
    client_close(client);
}

static void test_bad_chunk(void **state)
{
    (void)state;
    struct client *client = client_open(port);
    client_send(client, "PUT /upload HTTP/1.1\r\n" HOST
                        "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n");
    struct reply *reply = client_reply(client);
    expect_problem(reply, FAULT_MALFORMED_REQUEST);
    reply_free(reply);
    wait_for(&finished);
    assert_int_equal(read_code, FAULT_MALFORMED_REQUEST);
    client_close(client);
}

static void test_client_vanishes_while_read_from(void **state)
{
    (void)state;
    struct client *client = client_open(port);
    put(client, "/upload", 1000);
    client_send(client, "abc");
    client_close(client);
    wait_for(&finished);
    assert_int_equal(read_code, FAULT_MALFORMED_REQUEST);
    assert_true(http_wait_idle(http, 10000));
}

static void test_client_vanishes_before_it_is_read_from(void **state)
{
    (void)state;
    struct client *client = client_open(port);
    put(client, "/gated", 1000);
    client_send(client, "abc");
    wait_for(&entered);
    client_close(client);
    sem_post(&go);
    wait_for(&finished);
    assert_int_equal(read_code, FAULT_MALFORMED_REQUEST);
    assert_true(http_wait_idle(http, 10000));
}

/* Its connection is suspended, the window full, when it goes. */
static void test_client_vanishes_in_suspension(void **state)
{
    (void)state;
    struct client *client = client_open(port);
    put(client, "/early", 8U << 20);
    char *block = calloc(1, 4U << 20);
    assert_non_null(block);
    client_send_bytes(client, block, 3U << 20);
    free(block);
    wait_for(&entered);
    client_close(client);
    sem_post(&go);
    assert_true(http_wait_idle(http, 10000));
}

/* Two run and two wait; whichever comes fifth is refused at once. */
static void test_one_thread_an_upload(void **state)
{
    (void)state;
    struct client *clients[5];
    struct pollfd polls[5];
    for (size_t i = 0; i < 5; i++) {
        clients[i] = client_open(port);
        put(clients[i], "/gated", 3);
        polls[i] = (struct pollfd){.fd = clients[i]->fd, .events = POLLIN};
    }
    assert_int_equal(poll(polls, 5, CLIENT_SECONDS * 1000), 1);
    for (size_t i = 0; i < 5; i++) {
        if (polls[i].revents != 0) {
            struct reply *reply = client_reply(clients[i]);
            expect_problem(reply, FAULT_UNAVAILABLE);
            assert_string_equal(reply_value(reply, "Retry-After"), "1");
            reply_free(reply);
        } else {
            sem_post(&go);
            client_send(clients[i], "abc");
        }
    }
    for (size_t i = 0; i < 5; i++) {
        if (polls[i].revents == 0) {
            struct reply *reply = client_reply(clients[i]);
            assert_int_equal(reply->status, 201);
            reply_free(reply);
        }
        client_close(clients[i]);
    }
}

static void test_deadline_of_a_stream(void **state)
{
    (void)state;
    struct http_config config = stream_config();
    config.stream_seconds = 1;
    struct http *hasty = test_start(&config);
    struct client *client = client_open(http_port(hasty));
    put(client, "/upload", 1000);
    client_send(client, "abc");
    int64_t begin = now_ms();
    struct reply *reply = client_reply(client);
    expect_problem(reply, FAULT_REQUEST_TIMEOUT);
    assert_true(reply_closes(reply));
    assert_true(now_ms() - begin < 5000);
    assert_int_equal(read_code, FAULT_REQUEST_TIMEOUT);
    reply_free(reply);
    client_close(client);
    http_stop(hasty);
}

/* Attack: a client that sends a byte now and then would hold a thread until the stream's own time
 * is over. */
static void test_slow_upload_is_given_up(void **state)
{
    (void)state;
    struct http_config config = stream_config();
    config.stall_seconds = 1;
    config.rate_min = 1000;
    struct http *hasty = test_start(&config);
    struct client *client = client_open(http_port(hasty));
    struct pollfd answered = {.fd = client->fd, .events = POLLIN};
    int64_t begin = now_ms();
    put(client, "/upload", 1000000);
    do {
        client_send(client, "a"); /* 5 bytes a second */
    } while (poll(&answered, 1, 200) == 0);
    struct reply *reply = client_reply(client);
    expect_problem(reply, FAULT_REQUEST_TIMEOUT);
    assert_true(now_ms() - begin >= 900);
    assert_int_equal(read_code, FAULT_REQUEST_TIMEOUT);
    reply_free(reply);
    client_close(client);

    /* What the handler takes for itself is not the client's time. */
    client = client_open(http_port(hasty));
    put(client, "/gated", 3);
    client_send(client, "abc");
    wait_for(&entered);
    (void)poll(NULL, 0, 1500);
    sem_post(&go);
    reply = client_reply(client);
    assert_int_equal(reply->status, 201);
    reply_free(reply);
    client_close(client);
    http_stop(hasty);
}

static void test_stop_with_stalled_streams(void **state)
{
    (void)state;
    struct http_config config = stream_config();
    struct http *stopped = test_start(&config);
    struct client *reading = client_open(http_port(stopped));
    put(reading, "/gated", 1000);
    client_send(reading, "abc");
    wait_for(&entered);
    sem_post(&go);
    struct client *waiting = client_open(http_port(stopped)); /* has sent no body at all */
    put(waiting, "/gated", 1000);
    wait_for(&entered);
    sem_post(&go);
    int64_t begin = now_ms();
    http_stop(stopped);
    assert_true(now_ms() - begin < 5000);
    assert_int_equal(read_code, FAULT_SHUTTING_DOWN);
    struct reply *reply = client_reply(reading);
    expect_problem(reply, FAULT_SHUTTING_DOWN);
    reply_free(reply);
    client_close(reading);
    client_close(waiting);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SERVER(test_large_upload_in_flat_memory),
        WITH_SERVER(test_chunked_and_empty),
        WITH_SERVER(test_full_window_holds_the_client_back),
        WITH_SERVER(test_body_is_asked_for_when_read),
        WITH_SERVER(test_answers_without_the_body),
        WITH_SERVER(test_refusal_reaches_a_sending_client),
        WITH_SERVER(test_early_answer_reaches_a_sending_client),
        WITH_SERVER(test_early_answer_reaches_a_waiting_client),
        WITH_SERVER(test_too_large_when_chunked),
        WITH_SERVER(test_bad_chunk),
        WITH_SERVER(test_client_vanishes_while_read_from),
        WITH_SERVER(test_client_vanishes_before_it_is_read_from),
        WITH_SERVER(test_client_vanishes_in_suspension),
        WITH_SERVER(test_one_thread_an_upload),
        WITH_SERVER(test_deadline_of_a_stream),
        WITH_SERVER(test_slow_upload_is_given_up),
        WITH_SERVER(test_stop_with_stalled_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
