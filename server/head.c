/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request's head, once the library has parsed it: what that lets through and we do not
 * (repeated framing headers, names that are not tokens, a length beside a transfer coding, no
 * Host), copied to where it outlives the connection.
 */
#include "server/http_internal.h"

#include "base/encode.h"
#include "base/text.h"

#include <string.h>
#include <strings.h>

#define PARAMETERS_MAX 64
#define LENGTH_DIGITS_MAX 18                    /* what fits int64_t */
#define HTTP_TOKEN TEXT_ALNUM "!#$%&'*+-.^_`|~" /* RFC 9110 section 5.6.2 */
#define REQUEST_ID_SET TEXT_ALNUM "._-"
#define HEX_SET "0123456789abcdef"

struct head_size {
    size_t count;
    size_t bytes;
};

static enum MHD_Result header_measure(void *context, enum MHD_ValueKind kind, const char *name,
                                      size_t name_len, const char *value, size_t value_len)
{
    (void)kind, (void)name, (void)value;
    struct head_size *size = context;
    size->count++;
    size->bytes += name_len + value_len + 2;
    return MHD_YES;
}

static enum MHD_Result header_copy(void *context, enum MHD_ValueKind kind, const char *name,
                                   size_t name_len, const char *value, size_t value_len)
{
    (void)kind;
    struct request *request = context;
    char *at = request->head_text;
    if (request->header_count > 0) {
        const struct header *last = &request->headers[request->header_count - 1];
        at += (last->value - request->head_text) + (ptrdiff_t)strlen(last->value) + 1;
    }
    while (value_len > 0 && (value[value_len - 1] == ' ' || value[value_len - 1] == '\t'))
        value_len--; /* no part of the value (RFC 9110 section 5.5) */
    memcpy(at, name, name_len);
    at[name_len] = '\0';
    char *copy = at + name_len + 1;
    if (value_len > 0)
        memcpy(copy, value, value_len);
    copy[value_len] = '\0';
    request->headers[request->header_count++] = (struct header){at, copy};
    return MHD_YES;
}

static int headers_read(struct request *request, struct fault *fault)
{
    struct head_size size = {0};
    (void)MHD_get_connection_values_n(request->connection, MHD_HEADER_KIND, header_measure, &size);
    if (size.count > HEADERS_MAX || size.bytes + strlen(request->target) > HEAD_BYTES_MAX)
        return fault_set(fault, FAULT_TOO_LARGE,
                         "the request's head has more than %d fields or %d bytes", HEADERS_MAX,
                         HEAD_BYTES_MAX);
    request->headers = calloc(size.count + 1, sizeof *request->headers);
    request->head_text = malloc(size.bytes + 1);
    if (request->headers == NULL || request->head_text == NULL)
        return fault_set(fault, FAULT_UNAVAILABLE, "out of memory");
    (void)MHD_get_connection_values_n(request->connection, MHD_HEADER_KIND, header_copy, request);
    return 0;
}

static size_t header_occurrences(const struct request *request, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < request->header_count; i++)
        count += strcasecmp(request->headers[i].name, name) == 0;
    return count;
}

/* A tab inside a value is allowed, other control characters are not. */
static int headers_check(const struct request *request, struct fault *fault)
{
    static const char *const once[] = {"Content-Length", "Transfer-Encoding", "Host",
                                       "Authorization"};
    for (size_t i = 0; i < request->header_count; i++) {
        const struct header *header = &request->headers[i];
        if (!text_in_set(header->name, strlen(header->name), 1, 256, HTTP_TOKEN))
            return fault_set(fault, FAULT_MALFORMED_REQUEST, "a header field's name is no token");
        for (const char *at = header->value; *at != '\0'; at++)
            if (*at != '\t' && text_has_control(at, 1))
                return fault_set(fault, FAULT_MALFORMED_REQUEST,
                                 "the header field %.64s has a control character", header->name);
    }
    for (size_t i = 0; i < ARRAY_LEN(once); i++)
        if (header_occurrences(request, once[i]) > 1)
            return fault_set(fault, FAULT_MALFORMED_REQUEST, "%s is given more than once", once[i]);
    return 0;
}

/* RFC 9112 section 6: exactly one way to say how long the body is. The coding is compared as the
 * library sees it, which finds the body's end by the very same text. */
