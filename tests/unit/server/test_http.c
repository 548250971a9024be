/* SPDX-License-Identifier: Apache-2.0 */
/* The server as a whole: threads, deferred answers under load, draining, stopping. */
#include "server/http_internal.h"

#include "tests/unit/server/loopback.h"

#include <poll.h>
#include <stdatomic.h>

#define HOST "Host: x\r\n"
#define DEFERRED_MAX 256

/* A thread that answers what handlers handed to it, a batch at a time and backwards. */
struct replier {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct request *waiting[DEFERRED_MAX];
    size_t count;
    bool held; /* keep what comes */
    bool over;
    pthread_t thread;
};

static struct replier replier;
static sem_t entered, go;
static atomic_int threads_open;

static void *replier_run(void *context)
{
    (void)context;
    struct request *batch[DEFERRED_MAX];
    pthread_mutex_lock(&replier.lock);
    while (!replier.over || replier.count > 0) {
        if (replier.count == 0 || replier.held) {
            pthread_cond_wait(&replier.filled, &replier.lock);
            continue;
        }
        size_t count = replier.count;
        memcpy(batch, replier.waiting, count * sizeof batch[0]);
        replier.count = 0;
        pthread_mutex_unlock(&replier.lock);
        while (count > 0) {
            struct request *request = batch[--count];
            (void)reply_json(request, 200, json_pack("{s:s}", "n", request_query(request, "n", 0)));
        }
        pthread_mutex_lock(&replier.lock);
    }
    pthread_mutex_unlock(&replier.lock);
    return NULL;
}

static void replier_start(void)
{
    replier = (struct replier){.held = false};
    pthread_mutex_init(&replier.lock, NULL);
    pthread_cond_init(&replier.filled, NULL);
    assert_int_equal(pthread_create(&replier.thread, NULL, replier_run, NULL), 0);
}

static void replier_hold(bool held)
{
    pthread_mutex_lock(&replier.lock);
    replier.held = held;
    pthread_cond_signal(&replier.filled);
    pthread_mutex_unlock(&replier.lock);
}

static void replier_stop(void)
{
    pthread_mutex_lock(&replier.lock);
    replier.over = true;
    pthread_cond_signal(&replier.filled);
    pthread_mutex_unlock(&replier.lock);
    pthread_join(replier.thread, NULL);
    pthread_cond_destroy(&replier.filled);
    pthread_mutex_destroy(&replier.lock);
}

static enum answer answer_deferred(struct request *request)
{
    pthread_mutex_lock(&replier.lock);
    replier.waiting[replier.count++] = request;
    pthread_cond_signal(&replier.filled);
    pthread_mutex_unlock(&replier.lock);
    sem_post(&entered);
    return request_defer(request);
}

static enum answer answer_ok(struct request *request)
{
    return reply_empty(request, 204);
}

static enum answer answer_blocked(struct request *request)
{
    sem_post(&entered);
    wait_for(&go);
    return reply_empty(request, 204);
}

static enum answer answer_thread(struct request *request)
{
    return reply_json(request, 200,
                      json_pack("{s:s, s:s}", "thread", (const char *)request_thread(request),
                                "context", (const char *)request_context(request)));
}

/* Who asks, by the connection. */
static enum answer answer_address(struct request *request)
{
    char text[INET6_ADDRSTRLEN] = "";
    struct http_address address = request_address(request);
    (void)inet_ntop(AF_INET6, address.bytes, text, sizeof text);
    return reply_bytes(request, 200, "text/plain", span_text(text));
}

static const struct route routes[] = {
    {.method = HTTP_GET, .path = "/ok", .handle = answer_ok},
    {.method = HTTP_GET, .path = "/address", .handle = answer_address},
    {.method = HTTP_GET, .path = "/deferred", .handle = answer_deferred},
    {.method = HTTP_GET, .path = "/blocked", .handle = answer_blocked},
    {.method = HTTP_GET, .path = "/thread", .handle = answer_thread},
    {.method = HTTP_POST,
     .path = "/post",
     .body = ROUTE_BODY_BUFFERED,
     .body_max = 100,
     .handle = answer_ok},
};

