/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request from its first byte to its dispatch. All of this but receive_run(),
 * receive_refuse() and receive_answered() runs on the library's threads, in its callbacks:
 *
 *     receive_target    its first line is there
 *     receive_request   its head is there; then for each piece of the body; then when all is
 *                       there; and once more when a suspended connection was resumed
 *     receive_completed the answer is sent, or the connection is lost
 *
 * A buffered request is handed to a request thread when all of it is there. A streamed one is
 * handed over at once: its handler runs while the body is still with the client, and the body
 * is asked for (100 Continue) when the handler first reads.
 *
 * The library takes an answer at two moments only: right after the head, and when all is
 * there. An answer due in between is written to the socket past it (response_write), and what
 * the client still sends is dropped for a while so that it can read that answer.
 */
#include "server/http_internal.h"

#include "base/clock.h"

#include <stddef.h>
#include <strings.h>
#include <sys/socket.h>

#define CHARGE_STEP (64U << 10) /* for a body of unknown length */

static int64_t deadline_in(unsigned seconds)
{
    return clock_monotonic_ms() + (int64_t)seconds * 1000;
}

void *receive_target(void *context, const char *target, struct MHD_Connection *connection)
{
    struct http *http = context;
    struct peer *peer = peer_of(connection);
    if (peer == NULL)
        return NULL;
    struct request *request = request_new(http, peer, target);
    if (request == NULL)
        return NULL;
    pthread_mutex_lock(&peer->lock);
    int64_t deadline = peer->deadline; /* set when its first bytes were noticed earlier */
    peer->request = request;
    peer_enter(peer, PEER_RECEIVING,
               deadline != 0 ? deadline : deadline_in(http->config.receive_seconds));
    pthread_mutex_unlock(&peer->lock);
    return request;
}

void receive_hold(struct request *request)
{
    MHD_suspend_connection(request->connection);
    request->suspended = true;
}

struct MHD_Connection *receive_release(struct request *request)
{
    if (!request->suspended)
        return NULL;
    request->suspended = false;
    return request->connection;
}

void receive_resume(struct MHD_Connection *connection)
{
    if (connection != NULL)
        MHD_resume_connection(connection);
}

static void answer_fault(struct request *request, const struct fault *fault)
{
    reply_prepare(request, fault);
    request->answered = true;
}

/* For a moment when the library takes it. */
static enum MHD_Result answer_queue(struct request *request)
{
    peer_enter(request->peer, PEER_SENDING,
               request->outflow != NULL ? outflow_deadline(request)
                                        : deadline_in(request->http->config.stream_seconds));
    return response_queue(request->http, &request->response, request->connection);
}

/* An answer while the body is on its way: written past the library, with an end after it, and
 * the client's bytes are read and dropped for a while. Closing over them would reset the
 * connection, and the client might never see the answer. */
static void answer_past(struct request *request)
{
    struct peer *peer = request->peer;
    if (peer->state == PEER_DEAD || peer->state == PEER_LINGERING)
        return; /* it has had one */
    request->response.close = true;
    response_finish(&request->response, request->id);
    response_write(&request->response, request->method, peer->fd);
    (void)shutdown(peer->fd, SHUT_WR);
    peer_enter(peer, PEER_LINGERING, clock_monotonic_ms() + LINGER_MS);
}

/* An answer right after the head. A client that waits for 100 Continue is not to get it, and
 * only an answer in the library's hands keeps that from saying it. */
static enum MHD_Result answer_early(struct request *request)
{
    const char *expect = request_header(request, "Expect");
    if (!head_has_body(request))
        return MHD_YES; /* it is asked for again when all is there, and the connection goes on */
    if (expect != NULL && strcasecmp(expect, "100-continue") == 0) {
        request->response.close = true;
        response_finish(&request->response, request->id);
        return answer_queue(request);
    }
    answer_past(request);
    return MHD_YES;
}

