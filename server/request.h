/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a handler sees of one HTTP request, and how it answers.
 *
 * A handler runs on a request thread (never on a thread of the HTTP library), with the
 * connection suspended, and may block. It ends with `return reply_...(request, ...)`, or with
 * `return request_defer(request)` after handing the request to another thread, which then
 * calls exactly one reply_ function. A reply takes the request over: it must not be touched
 * afterwards. Every pointer got from a request lives until then.
 */
#pragma once

#include "base/buf.h"
#include "base/fault.h"
#include "base/uuid.h"

/* HTTP_OTHER is any other method: no route has it, no handler sees it. */
enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_DELETE, HTTP_OTHER };

struct request;
struct route;

/* What a handler returns; only reply_ functions and request_defer() make one. */
enum answer { ANSWER_GIVEN, ANSWER_DEFERRED };

const struct route *request_route(const struct request *request);
enum http_method request_method(const struct request *request);
/* The request id: the caller's X-Request-Id where it is 1-64 of [A-Za-z0-9._-], else ours;
 * echoed in the answer, in logs and in problem documents. */
const char *request_id(const struct request *request);
/* The caller's valid W3C traceparent, or a new one. */
const char *request_traceparent(const struct request *request);

/* A header's value, NULL if absent. (Repeated Content-Length, Transfer-Encoding, Host or
 * Authorization never get this far.) */
const char *request_header(const struct request *request, const char *name);
/* The n-th value of a query parameter, percent-decoded; NULL if there is none. */
const char *request_query(const struct request *request, const char *name, size_t n);
/* The i-th parameter's name, decoded as its value is; NULL past the last. */
const char *request_query_name(const struct request *request, size_t i, const char **ret_value);
/* FAULT_UNKNOWN_PARAMETER naming the first parameter not in the NULL-terminated list; a
 * parameter given twice is FAULT_MALFORMED_REQUEST unless listed in `repeatable`. */
int request_check_query(const struct request *request, const char *const *known,
                        const char *const *repeatable, struct fault *fault) MUST_CHECK;
/* The value of {name} in the route's path, percent-decoded; NULL if the route has no such. */
const char *request_path_value(const struct request *request, const char *name);

/* The other end of the connection as the system has it, whatever headers say: an IPv6 address, or
 * an IPv4 one as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2). All zero if it is not known. */
struct http_address {
    uint8_t bytes[16];
};
struct http_address request_address(const struct request *request);

/* A buffered body (ROUTE_BODY_BUFFERED), whole. */
struct span request_body(const struct request *request);
/* The next bytes of a streamed body (ROUTE_BODY_STREAMED): 1..len of them, 0 at the end. The
 * first call asks the client for its body (100 Continue): a handler that can refuse without
 * it answers before. An answer before the body's end closes the connection after it.
 * FAULT_REQUEST_TIMEOUT, FAULT_TOO_LARGE, FAULT_MALFORMED_REQUEST (client went away),
 * FAULT_SHUTTING_DOWN. */
int request_read(struct request *request, void *ret_data, size_t len, size_t *ret_len,
                 struct fault *fault) MUST_CHECK;
/* The declared length of the body, -1 where the client gave none (chunked). */
int64_t request_content_length(const struct request *request);

/* Whatever the route's `admit` hook wants the handler to know (the caller). Freed with the
 * request by `destroy`. */
void request_set_caller(struct request *request, void *caller, void (*destroy)(void *));
void *request_caller(const struct request *request);
/* What http_config.thread_open made for the thread that runs this handler. Not to be used
 * after request_defer(). */
void *request_thread(const struct request *request);
/* http_config.context. */
void *request_context(const struct request *request);

/* True once the server lets nobody new in: what has no end of its own ends now. */
bool request_draining(const struct request *request);

enum answer request_defer(struct request *request);

/* Adds a header to the answer to come, at most 16. Names are literals and not of framing
 * (Content-Length, Connection, ...); empty values and those with control characters are
 * dropped, fail closed. A fault's answer drops Content-Type, Cache-Control and ETag. */
void reply_header(struct request *request, const char *name, const char *value);
/* Compact JSON; `value` is taken over. NULL answers 500. */
enum answer reply_json(struct request *request, int status, json_t *value);
/* Bytes (copied). type NULL: no Content-Type. */
enum answer reply_bytes(struct request *request, int status, const char *type, struct span bytes);
/* Bytes, taken over from the buffer; a failed buffer answers 500. */
enum answer reply_buf(struct request *request, int status, const char *type, struct buf *bytes);
enum answer reply_empty(struct request *request, int status);

/* Gives the next bytes of a streamed answer: appends to `piece`, at most its maximum; it is empty
 * when given. *ret_last (false when given) set: this was all. Nothing appended and not the last:
 * there is nothing now, ask again after request_wake(), when the server drains, or in pulse_seconds
 * at the latest (for a sign of life, by which the client knows that it is not forgotten); of a
 * body of known length that is an error. One whose client has closed, or ended its side of, the
 * connection is given up within a second. Runs on a request thread, whose request_thread() it may
 * use; never twice at once, never on two threads at once. */
typedef int reply_source(struct request *request, void *context, struct buf *piece, bool *ret_last,
                         struct fault *fault);

struct reply_flow {
    const char *type;     /* Content-Type; NULL: none */
    int64_t length;       /* bytes; -1: not known (chunked), it goes on until its last piece */
    reply_source *source; /* not asked for HEAD */
    void *context;
    void (*context_free)(void *context); /* when the request is done with, from any thread; NULL */
};

/* An answer that is not whole in memory; `from` is copied, its context taken over. The first piece
 * is asked for at once: its fault is answered as any other. A fault later, a body that is longer
 * or shorter than said, a client that is too slow, and the server's stop cut the connection: it is
 * reset, and no client can take what it has for the whole. Not for a route whose own body is
 * streamed. */
enum answer reply_flow(struct request *request, int status, const struct reply_flow *from);
/* Has the source of a streamed answer asked again, if it had nothing. Whoever calls it keeps the
 * request alive until context_free is called for it. From any thread. */
void request_wake(struct request *request);
/* The problem document (RFC 9457) of a fault: type, title, status, code, detail, request_id;
 * Retry-After on 429 and 503, WWW-Authenticate on 401. The detail of FAULT_INTERNAL is logged,
 * not sent. */
enum answer reply_fault(struct request *request, const struct fault *fault);
