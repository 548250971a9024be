/* SPDX-License-Identifier: Apache-2.0 */
#include "server/pool.h"

#include <errno.h>
#include <pthread.h>

/* A thread. Of those that are idle the last to become so is woken first: what it and its
 * connection's server process have in their caches is still there, and a pool that has little to do
 * does it with few. (Woken in turn, eight threads with a connection each took twice the time and
 * CPU for the same requests.) */
struct place {
    struct pool *pool;
    pthread_t thread;
    pthread_cond_t work;
    struct place *next; /* idle before this one */
    bool woken;         /* no longer among the idle ones: a job came, or the pool stops */
};

struct pool {
    struct pool_config config;
    pthread_mutex_t lock;
    pthread_cond_t started; /* a thread has opened, or could not */
    struct pool_job *head;
    struct pool_job **tail;
    unsigned waiting;
    unsigned idle;        /* threads that wait for a job */
    struct place *idlest; /* those of them that nobody has woken yet */
    unsigned opened;
    unsigned failed;
    bool stopping;
    struct fault fault; /* of the first thread that failed to open */
    unsigned count;
    struct place places[];
};

/* The lock is held. NULL: none is idle, and whoever ends its job next looks for another. */
static struct place *place_wake(struct pool *pool)
{
    struct place *place = pool->idlest;
    if (place != NULL) {
        pool->idlest = place->next;
        place->woken = true;
    }
    return place;
}

/* Until somebody wakes this one. The lock is held, but not meanwhile. */
static void place_rest(struct place *place)
{
    struct pool *pool = place->pool;
    place->woken = false;
    place->next = pool->idlest;
    pool->idlest = place;
    while (!place->woken)
        pthread_cond_wait(&place->work, &pool->lock);
}

/* The next job, NULL when the pool stops. The lock is held. */
static struct pool_job *pool_take(struct place *place)
{
    struct pool *pool = place->pool;
    pool->idle++;
    while (pool->head == NULL && !pool->stopping)
        place_rest(place); /* woken, it may find that another has taken the job */
    pool->idle--;
    struct pool_job *job = pool->head;
    if (job == NULL || pool->stopping)
        return NULL;
    pool->head = job->next;
    if (pool->head == NULL)
        pool->tail = &pool->head;
    pool->waiting--;
    return job;
}

static void *pool_thread(void *context)
{
    struct place *place = context;
    struct pool *pool = place->pool;
    struct pool_job *job;
    struct fault fault = {0};
    void *thread = NULL;
    int failed = 0;
    if (pool->config.thread_open != NULL)
        failed = pool->config.thread_open(pool->config.context, &thread, &fault);

    pthread_mutex_lock(&pool->lock);
    pthread_cond_signal(&pool->started);
    if (failed != 0) {
        if (pool->failed++ == 0)
            pool->fault = fault;
        pthread_mutex_unlock(&pool->lock);
        return NULL;
    }
    pool->opened++; /* and idle, before the lock is free again */
    while ((job = pool_take(place)) != NULL) {
        pthread_mutex_unlock(&pool->lock);
        pool->config.run(job, thread);
        pthread_mutex_lock(&pool->lock);
    }
    pthread_mutex_unlock(&pool->lock);

    if (pool->config.thread_close != NULL)
        pool->config.thread_close(thread);
    return NULL;
}

int pool_start(const struct pool_config *config, struct pool **ret_pool, struct fault *fault)
{
    struct pool *pool = calloc(1, sizeof *pool + config->threads * sizeof pool->places[0]);
    if (pool == NULL)
        return fault_set(fault, FAULT_INTERNAL, "no memory for %u threads", config->threads);
    pool->config = *config;
    pool->tail = &pool->head;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->started, NULL);

    int error = 0;
    while (pool->count < config->threads && error == 0) {
        struct place *place = &pool->places[pool->count];
        place->pool = pool;
        pthread_cond_init(&place->work, NULL);
        error = pthread_create(&place->thread, NULL, pool_thread, place);
        if (error == 0)
            pool->count++;
        else
            pthread_cond_destroy(&place->work);
    }
    pthread_mutex_lock(&pool->lock);
    while (pool->opened + pool->failed < pool->count)
        pthread_cond_wait(&pool->started, &pool->lock);
    bool failed = pool->failed > 0;
    struct fault first = pool->fault;
    pthread_mutex_unlock(&pool->lock);

    if (error == 0 && !failed) {
        *ret_pool = pool;
        return 0;
    }
    pool_free(pool);
    if (failed) {
        if (fault != NULL)
            *fault = first;
        return -1;
    }
    errno = error;
    return fault_errno(fault, "cannot start a request thread");
}

static bool pool_put(struct pool *pool, struct pool_job *job, bool begun)
{
    pthread_mutex_lock(&pool->lock);
    bool room = begun || pool->waiting < pool->idle + pool->config.queue_max;
    bool taken = !pool->stopping && room;
    struct place *place = NULL;
    if (taken) {
        job->next = NULL;
        *pool->tail = job;
        pool->tail = &job->next;
        pool->waiting++;
        place = place_wake(pool);
    }
    pthread_mutex_unlock(&pool->lock);
    if (place != NULL)
        pthread_cond_signal(&place->work); /* without the lock, which the woken thread takes */
    return taken;
}

bool pool_submit(struct pool *pool, struct pool_job *job)
{
    return pool_put(pool, job, false);
}

bool pool_resubmit(struct pool *pool, struct pool_job *job)
{
    return pool_put(pool, job, true);
}

bool pool_withdraw(struct pool *pool, struct pool_job *job)
{
    bool found = false;
    pthread_mutex_lock(&pool->lock);
    for (struct pool_job **at = &pool->head; *at != NULL && !found; at = &(*at)->next) {
        if (*at != job)
            continue;
        *at = job->next;
        if (*at == NULL)
            pool->tail = at;
        pool->waiting--;
        found = true;
        break;
    }
    pthread_mutex_unlock(&pool->lock);
    return found;
}

unsigned pool_waiting(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    unsigned waiting = pool->waiting;
    pthread_mutex_unlock(&pool->lock);
    return waiting;
}

void pool_stop(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    struct pool_job *job = pool->head;
    pool->head = NULL;
    pool->tail = &pool->head;
    pool->waiting = 0;
    unsigned count = pool->count;
    pool->count = 0;
    for (struct place *place; (place = place_wake(pool)) != NULL;)
        pthread_cond_signal(&place->work);
    pthread_mutex_unlock(&pool->lock);

    while (job != NULL) {
        struct pool_job *next = job->next;
        pool->config.refuse(job);
        job = next;
    }
    for (unsigned i = 0; i < count; i++)
        pthread_join(pool->places[i].thread, NULL);
    for (unsigned i = 0; i < count; i++)
        pthread_cond_destroy(&pool->places[i].work);
}

void pool_free(struct pool *pool)
{
    if (pool == NULL)
        return;
    pool_stop(pool);
    pthread_cond_destroy(&pool->started);
    pthread_mutex_destroy(&pool->lock);
    free(pool);
}
