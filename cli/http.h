/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's side of HTTP, over libcurl: one connection kept alive, no redirects, http and
 * https only, bounded answers, and deadlines. A request without a deadline of its own (an upload,
 * a download) ends when nothing moves for a while.
 */
#pragma once

#include "base/digest.h"
#include "base/fault.h"

struct http;
#define AUTO_HTTP AUTO(http_cleanup)

struct http_settings {
    const char *url;     /* http:// or https://, host, optional port and path; nothing else */
    const char *api_key; /* NULL: no caller */
    const char *tenant;  /* X-Sallyport-Tenant; NULL: none */
    const char *ca_file; /* PEM; NULL: the system's */
};

/* Takes the next bytes of a 2xx body. -1 ends the request with its fault. */
typedef int http_sink(void *context, const void *data, size_t len, struct fault *fault);

struct http_request {
    const char *method; /* "GET", "HEAD", "POST", "PUT", "DELETE" */
    const char *path;   /* begins with a slash; with its query, encoded */
    const char *accept; /* NULL: application/json */
    int wait_seconds;   /* Prefer: wait=N; 0: none */

    const char *content_type; /* NULL: no body */
    struct span body;         /* or, where `upload` is set, the file's bytes: */
    bool upload;
    int upload_fd;
    int64_t upload_size;
    struct digest *ret_upload_digest; /* of what was sent, if all of it was; may be NULL */

    size_t answer_max; /* bytes of a 2xx body; 0: HTTP_ANSWER_MAX */
    http_sink *sink;   /* NULL: the body goes into the answer */
    void *sink_context;
    bool live; /* an answer that goes on: no deadline, but silence may not last HTTP_LIVE_SECONDS */
    bool slow; /* no deadline but the stall limit, and no limit on a sink's bytes but answer_max */
};

#define HTTP_ANSWER_MAX ((size_t)32 * 1024 * 1024)
#define HTTP_CURSOR_MAX 256
#define HTTP_LIVE_SECONDS 60 /* the server gives a sign of life every 15 */

struct http_answer {
    long status;
    struct buf body;
    char cursor[HTTP_CURSOR_MAX + 1]; /* Sallyport-Cursor; "" where absent or not plain text */
    bool more;                        /* there is a Link with rel="next" */
    char expires_at[40];              /* Sallyport-Expires-At; "" where absent */
    char expired[24];                 /* Sallyport-Ledger-Expired; "" where absent */
};
#define AUTO_HTTP_ANSWER AUTO(http_answer_cleanup)

/* FAULT_MALFORMED_REQUEST names the setting that is not right. Nothing is sent yet. */
int http_open(const struct http_settings *settings, struct http **ret_http,
              struct fault *fault) MUST_CHECK;
/* True if the server is another machine and the connection is not encrypted. */
bool http_is_exposed(const struct http *http);
void http_close(struct http *http);
void http_cleanup(struct http **http);

/* 0 for a 2xx answer, which the caller frees. Otherwise the problem document's fault
 * (cli/outcome.h), FAULT_UNAVAILABLE where there was no answer, FAULT_REQUEST_TIMEOUT past the
 * deadline, FAULT_TOO_LARGE past answer_max, and what the sink says. */
int http_call(struct http *http, const struct http_request *request, struct http_answer *ret_answer,
              struct fault *fault) MUST_CHECK;
void http_answer_cleanup(struct http_answer *answer);
