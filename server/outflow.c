/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An answer whose body is produced piece by piece, two pieces in memory: one with the library,
 * which sends it, and the next, which a request thread fills meanwhile. No thread belongs to such
 * an answer: a fill is a short job like any other, begun when a piece is handed over, so a slow
 * client holds its two pieces and nothing else, and those not longer than stall_seconds each.
 *
 * The connection is suspended while the library has nothing and a fill is under way, or while the
 * source has nothing to say (parked: request_wake(), and a pulse, since a suspended connection
 * does not notice that its client has gone).
 *
 * What cannot be brought to its end is cut: the connection is reset, never closed in good order,
 * for an HTTP/1.0 client takes the end of the connection for the end of the body.
 */
#include "server/http_internal.h"

#include "base/clock.h"
#include "base/log.h"

#include <string.h>

#define PIECE_BYTES ((size_t)256 << 10)     /* of a body of known length */
#define PIECE_BYTES_LIVE ((size_t)32 << 10) /* of one that goes on as long as it likes */
#define BLOCK_BYTES ((size_t)64 << 10)      /* what the library takes at once */

struct outflow {
    struct reply_flow from;
    struct buf sending; /* the library's */
    size_t sent;        /* bytes of it that the library has taken */
    struct buf next;    /* the fill's while `filling`, else under the peer's lock */
    uint64_t produced;
    size_t charged; /* bytes of http.outflows */
    bool filling;   /* a request thread has the source, or is to have it */
    bool ready;     /* `next` is a piece to be sent */
    bool parked;    /* the source had nothing to say */
    bool woken;     /* request_wake() while filling */
    bool last;      /* the source has said all */
    bool failed;    /* it never will */
};

static int64_t deadline_in(unsigned seconds)
{
    return clock_monotonic_ms() + (int64_t)seconds * 1000;
}

void outflow_free(struct request *request)
{
    pthread_mutex_lock(&request->peer->lock);
    struct outflow *flow = TAKE(request->outflow);
    pthread_mutex_unlock(&request->peer->lock);
    if (flow == NULL)
        return;
    if (flow->from.context_free != NULL)
        flow->from.context_free(flow->from.context);
    atomic_fetch_sub(&request->http->outflows, flow->charged);
    buf_free(&flow->sending);
    buf_free(&flow->next);
    free(flow);
}

int64_t outflow_deadline(const struct request *request)
{
    return deadline_in(request->http->config.stall_seconds);
}

/* One piece from the source into `next`. */
static int outflow_produce(struct request *request, bool *ret_last, struct fault *fault)
{
    struct outflow *flow = request->outflow;
    int64_t length = flow->from.length;
    bool last = false;
    if (flow->from.source(request, flow->from.context, &flow->next, &last, fault) != 0)
        return -1;
    flow->produced += flow->next.len;
    bool whole = length >= 0 && flow->produced == (uint64_t)length;
    if (buf_failed(&flow->next) || (length >= 0 && flow->produced > (uint64_t)length) ||
        (length >= 0 && !whole && (last || flow->next.len == 0)))
        return fault_set(fault, FAULT_INTERNAL, "the body is not as long as was said");
    *ret_last = last || whole;
    return 0;
}

/* Peer locked: the library waits for a piece. Before the answer is in its hands it waits for that,
 * and receive_answered() alone may let it go on. */
static bool outflow_awaited(const struct request *request)
{
    return request->answered && request->suspended;
}

static struct MHD_Connection *outflow_resume(struct request *request)
{
    return outflow_awaited(request) ? receive_release(request) : NULL;
}

/* Peer locked: has a request thread fill the next piece. */
static void outflow_ask(struct request *request)
{
    struct outflow *flow = request->outflow;
    flow->parked = false;
    flow->filling = true;
    request_ref(request);
    if (pool_resubmit(request->http->requests, &request->job))
        return;
    flow->filling = false;
    flow->failed = true; /* the server is stopping */
    request_unref(request);
}

