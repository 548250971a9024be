/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of this folder share; for them only.
 *
 * Three kinds of thread meet at a request: the HTTP library's (it alone calls into the library,
 * except to resume), a request thread (it runs the handler), and the sweeper (deadlines). What
 * they share of a request is held by the lock of its peer, the TCP connection. Order of locks:
 * http.peers_lock, then one peer.lock. (The library has a lock of its own a response, which it
 * takes under ours when one is queued and holds when it asks for more of its body: the same
 * thread both times, so they cannot wait for each other.)
 *
 * A request is counted by its references: the library's (until its connection is done with
 * it), the handler's (until the reply) and, while it runs, the request thread's. So a client
 * that vanishes in the middle of a stream, and a handler that answers it all the same, need
 * not wait for each other.
 */
#pragma once

#include "server/http.h"
#include "server/pool.h"
#include "server/url.h"

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#define HEADERS_MAX 100              /* header fields of a request */
#define HEAD_BYTES_MAX (16 << 10)    /* request line and header fields */
#define CONNECTION_MEMORY (24 << 10) /* the library's, per connection: head and read buffer */
#define WINDOW_BYTES (1U << 20)      /* of a streamed body between its two threads */
#define ANSWER_BYTES_MAX (64U << 20)
#define REPLY_HEADERS_MAX 16                       /* of a handler */
#define ANSWER_HEADERS_MAX (REPLY_HEADERS_MAX + 8) /* and ours */
#define LINGER_MS 3000 /* for a client to take an answer given before its body's end */
#define SWEEP_MS 200

struct outflow;
struct peer;
struct route_stats;

/* ---- response.c: one answer, in the library's form or ours ---- */

struct response_field {
    const char *name;
    char *value;
};

struct response {
    int status;
    bool close; /* Connection: close */
    struct response_field headers[ANSWER_HEADERS_MAX];
    size_t header_count;
    char *body; /* malloc'ed */
    size_t body_len;
    struct request *flows; /* the request whose outflow is the body; NULL: `body` is */
};

/* Copies the value; false if there is no room, or it is empty or has a control character. */
bool response_header(struct response *response, const char *name, const char *value);
bool response_has(const struct response *response, const char *name);
/* The problem document, with the headers its status wants. */
void response_problem(struct response *response, const struct fault *fault, const char *id);
/* The headers each answer carries. */
void response_finish(struct response *response, const char *id);
/* Hands it to the library; the body is given away. */
enum MHD_Result response_queue(struct http *http, struct response *response,
                               struct MHD_Connection *connection);
/* Writes it to the socket past the library, which must not be writing; what the socket does
 * not take at once is lost. For answers the library has no way to give. */
void response_write(const struct response *response, enum http_method method, int fd);
void response_clear(struct response *response);

/* ---- request.c ---- */

struct header {
    const char *name;
    const char *value;
};

/* How much of a request the library has brought; receive.c alone moves it. */
enum request_stage {
    STAGE_HEAD,    /* its first line */
    STAGE_BODY,    /* its head; a buffered body flows, or there is none */
    STAGE_ADMIT,   /* its head; streamed: suspended until the handler reads or answers */
    STAGE_FLOWING, /* streamed: the body flows; suspended while the window is full */
    STAGE_WHOLE    /* all of it; suspended until there is an answer */
};

/* A streamed body on its way: a ring of WINDOW_BYTES. */
struct stream {
    pthread_cond_t moved; /* bytes came, or the end, or the peer's end */
    uint8_t *ring;
    size_t start;
    size_t used;
    uint64_t total;    /* bytes that ever came */
    int64_t waited_ms; /* how long the handler waited for them */
    bool ended;
    bool overflow; /* more than the route's maximum */
    int64_t deadline;
};

struct request {
    struct pool_job job;
    struct http *http;
    struct peer *peer; /* a reference */
    atomic_int refs;
    struct MHD_Connection *connection; /* NULL once the library is done with it */
    enum request_stage stage;
    bool suspended;
    bool answered; /* response is complete */
    bool counted;  /* in http.in_flight */
    double started_ms;

