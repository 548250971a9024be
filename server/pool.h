/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that take jobs from one bounded queue, first come first served; of idle threads the one
 * that was busy last takes the next. A job is a struct its owner embeds: the pool allocates nothing
 * per job.
 */
#pragma once

#include "base/fault.h"

#include <stdbool.h>

struct pool;

struct pool_job {
    struct pool_job *next; /* the pool's, while the job waits */
};

struct pool_config {
    unsigned threads;
    unsigned queue_max; /* jobs that wait besides those an idle thread will take at once */
    void *context;      /* of thread_open */

    /* As in http_config: each thread's own value, made and ended on that thread; may be NULL. */
    int (*thread_open)(void *context, void **ret_thread, struct fault *fault);
    void (*thread_close)(void *thread);

    void (*run)(struct pool_job *job, void *thread);
    /* Instead of run, for a job that still waits when the pool stops. */
    void (*refuse)(struct pool_job *job);
};

/* Returns when every thread has opened; if one fails, none is left and its fault is returned. */
int pool_start(const struct pool_config *config, struct pool **ret_pool,
               struct fault *fault) MUST_CHECK;

/* False if the queue is full or the pool is stopping; the job is then the caller's. */
bool pool_submit(struct pool *pool, struct pool_job *job) MUST_CHECK;

/* The same for work that was begun and goes on in pieces: a full queue does not refuse it. */
bool pool_resubmit(struct pool *pool, struct pool_job *job) MUST_CHECK;

/* Takes a waiting job back. False if it does not wait (any more): a thread has it. */
bool pool_withdraw(struct pool *pool, struct pool_job *job) MUST_CHECK;

/* Jobs that wait for a thread. */
unsigned pool_waiting(struct pool *pool);

/* Refuses what waits, lets what runs end, joins. From now on nothing can be submitted. */
void pool_stop(struct pool *pool);

/* Stops it where that has not been done, and frees it; nobody may be submitting. NULL-safe. */
void pool_free(struct pool *pool);