/* Hands the request to its threads, with a reference for the handler. */
static enum MHD_Result receive_dispatch(struct request *request)
{
    receive_hold(request);
    request_ref(request);
    peer_enter(request->peer, PEER_QUEUED, deadline_in(request->http->config.receive_seconds));
    if (!pool_submit(request_pool(request), &request->job)) {
        request_unref(request);
        struct fault fault = {0};
        if (atomic_load(&request->http->draining))
            (void)fault_set(&fault, FAULT_SHUTTING_DOWN, "the server is shutting down");
        else
            (void)fault_set(&fault, FAULT_UNAVAILABLE, "too many requests wait for a thread");
        answer_fault(request, &fault);
        receive_resume(receive_release(request));
    }
    return MHD_YES;
}

/* What can be refused before the body is read. */
static int body_admit(struct request *request, struct fault *fault)
{
    const struct route *route = request->route;
    size_t max = route->body == ROUTE_BODY_NONE ? 0 : route->body_max;
    if (atomic_load(&request->http->draining))
        return fault_set(fault, FAULT_SHUTTING_DOWN, "the server is shutting down");
    if (request->content_length > 0 && (uint64_t)request->content_length > max) {
        if (max == 0)
            return fault_set(fault, FAULT_TOO_LARGE, "this endpoint takes no body");
        return fault_set(fault, FAULT_TOO_LARGE, "the body is larger than %zu bytes", max);
    }
    bool streamed = route->body == ROUTE_BODY_STREAMED;
    size_t charge = request->content_length > 0 ? (size_t)request->content_length : 0;
    if (!request_charge(request, streamed ? WINDOW_BYTES : charge))
        return fault_set(fault, FAULT_UNAVAILABLE, "too many bodies are being received");
    request->body = BUF(max);
    if (streamed && (request->stream = stream_new()) == NULL)
        return fault_set(fault, FAULT_UNAVAILABLE, "out of memory");
    return 0;
}

static enum MHD_Result receive_head(struct request *request, struct MHD_Connection *connection,
                                    const char *method, const char *version)
{
    struct http *http = request->http;
    struct fault fault = {0};
    char allow[64] = "";
    request->connection = connection;
    request_count(request);
    request->stage = STAGE_BODY;
    if (head_read(request, method, version, allow, &fault) != 0 ||
        body_admit(request, &fault) != 0) {
        request->response.close = atomic_load(&http->draining);
        if (allow[0] != '\0')
            (void)response_header(&request->response, "Allow", allow);
        answer_fault(request, &fault);
        return answer_early(request);
    }
    if (request->stream == NULL)
        return MHD_YES;
    request->stage = STAGE_ADMIT;
    request->stream->deadline =
        (int64_t)request->started_ms + (int64_t)http->config.stream_seconds * 1000;
    return receive_dispatch(request);
}

static int body_append(struct request *request, const char *data, size_t len, struct fault *fault)
{
    struct buf *body = &request->body;
    if (len > body->max - body->len) {
        if (body->max == 0)
            return fault_set(fault, FAULT_TOO_LARGE, "this endpoint takes no body");
        return fault_set(fault, FAULT_TOO_LARGE, "the body is larger than %zu bytes", body->max);
    }
    size_t need = body->len + len;
    if (need > request->charged) {
        size_t more = need - request->charged;
        if (!request_charge(request, more > CHARGE_STEP ? more : CHARGE_STEP))
            return fault_set(fault, FAULT_UNAVAILABLE, "too many bodies are being received");
    }
    if (body->len == 0 && request->content_length > 0)
        (void)buf_reserve(body, (size_t)request->content_length);
    buf_append(body, data, len);
    return buf_failed(body) ? fault_set(fault, FAULT_UNAVAILABLE, "out of memory") : 0;
}

static enum MHD_Result receive_body(struct request *request, const char *data, size_t *data_len)
{
    if (request->stage == STAGE_FLOWING) {
        *data_len -= stream_push(request, data, *data_len);
        if (*data_len > 0)
            receive_hold(request); /* the rest comes again when resumed */
        return MHD_YES;
    }
    struct fault fault = {0};
    if (body_append(request, data, *data_len, &fault) != 0) {
        request_forget_body(request);
        answer_fault(request, &fault);
        answer_past(request);
    }
    *data_len = 0;
    return MHD_YES;
}

