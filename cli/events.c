/* SPDX-License-Identifier: Apache-2.0 */
/* events: the tenant's CloudEvents in the ledger's order; with -o ndjson their exact bytes. */
#include "base/uuid.h"
#include "cli/commands.h"
#include "cli/query.h"
#include "ledger/event.h"

#include <string.h>

static const struct column event_columns[] = {
    {"TIME", "time", COLUMN_TEXT},       {"TYPE", "type", COLUMN_TEXT},
    {"SUBJECT", "subject", COLUMN_TEXT}, {"EXECUTION", "executionid", COLUMN_TEXT},
    {"ID", "id", COLUMN_TEXT},
};

/* The filters; a type may be given without its prefix. */
static int base_path(const struct args *args, struct buf *path, struct fault *fault)
{
    const char *type = args_value(args, "type"), *execution = args_value(args, "execution");
    char full[128];
    struct uuid id;
    enum event_type parsed;
    buf_puts(path, "/v1/events");
    if (execution != NULL && uuid_parse(execution, strlen(execution), &id) != 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "--execution: expected an execution's id");
    if (type != NULL) {
        bool whole = strncmp(type, EVENT_TYPE_PREFIX, strlen(EVENT_TYPE_PREFIX)) == 0;
        (void)snprintf(full, sizeof full, "%s%s", whole ? "" : EVENT_TYPE_PREFIX, type);
        if (event_type_parse(full, strlen(full), &parsed) != 0)
            return fault_set(fault, FAULT_MALFORMED_REQUEST, "--type: there is no such event type");
        query_add(path, "type", full);
    }
    query_add(path, "executionid", execution);
    return 0;
}

/* A page's lines: printed as they are, or gathered for a table or a JSON list. */
static int take_lines(struct client *client, const struct buf *body, json_t *items,
                      int64_t *ret_count, struct fault *fault)
{
    struct span rest = buf_span(body);
    int64_t count = 0;
    while (rest.len > 0) {
        const uint8_t *newline = memchr(rest.data, '\n', rest.len);
        if (newline == NULL)
            return fault_set(fault, FAULT_INTERNAL, "the server's answer ends inside a line");
        struct span line = span_of(rest.data, (size_t)(newline - rest.data));
        json_t *event = NULL;
        if (client->output.mode == OUTPUT_NDJSON) {
            if (output_bytes(&client->output, span_of(line.data, line.len + 1), fault) != 0)
                return -1;
        } else if (json_object_parse(line, FAULT_INTERNAL, "an event", &event, fault) != 0)
            return -1;
        else if (json_array_append_new(items, event) != 0)
            return fault_set(fault, FAULT_INTERNAL, "out of memory");
        rest = span_of(newline + 1, rest.len - line.len - 1);
        count++;
    }
    *ret_count = count;
    return 0;
}

static int fetch_page(struct client *client, const struct buf *base, const char *after,
                      int64_t limit, struct http_answer *ret_answer, struct fault *fault)
{
    AUTO_BUF struct buf path = BUF(QUERY_PATH_MAX);
    struct http_request request = {.method = "GET", .accept = "application/x-ndjson"};
    buf_puts(&path, buf_text(base));
    if (limit > 0)
        query_add_number(&path, "limit", limit < CLIENT_PAGE_MAX ? limit : CLIENT_PAGE_MAX);
    query_add(&path, "after", after);
    request.path = buf_text(&path);
    return client_call(client, &request, ret_answer, fault);
}

/* Pages until `limit` events are there or no more are; ret_cursor is where to go on. */
static int fetch_all(struct client *client, const struct args *args, const struct buf *base,
                     int64_t limit, json_t *items, char ret_cursor[HTTP_CURSOR_MAX + 1],
                     struct fault *fault)
{
    const char *after = args_value(args, "after");
    bool more = true;
    int64_t left = limit;
    while (more && left > 0) {
        int64_t count = 0;
        AUTO_HTTP_ANSWER struct http_answer answer = {0};
        if (fetch_page(client, base, after, left, &answer, fault) != 0 ||
            take_lines(client, &answer.body, items, &count, fault) != 0)
            return -1;
        more = answer.more && answer.cursor[0] != '\0' && strcmp(answer.cursor, ret_cursor) != 0;
        (void)snprintf(ret_cursor, HTTP_CURSOR_MAX + 1, "%s", answer.cursor);
        after = ret_cursor;
        left -= count;
    }
    if (!more)
        ret_cursor[0] = '\0';
    return 0;
}

int events_run(struct client *client, const struct args *args, struct fault *fault)
{
    AUTO_BUF struct buf base = BUF(QUERY_PATH_MAX);
    AUTO_JSON json_t *items = json_array();
    char cursor[HTTP_CURSOR_MAX + 1] = "";
    int64_t limit = 100;
    if (args_number(args, "limit", 1, CLIENT_LIST_MAX, &limit, fault) != 0 ||
        base_path(args, &base, fault) != 0)
        return -1;
    if (args_value(args, "execution") != NULL) { /* few, and without pages */
        int64_t count = 0;
        AUTO_HTTP_ANSWER struct http_answer answer = {0};
        if (fetch_page(client, &base, NULL, 0, &answer, fault) != 0 ||
            take_lines(client, &answer.body, items, &count, fault) != 0)
            return -1;
    } else if (fetch_all(client, args, &base, limit, items, cursor, fault) != 0)
        return -1;
    const char *next = cursor[0] == '\0' ? NULL : cursor;
    if (client->output.mode == OUTPUT_NDJSON) {
        if (next != NULL)
            output_note("there are more: --after %s", next);
        return 0;
    }
    return output_items(&client->output, event_columns, ARRAY_LEN(event_columns), items, next,
                        fault);
}
