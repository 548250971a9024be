/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: answers given piece by piece arrive whole or are seen to be cut; a slow client holds no
 * thread and not for ever. */
#include "tests/unit/server/loopback.h"

#include <stdatomic.h>

#define LARGE ((int64_t)64 << 20)

/* What one answer gives: made by the handler from its query. */
struct supply {
    int64_t length; /* told; -1: unknown */
    int64_t total;  /* what there is */
    int64_t fails_at;
    int64_t given;
};

static struct http *http;
static unsigned port;
static sem_t freed;           /* a supply is done with */
static sem_t asked;           /* the live source was asked */
static atomic_llong produced; /* bytes, by all supplies */
static atomic_int live_stock; /* pieces that the live source has */
static atomic_bool live_over;
static _Atomic(struct request *) live_request;

static uint8_t byte_at(int64_t position)
{
    return (uint8_t)((uint64_t)position * 0x9E3779B97F4A7C15U >> 37);
}

static void supply_free(void *context)
{
    free(context);
    sem_post(&freed);
}

static int supply_source(struct request *request, void *context, struct buf *piece, bool *ret_last,
                         struct fault *fault)
{
    struct supply *supply = context;
    (void)request;
    size_t room = piece->max - piece->len;
    size_t step = (int64_t)room < supply->total - supply->given
                      ? room
                      : (size_t)(supply->total - supply->given);
    if (supply->fails_at >= 0 && supply->given >= supply->fails_at)
        return fault_set(fault, FAULT_UNAVAILABLE, "the well is dry");
    uint8_t *bytes = buf_reserve(piece, step);
    assert_non_null(bytes);
    for (size_t i = 0; i < step; i++)
        bytes[i] = byte_at(supply->given + (int64_t)i);
    buf_commit(piece, step);
    supply->given += (int64_t)step;
    produced += (long long)step;
    *ret_last = supply->given == supply->total;
    return 0;
}

static int64_t number_of(const struct request *request, const char *name)
{
    const char *value = request_query(request, name, 0);
    return value == NULL ? -1 : strtoll(value, NULL, 10);
}

static enum answer answer_supply(struct request *request)
{
    struct supply *supply = calloc(1, sizeof *supply);
    assert_non_null(supply);
    supply->length = number_of(request, "length");
    supply->total = number_of(request, "total");
    supply->fails_at = number_of(request, "fails_at");
    const struct reply_flow flow = {"application/octet-stream", supply->length, supply_source,
                                    supply, supply_free};
    reply_header(request, "ETag", "\"x\"");
    return reply_flow(request, 200, &flow);
}

static int live_source(struct request *request, void *context, struct buf *piece, bool *ret_last,
                       struct fault *fault)
{
    (void)context, (void)fault;
    live_request = request;
    int stock = live_stock;
    while (stock > 0 && !atomic_compare_exchange_weak(&live_stock, &stock, stock - 1)) {
    }
    if (stock > 0)
        buf_puts(piece, "tick\n");
    *ret_last = (live_over && stock <= 1) || request_draining(request);
    sem_post(&asked);
    return 0;
}

static void live_free(void *context)
{
    (void)context;
    live_request = NULL;
    sem_post(&freed);
}

static enum answer answer_live(struct request *request)
{
    const struct reply_flow flow = {"text/event-stream", -1, live_source, NULL, live_free};
    return reply_flow(request, 200, &flow);
}

static enum answer answer_plain(struct request *request)
{
    return reply_bytes(request, 200, "text/plain", span_text("plain"));
}

static enum answer answer_streamed(struct request *request)
{
    struct supply *supply = calloc(1, sizeof *supply);
    assert_non_null(supply);
    const struct reply_flow flow = {NULL, 0, supply_source, supply, supply_free};
    return reply_flow(request, 200, &flow);
}

static const struct route routes[] = {
    {.method = HTTP_GET, .path = "/supply", .handle = answer_supply},
    {.method = HTTP_GET, .path = "/live", .handle = answer_live},
    {.method = HTTP_GET, .path = "/plain", .handle = answer_plain},
    {.method = HTTP_PUT,
     .path = "/streamed",
     .body = ROUTE_BODY_STREAMED,
     .body_max = 100,
     .handle = answer_streamed},
};

static struct http_config flow_config(void)
{
    struct http_config config = test_config(routes, ARRAY_LEN(routes));
    config.request_threads = 1; /* whoever holds it shows at once */
    return config;
}

static void start(const struct http_config *config)
{
    http = test_start(config);
    port = http_port(http);
}

