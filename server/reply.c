/* SPDX-License-Identifier: Apache-2.0 */
#include "server/http_internal.h"

#include "base/json.h"
#include "base/log.h"

#include <string.h>

void reply_header(struct request *request, const char *name, const char *value)
{
    if (request->response.header_count < REPLY_HEADERS_MAX)
        (void)response_header(&request->response, name, value);
}

/* The answer is complete: it goes out, and the handler's part in the request ends. */
static enum answer reply_give(struct request *request)
{
    request_forget_body(request);
    request->response.close = atomic_load(&request->http->draining);
    response_finish(&request->response, request->id);
    receive_answered(request);
    request_unref(request);
    return ANSWER_GIVEN;
}

void reply_prepare(struct request *request, const struct fault *fault)
{
    struct fault said = *fault;
    if (said.code <= FAULT_NONE || said.code >= FAULT_CODE_COUNT || said.code == FAULT_INTERNAL) {
        log_error("request failed", "{s:s, s:s}", "request_id", request->id, "detail",
                  fault->detail);
        (void)fault_set(&said, FAULT_INTERNAL, "an internal error; the log tells it by request_id");
    }
    if (said.code == FAULT_UNAVAILABLE &&
        !request->http->config
             .tells_reasons) { /* the reason may name hosts that are nobody's business */
        log_warn("request not served", "{s:s, s:s}", "request_id", request->id, "detail",
                 fault->detail);
        (void)fault_set(&said, FAULT_UNAVAILABLE, "not available now; try again later");
    }
    response_problem(&request->response, &said, request->id);
    response_finish(&request->response, request->id);
}

enum answer reply_fault(struct request *request, const struct fault *fault)
{
    reply_prepare(request, fault);
    return reply_give(request);
}

static enum answer reply_internal(struct request *request, const char *detail)
{
    struct fault fault = {0};
    (void)fault_set(&fault, FAULT_INTERNAL, "%s", detail);
    return reply_fault(request, &fault);
}

static bool status_valid(int status)
{
    return status >= 200 && status <= 599;
}

enum answer reply_buf(struct request *request, int status, const char *type, struct buf *bytes)
{
    struct response *response = &request->response;
    size_t len = 0;
    char *body = buf_failed(bytes) ? NULL : buf_take(bytes, &len);
    if (body == NULL || !status_valid(status)) {
        free(body);
        buf_free(bytes);
        return reply_internal(request, "the answer was not complete");
    }
    response->status = status;
    response->body = body;
    response->body_len = len;
    if (type != NULL)
        (void)response_header(response, "Content-Type", type);
    return reply_give(request);
}

enum answer reply_json(struct request *request, int status, json_t *value)
{
    AUTO_JSON json_t *owned = value;
    AUTO_BUF struct buf text = BUF(ANSWER_BYTES_MAX);
    if (owned == NULL)
        text.failed = true;
    else
        json_append(&text, owned);
    return reply_buf(request, status, "application/json", &text);
}

enum answer reply_flow(struct request *request, int status, const struct reply_flow *from)
{
    struct fault fault = {0};
    if (!status_valid(status) || request->stage != STAGE_WHOLE) {
        if (from->context_free != NULL)
            from->context_free(from->context);
        return reply_internal(request, "no answer to be streamed can be given here");
    }
    if (outflow_begin(request, from, &fault) != 0)
        return reply_fault(request, &fault);
    request->response.status = status;
    request->response.flows = request;
    if (from->type != NULL)
        (void)response_header(&request->response, "Content-Type", from->type);
    return reply_give(request);
}

enum answer reply_bytes(struct request *request, int status, const char *type, struct span bytes)
{
    AUTO_BUF struct buf copy = BUF(ANSWER_BYTES_MAX);
    buf_append(&copy, bytes.data, bytes.len);
    return reply_buf(request, status, type, &copy);
}

enum answer reply_empty(struct request *request, int status)
{
    if (!status_valid(status))
        return reply_internal(request, "the answer had no valid status");
    request->response.status = status;
    return reply_give(request);
}
