/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A streamed body between the library's thread, which writes to the ring, and the handler,
 * which reads. When the ring is full the connection is suspended, so TCP holds the client
 * back; when it is half empty again the connection is resumed.
 */
#include "server/http_internal.h"

#include "base/clock.h"

#include <string.h>
#include <time.h>

struct stream *stream_new(void)
{
    struct stream *stream = calloc(1, sizeof *stream);
    uint8_t *ring = malloc(WINDOW_BYTES);
    pthread_condattr_t attributes;
    if (stream == NULL || ring == NULL || pthread_condattr_init(&attributes) != 0) {
        free(stream);
        free(ring);
        return NULL;
    }
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&stream->moved, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    stream->ring = ring;
    return stream;
}

void stream_free(struct stream *stream)
{
    if (stream == NULL)
        return;
    pthread_cond_destroy(&stream->moved);
    free(stream->ring);
    free(stream);
}

size_t stream_push(struct request *request, const void *data, size_t len)
{
    struct stream *stream = request->stream;
    const uint8_t *from = data;
    size_t body_max = request->route->body_max;
    if (stream->overflow || len > body_max || stream->total > body_max - len) {
        stream->overflow = true; /* what comes now is dropped, until the handler gives up */
        pthread_cond_signal(&stream->moved);
        return len;
    }
    size_t pushed = 0;
    while (pushed < len && stream->used < WINDOW_BYTES) {
        size_t at = (stream->start + stream->used) % WINDOW_BYTES;
        size_t room = at < stream->start ? stream->start - at : WINDOW_BYTES - at;
        size_t step = len - pushed < room ? len - pushed : room;
        memcpy(stream->ring + at, from + pushed, step);
        stream->used += step;
        pushed += step;
    }
    stream->total += pushed;
    pthread_cond_signal(&stream->moved);
    return pushed;
}

/* Why there is nothing to wait for; peer locked. */
static int stream_fault(const struct request *request, bool late, struct fault *fault)
{
    const struct stream *stream = request->stream;
    if (stream->overflow)
        return fault_set(fault, FAULT_TOO_LARGE, "the body is larger than %zu bytes",
                         request->route->body_max);
    if (request->connection == NULL)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "the client went away");
    if (atomic_load(&request->http->stopping))
        return fault_set(fault, FAULT_SHUTTING_DOWN, "the server is shutting down");
    if (late)
        return fault_set(fault, FAULT_REQUEST_TIMEOUT, "the body did not arrive in time");
    return 0;
}

/* When the client's time is over, if nothing comes until then. Only the time for which it was
 * waited counts: what the handler takes for itself is not the client's. */
static int64_t stream_deadline(const struct request *request, int64_t now)
{
    const struct http_config *config = &request->http->config;
    const struct stream *stream = request->stream;
    int64_t patience =
        (int64_t)config->stall_seconds * 1000 + (int64_t)(stream->total * 1000 / config->rate_min);
    int64_t slowest = now + patience - stream->waited_ms;
    return slowest < stream->deadline ? slowest : stream->deadline;
}

/* Waits for bytes or the end; peer locked. */
static int stream_wait(struct request *request, struct fault *fault)
{
    struct stream *stream = request->stream;
    while (!stream->overflow && stream->used == 0 && !stream->ended) {
        int64_t now = clock_monotonic_ms(), deadline = stream_deadline(request, now);
        if (stream_fault(request, now >= deadline, fault) != 0)
            return -1;
        const struct timespec until = {.tv_sec = deadline / 1000,
                                       .tv_nsec = deadline % 1000 * 1000000};
        (void)pthread_cond_timedwait(&stream->moved, &request->peer->lock, &until);
        stream->waited_ms += clock_monotonic_ms() - now;
    }
    return stream->overflow ? stream_fault(request, false, fault) : 0;
}

int request_read(struct request *request, void *ret_data, size_t len, size_t *ret_len,
                 struct fault *fault)
{
    struct stream *stream = request->stream;
    pthread_mutex_t *lock = &request->peer->lock;
    if (stream == NULL)
        return fault_set(fault, FAULT_INTERNAL, "this route's body is not streamed");
    pthread_mutex_lock(lock);
    if (request->stage == STAGE_ADMIT) /* the first read asks the client for its body */
        receive_resume(receive_release(request));
    if (stream_wait(request, fault) != 0) {
        pthread_mutex_unlock(lock);
        return -1;
    }
    size_t whole = WINDOW_BYTES - stream->start;
    size_t ready = stream->used < whole ? stream->used : whole;
    size_t step = ready < len ? ready : len;
    const uint8_t *from = stream->ring + stream->start;
    pthread_mutex_unlock(lock);

    if (step > 0)
        memcpy(ret_data, from, step); /* the other thread writes elsewhere in the ring */

    pthread_mutex_lock(lock);
    stream->start = (stream->start + step) % WINDOW_BYTES;
    stream->used -= step;
    struct MHD_Connection *held = NULL;
    if (request->stage == STAGE_FLOWING && stream->used <= WINDOW_BYTES / 2)
        held = receive_release(request);
    pthread_mutex_unlock(lock);
    receive_resume(held);
    *ret_len = step;
    return 0;
}