static int setup(void **state)
{
    (void)state;
    struct http_config config = flow_config();
    sem_init(&freed, 0, 0);
    sem_init(&asked, 0, 0);
    produced = 0;
    live_stock = 0;
    live_over = false;
    live_request = NULL;
    start(&config);
    return 0;
}

/* Another server in place of the one from setup(). */
static void restart(const struct http_config *config)
{
    http_stop(http);
    start(config);
}

static int teardown(void **state)
{
    (void)state;
    http_stop(http);
    sem_destroy(&freed);
    sem_destroy(&asked);
    return 0;
}

#define HOST "HTTP/1.1\r\nHost: x\r\n\r\n"

static void get(struct client *client, const char *path)
{
    char request[256];
    (void)snprintf(request, sizeof request, "GET %s " HOST, path);
    client_send(client, request);
}

/* The head of an answer, and no byte of its body. */
static struct reply *head_of(struct client *client)
{
    return client_reply_to(client, true);
}

/* Reads to the connection's end: how many bytes of the supply came, each of which must be right.
 * ret_reset: it ended with a reset. */
static int64_t drain(struct client *client, bool *ret_reset)
{
    int64_t got = 0;
    ssize_t step;
    do {
        for (size_t i = 0; i < client->in_len; i++)
            assert_int_equal((uint8_t)client->in[i], byte_at(got + (int64_t)i));
        got += (int64_t)client->in_len;
        client->in_len = 0;
        step = client_fill(client);
    } while (step > 0);
    *ret_reset = step < 0;
    return got;
}

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

/* Takes exactly `total` bytes of the supply. */
static void expect_supply(struct client *client, int64_t total)
{
    int64_t got = 0;
    while (got < total) {
        if (client->in_len == 0)
            assert_true(client_fill(client) > 0);
        int64_t left = total - got;
        size_t step = (int64_t)client->in_len < left ? client->in_len : (size_t)left;
        for (size_t i = 0; i < step; i++)
            if ((uint8_t)client->in[i] != byte_at(got + (int64_t)i))
                fail_msg("byte %lld is wrong", (long long)(got + (int64_t)i));
        client_take(client, NULL, step);
        got += (int64_t)step;
    }
}

static void test_large_answer_in_flat_memory(void **state)
{
    (void)state;
    struct client *client = client_open(port);
    long before = peak_kib();
    get(client, "/supply?length=67108864&total=67108864");
    struct reply *reply = head_of(client);
    assert_int_equal(reply->status, 200);
    assert_string_equal(reply_value(reply, "Content-Length"), "67108864");
    assert_string_equal(reply_value(reply, "Content-Type"), "application/octet-stream");
    assert_string_equal(reply_value(reply, "ETag"), "\"x\"");
    assert_non_null(reply_value(reply, "X-Request-Id"));
    reply_free(reply);
    expect_supply(client, LARGE);
    wait_for(&freed);
    assert_true(peak_kib() - before < 32 << 10);

    get(client, "/plain"); /* the connection goes on */
    reply = client_reply(client);
    assert_string_equal(reply->body, "plain");
    reply_free(reply);
    client_close(client);
}

static void test_small_answers(void **state)
{
    (void)state;
    static const int64_t sizes[] = {0, 1, 262143, 262144, 262145, 524288, 1000000};
    struct client *client = client_open(port);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        char path[128];
        (void)snprintf(path, sizeof path, "/supply?length=%lld&total=%lld", (long long)sizes[i],
                       (long long)sizes[i]);
        get(client, path);
        struct reply *reply = head_of(client);
        assert_int_equal(strtoll(reply_value(reply, "Content-Length"), NULL, 10), sizes[i]);
        reply_free(reply);
        expect_supply(client, sizes[i]);
        wait_for(&freed);
    }
    client_close(client);
}

static void test_head_asks_for_nothing(void **state)
{
    (void)state;
    struct client *client = client_open(port);
    client_send(client, "HEAD /supply?length=67108864&total=67108864 " HOST);
    struct reply *reply = head_of(client);
    assert_string_equal(reply_value(reply, "Content-Length"), "67108864");
    reply_free(reply);
    wait_for(&freed);
    assert_int_equal(produced, 0);
    get(client, "/plain");
    reply = client_reply(client);
    assert_string_equal(reply->body, "plain");
    reply_free(reply);
    client_close(client);
}

