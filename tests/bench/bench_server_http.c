/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An empty GET through the whole server (request thread, route, headers, metrics) against the
 * bare library answering from its own callback. Both on loopback, with this client beside
 * them, in turns; the median of the rounds counts.
 */
#include "server/http.h"

#include <arpa/inet.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#define CONNECTIONS 64
#define ROUNDS 5
#define ROUND_SECONDS 1.0
#define HTTP_THREADS 2

static const char question[] = "GET /empty HTTP/1.1\r\nHost: bench\r\n\r\n";

static double now(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void fail(const char *what)
{
    perror(what);
    exit(1);
}

static int client_open(unsigned port)
{
    const int on = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0)
        fail("connect");
    return fd;
}

static void client_ask(int fd)
{
    if (send(fd, question, sizeof question - 1, MSG_NOSIGNAL) != sizeof question - 1)
        fail("send");
}

/* An answer has no body and fits one segment: it is whole when its head ends. */
static void client_take(int fd)
{
    char answer[2048];
    ssize_t got = recv(fd, answer, sizeof answer - 1, 0);
    if (got <= 4 || memcmp(answer + got - 4, "\r\n\r\n", 4) != 0 ||
        memcmp(answer, "HTTP/1.1 204 ", 13) != 0)
        fail("an answer that was not expected");
}

/* Answers a second over all connections, one question in flight on each. */
static double round_run(unsigned port)
{
    struct epoll_event events[CONNECTIONS];
    int fds[CONNECTIONS];
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < CONNECTIONS; i++) {
        fds[i] = client_open(port);
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fds[i]};
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fds[i], &event) != 0)
            fail("epoll_ctl");
        client_ask(fds[i]);
    }
    double begin = now(), passed = 0;
    unsigned long answers = 0;
    while ((passed = now() - begin) < ROUND_SECONDS) {
        int count = epoll_wait(epoll, events, CONNECTIONS, 1000);
        if (count <= 0)
            fail("no answer");
        for (int i = 0; i < count; i++) {
            client_take(events[i].data.fd);
            client_ask(events[i].data.fd);
        }
        answers += (unsigned long)count;
    }
    for (int i = 0; i < CONNECTIONS; i++)
        (void)close(fds[i]);
    (void)close(epoll);
    return (double)answers / passed;
}

static enum answer answer_empty(struct request *request)
{
    return reply_empty(request, 204);
}

static const struct route routes[] = {
    {.method = HTTP_GET, .path = "/empty", .handle = answer_empty}};

static enum MHD_Result bare_answer(void *context, struct MHD_Connection *connection,
                                   const char *url, const char *method, const char *version,
                                   const char *data, size_t *data_len, void **request_context)
{
    (void)url, (void)method, (void)version, (void)data, (void)data_len;
    if (*request_context == NULL) { /* the head: answered now, the connection would be closed */
        *request_context = context;
        return MHD_YES;
    }
    return MHD_queue_response(connection, 204, context);
}

static struct MHD_Daemon *bare_start(struct MHD_Response *response)
{
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC, 0, NULL, NULL, bare_answer, response,
        MHD_OPTION_THREAD_POOL_SIZE, (unsigned)HTTP_THREADS, MHD_OPTION_END);
    if (daemon == NULL)
        fail("MHD_start_daemon");
    return daemon;
}

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

int main(void)
{
    struct fault fault = {0};
    struct http *http = NULL;
    struct metrics *metrics = metrics_new();
    struct http_config config = http_config_default();
    config.listen = "127.0.0.1:0";
    config.routes = routes;
    config.route_count = ARRAY_LEN(routes);
    config.http_threads = HTTP_THREADS;
    config.access_log = false;
    config.metrics = metrics;
    if (http_start(&config, &http, &fault) != 0) {
        (void)fprintf(stderr, "%s\n", fault.detail);
        return 1;
    }
    char nothing[1] = {0};
    struct MHD_Response *response =
        MHD_create_response_from_buffer(0, nothing, MHD_RESPMEM_PERSISTENT);
    struct MHD_Daemon *bare = bare_start(response);
    unsigned bare_port = MHD_get_daemon_info(bare, MHD_DAEMON_INFO_BIND_PORT)->port;

    double ours[ROUNDS], theirs[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        theirs[i] = round_run(bare_port);
        ours[i] = round_run(http_port(http));
    }
    qsort(ours, ROUNDS, sizeof ours[0], by_value);
    qsort(theirs, ROUNDS, sizeof theirs[0], by_value);
    printf("empty GET, %d connections: bare library %.0f/s, whole server %.0f/s, ratio %.2f\n",
           CONNECTIONS, theirs[ROUNDS / 2], ours[ROUNDS / 2],
           ours[ROUNDS / 2] / theirs[ROUNDS / 2]);
    MHD_stop_daemon(bare);
    MHD_destroy_response(response);
    http_stop(http);
    metrics_free(metrics);
    return 0;
}
