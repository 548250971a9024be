/* SPDX-License-Identifier: Apache-2.0 */
/* What handlers may reach, made once by the daemon and passed as the requests' context. */
#pragma once

#include "base/ttl_cache.h"
#include "server/http.h"
#include "storage/pg.h"
#include "trust/caller.h"
#include "trust/manifest.h"
#include "trust/verify.h"
#include "trust/wrap.h"

#include <pthread.h>

struct batcher;
struct waiters;
struct followers;
struct monitor;
struct refusals;
struct strangers;

struct gateway_config {
    const char *database; /* conninfo as role sallyport_api */
    const char *node;
    const struct master_key *master_key; /* NULL: HMAC keys are not served */
    struct manifest_window window;
    struct verify_policy verify;
    /* Executions waiting or running, 429 past it: of a tenant without a bound of its own, of all.
     */
    int64_t queue_max, queue_total_max;
    int64_t wait_max_ms; /* cap of Prefer: wait */
    size_t waiters_max;
    int64_t artifact_max; /* bytes */
    int64_t input_max;
    int64_t input_ttl_ms; /* 0: inputs do not expire */
    /* Who reads the log's tiles without a key, requests a second of one address; 0: nobody. */
    int64_t ledger_public_rate;
    const char *openapi_path; /* served at /openapi.yaml; NULL: 404 */
    struct metrics *metrics;
};

struct gateway {
    struct gateway_config config;
    struct ttl_cache *callers; /* API key id -> struct api_key */
    struct ttl_cache *keys;    /* "tenant kid" -> struct known_key */
    struct batcher *batcher;
    struct waiters *waiters;
    struct followers *followers;
    struct monitor *monitor;
    struct refusals *refusals;
    struct strangers *strangers; /* NULL: the log is not public */
    struct buf openapi;
    pthread_mutex_t parsing; /* held while an attached document is a tree: see trust/document.h */
};

/* Opens connections and starts the writer, waiter, follower and monitor threads. */
int gateway_open(const struct gateway_config *config, struct gateway **ret_gateway,
                 struct fault *fault) MUST_CHECK;
/* Lets nobody wait any longer; call between http_drain() and http_wait_idle(). */
void gateway_hurry(struct gateway *gateway);
/* Ends the threads and frees; no request may be in flight any more. NULL-safe. */
void gateway_free(struct gateway *gateway);
/* 0 if jobs are admitted now; else the fault a submitter would get. */
int gateway_ready(struct gateway *gateway, struct fault *fault) MUST_CHECK;

/* The http_config hooks: a connection a thread, and who calls. */
int gateway_thread_open(void *context, void **ret_thread, struct fault *fault);
void gateway_thread_close(void *thread);
int gateway_admit(struct request *request, struct fault *fault);

/* Shorthands for handlers. */
static inline struct gateway *gateway_of(const struct request *request)
{
    return request_context(request);
}

static inline struct pg *pg_of(const struct request *request)
{
    return request_thread(request);
}

static inline const struct caller *caller_of(const struct request *request)
{
    return request_caller(request);
}
