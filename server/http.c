/* SPDX-License-Identifier: Apache-2.0 */
#include "server/http_internal.h"

#include "base/text.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LISTEN_BACKLOG 1024
#define STOP_GRACE_MS 1000 /* for the last answers to leave */

struct http_config http_config_default(void)
{
    return (struct http_config){
        .request_threads = 8,
        .stream_threads = 4,
        .queue_max = 1024,
        .connections_max = 1024,
        .bodies_max = 32U << 20,
        .idle_seconds = 60,
        .receive_seconds = 30,
        .outflows_max = 32U << 20,
        .stream_seconds = 3600,
        .stall_seconds = 30,
        .rate_min = 64U << 10,
        .pulse_seconds = 15,
        .access_log = true,
    };
}

/* "127.0.0.1:8080" or "[::1]:8080" in two. */
static int listen_split(const char *listen, char *ret_host, size_t size, const char **ret_port,
                        struct fault *fault)
{
    const char *colon = strrchr(listen, ':');
    size_t len = colon == NULL ? 0 : (size_t)(colon - listen);
    if (len >= 2 && listen[0] == '[' && listen[len - 1] == ']') {
        listen++;
        len -= 2;
    }
    if (len == 0 || len >= size || !text_in_set(colon + 1, strlen(colon + 1), 1, 5, "0123456789") ||
        strtoul(colon + 1, NULL, 10) > UINT16_MAX)
        return fault_set(fault, FAULT_INTERNAL,
                         "cannot listen on \"%s\": expected an address and a port", listen);
    memcpy(ret_host, listen, len);
    ret_host[len] = '\0';
    *ret_port = colon + 1;
    return 0;
}

static int listen_open(const char *listen_on, int *ret_fd, int *ret_family, struct fault *fault)
{
    char host[64];
    const char *port = NULL;
    if (listen_split(listen_on, host, sizeof host, &port, fault) != 0)
        return -1;
    const struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV,
                                   .ai_socktype = SOCK_STREAM};
    struct addrinfo *address = NULL;
    int error = getaddrinfo(host, port, &hints, &address);
    if (error != 0)
        return fault_set(fault, FAULT_INTERNAL, "cannot listen on \"%s\": %s", listen_on,
                         gai_strerror(error));
    const int on = 1;
    AUTO_CLOSE int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int family = address->ai_family;
    bool bound = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                 bind(fd, address->ai_addr, address->ai_addrlen) == 0 &&
                 listen(fd, LISTEN_BACKLOG) == 0;
    int saved = errno;
    freeaddrinfo(address);
    errno = saved;
    if (!bound)
        return fault_errno(fault, "cannot listen on \"%s\"", listen_on);
    *ret_family = family;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

static unsigned port_of(int fd)
{
    struct sockaddr_storage address;
    char port[16] = "0";
    socklen_t len = sizeof address;
    if (getsockname(fd, (struct sockaddr *)&address, &len) == 0)
        (void)getnameinfo((struct sockaddr *)&address, len, NULL, 0, port, sizeof port,
                          NI_NUMERICSERV);
    return (unsigned)strtoul(port, NULL, 10);
}

/* Paths and queries are matched as they came and decoded by url.c. */
static size_t unescape_nothing(void *context, struct MHD_Connection *connection, char *text)
{
    (void)context, (void)connection;
    return strlen(text);
}

static unsigned http_thread_count(const struct http *http)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    if (http->config.http_threads != 0)
        return http->config.http_threads;
    return cpus < 1 ? 1 : (unsigned)cpus;
}

/* STRICT_FOR_CLIENT 0: at 1 the library refuses what head.c refuses too, but with pages of its
 * own or by closing without a word. The listening socket is the library's from here on. */
static int daemon_start(struct http *http, int fd, int family, struct fault *fault)
{
    const struct http_config *config = &http->config;
    unsigned threads = http_thread_count(http);
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME |
                     (family == AF_INET6 ? MHD_USE_IPv6 : 0);
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_LISTEN_SOCKET, fd, NULL},
        {MHD_OPTION_STRICT_FOR_CLIENT, 0, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, config->connections_max, NULL},
        {MHD_OPTION_PER_IP_CONNECTION_LIMIT, config->connections_per_ip_max, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, config->idle_seconds, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY, NULL},
        {threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, threads, NULL},
        {MHD_OPTION_END, 0, NULL},
    };
    http->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, receive_request, http, MHD_OPTION_UNESCAPE_CALLBACK, unescape_nothing,
        NULL, MHD_OPTION_URI_LOG_CALLBACK, receive_target, http, MHD_OPTION_NOTIFY_COMPLETED,
        receive_completed, http, MHD_OPTION_NOTIFY_CONNECTION, peer_notify, http, MHD_OPTION_ARRAY,
        options, MHD_OPTION_END);
    if (http->daemon == NULL)
        return fault_errno(fault, "the HTTP library did not start");
    return 0;
}

