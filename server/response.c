/* SPDX-License-Identifier: Apache-2.0 */
#include "server/http_internal.h"

#include "base/json.h"
#include "base/text.h"

#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>

#define PROBLEM_BYTES_MAX 4096
#define WIRE_HEAD_MAX 8192

bool response_has(const struct response *response, const char *name)
{
    for (size_t i = 0; i < response->header_count; i++)
        if (strcasecmp(response->headers[i].name, name) == 0)
            return true;
    return false;
}

bool response_header(struct response *response, const char *name, const char *value)
{
    size_t len = strlen(value);
    if (response->header_count == ANSWER_HEADERS_MAX || len == 0 || text_has_control(value, len))
        return false;
    char *copy = strdup(value);
    if (copy == NULL)
        return false;
    response->headers[response->header_count++] = (struct response_field){name, copy};
    return true;
}

void response_clear(struct response *response)
{
    for (size_t i = 0; i < response->header_count; i++)
        free(response->headers[i].value);
    free(response->body);
    *response = (struct response){0};
}

static void response_drop(struct response *response, const char *name)
{
    size_t kept = 0;
    for (size_t i = 0; i < response->header_count; i++) {
        if (strcasecmp(response->headers[i].name, name) == 0)
            free(response->headers[i].value);
        else
            response->headers[kept++] = response->headers[i];
    }
    response->header_count = kept;
}

static void response_default(struct response *response, const char *name, const char *value)
{
    if (!response_has(response, name))
        (void)response_header(response, name, value);
}

/* What a handler had said of the representation it then did not give is taken back. Where even
 * the document cannot be made (no memory), the status goes without one. */
void response_problem(struct response *response, const struct fault *fault, const char *id)
{
    char type[96];
    (void)snprintf(type, sizeof type, "urn:sallyport:problem:%s", fault_name(fault->code));
    int status = fault_http_status(fault->code);
    AUTO_JSON json_t *problem = json_pack(
        "{s:s, s:s, s:i, s:s, s:s, s:s}", "type", type, "title", fault_title(fault->code), "status",
        status, "code", fault_name(fault->code), "detail", fault->detail, "request_id", id);
    AUTO_BUF struct buf text = BUF(PROBLEM_BYTES_MAX);
    json_append(&text, problem);
    response_drop(response, "Content-Type");
    response_drop(response, "Cache-Control");
    response_drop(response, "ETag");
    free(response->body);
    response->body = buf_failed(&text) ? NULL : buf_take(&text, &response->body_len);
    if (response->body == NULL)
        response->body_len = 0;
    else
        response_default(response, "Content-Type", "application/problem+json");
    response->status = status;
    if (status == 401)
        response_default(response, "WWW-Authenticate", "Bearer realm=\"sallyport\"");
    if (status == 429 || status == 503)
        response_default(response, "Retry-After", "1");
}

void response_finish(struct response *response, const char *id)
{
    response_default(response, "X-Request-Id", id);
    response_default(response, "X-Content-Type-Options", "nosniff");
    response_default(response, "Cache-Control", "no-store");
    if (response->close)
        response_default(response, "Connection", "close");
}

enum MHD_Result response_queue(struct http *http, struct response *response,
                               struct MHD_Connection *connection)
{
    char nothing[1] = {0};
    enum MHD_ResponseMemoryMode mode =
        response->body == NULL ? MHD_RESPMEM_PERSISTENT : MHD_RESPMEM_MUST_FREE;
    void *body = response->body == NULL ? nothing : response->body;
    struct MHD_Response *made =
        response->flows != NULL ? outflow_response(response->flows)
                                : MHD_create_response_from_buffer(response->body_len, body, mode);
    if (made == NULL)
        return MHD_NO;
    response->body = NULL;
    enum MHD_Result result = MHD_YES;
    for (size_t i = 0; i < response->header_count && result == MHD_YES; i++)
        result =
            MHD_add_response_header(made, response->headers[i].name, response->headers[i].value);
    if (result == MHD_YES)
        result = http->queue(connection, (unsigned)response->status, made);
    MHD_destroy_response(made);
    return result;
}

static void write_date(struct buf *head)
{
    char date[64];
    struct tm parts;
    time_t now = time(NULL);
    if (gmtime_r(&now, &parts) != NULL &&
        strftime(date, sizeof date, "%a, %d %b %Y %H:%M:%S GMT", &parts) > 0)
        buf_printf(head, "Date: %s\r\n", date);
}

void response_write(const struct response *response, enum http_method method, int fd)
{
    AUTO_BUF struct buf head = BUF(WIRE_HEAD_MAX + response->body_len);
    buf_printf(&head, "HTTP/1.1 %d %s\r\n", response->status,
               MHD_get_reason_phrase_for((unsigned)response->status));
    write_date(&head);
    for (size_t i = 0; i < response->header_count; i++)
        buf_printf(&head, "%s: %s\r\n", response->headers[i].name, response->headers[i].value);
    buf_printf(&head, "Content-Length: %zu\r\n\r\n", response->body_len);
    if (method != HTTP_HEAD)
        buf_append(&head, response->body, response->body_len);
    if (buf_failed(&head))
        return;
    ssize_t sent = send(fd, head.data, head.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)sent; /* a client that takes no bytes gets none */
}
