/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/events: exact bytes, in the ledger's order. */
#include "storage/events.h"
#include "handlers/gateway.h"
#include "handlers/handlers.h"
#include "handlers/ledger_fault.h"
#include "handlers/media.h"
#include "storage/executions.h"
#include "storage/ledger_events.h"

#include <inttypes.h>
#include <string.h>

#define NDJSON "application/x-ndjson"
#define BATCH "application/cloudevents-batch+json"

/* A page's text: lines, or a JSON array of events put together without touching their bytes. */
struct page {
    struct buf text;
    bool lines;
    size_t count;
};

static int page_add(struct page *page, struct span body, struct fault *fault)
{
    if (!page->lines)
        buf_puts(&page->text, page->count == 0 ? "[" : ",");
    buf_append(&page->text, body.data, body.len);
    if (page->lines)
        buf_puts(&page->text, "\n");
    page->count++;
    return buf_failed(&page->text) ? fault_set(fault, FAULT_INTERNAL, "out of memory") : 0;
}

static int page_take(void *context, const struct ledger_event *event, struct fault *fault)
{
    return page_add(context, event->body, fault);
}

static enum answer reply_events(struct request *request, struct page *page)
{
    if (!page->lines)
        buf_puts(&page->text, page->count == 0 ? "[]" : "]");
    return reply_buf(request, 200, page->lines ? NDJSON : BATCH, &page->text);
}

/* All events of one execution that have not expired, few enough to be fetched by id; those without
 * a place yet too. */
static int add_execution(struct request *request, const char *text, const char *type,
                         struct page *page, struct fault *fault)
{
    struct uuid id;
    struct execution_events events;
    const char *tenant = caller_of(request)->tenant_id;
    if (uuid_parse(text, strlen(text), &id) != 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "executionid: expected a UUID");
    if (executions_events(pg_of(request), tenant, &id, &events, fault) != 0)
        return -1;
    for (size_t i = 0; i < events.count; i++) {
        AUTO_BUF struct buf body = BUF(EVENT_MAX);
        if (type != NULL && strcmp(type, event_type_name(events.items[i].type)) != 0)
            continue;
        struct fault cause;
        if (events_get(pg_of(request), tenant, &events.items[i].id, true, &body, &cause) != 0) {
            if (cause.code != FAULT_EXPIRED)
                return fault_set(fault, cause.code, "%s", cause.detail);
        } else if (page_add(page, buf_span(&body), fault) != 0)
            return -1;
    }
    return 0;
}

static int add_ledger_page(struct request *request, const char *type, struct page *page,
                           struct fault *fault)
{
    int64_t after, limit;
    if (query_int(request, "after", 0, INT64_MAX, -1, &after, fault) != 0 ||
        query_int(request, "limit", 1, PAGE_LIMIT_MAX, PAGE_LIMIT_DEFAULT, &limit, fault) != 0)
        return -1;
    if ((caller_of(request)->roles & ROLE_AUDITOR) == 0)
        return fault_set(
            fault, FAULT_FORBIDDEN,
            "executionid: without the role auditor only an execution's events are shown");
    struct ledger_events_query query = {.tenant = caller_of(request)->tenant_id,
                                        .after = after,
                                        .type = type,
                                        .limit = (int)limit,
                                        .bytes_max = LEDGER_EVENTS_BYTES_MAX};
    struct ledger_events_page read;
    if (ledger_events_read(pg_of(request), &query, page_take, page, &read, fault) != 0)
        return -1;
    char text[64];
    (void)snprintf(text, sizeof text, "%" PRId64, read.next);
    reply_header(request, "Sallyport-Cursor", text);
    if (read.more)
        reply_link_next(request, text);
    return 0;
}

enum answer handle_event_list(struct request *request)
{
    static const char *const known[] = {"after", "type", "executionid", "limit", NULL};
    struct fault fault;
    /* Every body, and a byte or two around each. */
    struct page page = {.text = BUF(LEDGER_EVENTS_BYTES_MAX + 4096),
                        .lines = media_accepts(request, NDJSON)};
    if (request_check_query(request, known, NULL, &fault) != 0)
        return reply_fault(request, &fault);
    const char *type = request_query(request, "type", 0);
    const char *execution = request_query(request, "executionid", 0);
    enum event_type parsed;
    int status = 0;
    if (type != NULL && event_type_parse(type, strlen(type), &parsed) != 0)
        status = fault_set(&fault, FAULT_MALFORMED_REQUEST, "type: there is no such event type");
    else if (execution != NULL)
        status = add_execution(request, execution, type, &page, &fault);
    else
        status = add_ledger_page(request, type, &page, &fault);
    enum answer answer =
        status == 0 ? reply_events(request, &page) : reply_ledger_fault(request, &fault);
    buf_free(&page.text);
    return answer;
}

enum answer handle_event_get(struct request *request)
{
    struct fault fault;
    struct uuid id;
    const struct caller *caller = caller_of(request);
    bool executions_only = (caller->roles & ROLE_AUDITOR) == 0;
    AUTO_BUF struct buf body = BUF(EVENT_MAX);
    if (request_check_query(request, NULL, NULL, &fault) != 0 ||
        path_uuid(request, &id, &fault) != 0 ||
        events_get(pg_of(request), caller->tenant_id, &id, executions_only, &body, &fault) != 0)
        return reply_fault(request, &fault);
    return reply_buf(request, 200, "application/cloudevents+json", &body);
}
