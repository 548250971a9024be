/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Output as server-sent events (WHATWG HTML, "Server-sent events"): a pure form. The id of an event
 * is the offset behind its bytes, so that a client which reconnects goes on where it was.
 */
#pragma once

#include "base/buf.h"
#include "ledger/state.h"

/* Room for one event, whatever is in it; where there is less, none is made. */
#define OUTPUT_EVENT_ROOM 512

/* Appends one event `output` {"offset", "text"} or, where the bytes are not UTF-8 or hold NUL,
 * {"offset", "base64"} with as many of `bytes`, which begin at `offset`, as the buffer still has
 * room for: cut at a character where it is text. Returns how many; 0 if there is no room for an
 * event, or if there is only the beginning of a character and, not `last`, its rest may come. */
size_t output_event_append(struct buf *piece, int64_t offset, struct span bytes, bool last);

/* Appends the event `end` {"state", "<stream>_bytes", "stored_bytes", "truncated"}: `bytes` is of
 * the whole stream; null, and truncated, where nobody knows it. */
void output_event_end(struct buf *piece, enum execution_state state, const char *stream,
                      int64_t bytes, int64_t stored);
