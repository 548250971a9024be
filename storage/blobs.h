/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes in 1 MiB chunks: committed chunk by chunk while they arrive, complete only when an artifact
 * or input row is made for them; what nobody completes is swept. */
#pragma once

#include "storage/pg.h"

#define BLOB_CHUNK_MAX ((size_t)1024 * 1024)

int blobs_begin(struct pg *pg, const char *tenant, struct uuid *ret_id,
                struct fault *fault) MUST_CHECK;
/* Chunk n, from 0 without gaps; 1 to BLOB_CHUNK_MAX bytes. Its commit is not waited for: that of
 * the row that completes the upload comes later in the same log, and is. A crash of the server in
 * between ends the connection, and with it the upload: all of one goes over one connection. */
int blobs_append(struct pg *pg, const char *tenant, const struct uuid *id, int32_t n,
                 struct span data, struct fault *fault) MUST_CHECK;
/* A step of an open transaction: from now on it is not swept. FAULT_UNAVAILABLE unless there are
 * so many bytes. */
int blobs_complete(struct pg *pg, const char *tenant, const struct uuid *id, int64_t size,
                   struct fault *fault) MUST_CHECK;
/* Gives an upload up. */
int blobs_remove(struct pg *pg, const char *tenant, const struct uuid *id,
                 struct fault *fault) MUST_CHECK;

/* Hands chunk after chunk to `each`; -1 from it (fault set) stops. */
typedef int blobs_each(void *context, struct span data, struct fault *fault);
int blobs_read(struct pg *pg, const char *tenant, const struct uuid *id, blobs_each *each,
               void *context, struct fault *fault) MUST_CHECK;

/* A place in the bytes, to read them in pieces of any size. */
struct blob_cursor {
    struct uuid id;
    int32_t n;  /* chunk */
    int32_t at; /* bytes of it that were read */
};
/* Appends the next bytes, at most `most` of them (1 to BLOB_CHUNK_MAX); none at the end. */
int blobs_next(struct pg *pg, const char *tenant, struct blob_cursor *cursor, size_t most,
               struct buf *piece, struct fault *fault) MUST_CHECK;

/* Removes uploads untouched for an hour; returns how many. */
int blobs_sweep(struct pg *pg, int64_t *ret_count, struct fault *fault) MUST_CHECK;