static void test_length_unknown(void **state)
{
    (void)state;
    struct client *client = client_open(port);
    get(client, "/supply?total=8192");
    struct reply *reply = head_of(client);
    assert_string_equal(reply_value(reply, "Transfer-Encoding"), "chunked");
    reply_free(reply);
    while (memmem(client->in, client->in_len, "\r\n0\r\n\r\n", 7) == NULL)
        assert_true(client_fill(client) > 0);
    client->in_len = 0;
    get(client, "/plain");
    reply = client_reply(client);
    assert_string_equal(reply->body, "plain");
    reply_free(reply);
    client_close(client);
}

static void test_first_piece_fails(void **state)
{
    (void)state;
    ask_problem(port, "GET /supply?length=10&total=10&fails_at=0 " HOST, FAULT_UNAVAILABLE);
    ask_problem(port, "GET /supply?length=10&total=9 " HOST, FAULT_INTERNAL);
    ask_problem(port, "GET /supply?length=9&total=10 " HOST, FAULT_INTERNAL);
    for (int i = 0; i < 3; i++)
        wait_for(&freed);
    ask_problem(port, "PUT /streamed HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n",
                FAULT_INTERNAL);
    wait_for(&freed);
}

/* Attack by misfortune: whatever goes wrong behind the head, no client takes what came for all. */
static void test_cut_in_the_middle(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "/supply?length=2000000&total=2000000&fails_at=1000000", /* the source fails */
        "/supply?length=2000000&total=1500000",                  /* too short */
        "/supply?length=1500000&total=2000000",                  /* too long */
    };
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        struct client *client = client_open(port);
        bool reset;
        get(client, paths[i]);
        struct reply *reply = head_of(client);
        assert_int_equal(reply->status, 200);
        int64_t told = strtoll(reply_value(reply, "Content-Length"), NULL, 10);
        reply_free(reply);
        assert_true(drain(client, &reset) < told);
        wait_for(&freed);
        client_close(client);
    }
}

/* Here the end of the connection is the end of the body: only a reset tells. */
static void test_cut_without_a_length_is_a_reset(void **state)
{
    (void)state;
    struct client *client = client_open(port);
    bool reset;
    client_send(client, "GET /supply?total=50000&fails_at=10000 HTTP/1.0\r\n\r\n");
    struct reply *reply = head_of(client);
    assert_int_equal(reply->status, 200);
    reply_free(reply);
    assert_true(drain(client, &reset) < 50000);
    assert_true(reset);
    client_close(client);

    client = client_open(port);
    get(client, "/supply?total=50000&fails_at=10000");
    while (client_fill(client) > 0)
        assert_null(memmem(client->in, client->in_len, "\r\n0\r\n\r\n", 7));
    client_close(client);
    wait_for(&freed);
    wait_for(&freed);
}

/* The one request thread serves others while a client does not read; and then it is reset. */
static void test_slow_client_holds_no_thread(void **state)
{
    (void)state;
    struct http_config config = flow_config();
    config.stall_seconds = 2;
    restart(&config);
    struct client *client = client_open(port);
    get(client, "/supply?length=67108864&total=67108864");
    struct reply *reply = head_of(client);
    reply_free(reply);
    for (int i = 0; i < 10; i++) {
        reply = ask(port, "GET /plain " HOST);
        assert_string_equal(reply->body, "plain");
        reply_free(reply);
    }
    wait_for(&freed); /* its time is over */
    assert_true(produced < LARGE);
    bool reset;
    assert_true(drain(client, &reset) < LARGE);
    assert_true(reset);
    client_close(client);
    assert_true(http_wait_idle(http, 10000));
}

static void test_client_leaves(void **state)
{
    (void)state;
    struct client *client = client_open(port);
    get(client, "/supply?length=67108864&total=67108864");
    reply_free(head_of(client));
    client_close(client);
    wait_for(&freed);
    assert_true(produced < LARGE);
    assert_true(http_wait_idle(http, 10000));
}

static void test_stop_during_an_answer(void **state)
{
    (void)state;
    struct http_config config = flow_config();
    struct http *stopped = test_start(&config); /* beside the one that teardown() stops */
    struct client *client = client_open(http_port(stopped));
    get(client, "/supply?length=67108864&total=67108864");
    reply_free(head_of(client));
    http_stop(stopped);
    wait_for(&freed);
    bool reset;
    assert_true(drain(client, &reset) < LARGE);
    client_close(client);
}

static void test_answers_in_flight_are_bounded(void **state)
{
    (void)state;
    struct http_config config = flow_config();
    config.outflows_max = 1U << 20;
    restart(&config);
    struct client *clients[2];
    for (size_t i = 0; i < 2; i++) {
        clients[i] = client_open(port);
        get(clients[i], "/supply?length=67108864&total=67108864");
        reply_free(head_of(clients[i]));
    }
    ask_problem(port, "GET /supply?length=1&total=1 " HOST, FAULT_UNAVAILABLE);
    wait_for(&freed); /* of the refused one */
    client_close(clients[0]);
    wait_for(&freed);
    struct reply *reply = ask(port, "GET /supply?length=1&total=1 " HOST);
    assert_int_equal(reply->status, 200);
    reply_free(reply);
    client_close(clients[1]);
}