static int pools_start(struct http *http, struct fault *fault)
{
    const struct http_config *config = &http->config;
    struct pool_config pool = {
        .threads = config->request_threads,
        .queue_max = config->queue_max,
        .context = config->context,
        .thread_open = config->thread_open,
        .thread_close = config->thread_close,
        .run = receive_run,
        .refuse = receive_refuse,
    };
    if (pool_start(&pool, &http->requests, fault) != 0)
        return -1;
    pool.threads = config->stream_threads;
    pool.queue_max = config->stream_threads; /* each may take long: better refused than waiting */
    return pool_start(&pool, &http->streams, fault);
}

static void http_free(struct http *http)
{
    pool_free(http->streams);
    pool_free(http->requests);
    stats_stop(http);
    pthread_cond_destroy(&http->peers_changed);
    pthread_mutex_destroy(&http->peers_lock);
    pthread_cond_destroy(&http->idle);
    pthread_mutex_destroy(&http->idle_lock);
    free(http);
}

static struct http *http_new(const struct http_config *config)
{
    struct http *http = calloc(1, sizeof *http);
    if (http == NULL)
        return NULL;
    http->config = *config;
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&http->idle_lock, NULL);
    pthread_cond_init(&http->idle, &monotonic);
    pthread_mutex_init(&http->peers_lock, NULL);
    pthread_cond_init(&http->peers_changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    return http;
}

static int http_run(struct http *http, struct fault *fault)
{
    AUTO_CLOSE int fd = -1;
    int family = AF_INET;
    http->queue = refuse_library_queue();
    if (http->queue == NULL)
        return fault_set(fault, FAULT_INTERNAL, "the HTTP library lacks MHD_queue_response()");
    if (stats_start(http, fault) != 0 || listen_open(http->config.listen, &fd, &family, fault) != 0)
        return -1;
    http->port = port_of(fd);
    if (pools_start(http, fault) != 0 || peers_start(http, fault) != 0)
        return -1;
    if (daemon_start(http, TAKE_FD(fd), family, fault) != 0) {
        peers_stop(http);
        return -1;
    }
    return 0;
}

int http_start(const struct http_config *config, struct http **ret_http, struct fault *fault)
{
    struct http *http = http_new(config);
    if (http == NULL)
        return fault_set(fault, FAULT_INTERNAL, "no memory for a listener");
    if (http_run(http, fault) != 0) {
        http_free(http);
        return -1;
    }
    *ret_http = http;
    return 0;
}

unsigned http_port(const struct http *http)
{
    return http->port;
}

void http_drain(struct http *http)
{
    atomic_store(&http->draining, true);
    peers_wake(http);
}

bool http_wait_idle(struct http *http, int64_t milliseconds)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += milliseconds / 1000;
    until.tv_nsec += milliseconds % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    int error = 0;
    pthread_mutex_lock(&http->idle_lock);
    while (http->in_flight > 0 && error == 0)
        error = pthread_cond_timedwait(&http->idle, &http->idle_lock, &until);
    bool idle = http->in_flight == 0;
    pthread_mutex_unlock(&http->idle_lock);
    return idle;
}

/* After the library has stopped: a thread that answered a deferred request may still be in
 * its reply_ function. */
static void http_wait_empty(struct http *http)
{
    pthread_mutex_lock(&http->idle_lock);
    while (http->in_flight > 0)
        pthread_cond_wait(&http->idle, &http->idle_lock);
    pthread_mutex_unlock(&http->idle_lock);
}

/* Handlers first, so that each request has its answer; then what they answered goes out as far
 * as clients take it; then the library, which no connection may be suspended for. */
void http_stop(struct http *http)
{
    if (http == NULL)
        return;
    http_drain(http);
    atomic_store(&http->stopping, true);
    peers_wake(http);
    pool_stop(http->streams);
    pool_stop(http->requests);
    peers_stop(http); /* it may have been refusing a request */
    (void)http_wait_idle(http, STOP_GRACE_MS);
    MHD_stop_daemon(http->daemon);
    http_wait_empty(http);
    void *context = http->config.context;
    void (*context_free)(void *) = http->config.context_free;
    http_free(http);
    if (context_free != NULL)
        context_free(context);
}