    char *target;
    enum http_method method;
    const struct route *route; /* NULL if there is none */
    int64_t content_length;
    size_t header_count;
    struct header *headers;
    size_t parameter_count;
    struct url_parameter *parameters;
    const char *path_values[ROUTE_PATH_VALUES_MAX];
    char *head_text;   /* of headers */
    char *target_text; /* of parameters and path_values */
    char id[65];
    char traceparent[56];

    struct buf body;
    size_t charged; /* bytes of http.bodies */
    struct stream *stream;
    struct outflow *outflow; /* of the answer; NULL: it is whole in memory */

    void *caller;
    void (*caller_destroy)(void *);
    void *thread;
    struct response response;
};

/* One reference, the library's. NULL without memory. */
struct request *request_new(struct http *http, struct peer *peer, const char *target);
void request_ref(struct request *request);
/* The last one frees it, and reports it to log and metrics. */
void request_unref(struct request *request);
/* It is in flight until it is freed. */
void request_count(struct request *request);
/* Counts `bytes` more of its body against bodies_max; false if there is no room. */
bool request_charge(struct request *request, size_t bytes);
/* Frees the body and what it was charged. */
void request_forget_body(struct request *request);
/* The threads that serve its route. */
struct pool *request_pool(const struct request *request);

/* ---- head.c ---- */

/* Reads method, target and header fields of a new request, strictly, and finds its route.
 * ret_allow as in route_match(). */
int head_read(struct request *request, const char *method, const char *version, char *ret_allow,
              struct fault *fault) MUST_CHECK;
/* True if body bytes follow the head; valid after head_read(), failed or not. */
bool head_has_body(const struct request *request);

/* ---- reply.c ---- */

/* The answer to a fault, not given yet. */
void reply_prepare(struct request *request, const struct fault *fault);

/* ---- stream.c ---- */

struct stream *stream_new(void);
void stream_free(struct stream *stream);
/* On the library's thread, peer locked: takes what fits, returns how much. */
size_t stream_push(struct request *request, const void *data, size_t len);

/* ---- outflow.c: an answer produced piece by piece ---- */

/* On a request thread: makes request->outflow and its first piece; `from` is taken over, whatever
 * comes of it. FAULT_UNAVAILABLE where outflows_max is reached; what the source says. */
int outflow_begin(struct request *request, const struct reply_flow *from,
                  struct fault *fault) MUST_CHECK;
/* The answer's body in the library's form; NULL without memory. */
struct MHD_Response *outflow_response(struct request *request);
/* When a client must have taken the piece it is given now. */
int64_t outflow_deadline(const struct request *request);
/* A request thread's work on such an answer, and what becomes of it where no thread will. */
void outflow_fill(struct request *request);
void outflow_refuse(struct request *request);
/* These three with the peer locked. Cut: it will be reset; the connection is to be resumed. Stop:
 * the same if it is parked. Pulse: its source is asked again; false if it is not waiting for that.
 */
struct MHD_Connection *outflow_cut(struct request *request) MUST_CHECK;
struct MHD_Connection *outflow_stop(struct request *request) MUST_CHECK;
bool outflow_pulse(struct request *request);
void outflow_free(struct request *request);

/* ---- peer.c: connections and their deadlines ---- */

/* Where a connection is, and so whose time is running. */
enum peer_state {
    PEER_AWAITING,  /* a request's first byte */
    PEER_RECEIVING, /* its head or buffered body */
    PEER_QUEUED,    /* it waits for a request thread */
    PEER_BUSY,      /* a handler has it */
    PEER_SENDING,   /* the library sends the answer */
    PEER_LINGERING, /* the answer was written before the body's end: what comes is dropped */
    PEER_DEAD       /* out of time; the library will notice */
};

