/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker: a thread a slot, each claiming, checking and running one execution at a time, and a
 * keeper thread that renews the lease, hands on cancels and reaps what vanished workers left.
 */
#pragma once

#include "runner/cache.h"
#include "sandbox/sandbox.h"
#include "storage/pg.h"
#include "trust/manifest.h"
#include "trust/pins.h"
#include "trust/verify.h"
#include "trust/wrap.h"

#define WORKER_SLOTS_MAX 256

/* What a job gets that asks for nothing, and the most it gets whatever it asks. */
struct worker_limits {
    struct manifest_limits fallback;
    struct manifest_limits most;
    int64_t open_files;
    int64_t file_size_bytes;
    int64_t output_bytes; /* stored, of each stream */
};

struct worker_limits worker_limits_default(void);

/* All borrowed; must outlive the worker. */
struct worker_config {
    const char *database; /* conninfo as role sallyport_worker */
    const char *node;
    int slots;
    int64_t lease_ms;
    int64_t drain_ms;       /* how long a stop waits for runs before it cancels them */
    const char *inputs_dir; /* below the state folder; wholly ours, as the next */
    const char *ends_dir;   /* ends that the database cannot take are kept in it */
    int64_t input_max;
    struct sandbox *sandbox;
    struct cache *cache;
    const struct master_key *master_key; /* NULL: HMAC manifests are refused, signature_invalid */
    const struct pins *pins;             /* NULL: asymmetric keys are the database's */
    struct verify_policy verify;
    struct worker_limits limits;
};

struct worker_stats {
    uint64_t started, ended, refused, returned, lost;
    int64_t running;
};

struct worker;

/* Connects and starts the threads. */
int worker_start(const struct worker_config *config, struct worker **ret_worker,
                 struct fault *fault) MUST_CHECK;
/* 0 while its lease holds. From any thread. */
int worker_ready(struct worker *worker, struct fault *fault) MUST_CHECK;
void worker_stats(struct worker *worker, struct worker_stats *ret_stats);
/* Stops claiming; waits for the runs, or cancels them when drain_ms is over or hurry_fd becomes
 * readable; gives the lease up; joins and frees. NULL-safe. */
void worker_stop(struct worker *worker, int hurry_fd);
