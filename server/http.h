/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP/1.1 server: libmicrohttpd in front (epoll, a thread pool), a bounded pool of request
 * threads behind it. It knows no endpoint: routes and hooks are given to it.
 */
#pragma once

#include "server/metrics.h"
#include "server/route.h"

struct http_config {
    const char *listen; /* numeric: "127.0.0.1:8080", "[::1]:8080"; port 0 picks a free one */
    const struct route *routes;
    size_t route_count;
    void *context;                       /* request_context() */
    void (*context_free)(void *context); /* called last by http_stop(); NULL for none */

    /* Called on each request thread at its start and end; NULL for none. thread_open may fail:
     * then http_start() does. */
    int (*thread_open)(void *context, void **ret_thread, struct fault *fault);
    void (*thread_close)(void *thread);
    /* Called on the request thread before the handler, and before a streamed body is read. */
    int (*admit)(struct request *request, struct fault *fault);

    unsigned http_threads;    /* of libmicrohttpd; 0: number of CPUs */
    unsigned request_threads; /* for requests without a body or with a buffered one */
    unsigned stream_threads;  /* for streamed bodies; each holds one upload, as many may wait */
    unsigned queue_max;       /* requests that wait for a request thread; 503 past it */
    unsigned connections_max;
    unsigned connections_per_ip_max; /* 0: no such limit */
    size_t bodies_max; /* bytes of all bodies in flight, 1 MiB for a streamed one; 503 past it */

    size_t outflows_max; /* bytes that streamed answers may hold, 512 KiB each, 64 KiB where the
                          * length is not known; 503 past it */

    /* A connection without traffic is closed after idle_seconds. receive_seconds are for a
     * request from its first byte to the end of its head and buffered body, and then for its
     * wait for a thread: 408, 503. stream_seconds are for a streamed body: request_read() fails;
     * and for a client to take its answer: the connection is reset. A handler's own time is not
     * limited. */
    unsigned idle_seconds;
    unsigned receive_seconds;
    unsigned stream_seconds;

    /* A client has to keep up: the time for which it is waited for its streamed body may not pass
     * stall_seconds and what rate_min (bytes a second) allows for what has come: 408. Of a
     * streamed answer it has to take each piece (256 KiB at most) within stall_seconds: reset. A
     * source with nothing to say is asked again after pulse_seconds. */
    unsigned stall_seconds;
    unsigned rate_min;
    unsigned pulse_seconds;

    /* One line a request: route template, method, status, duration, request id; never the path.
     * Status 499: the client left before there was an answer. */
    bool tells_reasons; /* 503 says the fault's own sentence: for operators; others get a fixed one
                         */
    bool access_log;
    /* NULL for none; else sallyport_http_requests_total and _request_duration_seconds. */
    struct metrics *metrics;
};

struct http;

/* Defaults for everything but listen, routes, context and hooks. */
struct http_config http_config_default(void);

int http_start(const struct http_config *config, struct http **ret_http,
               struct fault *fault) MUST_CHECK;
/* The port it listens on. */
unsigned http_port(const struct http *http);
/* From now on new requests get FAULT_SHUTTING_DOWN; what runs goes on. Each answer closes its
 * connection. */
void http_drain(struct http *http);
/* Waits until no request is in flight (from its head to the end of its answer), at most
 * `milliseconds`; true if none is. */
bool http_wait_idle(struct http *http, int64_t milliseconds);
/* Every deferred request must have been answered before. Refuses what waits, lets running
 * handlers end (a blocked request_read() fails), gives the last answers a second to leave,
 * joins, frees. NULL-safe. */
void http_stop(struct http *http);
