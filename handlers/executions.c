/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/executions and below: what became of jobs. */
#include "handlers/execution_json.h"
#include "handlers/follower.h"
#include "handlers/gateway.h"
#include "handlers/handlers.h"
#include "handlers/media.h"
#include "storage/outputs.h"
#include "trust/token.h"

#include <string.h>

#define OUTPUT_MAX (64u * 1024 * 1024)

enum answer handle_execution_get(struct request *request)
{
    struct fault fault;
    struct uuid id;
    AUTO_EXECUTION struct execution execution = {0};
    if (request_check_query(request, NULL, NULL, &fault) != 0 ||
        path_uuid(request, &id, &fault) != 0 ||
        executions_get(pg_of(request), caller_of(request)->tenant_id, &id, &execution, &fault) != 0)
        return reply_fault(request, &fault);
    return reply_json(request, 200, execution_json(&execution));
}

/* A page being built, and the last id it holds. */
struct page {
    json_t *items;
    struct uuid last;
};

static int page_take(void *context, const struct execution *execution)
{
    struct page *page = context;
    page->last = execution->id;
    return json_array_append_new(page->items, execution_json(execution));
}

static int read_state(const struct request *request, const char **ret_state, struct fault *fault)
{
    const char *text = request_query(request, "state", 0);
    enum execution_state state;
    if (text != NULL && execution_state_parse(text, strlen(text), &state) != 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "state: there is no such state");
    *ret_state = text;
    return 0;
}

static int read_tool(const struct request *request, struct digest *ret_digest,
                     const struct digest **ret_filter, struct fault *fault)
{
    const char *text = request_query(request, "tool_sha256", 0);
    if (text == NULL)
        return 0;
    if (digest_parse_any(text, strlen(text), ret_digest) != 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "tool_sha256: expected a SHA-256 digest");
    *ret_filter = ret_digest;
    return 0;
}

static int read_after(const struct request *request, struct uuid *ret_id,
                      const struct uuid **ret_filter, struct fault *fault)
{
    const char *text = request_query(request, "after", 0);
    if (text == NULL)
        return 0;
    if (uuid_parse(text, strlen(text), ret_id) != 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "after: expected `next` of a page before");
    *ret_filter = ret_id;
    return 0;
}

enum answer handle_execution_list(struct request *request)
{
    static const char *const known[] = {
        "state",      "tool_sha256", "operator_id", "task_id", "correlation_id", "source", "action",
        "target_urn", "from",        "to",          "limit",   "after",          NULL};
    struct fault fault;
    struct execution_filter filter = {0};
    struct digest tool;
    struct uuid after;
    int64_t limit;
    if (request_check_query(request, known, NULL, &fault) != 0 ||
        query_int(request, "limit", 1, PAGE_LIMIT_MAX, PAGE_LIMIT_DEFAULT, &limit, &fault) != 0 ||
        query_time(request, "from", &filter.from_ms, &fault) != 0 ||
        query_time(request, "to", &filter.to_ms, &fault) != 0 ||
        read_state(request, &filter.state, &fault) != 0 ||
        read_tool(request, &tool, &filter.tool_sha256, &fault) != 0 ||
        read_after(request, &after, &filter.before, &fault) != 0)
        return reply_fault(request, &fault);
    filter.operator_id = request_query(request, "operator_id", 0);
    filter.task_id = request_query(request, "task_id", 0);
    filter.correlation_id = request_query(request, "correlation_id", 0);
    filter.source = request_query(request, "source", 0);
    filter.action = request_query(request, "action", 0);
    filter.target_urn = request_query(request, "target_urn", 0);
    filter.limit = (int)limit;
    AUTO_JSON json_t *items = json_array();
    struct page page = {.items = items};
    if (executions_list(pg_of(request), caller_of(request)->tenant_id, &filter, page_take, &page,
                        &fault) != 0)
        return reply_fault(request, &fault);
    bool full = json_array_size(items) == (size_t)limit;
    return reply_page(request, TAKE(items), full ? uuid_format(&page.last).text : NULL);
}

enum answer handle_execution_manifest(struct request *request)
{
    struct fault fault;
    struct uuid id;
    AUTO_BUF struct buf token = BUF(TOKEN_MAX);
    if (request_check_query(request, NULL, NULL, &fault) != 0 ||
        path_uuid(request, &id, &fault) != 0 ||
        executions_token(pg_of(request), caller_of(request)->tenant_id, &id, &token, &fault) != 0)
        return reply_fault(request, &fault);
    return reply_buf(request, 200, "application/jose", &token);
}

static enum answer reply_stored(struct request *request, const struct uuid *id, const char *stream)
{
    struct fault fault;
    AUTO_EXECUTION struct execution execution = {0};
    AUTO_BUF struct buf bytes = BUF(OUTPUT_MAX);
    const char *tenant = caller_of(request)->tenant_id;
    if (executions_get(pg_of(request), tenant, id, &execution, &fault) != 0 ||
        outputs_read(pg_of(request), tenant, id, stream, 0, OUTPUT_MAX, &bytes, &fault) != 0)
        return reply_fault(request, &fault);
    return reply_buf(request, 200, "application/octet-stream", &bytes);
}

/* follow=true, and where from: an event source that reconnects names the last event it has. */
static int read_follow(const struct request *request, bool *ret_follow, int64_t *ret_offset,
                       struct fault *fault)
{
    const char *follow = request_query(request, "follow", 0);
    bool wanted = follow != NULL && strcmp(follow, "true") == 0;
    int64_t offset;
    if (follow != NULL && !wanted && strcmp(follow, "false") != 0)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "follow: expected true or false");
    if (query_int(request, "offset", 0, OUTPUT_OFFSET_MAX, -1, &offset, fault) != 0)
        return -1;
    if (offset >= 0 && !wanted)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "offset: only with follow=true");
    if (wanted &&
        header_int(request, "Last-Event-ID", 0, OUTPUT_OFFSET_MAX, offset, &offset, fault) != 0)
        return -1;
    *ret_follow = wanted;
    *ret_offset = offset < 0 ? 0 : offset;
    return 0;
}

static enum answer reply_output(struct request *request, const char *stream)
{
    static const char *const known[] = {"follow", "offset", NULL};
    struct fault fault;
    struct uuid id;
    bool follow;
    int64_t offset;
    if (request_check_query(request, known, NULL, &fault) != 0 ||
        path_uuid(request, &id, &fault) != 0 || read_follow(request, &follow, &offset, &fault) != 0)
        return reply_fault(request, &fault);
    return follow ? follower_answer(request, &id, stream, offset)
                  : reply_stored(request, &id, stream);
}

enum answer handle_execution_stdout(struct request *request)
{
    return reply_output(request, "stdout");
}

enum answer handle_execution_stderr(struct request *request)
{
    return reply_output(request, "stderr");
}
