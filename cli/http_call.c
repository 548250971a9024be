/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "cli/http_parts.h"
#include "cli/outcome.h"

#include <string.h>
#include <strings.h>

#define CONNECT_SECONDS 10L
#define ANSWER_SECONDS 60L
#define STALL_SECONDS 120L
#define PROBLEM_MAX ((size_t)64 * 1024)

/* One request under way. */
struct call {
    struct http *http;
    const struct http_request *request;
    struct http_answer *answer;
    struct digest_stream *digest;
    int64_t sent;
    size_t received;
    int64_t heard_ms;   /* monotonic: when something came last */
    struct fault fault; /* code FAULT_NONE until something of ours goes wrong */
};

void http_answer_cleanup(struct http_answer *answer)
{
    buf_free(&answer->body);
}

static size_t give_upload(char *to, size_t size, size_t count, void *context)
{
    struct call *call = context;
    int64_t left = call->request->upload_size - call->sent;
    size_t want = size * count;
    if ((int64_t)want > left)
        want = (size_t)left;
    ssize_t n = pread(call->request->upload_fd, to, want, call->sent);
    if (n < 0 || (n == 0 && want > 0)) {
        if (n < 0)
            (void)fault_errno(&call->fault, "cannot read the file");
        else
            (void)fault_set(&call->fault, FAULT_INTERNAL,
                            "the file became shorter while it was sent");
        return CURL_READFUNC_ABORT;
    }
    digest_stream_update(call->digest, to, (size_t)n);
    call->sent += n;
    return (size_t)n;
}

/* curl starts the body anew, on a fresh connection where the kept one had been closed. */
static int seek_upload(void *context, curl_off_t offset, int origin)
{
    struct call *call = context;
    struct digest_stream *fresh = offset == 0 && origin == SEEK_SET ? digest_stream_new() : NULL;
    if (fresh == NULL)
        return CURL_SEEKFUNC_FAIL;
    digest_stream_free(call->digest);
    call->digest = fresh;
    call->sent = 0;
    return CURL_SEEKFUNC_OK;
}

static size_t take_body(char *data, size_t size, size_t count, void *context)
{
    struct call *call = context;
    size_t len = size * count;
    long status = 0;
    call->heard_ms = clock_monotonic_ms();
    (void)curl_easy_getinfo(call->http->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200 || status > 299) { /* a problem: what is past its bound is of no use */
        if (call->answer->body.len + len <= PROBLEM_MAX)
            buf_append(&call->answer->body, data, len);
        return len;
    }
    size_t max = call->request->answer_max == 0 ? HTTP_ANSWER_MAX : call->request->answer_max;
    if (len > max - call->received) {
        (void)fault_set(&call->fault, FAULT_TOO_LARGE, "the answer is longer than %zu bytes", max);
        return 0;
    }
    call->received += len;
    if (call->request->sink == NULL)
        buf_append(&call->answer->body, data, len);
    else if (call->request->sink(call->request->sink_context, data, len, &call->fault) != 0)
        return 0;
    return buf_failed(&call->answer->body) ? 0 : len;
}

/* The value of a header line with this name, without the white space around it. */
static bool header_value(struct span line, const char *name, struct span *ret_value)
{
    size_t len = strlen(name);
    if (line.len <= len || line.data[len] != ':' ||
        strncasecmp((const char *)line.data, name, len) != 0)
        return false;
    struct span value = span_of(line.data + len + 1, line.len - len - 1);
    while (value.len > 0 && strchr(" \t", value.data[0]) != NULL)
        value = span_of(value.data + 1, value.len - 1);
    while (value.len > 0 && strchr(" \t\r\n", value.data[value.len - 1]) != NULL)
        value.len--;
    *ret_value = value;
    return true;
}

static bool is_plain(struct span text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] <= ' ' || text.data[i] >= 0x7F)
            return false;
    return true;
}