/* Called without data: all is there, or the connection was resumed. */
static enum MHD_Result receive_turn(struct request *request)
{
    if (request->answered && request->stage == STAGE_ADMIT) {
        request->stage = STAGE_WHOLE;
        return answer_early(request);
    }
    if (request->answered)
        return answer_queue(request);
    switch (request->stage) {
    case STAGE_BODY:
        request->stage = STAGE_WHOLE;
        return receive_dispatch(request);
    case STAGE_ADMIT:
        request->stage = STAGE_FLOWING;
        return MHD_YES;
    case STAGE_FLOWING:
        request->stage = STAGE_WHOLE;
        request->stream->ended = true;
        pthread_cond_signal(&request->stream->moved);
        receive_hold(request);
        return MHD_YES;
    case STAGE_HEAD:
    case STAGE_WHOLE:
        break;
    }
    return MHD_NO;
}

enum MHD_Result receive_request(void *context, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *data,
                                size_t *data_len, void **request_context)
{
    (void)context, (void)url;
    struct request *request = *request_context;
    if (request == NULL)
        return MHD_NO;
    struct peer *peer = request->peer;
    enum MHD_Result result = MHD_NO;
    pthread_mutex_lock(&peer->lock);
    if (peer->state == PEER_DEAD) {
        result = MHD_NO;
    } else if (peer->state == PEER_LINGERING) {
        result = *data_len > 0 ? MHD_YES : MHD_NO;
        *data_len = 0;
    } else if (request->stage == STAGE_HEAD) {
        result = receive_head(request, connection, method, version);
    } else if (*data_len > 0) {
        result = receive_body(request, data, data_len);
    } else {
        result = receive_turn(request);
    }
    pthread_mutex_unlock(&peer->lock);
    return result;
}

void receive_completed(void *context, struct MHD_Connection *connection, void **request_context,
                       enum MHD_RequestTerminationCode code)
{
    (void)context, (void)connection, (void)code;
    struct request *request = *request_context;
    if (request == NULL)
        return;
    *request_context = NULL;
    struct peer *peer = request->peer;
    pthread_mutex_lock(&peer->lock);
    peer->request = NULL;
    request->connection = NULL;
    request->suspended = false;
    if (request->stream != NULL)
        pthread_cond_signal(&request->stream->moved);
    peer_enter(peer, PEER_AWAITING, 0);
    pthread_mutex_unlock(&peer->lock);
    request_unref(request);
}

void receive_answered(struct request *request)
{
    pthread_mutex_lock(&request->peer->lock);
    request->answered = true;
    if (request->connection != NULL && request->stage == STAGE_FLOWING)
        answer_past(request);
    struct MHD_Connection *held = receive_release(request);
    pthread_mutex_unlock(&request->peer->lock);
    receive_resume(held);
}

static struct request *request_of(struct pool_job *job)
{
    return (struct request *)(void *)((char *)job - offsetof(struct request, job));
}

void receive_run(struct pool_job *job, void *thread)
{
    struct request *request = request_of(job);
    struct http *http = request->http;
    struct fault fault = {0};
    request->thread = thread;
    if (request->outflow != NULL) {
        outflow_fill(request);
        return;
    }
    request_ref(request); /* until here is done with it */
    pthread_mutex_lock(&request->peer->lock);
    peer_enter(request->peer, PEER_BUSY, 0);
    pthread_mutex_unlock(&request->peer->lock);

    enum answer answer = ANSWER_GIVEN;
    if (http->config.admit != NULL && http->config.admit(request, &fault) != 0)
        answer = reply_fault(request, &fault);
    else
        answer = request->route->handle(request);
    if (answer == ANSWER_GIVEN && !request->answered) {
        (void)fault_set(&fault, FAULT_INTERNAL, "the handler gave no answer");
        (void)reply_fault(request, &fault);
    }
    request_unref(request);
}

void receive_refuse(struct pool_job *job)
{
    struct request *request = request_of(job);
    struct fault fault = {0};
    if (request->outflow != NULL) {
        outflow_refuse(request);
        return;
    }
    if (atomic_load(&request->http->stopping))
        (void)fault_set(&fault, FAULT_SHUTTING_DOWN, "the server is shutting down");
    else
        (void)fault_set(&fault, FAULT_UNAVAILABLE, "no thread was free in time");
    (void)reply_fault(request, &fault);
}
