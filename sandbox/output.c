/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/output.h"

#include <string.h>

void output_watch_begin(struct output_watch *watch)
{
    *watch = (struct output_watch){0};
    (void)pthread_mutex_init(&watch->lock, NULL);
}

void output_watch_end(struct output_watch *watch)
{
    (void)pthread_mutex_destroy(&watch->lock);
}

void output_watch_read(struct output_watch *watch, enum sandbox_stream stream, size_t offset,
                       struct buf *ret_bytes)
{
    (void)pthread_mutex_lock(&watch->lock);
    const struct buf *stored = watch->stored[stream];
    if (stored != NULL && stored->len > offset) {
        size_t there = stored->len - offset, room = ret_bytes->max - ret_bytes->len;
        buf_append(ret_bytes, stored->data + offset, there < room ? there : room);
    }
    (void)pthread_mutex_unlock(&watch->lock);
}

int output_begin(struct output *output, enum sandbox_stream stream, size_t cap, sandbox_sink *sink,
                 void *sink_context)
{
    struct digest_stream *hash = digest_stream_new();
    if (hash == NULL)
        return -1;
    *output = (struct output){
        .hash = hash,
        .so_far = {.stored = BUF(cap)},
        .stream = stream,
        .sink = sink,
        .sink_context = sink_context,
    };
    return 0;
}

/* What is watched is shown, or with NULL shown no more. */
static void show(const struct output *output, const struct buf *stored)
{
    if (output->watch == NULL)
        return;
    (void)pthread_mutex_lock(&output->watch->lock);
    output->watch->stored[output->stream] = stored;
    (void)pthread_mutex_unlock(&output->watch->lock);
}

void output_share(struct output *output, struct output_watch *watch)
{
    output->watch = watch;
    show(output, &output->so_far.stored);
}

/* The bytes may move while they grow. */
static void store(struct output *output, const void *data, size_t len)
{
    if (output->watch != NULL)
        (void)pthread_mutex_lock(&output->watch->lock);
    buf_append(&output->so_far.stored, data, len);
    if (output->watch != NULL)
        (void)pthread_mutex_unlock(&output->watch->lock);
}

void output_feed(struct output *output, const void *data, size_t len)
{
    struct sandbox_output *so_far = &output->so_far;
    digest_stream_update(output->hash, data, len);
    so_far->bytes += len;

    size_t room = so_far->stored.failed ? 0 : so_far->stored.max - so_far->stored.len;
    size_t keep = len < room ? len : room;
    if (keep < len)
        so_far->truncated = true;
    if (keep == 0)
        return;
    uint64_t offset = so_far->stored.len;
    store(output, data, keep);
    if (buf_failed(&so_far->stored)) /* no memory: what is kept ends here, and says so */
        so_far->truncated = true;
    else if (output->sink != NULL)
        output->sink(output->sink_context, output->stream, offset, data, keep);
}

void output_end(struct output *output, struct sandbox_output *ret_output)
{
    show(output, NULL);
    output->so_far.sha256 = digest_stream_value(output->hash);
    output->so_far.stored.failed = false;
    *ret_output = output->so_far;
    output->so_far = (struct sandbox_output){0};
    output_discard(output);
}

void output_discard(struct output *output)
{
    show(output, NULL);
    output->watch = NULL;
    digest_stream_free(TAKE(output->hash));
    buf_free(&output->so_far.stored);
}

void tail_begin(struct tail *tail, size_t keep)
{
    *tail = (struct tail){.kept = BUF(2 * keep), .keep = keep};
}

/* Twice as much is held as is kept, so that bytes are moved once per `keep` bytes. */
void tail_feed(struct tail *tail, const void *data, size_t len)
{
    tail->bytes += len;
    size_t take = len < tail->keep ? len : tail->keep;
    struct buf *kept = &tail->kept;
    if (kept->len + take > kept->max) {
        memmove(kept->data, kept->data + kept->len - tail->keep, tail->keep);
        kept->len = tail->keep;
    }
    buf_append(kept, (const uint8_t *)data + (len - take), take);
}

struct span tail_text(const struct tail *tail)
{
    size_t len = tail->kept.len < tail->keep ? tail->kept.len : tail->keep;
    return span_of(len == 0 ? NULL : tail->kept.data + tail->kept.len - len, len);
}

void tail_free(struct tail *tail)
{
    buf_free(&tail->kept);
}
