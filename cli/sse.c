/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/sse.h"

#include <string.h>

struct sse sse_begin(sse_event *take, void *context)
{
    return (struct sse){
        .take = take, .context = context, .line = BUF(SSE_EVENT_MAX), .data = BUF(SSE_EVENT_MAX)};
}

void sse_free(struct sse *sse)
{
    buf_free(&sse->line);
    buf_free(&sse->data);
}

/* An empty line: what has been collected is an event, if there is data. */
static int dispatch(struct sse *sse, struct fault *fault)
{
    int status = 0;
    if (sse->data.len > 0)
        status = sse->take(sse->context, sse->name[0] == '\0' ? "message" : sse->name,
                           span_of(sse->data.data, sse->data.len - 1), fault);
    sse->name[0] = '\0';
    buf_reset(&sse->data);
    return status;
}

static int take_line(struct sse *sse, struct fault *fault)
{
    struct span line = buf_span(&sse->line);
    if (line.len == 0)
        return dispatch(sse, fault);
    const uint8_t *colon = memchr(line.data, ':', line.len);
    size_t name_len = colon == NULL ? line.len : (size_t)(colon - line.data);
    struct span value = span_of(line.data + line.len, 0);
    if (colon != NULL)
        value = span_of(colon + 1, line.len - name_len - 1);
    if (value.len > 0 && value.data[0] == ' ')
        value = span_of(value.data + 1, value.len - 1);
    struct span name = span_of(line.data, name_len);
    if (span_equal(name, span_text("data"))) {
        buf_append(&sse->data, value.data, value.len);
        buf_puts(&sse->data, "\n");
    } else if (span_equal(name, span_text("event"))) {
        (void)snprintf(sse->name, sizeof sse->name, "%.*s", (int)value.len,
                       (const char *)value.data);
    }
    return 0;
}

int sse_feed(struct sse *sse, const void *data, size_t len, struct fault *fault)
{
    const char *bytes = data;
    for (size_t i = 0; i < len; i++) {
        bool second = bytes[i] == '\n' && sse->after_cr;
        sse->after_cr = bytes[i] == '\r';
        if (second)
            continue;
        if (bytes[i] != '\n' && bytes[i] != '\r') {
            buf_append(&sse->line, &bytes[i], 1);
            continue;
        }
        if (buf_failed(&sse->line))
            return fault_set(fault, FAULT_INTERNAL, "the server's event is too long");
        int status = take_line(sse, fault);
        buf_reset(&sse->line);
        if (status != 0)
            return -1;
        if (buf_failed(&sse->data))
            return fault_set(fault, FAULT_INTERNAL, "the server's event is too long");
    }
    return 0;
}
