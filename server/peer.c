/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The library's timeout is one of inactivity: a client that sends a byte a second lives for
 * ever. So each connection has a state and a deadline here, and a sweeper ends those that
 * pass it. It does so by shutting the socket down, which is all it may do from outside the
 * library's threads; they then find the connection closed and clean it up.
 */
#include "server/http_internal.h"

#include "base/clock.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#define TICK_MS 20

struct peer *peer_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info == NULL ? NULL : info->socket_context;
}

void peer_ref(struct peer *peer)
{
    atomic_fetch_add(&peer->refs, 1);
}

void peer_unref(struct peer *peer)
{
    if (atomic_fetch_sub(&peer->refs, 1) != 1)
        return;
    pthread_mutex_destroy(&peer->lock);
    free(peer);
}

void peer_enter(struct peer *peer, enum peer_state state, int64_t deadline)
{
    if (peer->state == PEER_DEAD)
        return;
    peer->state = state;
    peer->since = clock_monotonic_ms();
    peer->deadline = deadline;
    peer->hung_up = false;
}

static struct http_address address_of(struct MHD_Connection *connection)
{
    struct http_address address = {{0}};
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *name = info == NULL ? NULL : info->client_addr;
    if (name != NULL && name->sa_family == AF_INET6) {
        memcpy(address.bytes, &((const struct sockaddr_in6 *)(const void *)name)->sin6_addr, 16);
    } else if (name != NULL && name->sa_family == AF_INET) {
        memset(address.bytes + 10, 0xff, 2);
        memcpy(address.bytes + 12, &((const struct sockaddr_in *)(const void *)name)->sin_addr, 4);
    }
    return address;
}

static void peer_born(struct http *http, struct MHD_Connection *connection, void **socket_context)
{
    struct peer *peer = calloc(1, sizeof *peer);
    if (peer == NULL)
        return; /* receive_target() finds none and gives up */
    peer->http = http;
    atomic_init(&peer->refs, 1);
    pthread_mutex_init(&peer->lock, NULL);
    peer->fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
    peer->address = address_of(connection);
    peer_enter(peer, PEER_AWAITING, 0);
    *socket_context = peer;

    pthread_mutex_lock(&http->peers_lock);
    peer->next = http->peers;
    if (peer->next != NULL)
        peer->next->previous = peer;
    else
        pthread_cond_signal(&http->peers_changed);
    http->peers = peer;
    pthread_mutex_unlock(&http->peers_lock);
}

static void peer_gone(struct http *http, struct peer *peer)
{
    pthread_mutex_lock(&http->peers_lock);
    if (peer->next != NULL)
        peer->next->previous = peer->previous;
    if (peer->previous != NULL)
        peer->previous->next = peer->next;
    else
        http->peers = peer->next;
    pthread_mutex_unlock(&http->peers_lock);

    pthread_mutex_lock(&peer->lock);
    peer_enter(peer, PEER_DEAD, 0);
    peer->fd = -1;
    pthread_mutex_unlock(&peer->lock);
    peer_unref(peer);
}

void peer_notify(void *context, struct MHD_Connection *connection, void **socket_context,
                 enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        peer_born(context, connection, socket_context);
    else if (*socket_context != NULL)
        peer_gone(context, *socket_context);
}

void peer_refuse(struct peer *peer, const struct fault *fault)
{
    struct request *request = peer->request;
    if (peer->fd < 0)
        return;
    if (request != NULL && request->stage <= STAGE_BODY) {
        request->answered = true;
        request->response.close = true;
        reply_prepare(request, fault);
        response_write(&request->response, request->method, peer->fd);
        return;
    }
    /* There is none yet, or a handler has its response in hand. */
    struct response response = {.close = true};
    struct uuid id = uuid_v7();
    struct uuid_text fresh = uuid_format(&id);
    const char *shown = request != NULL ? request->id : fresh.text;
    response_problem(&response, fault, shown);
    response_finish(&response, shown);
    response_write(&response, HTTP_OTHER, peer->fd);
    response_clear(&response);
}

/* True if bytes came since the state began: the first ones of a request, when awaiting. The
 * library has no callback for them. The kernel's stamp is as coarse as its tick, and 0 where
 * it keeps none (or came in this very moment: there will be another look). */
static bool peer_heard(const struct peer *peer, const struct tcp_info *info, int64_t now)
{
    return info->tcpi_last_data_recv > 0 &&
           now - (int64_t)info->tcpi_last_data_recv > peer->since + TICK_MS;
}

/* True if the library waits for bytes of the client, and would act on their end. */
static bool peer_is_read(const struct peer *peer)
{
    if (peer->state == PEER_BUSY)
        return peer->request != NULL && peer->request->stage == STAGE_FLOWING &&
               !peer->request->suspended;
    return peer->state <= PEER_RECEIVING || peer->state == PEER_LINGERING;
}

/* True if the client has ended its side and nothing of it is left to read. The library (0.9.75)
 * misses an end that comes together with bytes: after a short read it waits for an edge of
 * epoll that has been. */
static bool peer_hung_up(const struct peer *peer, const struct tcp_info *info)
{
    int unread = 0;
    if (info->tcpi_state == TCP_CLOSE) /* reset */
        return true;
    return info->tcpi_state == TCP_CLOSE_WAIT && ioctl(peer->fd, FIONREAD, &unread) == 0 &&
           unread == 0;
}

static void peer_end(struct peer *peer)
{
    peer_enter(peer, PEER_DEAD, 0);
    (void)shutdown(peer->fd, SHUT_RDWR);
}

/* What the client did not take of its answer goes with the connection, else the kernel would
 * keep it as long as the client likes. */