struct peer {
    struct peer *previous, *next; /* http.peers_lock */
    struct http *http;
    atomic_int refs;
    pthread_mutex_t lock;
    struct http_address address; /* of the client; never changes */
    int fd;                      /* -1 once the library is done with it */
    enum peer_state state;
    int64_t since;           /* monotonic ms: when the state began */
    int64_t deadline;        /* 0: none */
    bool hung_up;            /* the last sweep saw that the client has ended its side */
    struct request *request; /* the one in progress; borrowed from the library's reference */
};

/* Starts the sweeper, which holds connections to their deadlines. */
int peers_start(struct http *http, struct fault *fault) MUST_CHECK;
/* Joins it; a request it was refusing has its answer then. */
void peers_stop(struct http *http);
void peer_notify(void *context, struct MHD_Connection *connection, void **socket_context,
                 enum MHD_ConnectionNotificationCode code);
struct peer *peer_of(struct MHD_Connection *connection);
void peer_ref(struct peer *peer);
void peer_unref(struct peer *peer);
/* Peer locked. deadline 0: none. */
void peer_enter(struct peer *peer, enum peer_state state, int64_t deadline);
/* Peer locked, the library not writing: the answer to a fault goes to the socket at once, for
 * the request in progress or for one that never became one. */
void peer_refuse(struct peer *peer, const struct fault *fault);
/* Peer locked, on the library's thread, which closes it next: the client sees a reset. */
void peer_reset(struct peer *peer);
/* Wakes the readers of all streams; what waits for its source is asked again, or cut when the
 * server stops. */
void peers_wake(struct http *http);

/* ---- receive.c: one request from first byte to dispatch ---- */

void *receive_target(void *context, const char *target, struct MHD_Connection *connection);
enum MHD_Result receive_request(void *context, struct MHD_Connection *connection, const char *url,
                                const char *method, const char *version, const char *data,
                                size_t *data_len, void **request_context);
void receive_completed(void *context, struct MHD_Connection *connection, void **request_context,
                       enum MHD_RequestTerminationCode code);
/* A request thread's work, and what becomes of a request no thread will take. */
void receive_run(struct pool_job *job, void *thread);
void receive_refuse(struct pool_job *job);
/* The response is complete: sends it, from whatever thread. */
void receive_answered(struct request *request);
/* Peer locked, in the library's own callback: it leaves the connection alone until resumed. */
void receive_hold(struct request *request);
/* Peer locked: the connection the library holds for us, to be resumed by the caller; NULL if it
 * holds none. Until then it cannot go away, so the lock, which the library's thread wants
 * next, need not be kept for receive_resume(). */
struct MHD_Connection *receive_release(struct request *request) MUST_CHECK;
void receive_resume(struct MHD_Connection *connection); /* NULL-safe */

/* ---- refuse.c ---- */

typedef enum MHD_Result (*queue_response)(struct MHD_Connection *connection, unsigned status,
                                          struct MHD_Response *response);
/* The library's own MHD_queue_response(). */
queue_response refuse_library_queue(void);

/* ---- stats.c: access log and metrics of requests ---- */

int stats_start(struct http *http, struct fault *fault) MUST_CHECK;
void stats_stop(struct http *http);
void stats_report(const struct request *request);
double stats_now_ms(void);

/* ---- http.c ---- */

struct http {
    struct http_config config;
    struct MHD_Daemon *daemon;
    queue_response queue;
    struct pool *requests;
    struct pool *streams;
    struct route_stats *stats; /* one a route and one for requests without */
    unsigned port;
    atomic_bool draining;
    atomic_bool stopping;
    atomic_size_t bodies;
    atomic_size_t outflows;
    pthread_mutex_t idle_lock;
    unsigned in_flight; /* requests from their head on, until freed */
    pthread_cond_t idle;

    pthread_mutex_t peers_lock;
    pthread_cond_t peers_changed;
    struct peer *peers;
    bool sweeping;
    pthread_t sweeper;
};

/* ---- route.c ---- */

const char *route_method_name(enum http_method method);
enum http_method route_method(const char *name); /* HTTP_OTHER for what we do not know */
