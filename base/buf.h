/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growable byte buffer that is born with a maximum. A write that would pass the
 * maximum, or finds no memory, writes nothing and marks the buffer failed; every
 * later write is then a no-op, so that a sequence of writes is checked once, at its
 * end, with buf_failed().
 */
#pragma once

#include "base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Borrowed bytes: never owned, never NUL-terminated by promise. */
struct span {
    const uint8_t *data;
    size_t len;
};

struct buf {
    uint8_t *data; /* len bytes and, once anything was written, a NUL after them */
    size_t len;
    size_t cap;
    size_t max; /* most bytes it may ever hold */
    bool failed;
};

#define BUF(maximum)                                                                               \
    (struct buf)                                                                                   \
    {                                                                                              \
        .max = (maximum)                                                                           \
    }
#define AUTO_BUF AUTO(buf_free)

void buf_append(struct buf *buf, const void *data, size_t len);
void buf_puts(struct buf *buf, const char *text);
void buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);

/* Room for len more bytes, written by the caller at the returned place, then counted
 * with buf_commit(). NULL (and failed) if there can't be that much. */
void *buf_reserve(struct buf *buf, size_t len);
void buf_commit(struct buf *buf, size_t len);

/* True if any write was lost. */
bool buf_failed(const struct buf *buf);

/* Empties it and forgives a failure; keeps memory. */
void buf_reset(struct buf *buf);

/* Frees the bytes; the buffer can be used again. NULL-safe. */
void buf_free(struct buf *buf);

struct span buf_span(const struct buf *buf);

/* The text of an unfailed buffer, "" when empty. */
const char *buf_text(const struct buf *buf);

/* Hands over the bytes (malloc'ed, NUL-terminated; never NULL unless failed), leaving it empty. */
char *buf_take(struct buf *buf, size_t *ret_len);

struct span span_of(const void *data, size_t len);
struct span span_text(const char *text);
bool span_equal(struct span a, struct span b);