/* Peer locked, a fill ended: what it means. The connection is returned where it is to go on. */
static struct MHD_Connection *outflow_filled(struct request *request, bool last)
{
    struct outflow *flow = request->outflow;
    flow->filling = false;
    flow->last = last;
    flow->ready = flow->next.len > 0;
    if (flow->ready || last)
        return outflow_resume(request);
    if (flow->woken) {
        flow->woken = false;
        outflow_ask(request);
        return flow->failed ? outflow_resume(request) : NULL;
    }
    if (atomic_load(&request->http->stopping)) {
        flow->failed = true;
        return outflow_resume(request);
    }
    flow->parked = true;
    if (outflow_awaited(request))
        peer_enter(request->peer, PEER_SENDING, deadline_in(request->http->config.pulse_seconds));
    return NULL;
}

void outflow_fill(struct request *request)
{
    struct fault fault = {0};
    bool last = false;
    bool produced = outflow_produce(request, &last, &fault) == 0;
    if (!produced)
        log_warn("an answer was cut off", "{s:s, s:s}", "request_id", request->id, "detail",
                 fault.detail);
    pthread_mutex_lock(&request->peer->lock);
    struct MHD_Connection *held = NULL;
    if (produced)
        held = outflow_filled(request, last);
    else
        held = outflow_cut(request);
    pthread_mutex_unlock(&request->peer->lock);
    receive_resume(held);
    request_unref(request);
}

struct MHD_Connection *outflow_cut(struct request *request)
{
    struct outflow *flow = request->outflow;
    flow->filling = false;
    flow->parked = false;
    flow->failed = true;
    return outflow_resume(request);
}

void outflow_refuse(struct request *request)
{
    pthread_mutex_lock(&request->peer->lock);
    struct MHD_Connection *held = outflow_cut(request);
    pthread_mutex_unlock(&request->peer->lock);
    receive_resume(held);
    request_unref(request);
}

bool outflow_pulse(struct request *request)
{
    struct outflow *flow = request->outflow;
    if (flow == NULL || !flow->parked || !outflow_awaited(request))
        return false;
    peer_enter(request->peer, PEER_SENDING, 0);
    outflow_ask(request);
    return true;
}

struct MHD_Connection *outflow_stop(struct request *request)
{
    struct outflow *flow = request->outflow;
    return flow != NULL && flow->parked ? outflow_cut(request) : NULL;
}

void request_wake(struct request *request)
{
    pthread_mutex_lock(&request->peer->lock);
    struct outflow *flow = request->outflow;
    struct MHD_Connection *held = NULL;
    if (flow != NULL && flow->filling)
        flow->woken = true;
    else if (flow != NULL && flow->parked && request->connection != NULL) {
        if (outflow_awaited(request))
            peer_enter(request->peer, PEER_SENDING, 0);
        outflow_ask(request);
        held = flow->failed ? outflow_resume(request) : NULL;
    }
    pthread_mutex_unlock(&request->peer->lock);
    receive_resume(held);
}

/* ---- the library's side ---- */

/* The piece that was sent is done with; the next one takes its place, and the one after it is
 * asked for. */
static void outflow_turn(struct request *request)
{
    struct outflow *flow = request->outflow;
    struct buf done = flow->sending;
    flow->sending = flow->next;
    flow->next = done;
    buf_reset(&flow->next);
    flow->sent = 0;
    flow->ready = false;
    peer_enter(request->peer, PEER_SENDING, outflow_deadline(request));
    if (!flow->last)
        outflow_ask(request);
}