/* Copies the value of a header line with this name, if it is plain text that fits. */
static void take_value(struct span line, const char *name, char *place, size_t size)
{
    struct span value;
    if (!header_value(line, name, &value) || value.len >= size || !is_plain(value))
        return;
    memcpy(place, value.data, value.len);
    place[value.len] = '\0';
}

static size_t take_header(char *data, size_t size, size_t count, void *context)
{
    struct call *call = context;
    struct span value;
    struct span line = span_of(data, size * count);
    take_value(line, "Sallyport-Cursor", call->answer->cursor, sizeof call->answer->cursor);
    take_value(line, "Sallyport-Expires-At", call->answer->expires_at,
               sizeof call->answer->expires_at);
    take_value(line, "Sallyport-Ledger-Expired", call->answer->expired,
               sizeof call->answer->expired);
    if (header_value(line, "Link", &value))
        call->answer->more = memmem(value.data, value.len, "rel=\"next\"", 10) != NULL;
    return size * count;
}

static bool add_header(struct curl_slist **headers, const char *text)
{
    struct curl_slist *longer = text == NULL ? NULL : curl_slist_append(*headers, text);
    if (longer == NULL)
        return false;
    *headers = longer;
    return true;
}

static bool add_named(struct curl_slist **headers, const char *name, const char *value)
{
    AUTO_FREE char *text = http_header(name, value);
    return add_header(headers, text);
}

static int make_headers(const struct call *call, struct curl_slist **headers, struct fault *fault)
{
    const struct http *http = call->http;
    const struct http_request *request = call->request;
    char wait[32];
    (void)snprintf(wait, sizeof wait, "wait=%d", request->wait_seconds);
    bool good = add_named(headers, "Accept",
                          request->accept == NULL ? "application/json" : request->accept);
    if (request->content_type != NULL)
        good = good && add_named(headers, "Content-Type", request->content_type);
    if (request->wait_seconds > 0)
        good = good && add_named(headers, "Prefer", wait);
    if (http->api_key_header != NULL)
        good = good && add_header(headers, http->api_key_header);
    if (http->tenant_header != NULL)
        good = good && add_header(headers, http->tenant_header);
    return good ? 0 : fault_set(fault, FAULT_INTERNAL, "out of memory");
}

static void set_body(const struct call *call)
{
    CURL *curl = call->http->curl;
    const struct http_request *request = call->request;
    if (request->upload) {
        (void)curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        (void)curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)request->upload_size);
        (void)curl_easy_setopt(curl, CURLOPT_READFUNCTION, give_upload);
        (void)curl_easy_setopt(curl, CURLOPT_READDATA, (void *)(uintptr_t)call);
        (void)curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, seek_upload);
        (void)curl_easy_setopt(curl, CURLOPT_SEEKDATA, (void *)(uintptr_t)call);
        (void)curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, 512L * 1024);
    } else if (request->content_type != NULL) {
        (void)curl_easy_setopt(curl, CURLOPT_POST, 1L);
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS,
                               request->body.len == 0 ? "" : (const char *)request->body.data);
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body.len);
    } else if (strcmp(request->method, "HEAD") == 0)
        (void)curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    if (strcmp(request->method, "HEAD") != 0)
        (void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method);
}

/* Of an answer that goes on: curl asks about once a second. Not 0: it has gone silent. */
static int check_life(void *context, curl_off_t down_all, curl_off_t down, curl_off_t up_all,
                      curl_off_t up)
{
    struct call *call = context;
    (void)down_all, (void)down, (void)up_all, (void)up;
    if (clock_monotonic_ms() - call->heard_ms <= HTTP_LIVE_SECONDS * 1000)
        return 0;
    (void)fault_set(&call->fault, FAULT_REQUEST_TIMEOUT, "nothing came from %.100s for %d s",
                    call->http->url, HTTP_LIVE_SECONDS);
    return 1;
}