static void expect_ticks(struct client *client, size_t count)
{
    for (;;) {
        size_t seen = 0;
        const char *at = client->in;
        while ((at = memmem(at, client->in_len - (size_t)(at - client->in), "tick", 4)) != NULL) {
            seen++;
            at += 4;
        }
        assert_true(seen <= count);
        if (seen == count)
            return;
        assert_true(client_fill(client) > 0);
    }
}

static void test_live_answer_is_woken(void **state)
{
    (void)state;
    struct client *client = client_open(port);
    get(client, "/live");
    reply_free(head_of(client));
    wait_for(&asked); /* it had nothing */
    for (int i = 1; i <= 50; i++) {
        live_stock = 1;
        request_wake(live_request);
        expect_ticks(client, (size_t)i);
    }
    live_over = true;
    request_wake(live_request);
    while (memmem(client->in, client->in_len, "\r\n0\r\n\r\n", 7) == NULL)
        assert_true(client_fill(client) > 0);
    wait_for(&freed);
    client_close(client);
}

static void test_live_answer_has_a_pulse(void **state)
{
    (void)state;
    struct http_config config = flow_config();
    config.pulse_seconds = 1;
    restart(&config);
    struct client *client = client_open(port);
    get(client, "/live");
    reply_free(head_of(client));
    wait_for(&asked);
    live_stock = 1;
    expect_ticks(client, 1); /* without being woken */
    client_close(client);
    live_stock = 1000; /* what is written to nobody shows that there is nobody */
    wait_for(&freed);
}

/* It has nothing to say, and its next pulse is far away. */
static void test_client_of_a_live_answer_leaves(void **state)
{
    (void)state;
    for (int way = 0; way < 3; way++) {
        struct client *client = client_open(port);
        get(client, "/live");
        reply_free(head_of(client));
        wait_for(&asked);
        if (way == 0) { /* it closes, with a reset, or ends its side */
            client_close(client);
        } else if (way == 1) {
            const struct linger at_once = {.l_onoff = 1};
            (void)setsockopt(client->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
            client_close(client);
        } else {
            assert_int_equal(shutdown(client->fd, SHUT_WR), 0);
            while (client_fill(client) > 0) {
            }
            client_close(client);
        }
        wait_for(&freed);
        assert_true(http_wait_idle(http, 10000));
    }
}

static void test_stop_with_a_live_answer(void **state)
{
    (void)state;
    struct http_config config = flow_config();
    struct http *stopped = test_start(&config); /* beside the one that teardown() stops */
    struct client *client = client_open(http_port(stopped));
    get(client, "/live");
    reply_free(head_of(client));
    wait_for(&asked);
    http_stop(stopped);
    wait_for(&freed);
    while (client_fill(client) > 0) {
    }
    client_close(client);
}

/* It ends in order, before anything is cut. */
static void test_drain_with_a_live_answer(void **state)
{
    (void)state;
    struct client *client = client_open(port);
    get(client, "/live");
    reply_free(head_of(client));
    wait_for(&asked);
    http_drain(http);
    while (memmem(client->in, client->in_len, "0\r\n\r\n", 5) == NULL)
        assert_true(client_fill(client) > 0);
    wait_for(&freed);
    assert_true(http_wait_idle(http, 10000));
    client_close(client);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SERVER(test_large_answer_in_flat_memory),
        WITH_SERVER(test_small_answers),
        WITH_SERVER(test_head_asks_for_nothing),
        WITH_SERVER(test_length_unknown),
        WITH_SERVER(test_first_piece_fails),
        WITH_SERVER(test_cut_in_the_middle),
        WITH_SERVER(test_cut_without_a_length_is_a_reset),
        WITH_SERVER(test_slow_client_holds_no_thread),
        WITH_SERVER(test_client_leaves),
        WITH_SERVER(test_stop_during_an_answer),
        WITH_SERVER(test_answers_in_flight_are_bounded),
        WITH_SERVER(test_live_answer_is_woken),
        WITH_SERVER(test_live_answer_has_a_pulse),
        WITH_SERVER(test_client_of_a_live_answer_leaves),
        WITH_SERVER(test_stop_with_a_live_answer),
        WITH_SERVER(test_drain_with_a_live_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
