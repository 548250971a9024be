/* SPDX-License-Identifier: Apache-2.0 */
/* Server-sent events (WHATWG HTML, "Server-sent events") out of bytes as they come. */
#pragma once

#include "base/buf.h"
#include "base/fault.h"

#define SSE_EVENT_MAX ((size_t)64 * 1024)

/* One event: its name ("message" where it has none) and its data, lines joined by \n. -1 ends the
 * reading with its fault. */
typedef int sse_event(void *context, const char *name, struct span data, struct fault *fault);

struct sse {
    sse_event *take;
    void *context;
    struct buf line; /* as far as it has come */
    struct buf data;
    char name[32];
    bool after_cr; /* the last byte was one: a newline now belongs to it */
};
#define AUTO_SSE AUTO(sse_free)

struct sse sse_begin(sse_event *take, void *context);
/* FAULT_INTERNAL for an event longer than SSE_EVENT_MAX, and what `take` says. */
int sse_feed(struct sse *sse, const void *data, size_t len, struct fault *fault) MUST_CHECK;
void sse_free(struct sse *sse);