/* How long it may take; ever so slow is slow enough for an answer that goes on. */
static void set_deadline(const struct call *call, void *context)
{
    CURL *curl = call->http->curl;
    const struct http_request *request = call->request;
    if (request->live) {
        (void)curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
        (void)curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, check_life);
        (void)curl_easy_setopt(curl, CURLOPT_XFERINFODATA, context);
        return;
    }
    (void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, STALL_SECONDS + request->wait_seconds);
    if (!request->slow)
        (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, ANSWER_SECONDS + request->wait_seconds);
}

static void set_options(const struct call *call, const char *url, struct curl_slist *headers)
{
    CURL *curl = call->http->curl;
    void *context = (void *)(uintptr_t)call;
    curl_easy_reset(curl);
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(curl, CURLOPT_USERAGENT, "sallyport/" SALLYPORT_VERSION);
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, call->http->error);
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS);
    set_deadline(call, context);
    if (call->http->loopback) /* whatever proxy the environment names is not for it */
        (void)curl_easy_setopt(curl, CURLOPT_PROXY, "");
    if (call->http->ca_file != NULL)
        (void)curl_easy_setopt(curl, CURLOPT_CAINFO, call->http->ca_file);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, context);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    (void)curl_easy_setopt(curl, CURLOPT_HEADERDATA, context);
    set_body(call);
}

static int curl_fault(const struct call *call, CURLcode code, struct fault *fault)
{
    if (call->fault.code != FAULT_NONE) {
        *fault = call->fault;
        return -1;
    }
    const char *why = call->http->error[0] == '\0' ? curl_easy_strerror(code) : call->http->error;
    if (code == CURLE_OPERATION_TIMEDOUT)
        return fault_set(fault, FAULT_REQUEST_TIMEOUT, "no answer from %.100s in time",
                         call->http->url);
    return fault_set(fault, FAULT_UNAVAILABLE, "%.100s: %s", call->http->url, why);
}

static int finish(const struct call *call, CURLcode code, struct fault *fault)
{
    struct http_answer *answer = call->answer;
    (void)curl_easy_getinfo(call->http->curl, CURLINFO_RESPONSE_CODE, &answer->status);
    bool refused = code == CURLE_OK || code == CURLE_SEND_ERROR; /* it may answer, then hang up */
    if (refused && answer->status >= 300)
        return outcome_of_answer(answer->status, buf_span(&answer->body), fault);
    if (code != CURLE_OK)
        return curl_fault(call, code, fault);
    if (answer->status < 200)
        return fault_set(fault, FAULT_UNAVAILABLE, "%.100s: no HTTP answer", call->http->url);
    if (call->request->upload && call->request->ret_upload_digest != NULL)
        *call->request->ret_upload_digest = digest_stream_value(call->digest);
    return 0;
}

static int perform(struct call *call, struct fault *fault)
{
    AUTO_FREE char *url = NULL;
    struct curl_slist *headers = NULL;
    if (asprintf(&url, "%s%s", call->http->url, call->request->path) < 0) {
        url = NULL;
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    }
    int result = make_headers(call, &headers, fault);
    if (result == 0) {
        call->http->error[0] = '\0';
        set_options(call, url, headers);
        result = finish(call, curl_easy_perform(call->http->curl), fault);
        curl_easy_reset(call->http->curl); /* it must not keep pointers into this frame */
    }
    curl_slist_free_all(headers);
    return result;
}

int http_call(struct http *http, const struct http_request *request, struct http_answer *ret_answer,
              struct fault *fault)
{
    size_t max = request->answer_max == 0 ? HTTP_ANSWER_MAX : request->answer_max;
    if (request->sink != NULL || max < PROBLEM_MAX)
        max = PROBLEM_MAX;
    AUTO_HTTP_ANSWER struct http_answer answer = {.body = BUF(max)};
    struct call call = {
        .http = http, .request = request, .answer = &answer, .heard_ms = clock_monotonic_ms()};
    call.digest = digest_stream_new();
    if (call.digest == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    int result = perform(&call, fault);
    digest_stream_free(call.digest);
    if (result != 0)
        return -1;
    *ret_answer = answer;
    answer.body = BUF(max);
    return 0;
}
