/* SPDX-License-Identifier: Apache-2.0 */
/* The stream of one reader of live output: it asks for bytes at its own pace, by offset. */
#include "handlers/follower.h"

#include "base/clock.h"
#include "handlers/output_events.h"

#include <string.h>

#define BEAT_MS 14000 /* without a word; the server asks every 15 s */
#define AHEAD_MAX (32 * 1024)

/* Bytes to be said, from the database where none are at hand. */
static int bytes_ahead(struct pg *pg, struct follower *f, int64_t stored, struct span *ret_bytes,
                       struct fault *fault)
{
    if (f->ahead_at == f->ahead.len) {
        buf_free(&f->ahead); /* who waits holds nothing */
        f->ahead_at = 0;
    }
    if (f->ahead.len == 0 && f->offset < stored) {
        f->ahead = BUF(AHEAD_MAX);
        if (outputs_read(pg, f->tenant_id, &f->execution_id, f->stream, f->offset, AHEAD_MAX,
                         &f->ahead, fault) != 0)
            return -1;
    }
    *ret_bytes =
        span_of(f->ahead.len == 0 ? NULL : f->ahead.data + f->ahead_at, f->ahead.len - f->ahead_at);
    return 0;
}

/* As much as there is and the piece can hold. */
static int say_output(struct pg *pg, struct follower *f, const struct output_look *look,
                      struct buf *piece, struct fault *fault)
{
    for (;;) {
        struct span bytes;
        if (bytes_ahead(pg, f, look->stored, &bytes, fault) != 0)
            return -1;
        bool all = f->offset + (int64_t)bytes.len >= look->stored;
        size_t used = output_event_append(piece, f->offset, bytes,
                                          all && execution_state_is_end(look->state));
        if (used == 0 && (all || piece->max - piece->len < OUTPUT_EVENT_ROOM))
            return 0;
        f->offset += (int64_t)used;
        /* Nothing used: a character's rest is not at hand, but stored. It is read anew. */
        f->ahead_at = used == 0 ? f->ahead.len : f->ahead_at + used;
    }
}

/* What there is to say besides: true if it was the last. */
static bool say_rest(struct request *request, const struct follower *f,
                     const struct output_look *look, bool dead, struct buf *piece)
{
    bool room = piece->max - piece->len >= OUTPUT_EVENT_ROOM;
    if (dead)
        buf_puts(piece, ": the API key does not live any more\n\n");
    else if (execution_state_is_end(look->state) && f->offset >= look->stored && room)
        output_event_end(piece, look->state, f->stream, look->bytes, look->stored);
    else if (request_draining(request) && room)
        buf_puts(piece, ": shutting down\n\n");
    else
        return false;
    return true;
}

static int next_events(struct request *request, void *context, struct buf *piece, bool *ret_last,
                       struct fault *fault)
{
    struct follower *f = context;
    struct output_look look;
    bool dead;
    followers_news(f, &look, &dead);
    if (!look.known)
        return fault_set(fault, FAULT_NOT_FOUND, "the execution is gone");
    int64_t now = clock_monotonic_ms();
    if (f->said_ms == 0)
        buf_puts(piece, "retry: 1000\n\n");
    if (!dead && say_output(pg_of(request), f, &look, piece, fault) != 0)
        return -1;
    *ret_last = say_rest(request, f, &look, dead, piece);
    if (piece->len == 0 && now - f->said_ms >= BEAT_MS)
        buf_puts(piece, ":\n\n"); /* a sign of life */
    if (piece->len > 0)
        f->said_ms = now;
    return 0;
}

enum answer follower_answer(struct request *request, const struct uuid *execution_id,
                            const char *stream, int64_t offset)
{
    struct fault fault;
    const struct caller *caller = caller_of(request);
    struct output_asked asked = {caller->tenant_id, *execution_id, stream};
    struct output_look look;
    if (outputs_look(pg_of(request), &asked, 1, &look, &fault) != 0)
        return reply_fault(request, &fault);
    if (!look.known) {
        (void)fault_set(&fault, FAULT_NOT_FOUND, "no such execution");
        return reply_fault(request, &fault);
    }
    struct follower *follower = calloc(1, sizeof *follower);
    if (follower == NULL) {
        (void)fault_set(&fault, FAULT_UNAVAILABLE, "out of memory");
        return reply_fault(request, &fault);
    }
    *follower = (struct follower){.hub = gateway_of(request)->followers,
                                  .request = request,
                                  .execution_id = *execution_id,
                                  .stream = stream,
                                  .look = look,
                                  .offset = offset};
    memcpy(follower->tenant_id, caller->tenant_id, sizeof follower->tenant_id);
    memcpy(follower->principal, caller->principal, sizeof follower->principal);
    memcpy(follower->api_key_id, caller->api_key_id, sizeof follower->api_key_id);
    if (followers_join(follower->hub, follower, &fault) != 0) {
        free(follower);
        return reply_fault(request, &fault);
    }
    const struct reply_flow events = {.type = "text/event-stream",
                                      .length = -1,
                                      .source = next_events,
                                      .context = follower,
                                      .context_free = followers_leave};
    reply_header(request, "Cache-Control", "no-store");
    reply_header(request, "X-Accel-Buffering", "no"); /* proxies that would keep it back */
    return reply_flow(request, 200, &events);
}
