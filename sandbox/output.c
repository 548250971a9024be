/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/output.h"

#include <string.h>

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
    buf_append(&so_far->stored, data, keep);
    if (buf_failed(&so_far->stored)) /* no memory: what is kept ends here, and says so */
        so_far->truncated = true;
    else if (output->sink != NULL)
        output->sink(output->sink_context, output->stream, offset, data, keep);
}

void output_end(struct output *output, struct sandbox_output *ret_output)
{
    output->so_far.sha256 = digest_stream_value(output->hash);
    output->so_far.stored.failed = false;
    *ret_output = output->so_far;
    output->so_far = (struct sandbox_output){0};
    output_discard(output);
}

void output_discard(struct output *output)
{
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
