/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdarg.h>
#include <string.h>

/* Room for `more` bytes and a NUL. */
static bool buf_grow(struct buf *buf, size_t more)
{
    size_t max = buf->max < SIZE_MAX ? buf->max : SIZE_MAX - 1; /* the NUL has to be counted */
    if (buf->failed || more > max || buf->len > max - more) {
        buf->failed = true;
        return false;
    }
    size_t need = buf->len + more + 1;
    if (need <= buf->cap)
        return true;
    size_t cap = buf->cap < 64 ? 64 : buf->cap;
    while (cap < need)
        cap = cap > SIZE_MAX / 2 ? need : cap * 2;
    if (cap > max + 1)
        cap = max + 1;
    uint8_t *data = realloc(buf->data, cap);
    if (data == NULL) {
        buf->failed = true;
        return false;
    }
    buf->data = data;
    buf->cap = cap;
    buf->data[buf->len] = '\0'; /* what was reserved and never committed is no text */
    return true;
}

void buf_append(struct buf *buf, const void *data, size_t len)
{
    if (!buf_grow(buf, len))
        return;
    if (len > 0)
        memcpy(buf->data + buf->len, data, len);
    buf_commit(buf, len);
}

void buf_puts(struct buf *buf, const char *text)
{
    buf_append(buf, text, strlen(text));
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    va_list again;
    va_copy(again, arguments);
    int len = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (len < 0)
        buf->failed = true;
    else if (buf_grow(buf, (size_t)len)) {
        (void)vsnprintf((char *)buf->data + buf->len, (size_t)len + 1, format, again);
        buf_commit(buf, (size_t)len);
    }
    va_end(again);
}

void *buf_reserve(struct buf *buf, size_t len)
{
    return buf_grow(buf, len) ? buf->data + buf->len : NULL;
}

void buf_commit(struct buf *buf, size_t len)
{
    buf->len += len;
    buf->data[buf->len] = '\0';
}

bool buf_failed(const struct buf *buf)
{
    return buf->failed;
}

void buf_reset(struct buf *buf)
{
    buf->len = 0;
    buf->failed = false;
    if (buf->data != NULL)
        buf->data[0] = '\0';
}

void buf_free(struct buf *buf)
{
    if (buf == NULL)
        return;
    free(buf->data);
    *buf = BUF(buf->max);
}

struct span buf_span(const struct buf *buf)
{
    return span_of(buf->data, buf->len);
}

const char *buf_text(const struct buf *buf)
{
    return buf->data == NULL ? "" : (const char *)buf->data;
}

char *buf_take(struct buf *buf, size_t *ret_len)
{
    if (buf->failed || !buf_grow(buf, 0))
        return NULL;
    buf->data[buf->len] = '\0';
    if (ret_len != NULL)
        *ret_len = buf->len;
    char *text = (char *)TAKE(buf->data);
    *buf = BUF(buf->max);
    return text;
}

struct span span_of(const void *data, size_t len)
{
    return (struct span){.data = data, .len = len};
}

struct span span_text(const char *text)
{
    return span_of(text, strlen(text));
}

bool span_equal(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}
