/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What executions wrote, as far as it is stored: chunk by chunk, each named by the offset at which
 * it begins. A chunk is written once, while the execution runs or with its end; the database holds
 * a stream together, without holes.
 */
#pragma once

#include "storage/queue.h"

#define OUTPUT_OFFSET_MAX INT32_MAX
#define OUTPUT_CHUNK_MAX ((size_t)1024 * 1024)

/* ---- written by the worker ---- */

/* The next bytes of a running execution. */
struct output_chunk {
    struct claim claim;
    const char *stream; /* "stdout" or "stderr" */
    int32_t at;         /* where they begin: the end of what is stored */
    struct span data;   /* 1..OUTPUT_CHUNK_MAX bytes */
};
/* Stores up to OUTPUT_CHUNKS_MAX of them in one commit, and waits for nobody's lock.
 * ret_stored[i]: chunk i is stored, by this call or, word for word, by an earlier one whose answer
 * was lost (the same bytes must then be tried again); false where the claim does not hold, the
 * execution does not run or is being ended just now. */
#define OUTPUT_CHUNKS_MAX 64
int outputs_write_live(struct pg *pg, const struct output_chunk *chunks, size_t count,
                       bool *ret_stored, struct fault *fault) MUST_CHECK;

/* Rows of execution_output on their way: unnest(uuid[], text[], bigint[], text[], bytea[])
 * u(execution_id, stream, n, tenant_id, data). */
struct output_rows {
    struct pg_array ids, streams, places, tenants, data;
    size_t bytes;
};
#define AUTO_OUTPUT_ROWS AUTO(output_rows_free)
struct output_rows output_rows_new(void);
void output_rows_bind(struct pg_params *params, struct output_rows *rows);
void output_rows_free(struct output_rows *rows);
/* Adds the streams of ends, where one statement can take them all. False, and nothing is added:
 * there are too many bytes, or some may be stored already; then outputs_write_ends() has to. */
bool output_rows_fill(struct output_rows *rows, struct ending *const *endings, size_t count);

/* A step of the transaction that ends executions, which has their queue rows: stores their streams
 * from where live chunks end. FAULT_INTERNAL if those are not how a stream begins: then nobody may
 * say that they are. */
int outputs_write_ends(struct pg *tx, struct ending *const *endings, size_t count,
                       struct fault *fault) MUST_CHECK;

/* ---- read by callers ---- */

/* Appends stored bytes of "stdout" or "stderr" from `offset` on, at most `max`; none past the
 * stored end. */
int outputs_read(struct pg *pg, const char *tenant, const struct uuid *id, const char *stream,
                 int64_t offset, int32_t max, struct buf *ret_bytes,
                 struct fault *fault) MUST_CHECK;

struct output_asked {
    const char *tenant;
    struct uuid id;
    const char *stream;
};
/* How far it has come; of one moment. */
struct output_look {
    bool known; /* the tenant has such an execution */
    enum execution_state state;
    int64_t stored; /* bytes; nothing is added once it has ended */
    int64_t bytes;  /* of the whole stream; 0 before the end, and where nobody knows */
};
#define OUTPUT_ASKED_MAX 256
int outputs_look(struct pg *pg, const struct output_asked *asked, size_t count,
                 struct output_look *ret_looks, struct fault *fault) MUST_CHECK;
