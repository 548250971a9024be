/* SPDX-License-Identifier: Apache-2.0 */
#include "handlers/output_events.h"

#include "base/encode.h"
#include "base/json.h"
#include "base/text.h"

#include <inttypes.h>
#include <string.h>

#define FRAME_ROOM 128 /* of an event, around its bytes */

/* How many bytes of valid text fit, escaped as JSON: whole characters. */
static size_t text_that_fits(struct span text, size_t room)
{
    size_t fits = 0, cost = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.data[i];
        if ((byte & 0xC0) != 0x80)
            fits = i;
        cost += byte < 0x20 ? 6 : byte == '"' || byte == '\\' ? 2 : 1;
        if (cost > room)
            return fits;
    }
    return text.len;
}

static void append_event(struct buf *piece, int64_t offset, size_t used, json_t *value)
{
    AUTO_JSON json_t *data = value;
    buf_printf(piece, "id: %" PRId64 "\nevent: output\ndata: ", offset + (int64_t)used);
    json_append(piece, data);
    buf_puts(piece, "\n\n");
}

static size_t append_text(struct buf *piece, int64_t offset, struct span text, size_t room)
{
    size_t len = text_that_fits(text, room);
    append_event(piece, offset, len,
                 json_pack("{s:I, s:s%}", "offset", (json_int_t)offset, "text",
                           (const char *)text.data, len));
    return len;
}

static size_t append_base64(struct buf *piece, int64_t offset, struct span bytes, size_t room)
{
    AUTO_BUF struct buf base64 = BUF(room);
    base64_encode(&base64, bytes.data, bytes.len);
    append_event(
        piece, offset, bytes.len,
        json_pack("{s:I, s:s}", "offset", (json_int_t)offset, "base64", buf_text(&base64)));
    return bytes.len;
}

size_t output_event_append(struct buf *piece, int64_t offset, struct span bytes, bool last)
{
    size_t left = piece->max - piece->len;
    if (bytes.len == 0 || left < OUTPUT_EVENT_ROOM)
        return 0;
    size_t room = left - FRAME_ROOM, most = room / 4 * 3;
    if (bytes.len > most)
        bytes.len = most;
    struct span text = bytes;
    text.len -= utf8_ragged(text.data, text.len);
    if (text.len == 0 && !last)
        return 0;
    if (text.len > 0 && utf8_valid(text.data, text.len) &&
        memchr(text.data, '\0', text.len) == NULL)
        return append_text(piece, offset, text, room);
    return append_base64(piece, offset, bytes, room);
}

void output_event_end(struct buf *piece, enum execution_state state, const char *stream,
                      int64_t bytes, int64_t stored)
{
    char name[32];
    (void)snprintf(name, sizeof name, "%s_bytes", stream);
    bool known = state != EXECUTION_LOST && bytes >= stored;
    AUTO_JSON json_t *data =
        json_pack("{s:s, s:o, s:I, s:b}", "state", execution_state_name(state), name,
                  known ? json_integer((json_int_t)bytes) : json_null(), "stored_bytes",
                  (json_int_t)stored, "truncated", !known || bytes > stored);
    buf_puts(piece, "event: end\ndata: ");
    json_append(piece, data);
    buf_puts(piece, "\n\n");
}
