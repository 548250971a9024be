/* SPDX-License-Identifier: Apache-2.0 */
/* A raw HTTP client over loopback and a server started for one test. */
#pragma once

#include "server/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#include <cmocka.h>

#define CLIENT_SECONDS 20 /* a read that takes longer is a failure, not a hang */

struct client {
    int fd;
    char in[1 << 16]; /* what came and was not yet taken */
    size_t in_len;
};

struct reply {
    int status;
    char head[8192];
    char *body;
    size_t body_len;
};

static inline struct client *client_open(unsigned port)
{
    struct client *client = calloc(1, sizeof *client);
    assert_non_null(client);
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(client->fd >= 0);
    const int on = 1;
    const struct timeval limit = {.tv_sec = CLIENT_SECONDS};
    (void)setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(client->fd, (struct sockaddr *)&address, sizeof address), 0);
    return client;
}

static inline void client_close(struct client *client)
{
    (void)close(client->fd);
    free(client);
}

static inline void client_send_bytes(struct client *client, const void *data, size_t len)
{
    const char *at = data;
    while (len > 0) {
        ssize_t sent = send(client->fd, at, len, MSG_NOSIGNAL);
        assert_true(sent > 0);
        at += sent;
        len -= (size_t)sent;
    }
}

static inline void client_send(struct client *client, const char *text)
{
    client_send_bytes(client, text, strlen(text));
}

/* More bytes into client->in; 0 at the end of the stream, -1 on a reset. */
static inline ssize_t client_fill(struct client *client)
{
    assert_true(client->in_len < sizeof client->in);
    ssize_t got =
        recv(client->fd, client->in + client->in_len, sizeof client->in - client->in_len, 0);
    if (got < 0 && errno != ECONNRESET)
        fail_msg("no answer: %s", strerror(errno));
    if (got > 0)
        client->in_len += (size_t)got;
    return got;
}

static inline void client_take(struct client *client, void *ret_data, size_t len)
{
    if (ret_data != NULL)
        memcpy(ret_data, client->in, len);
    memmove(client->in, client->in + len, client->in_len - len);
    client->in_len -= len;
}

static inline const char *reply_value(const struct reply *reply, const char *name)
{
    static _Thread_local char value[1024];
    size_t len = strlen(name);
    const char *at = reply->head;
    while ((at = strstr(at, "\r\n")) != NULL) {
        at += 2;
        if (strncasecmp(at, name, len) != 0 || at[len] != ':')
            continue;
        at += len + 1;
        at += strspn(at, " ");
        (void)snprintf(value, sizeof value, "%.*s", (int)strcspn(at, "\r"), at);
        return value;
    }
    return NULL;
}

/* The next answer. `head` set: of a HEAD request, without a body. */
static inline struct reply *client_reply_to(struct client *client, bool head)
{
    struct reply *reply = calloc(1, sizeof *reply);
    if (reply == NULL)
        abort();
    char *end;
    while ((end = memmem(client->in, client->in_len, "\r\n\r\n", 4)) == NULL)
        if (client_fill(client) <= 0)
            fail_msg("the connection ended in the answer's head");
    size_t head_len = (size_t)(end - client->in) + 4;
    assert_true(head_len < sizeof reply->head);
    client_take(client, reply->head, head_len);
    assert_int_equal(sscanf(reply->head, "HTTP/1.1 %d ", &reply->status), 1);
    const char *length = reply_value(reply, "Content-Length");
    reply->body_len = length == NULL || head ? 0 : strtoul(length, NULL, 10);
    reply->body = calloc(1, reply->body_len + 1);
    assert_non_null(reply->body);
    for (size_t have = 0; have < reply->body_len;) {
        if (client->in_len == 0 && client_fill(client) <= 0)
            fail_msg("the connection ended in the answer's body");
        size_t left = reply->body_len - have;
        size_t step = client->in_len < left ? client->in_len : left;
        client_take(client, reply->body + have, step);
        have += step;
    }
    return reply;
}

static inline struct reply *client_reply(struct client *client)
{
    return client_reply_to(client, false);
}

static inline void reply_free(struct reply *reply)
{
    free(reply->body);
    free(reply);
}

/* The server closes without another byte. */
static inline void client_expect_end(struct client *client)
{
    assert_int_equal(client->in_len, 0);
    if (client_fill(client) > 0)
        fail_msg("unexpected bytes: %.*s", (int)client->in_len, client->in);
}

static inline bool text_begins(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* A problem document of this code, whose members fit each other and the headers. */
static inline void expect_problem(const struct reply *reply, enum fault_code code)
{
    AUTO_JSON json_t *problem = json_loadb(reply->body, reply->body_len, 0, NULL);
    if (problem == NULL)
        fail_msg("no JSON in:\n%s%s", reply->head, reply->body);
    const char *type = NULL, *title = NULL, *name = NULL, *detail = NULL, *id = NULL;
    int status = 0;
    assert_int_equal(json_unpack(problem, "{s:s, s:s, s:i, s:s, s:s, s:s !}", "type", &type,
                                 "title", &title, "status", &status, "code", &name, "detail",
                                 &detail, "request_id", &id),
                     0);
    assert_string_equal(name, fault_name(code));
    assert_string_equal(title, fault_title(code));
    assert_int_equal(status, fault_http_status(code));
    assert_int_equal(reply->status, status);
    assert_true(text_begins(type, "urn:sallyport:problem:"));
    assert_string_equal(type + strlen("urn:sallyport:problem:"), name);
    assert_true(strlen(detail) > 0);
    assert_string_equal(reply_value(reply, "Content-Type"), "application/problem+json");
    assert_string_equal(reply_value(reply, "X-Request-Id"), id);
    assert_string_equal(reply_value(reply, "X-Content-Type-Options"), "nosniff");
    assert_string_equal(reply_value(reply, "Cache-Control"), "no-store");
}

static inline bool reply_closes(const struct reply *reply)
{
    const char *connection = reply_value(reply, "Connection");
    return connection != NULL && strcasecmp(connection, "close") == 0;
}

/* One request on a connection of its own, its answer. */
static inline struct reply *ask(unsigned port, const char *request)
{
    struct client *client = client_open(port);
    client_send(client, request);
    struct reply *reply = client_reply(client);
    client_close(client);
    return reply;
}

static inline void ask_problem(unsigned port, const char *request, enum fault_code code)
{
    struct reply *reply = ask(port, request);
    expect_problem(reply, code);
    reply_free(reply);
}

/* Loopback, a free port, small and quiet. */
static inline struct http_config test_config(const struct route *routes, size_t count)
{
    struct http_config config = http_config_default();
    config.listen = "127.0.0.1:0";
    config.routes = routes;
    config.route_count = count;
    config.http_threads = 2;
    config.request_threads = 4;
    config.stream_threads = 2;
    config.access_log = false;
    return config;
}

static inline struct http *test_start(const struct http_config *config)
{
    struct http *http = NULL;
    struct fault fault = {0};
    if (http_start(config, &http, &fault) != 0)
        fail_msg("http_start: %s", fault.detail);
    return http;
}

static inline int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits for a semaphore, at most CLIENT_SECONDS; on any thread, so it ends the program. */
static inline void wait_for(sem_t *semaphore)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += CLIENT_SECONDS;
    while (sem_timedwait(semaphore, &until) != 0) {
        if (errno != EINTR) {
            (void)fprintf(stderr, "waited too long\n");
            abort();
        }
    }
}