static void peer_forget_output(const struct peer *peer)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(peer->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

/* Closing would not do: the library says goodbye first, and a client that reads to the end of the
 * connection would see one. A TCP socket that is told to be connected to nobody resets at once. */
void peer_reset(struct peer *peer)
{
    const struct sockaddr nobody = {.sa_family = AF_UNSPEC};
    (void)connect(peer->fd, &nobody, sizeof nobody);
    peer_enter(peer, PEER_DEAD, 0);
}

static void peer_time_out(struct peer *peer)
{
    struct fault fault = {0};
    (void)fault_set(&fault, FAULT_REQUEST_TIMEOUT, "the request did not arrive in time");
    peer_refuse(peer, &fault);
    peer_end(peer);
}

/* The library does not see that the client of an answer which waits for its source has gone; a
 * client that ends its side waits for nothing either. The connection is returned to be resumed,
 * and closes. */
static struct MHD_Connection *peer_left(struct peer *peer)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    if (peer->fd < 0 || peer->state != PEER_SENDING || peer->request == NULL ||
        !peer->request->suspended || getsockopt(peer->fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return NULL;
    return peer_hung_up(peer, &info) ? outflow_stop(peer->request) : NULL;
}

/* What is due at a peer. Returns a request to be refused once no lock is held, or NULL. */
static struct request *peer_sweep(struct peer *peer, int64_t now)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    if (peer->fd < 0)
        return NULL;
    if (peer_is_read(peer) && getsockopt(peer->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0) {
        bool hung_up = peer_hung_up(peer, &info);
        if (hung_up && peer->hung_up) {
            peer_end(peer);
            return NULL;
        }
        peer->hung_up = hung_up; /* the library may be at its last bytes: looked at once more */
        if (peer->state == PEER_AWAITING && peer->deadline == 0 && peer_heard(peer, &info, now))
            peer->deadline = now + (int64_t)peer->http->config.receive_seconds * 1000;
    }
    if (peer->deadline == 0 || now < peer->deadline)
        return NULL;
    switch (peer->state) {
    case PEER_AWAITING:
    case PEER_RECEIVING:
        peer_time_out(peer);
        return NULL;
    case PEER_QUEUED:
        peer->deadline = 0;
        if (!pool_withdraw(request_pool(peer->request), &peer->request->job))
            return NULL; /* a thread has just taken it */
        return peer->request;
    case PEER_SENDING:
        if (peer->request != NULL && outflow_pulse(peer->request))
            return NULL;
        peer_forget_output(peer);
        peer_end(peer);
        return NULL;
    case PEER_LINGERING:
        peer_end(peer);
        return NULL;
    case PEER_BUSY:
    case PEER_DEAD:
        return NULL;
    }
    return NULL;
}

/* One pass over all peers. At most one refusal a pass and peer, collected in the jobs. */
static void peers_sweep(struct http *http)
{
    int64_t now = clock_monotonic_ms();
    struct pool_job *refused = NULL;
    pthread_mutex_lock(&http->peers_lock);
    for (struct peer *peer = http->peers; peer != NULL; peer = peer->next) {
        pthread_mutex_lock(&peer->lock);
        struct MHD_Connection *left = peer_left(peer);
        struct request *request = left == NULL ? peer_sweep(peer, now) : NULL;
        if (request != NULL) {
            request->job.next = refused;
            refused = &request->job;
        }
        pthread_mutex_unlock(&peer->lock);
        receive_resume(left);
    }
    pthread_mutex_unlock(&http->peers_lock);

    while (refused != NULL) {
        struct pool_job *next = refused->next;
        receive_refuse(refused);
        refused = next;
    }
}

static void *peers_thread(void *context)
{
    struct http *http = context;
    pthread_mutex_lock(&http->peers_lock);
    while (http->sweeping) {
        if (http->peers == NULL) {
            pthread_cond_wait(&http->peers_changed, &http->peers_lock);
            continue;
        }
        struct timespec until;
        (void)clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += SWEEP_MS * 1000000L;
        if (until.tv_nsec >= 1000000000L) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000L;
        }
        if (pthread_cond_timedwait(&http->peers_changed, &http->peers_lock, &until) != ETIMEDOUT)
            continue;
        pthread_mutex_unlock(&http->peers_lock);
        peers_sweep(http);
        pthread_mutex_lock(&http->peers_lock);
    }
    pthread_mutex_unlock(&http->peers_lock);
    return NULL;
}

int peers_start(struct http *http, struct fault *fault)
{
    http->sweeping = true;
    int error = pthread_create(&http->sweeper, NULL, peers_thread, http);
    if (error == 0)
        return 0;
    http->sweeping = false;
    errno = error;
    return fault_errno(fault, "cannot start a thread");
}

void peers_stop(struct http *http)
{
    if (!http->sweeping)
        return;
    pthread_mutex_lock(&http->peers_lock);
    http->sweeping = false;
    pthread_cond_signal(&http->peers_changed);
    pthread_mutex_unlock(&http->peers_lock);
    pthread_join(http->sweeper, NULL);
}

void peers_wake(struct http *http)
{
    pthread_mutex_lock(&http->peers_lock);
    for (struct peer *peer = http->peers; peer != NULL; peer = peer->next) {
        pthread_mutex_lock(&peer->lock);
        struct MHD_Connection *held = NULL;
        if (peer->request != NULL && peer->request->stream != NULL)
            pthread_cond_signal(&peer->request->stream->moved);
        if (peer->request != NULL && atomic_load(&http->stopping))
            held = outflow_stop(peer->request);
        else if (peer->request != NULL)
            (void)outflow_pulse(peer->request);
        pthread_mutex_unlock(&peer->lock);
        receive_resume(held);
    }
    pthread_mutex_unlock(&http->peers_lock);
}