static int framing_read(struct request *request, bool http_1_0, struct fault *fault)
{
    const char *length = request_header(request, "Content-Length");
    const char *coding =
        MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, "Transfer-Encoding");
    if (coding != NULL && length != NULL)
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "Content-Length and Transfer-Encoding exclude each other");
    if (coding != NULL && (http_1_0 || strcasecmp(coding, "chunked") != 0))
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "Transfer-Encoding must be chunked");
    if (!http_1_0 && request_header(request, "Host") == NULL)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "HTTP/1.1 requires a Host header");
    if (coding != NULL)
        return 0;
    if (length == NULL) {
        request->content_length = 0;
        return 0;
    }
    if (!text_in_set(length, strlen(length), 1, SIZE_MAX, "0123456789"))
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "Content-Length must be a number");
    if (strlen(length) > LENGTH_DIGITS_MAX)
        return fault_set(fault, FAULT_TOO_LARGE, "Content-Length is larger than any body may be");
    request->content_length = strtoll(length, NULL, 10);
    return 0;
}

bool head_has_body(const struct request *request)
{
    return request->content_length != 0;
}

static bool traceparent_valid(const char *text)
{
    static const struct {
        size_t start, len;
    } parts[] = {{0, 2}, {3, 32}, {36, 16}, {53, 2}};
    if (strlen(text) != 55 || text[2] != '-' || text[35] != '-' || text[52] != '-')
        return false;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (!text_in_set(text + parts[i].start, parts[i].len, 1, 32, HEX_SET))
            return false;
    return strncmp(text, "ff", 2) != 0 && strspn(text + 3, "0") < 32 && strspn(text + 36, "0") < 16;
}

static void trace_read(struct request *request)
{
    const char *id = request_header(request, "X-Request-Id");
    if (id != NULL && text_in_set(id, strlen(id), 1, sizeof request->id - 1, REQUEST_ID_SET))
        (void)snprintf(request->id, sizeof request->id, "%s", id);
    const char *trace = request_header(request, "traceparent");
    if (trace != NULL && header_occurrences(request, "traceparent") == 1 &&
        traceparent_valid(trace)) {
        /* A later version begins like version 00, and is passed on as that (Trace Context 4.3). */
        (void)snprintf(request->traceparent, sizeof request->traceparent, "00%s", trace + 2);
        return;
    }
    uint8_t random[24];
    random_bytes(random, sizeof random);
    random[0] |= 1; /* neither part may be all zero */
    random[16] |= 1;
    char trace_id[33], span_id[17];
    hex_encode(random, 16, trace_id);
    hex_encode(random + 16, 8, span_id);
    (void)snprintf(request->traceparent, sizeof request->traceparent, "00-%s-%s-00", trace_id,
                   span_id);
}

static int target_read(struct request *request, char *ret_allow, struct fault *fault)
{
    struct span path, query;
    if (url_split(span_text(request->target), &path, &query, fault) != 0)
        return -1;
    struct route_match match;
    if (route_match(request->http->config.routes, request->http->config.route_count,
                    request->method, path, &match, ret_allow, fault) != 0)
        return -1;
    request->route = match.route;

    char *text = malloc(path.len + ROUTE_PATH_VALUES_MAX + query.len + 2);
    request->target_text = text;
    if (text == NULL)
        return fault_set(fault, FAULT_UNAVAILABLE, "out of memory");
    for (size_t i = 0; i < match.value_count; i++) {
        if (url_decode(match.values[i], false, "the path", text, fault) != 0)
            return -1;
        request->path_values[i] = text;
        text += strlen(text) + 1;
    }
    if (query.len == 0)
        return 0;
    request->parameters = calloc(PARAMETERS_MAX, sizeof *request->parameters);
    if (request->parameters == NULL)
        return fault_set(fault, FAULT_UNAVAILABLE, "out of memory");
    return url_query(query, text, request->parameters, PARAMETERS_MAX, &request->parameter_count,
                     fault);
}

int head_read(struct request *request, const char *method, const char *version, char *ret_allow,
              struct fault *fault)
{
    request->method = route_method(method);
    request->content_length = -1; /* until known better: nothing after a bad head is trusted */
    if (headers_read(request, fault) != 0)
        return -1;
    trace_read(request);
    if (headers_check(request, fault) != 0)
        return -1;
    if (framing_read(request, strcmp(version, "HTTP/1.0") == 0, fault) != 0)
        return -1;
    return target_read(request, ret_allow, fault);
}