/* Peer locked. */
static ssize_t outflow_give(struct request *request, char *to, size_t most)
{
    struct outflow *flow = request->outflow;
    if (request->peer->state == PEER_DEAD)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (flow->sent == flow->sending.len && flow->ready)
        outflow_turn(request);
    size_t left = flow->sending.len - flow->sent;
    if (left > 0) {
        size_t step = left < most ? left : most;
        memcpy(to, flow->sending.data + flow->sent, step);
        flow->sent += step;
        return (ssize_t)step;
    }
    if (flow->last)
        return MHD_CONTENT_READER_END_OF_STREAM;
    bool stopping = flow->parked && atomic_load(&request->http->stopping);
    if (flow->failed || stopping) {
        peer_reset(request->peer);
        return MHD_CONTENT_READER_END_WITH_ERROR;
    }
    /* It is ours to go on: the client's time stands still. */
    peer_enter(request->peer, PEER_SENDING,
               flow->parked ? deadline_in(request->http->config.pulse_seconds) : 0);
    receive_hold(request);
    return 0;
}

static ssize_t outflow_take(void *context, uint64_t position, char *to, size_t most)
{
    (void)position;
    struct request *request = context;
    pthread_mutex_lock(&request->peer->lock);
    ssize_t taken = outflow_give(request, to, most);
    pthread_mutex_unlock(&request->peer->lock);
    return taken;
}

static void outflow_release(void *context)
{
    request_unref(context);
}

struct MHD_Response *outflow_response(struct request *request)
{
    int64_t length = request->outflow->from.length;
    request_ref(request); /* the library's response has it */
    struct MHD_Response *made =
        MHD_create_response_from_callback(length < 0 ? MHD_SIZE_UNKNOWN : (uint64_t)length,
                                          BLOCK_BYTES, outflow_take, request, outflow_release);
    if (made == NULL)
        request_unref(request);
    return made;
}

/* ---- its beginning ---- */

static bool outflow_charge(struct http *http, size_t bytes)
{
    size_t before = atomic_fetch_add(&http->outflows, bytes);
    if (before <= http->config.outflows_max && bytes <= http->config.outflows_max - before)
        return true;
    atomic_fetch_sub(&http->outflows, bytes);
    return false;
}

/* The first piece, on the handler's own thread; again while it is woken and has nothing. */
static int outflow_first(struct request *request, struct fault *fault)
{
    struct outflow *flow = request->outflow;
    pthread_mutex_t *lock = &request->peer->lock;
    for (bool again = true; again;) {
        bool last = false;
        if (outflow_produce(request, &last, fault) != 0)
            return -1;
        pthread_mutex_lock(lock);
        flow->last = last;
        flow->ready = flow->next.len > 0;
        again = !flow->ready && !last && flow->woken;
        flow->woken = false;
        flow->filling = again;
        flow->parked = !flow->ready && !last && !again;
        pthread_mutex_unlock(lock);
    }
    return 0;
}

static struct outflow *outflow_new(struct http *http, const struct reply_flow *from)
{
    size_t piece = from->length < 0 ? PIECE_BYTES_LIVE : PIECE_BYTES;
    if (!outflow_charge(http, 2 * piece))
        return NULL;
    struct outflow *flow = calloc(1, sizeof *flow);
    if (flow == NULL) {
        atomic_fetch_sub(&http->outflows, 2 * piece);
        return NULL;
    }
    flow->from = *from;
    flow->charged = 2 * piece;
    flow->sending = BUF(piece);
    flow->next = BUF(piece);
    return flow;
}

int outflow_begin(struct request *request, const struct reply_flow *from, struct fault *fault)
{
    struct outflow *flow = outflow_new(request->http, from);
    if (flow == NULL) {
        if (from->context_free != NULL)
            from->context_free(from->context);
        return fault_set(fault, FAULT_UNAVAILABLE, "too many answers are being sent");
    }
    bool bodiless = request->method == HTTP_HEAD || from->length == 0;
    flow->last = bodiless;
    flow->filling = !bodiless;
    pthread_mutex_lock(&request->peer->lock);
    request->outflow = flow;
    pthread_mutex_unlock(&request->peer->lock);
    if (bodiless || outflow_first(request, fault) == 0)
        return 0;
    outflow_free(request);
    return -1;
}
