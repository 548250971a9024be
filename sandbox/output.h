/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One output stream of a run: hashed and counted to its end, its first bytes kept up to
 * a cap and handed to a sink as they come.
 */
#pragma once

#include "base/buf.h"
#include "base/digest.h"

#include <pthread.h>

enum sandbox_stream { SANDBOX_STDOUT, SANDBOX_STDERR, SANDBOX_STREAMS };

/* Receives output as it comes, from the thread of the run: the bytes of `stream` from `offset`
 * on. Only what is stored is handed on (never past the cap). Must not block. */
typedef void sandbox_sink(void *context, enum sandbox_stream stream, uint64_t offset,
                          const void *data, size_t len);

struct sandbox_output {
    struct digest sha256; /* of the whole stream */
    uint64_t bytes;       /* of the whole stream */
    struct buf stored;    /* its first bytes, up to the cap */
    bool truncated;       /* bytes > stored.len */
};

/* Through which another thread reads what is stored while it grows: between the begin and the end
 * of a stream's collection, nothing before and after. */
struct output_watch {
    pthread_mutex_t lock;
    const struct buf *stored[SANDBOX_STREAMS];
};
void output_watch_begin(struct output_watch *watch);
void output_watch_end(struct output_watch *watch);
/* Appends what is stored of the stream from `offset` on, as much as there is and fits. */
void output_watch_read(struct output_watch *watch, enum sandbox_stream stream, size_t offset,
                       struct buf *ret_bytes);

/* What collects one stream. output_begin(), any number of output_feed(), output_end(). It must not
 * be moved between. */
struct output {
    struct digest_stream *hash;
    struct sandbox_output so_far;
    enum sandbox_stream stream;
    sandbox_sink *sink;
    void *sink_context;
    struct output_watch *watch;
};

/* -1 without memory. Frees with output_discard() or output_end(). */
int output_begin(struct output *output, enum sandbox_stream stream, size_t cap, sandbox_sink *sink,
                 void *sink_context) MUST_CHECK;
/* Lets `watch` (NULL: nobody) look from now on until the end; it must live until then. */
void output_share(struct output *output, struct output_watch *watch);
void output_feed(struct output *output, const void *data, size_t len);
/* Moves what was collected to *ret_output (whose `stored` the caller frees). */
void output_end(struct output *output, struct sandbox_output *ret_output);
/* Fine on {0} and after output_end(). */
void output_discard(struct output *output);

/* The last bytes of a stream that may be any length. */
struct tail {
    struct buf kept; /* see tail_text() */
    size_t keep;
    uint64_t bytes; /* of the whole stream */
};

void tail_begin(struct tail *tail, size_t keep);
void tail_feed(struct tail *tail, const void *data, size_t len);
/* At most `keep` last bytes, borrowed. */
struct span tail_text(const struct tail *tail);
/* Fine on {0}. */
void tail_free(struct tail *tail);