static int setup(void **state)
{
    (void)state;
    sem_init(&entered, 0, 0);
    sem_init(&go, 0, 0);
    replier_start();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    replier_stop();
    sem_destroy(&entered);
    sem_destroy(&go);
    return 0;
}

static struct http *start_default(void)
{
    struct http_config config = test_config(routes, ARRAY_LEN(routes));
    return test_start(&config);
}

#define LOAD_CLIENTS 64
#define LOAD_REQUESTS 200

struct load {
    unsigned port;
    size_t number;
    size_t answered;
    int64_t slowest_ms;
    pthread_t thread;
};

/* No assertions here: cmocka's work on the main thread only. */
static void *load_run(void *context)
{
    struct load *load = context;
    struct client *client = client_open(load->port);
    for (size_t i = 0; i < LOAD_REQUESTS; i++) {
        char text[128], wanted[64];
        (void)snprintf(wanted, sizeof wanted, "{\"n\":\"%zu.%zu\"}", load->number, i);
        (void)snprintf(text, sizeof text, "GET /deferred?n=%zu.%zu HTTP/1.1\r\n" HOST "\r\n",
                       load->number, i);
        int64_t begin = now_ms();
        if (send(client->fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
            break;
        size_t have = 0;
        char in[1024];
        const char *body = NULL;
        while (body == NULL || strlen(body + 4) < strlen(wanted)) {
            ssize_t got = recv(client->fd, in + have, sizeof in - 1 - have, 0);
            if (got <= 0)
                goto out;
            have += (size_t)got;
            in[have] = '\0';
            body = strstr(in, "\r\n\r\n");
        }
        if (strcmp(body + 4, wanted) != 0)
            break;
        load->answered++;
        if (now_ms() - begin > load->slowest_ms)
            load->slowest_ms = now_ms() - begin;
    }
out:
    client_close(client);
    return NULL;
}

/* A connection that is ready while others are being suspended must not be passed over: every
 * client gets every answer, its own, and soon. */
static void test_no_connection_starves(void **state)
{
    (void)state;
    struct http *http = start_default();
    static struct load loads[LOAD_CLIENTS];
    for (size_t i = 0; i < LOAD_CLIENTS; i++) {
        loads[i] = (struct load){.port = http_port(http), .number = i};
        assert_int_equal(pthread_create(&loads[i].thread, NULL, load_run, &loads[i]), 0);
    }
    for (size_t i = 0; i < LOAD_CLIENTS; i++)
        pthread_join(loads[i].thread, NULL);
    for (size_t i = 0; i < LOAD_CLIENTS; i++) {
        assert_int_equal(loads[i].answered, LOAD_REQUESTS);
        assert_true(loads[i].slowest_ms < 5000);
    }
    http_stop(http);
}

/* Many answers are due on one connection; they come in order. */
static void test_pipelined_requests(void **state)
{
    (void)state;
    struct http *http = start_default();
    struct client *client = client_open(http_port(http));
    for (int i = 0; i < 100; i++) {
        char text[128];
        (void)snprintf(text, sizeof text, "GET /deferred?n=%d HTTP/1.1\r\n" HOST "\r\n", i);
        client_send(client, text);
    }
    for (int i = 0; i < 100; i++) {
        char wanted[32];
        (void)snprintf(wanted, sizeof wanted, "{\"n\":\"%d\"}", i);
        struct reply *reply = client_reply(client);
        assert_string_equal(reply->body, wanted);
        reply_free(reply);
    }
    client_close(client);
    http_stop(http);
}

/* The library does not notice while the connection is suspended; the answer finds out. */
static void test_client_vanishes_while_deferred(void **state)
{
    (void)state;
    struct http *http = start_default();
    replier_hold(true);
    for (int i = 0; i < 32; i++) {
        struct client *client = client_open(http_port(http));
        client_send(client, "GET /deferred?n=1 HTTP/1.1\r\n" HOST "\r\n");
        wait_for(&entered);
        client_close(client);
    }
    assert_false(http_wait_idle(http, 50));
    replier_hold(false);
    assert_true(http_wait_idle(http, 10000));
    http_stop(http);
}

static void test_drain(void **state)
{
    (void)state;
    struct http *http = start_default();
    struct client *before = client_open(http_port(http));
    client_send(before, "GET /blocked HTTP/1.1\r\n" HOST "\r\n");
    wait_for(&entered);
    struct client *idle = client_open(http_port(http));
    client_send(idle, "GET /ok HTTP/1.1\r\n" HOST "\r\n");
    struct reply *reply = client_reply(idle);
    assert_int_equal(reply->status, 204);
    reply_free(reply);

    http_drain(http);
    client_send(idle, "GET /ok HTTP/1.1\r\n" HOST "\r\n");
    reply = client_reply(idle);
    expect_problem(reply, FAULT_SHUTTING_DOWN);
    assert_true(reply_closes(reply));
    client_expect_end(idle);
    reply_free(reply);
    client_close(idle);

    assert_false(http_wait_idle(http, 50));
    sem_post(&go);
    reply = client_reply(before);
    assert_int_equal(reply->status, 204);
    assert_true(reply_closes(reply));
    reply_free(reply);
    assert_true(http_wait_idle(http, 10000));
    client_close(before);
    http_stop(http);
}

static void *stop_run(void *http)
{
    http_stop(http);
    return NULL;
}

/* One request runs, one waits, one is half there: stopping lets the first end and refuses the
 * others. */
static void test_stop_refuses_what_waits(void **state)
{
    (void)state;
    struct http_config config = test_config(routes, ARRAY_LEN(routes));
    config.request_threads = 1;
    struct http *http = test_start(&config);
    struct client *running = client_open(http_port(http));
    client_send(running, "GET /blocked HTTP/1.1\r\n" HOST "\r\n");
    wait_for(&entered);
    struct client *half = client_open(http_port(http));
    client_send(half,
                "POST /post HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 6\r\n\r\n");
    struct reply *reply = client_reply(half);
    assert_int_equal(reply->status, 100);
    reply_free(reply);
    client_send(half, "abc");
    struct client *waiting = client_open(http_port(http));
    client_send(waiting, "GET /ok HTTP/1.1\r\n" HOST "\r\n");
    while (pool_waiting(http->requests) == 0)
        sched_yield();
    pthread_t stopper;
    assert_int_equal(pthread_create(&stopper, NULL, stop_run, http), 0);
    reply = client_reply(waiting);
    expect_problem(reply, FAULT_SHUTTING_DOWN);
    reply_free(reply);
    client_send(half, "def");
    reply = client_reply(half);
    expect_problem(reply, FAULT_SHUTTING_DOWN);
    reply_free(reply);
    client_close(half);
    sem_post(&go);
    reply = client_reply(running);
    assert_int_equal(reply->status, 204);
    reply_free(reply);
    pthread_join(stopper, NULL);
    client_close(running);
    client_close(waiting);
}

static void test_stop_with_idle_and_half_requests(void **state)
{
    (void)state;
    struct http *http = start_default();
    struct client *silent = client_open(http_port(http));
    struct client *half = client_open(http_port(http));
    client_send(half, "GET /ok HTTP/1.1\r\nHo");
    int64_t begin = now_ms();
    http_stop(http);
    assert_true(now_ms() - begin < 3000);
    client_expect_end(silent);
    client_close(silent);
    client_close(half);
    http_stop(NULL);
}

static void test_full_queue(void **state)
{
    (void)state;
    struct http_config config = test_config(routes, ARRAY_LEN(routes));
    config.request_threads = 1;
    config.queue_max = 1;
    struct http *http = test_start(&config);
    struct client *running = client_open(http_port(http));
    client_send(running, "GET /blocked HTTP/1.1\r\n" HOST "\r\n");
    wait_for(&entered);
    struct client *clients[2];
    struct pollfd polls[2];
    for (size_t i = 0; i < 2; i++) { /* one waits, the other finds no place */
        clients[i] = client_open(http_port(http));
        client_send(clients[i], "GET /ok HTTP/1.1\r\n" HOST "\r\n");
        polls[i] = (struct pollfd){.fd = clients[i]->fd, .events = POLLIN};
    }
    assert_int_equal(poll(polls, 2, CLIENT_SECONDS * 1000), 1);
    size_t refused = polls[0].revents != 0 ? 0 : 1;
    struct reply *reply = client_reply(clients[refused]);
    expect_problem(reply, FAULT_UNAVAILABLE);
    assert_string_equal(reply_value(reply, "Retry-After"), "1");
    assert_false(reply_closes(reply));
    reply_free(reply);
    sem_post(&go);
    reply = client_reply(clients[1 - refused]);
    assert_int_equal(reply->status, 204);
    reply_free(reply);
    for (size_t i = 0; i < 2; i++)
        client_close(clients[i]);
    client_close(running);
    http_stop(http);
}

static int thread_open(void *context, void **ret_thread, struct fault *fault)
{
    (void)fault;
    (void)context;
    atomic_fetch_add(&threads_open, 1);
    *ret_thread = strdup("mine");
    return 0;
}

static void thread_close(void *thread)
{
    atomic_fetch_sub(&threads_open, 1);
    free(thread);
}

static int thread_open_fails(void *context, void **ret_thread, struct fault *fault)
{
    if (atomic_load(&threads_open) >= 2)
        return fault_set(fault, FAULT_UNAVAILABLE, "no third connection");
    return thread_open(context, ret_thread, fault);
}

static void test_threads_have_their_own(void **state)
{
    (void)state;
    char context[] = "shared";
    struct http_config config = test_config(routes, ARRAY_LEN(routes));
    config.context = context;
    config.thread_open = thread_open;
    config.thread_close = thread_close;
    struct http *http = test_start(&config);
    assert_int_equal(atomic_load(&threads_open), 4 + 2);
    struct reply *reply = ask(http_port(http), "GET /thread HTTP/1.1\r\n" HOST "\r\n");
    assert_string_equal(reply->body, "{\"thread\":\"mine\",\"context\":\"shared\"}");
    reply_free(reply);
    http_stop(http);
    assert_int_equal(atomic_load(&threads_open), 0);
}

static void test_start_fails(void **state)
{
    (void)state;
    struct http_config config = test_config(routes, ARRAY_LEN(routes));
    struct http *untouched = (struct http *)(void *)&config, *http = untouched;
    struct fault fault = {0};
    config.request_threads = 1;
    config.stream_threads = 3;
    config.thread_open = thread_open_fails;
    config.thread_close = thread_close;
    assert_int_equal(http_start(&config, &http, &fault), -1);
    assert_string_equal(fault.detail, "no third connection");
    assert_int_equal(atomic_load(&threads_open), 0);
    assert_ptr_equal(http, untouched);

    static const char *const addresses[] = {"",
                                            "8080",
                                            ":8080",
                                            "127.0.0.1",
                                            "127.0.0.1:",
                                            "[::1:8080",
                                            "nowhere.invalid:1",
                                            "127.0.0.1:99999",
                                            "192.0.2.1:8080"};
    for (size_t i = 0; i < ARRAY_LEN(addresses); i++) {
        config = test_config(routes, ARRAY_LEN(routes));
        config.listen = addresses[i];
        fault = (struct fault){0};
        assert_int_equal(http_start(&config, &http, &fault), -1);
        assert_non_null(strstr(fault.detail, "cannot listen on"));
    }

    struct http *first = start_default();
    char taken[64];
    (void)snprintf(taken, sizeof taken, "127.0.0.1:%u", http_port(first));
    config.listen = taken;
    assert_int_equal(http_start(&config, &http, &fault), -1);
    assert_non_null(strstr(fault.detail, "Address already in use"));
    assert_ptr_equal(http, untouched);
    http_stop(first);
}

static void test_connection_limits(void **state)
{
    (void)state;
    struct http_config config = test_config(routes, ARRAY_LEN(routes));
    config.http_threads = 1;
    config.connections_max = 4;
    struct http *http = test_start(&config);
    struct client *clients[5];
    for (size_t i = 0; i < 4; i++) {
        clients[i] = client_open(http_port(http));
        client_send(clients[i], "GET /ok HTTP/1.1\r\n" HOST "\r\n");
        struct reply *reply = client_reply(clients[i]);
        assert_int_equal(reply->status, 204);
        reply_free(reply);
    }
    clients[4] = client_open(http_port(http)); /* in the backlog until another leaves */
    client_send(clients[4], "GET /ok HTTP/1.1\r\n" HOST "\r\n");
    struct pollfd answered = {.fd = clients[4]->fd, .events = POLLIN};
    assert_int_equal(poll(&answered, 1, 200), 0);
    client_close(clients[0]);
    struct reply *reply = client_reply(clients[4]);
    assert_int_equal(reply->status, 204);
    reply_free(reply);
    for (size_t i = 1; i < 5; i++)
        client_close(clients[i]);
    http_stop(http);

    config.connections_max = 100;
    config.connections_per_ip_max = 2;
    http = test_start(&config);
    for (size_t i = 0; i < 2; i++) {
        clients[i] = client_open(http_port(http));
        client_send(clients[i], "GET /ok HTTP/1.1\r\n" HOST "\r\n");
        reply_free(client_reply(clients[i]));
    }
    clients[2] = client_open(http_port(http));
    client_expect_end(clients[2]);
    for (size_t i = 0; i < 3; i++)
        client_close(clients[i]);
    http_stop(http);
}

static void test_the_address_of_the_other_end(void **state)
{
    (void)state;
    struct http_config config = test_config(routes, ARRAY_LEN(routes));
    struct http *http = test_start(&config);
    struct reply *reply = ask(http_port(http), "GET /address HTTP/1.1\r\n" HOST
                                               "X-Forwarded-For: 203.0.113.9\r\n\r\n");
    assert_int_equal(reply->status, 200);
    assert_int_equal(reply->body_len, strlen("::ffff:127.0.0.1"));
    assert_memory_equal(reply->body, "::ffff:127.0.0.1", reply->body_len);
    reply_free(reply);
    http_stop(http);
}

static void test_ipv6(void **state)
{
    (void)state;
    struct http_config config = test_config(routes, ARRAY_LEN(routes));
    config.listen = "[::1]:0";
    struct http *http = NULL;
    struct fault fault = {0};
    if (http_start(&config, &http, &fault) != 0)
        skip(); /* a host without IPv6 */
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in6 address = {.sin6_family = AF_INET6,
                                   .sin6_port = htons((uint16_t)http_port(http)),
                                   .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    static const char text[] = "GET /address HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n";
    assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
    char in[4096] = "";
    size_t len = 0;
    for (ssize_t more; (more = recv(fd, in + len, sizeof in - 1 - len, 0)) > 0;)
        len += (size_t)more;
    assert_true(text_begins(in, "HTTP/1.1 200"));
    assert_non_null(strstr(in, "\r\n\r\n::1"));
    (void)close(fd);
    http_stop(http);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_no_connection_starves, setup, teardown),
        cmocka_unit_test_setup_teardown(test_pipelined_requests, setup, teardown),
        cmocka_unit_test_setup_teardown(test_client_vanishes_while_deferred, setup, teardown),
        cmocka_unit_test_setup_teardown(test_drain, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop_refuses_what_waits, setup, teardown),
        cmocka_unit_test_setup_teardown(test_stop_with_idle_and_half_requests, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full_queue, setup, teardown),
        cmocka_unit_test(test_threads_have_their_own),
        cmocka_unit_test(test_start_fails),
        cmocka_unit_test(test_connection_limits),
        cmocka_unit_test(test_the_address_of_the_other_end),
        cmocka_unit_test(test_ipv6),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
