/* SPDX-License-Identifier: Apache-2.0 */
/* The claimer thread: claims for all idle slots of this process at once, no more than are idle, and
 * gives each what it is to run. What a slot gave back while it was being claimed is the next claim:
 * under load they grow by themselves. */
#include "runner/worker_internal.h"

#include "base/log.h"

#include <time.h>

#define POLL_SECONDS 1
#define CLAIM_MAX 64

static size_t idle_slots(const struct worker *worker)
{
    size_t idle = 0;
    for (int i = 0; i < worker->slot_count; i++)
        idle += worker->slots[i].idle;
    return idle;
}

/* Only the claimer makes an idle slot busy, so that what is idle now can still be given work when
 * its claim is answered. */
static struct slot *idle_slot(struct worker *worker)
{
    for (int i = 0; i < worker->slot_count; i++)
        if (worker->slots[i].idle)
            return &worker->slots[i];
    return NULL;
}

static void give_work(struct slot *slot, const struct uuid *execution_id)
{
    slot->idle = false;
    slot->busy = true;
    slot->execution_id = *execution_id;
    slot->stop = SLOT_RUNS;
    slot->missed = 0;
}

/* Waits until slots are idle and there may be work for them: more of what was there, room under a
 * ceiling, news, or a second has passed. How many are idle; 0 once the worker drains. */
static size_t wait_for_slots(struct worker *worker, bool more, uint64_t *seen)
{
    size_t idle;
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += POLL_SECONDS;
    (void)pthread_mutex_lock(&worker->mutex);
    while (!worker->draining) {
        bool due = more || worker->freed || worker->wakes != *seen;
        idle = idle_slots(worker);
        if (due && idle > 0)
            break;
        if (due)
            (void)pthread_cond_wait(&worker->wake, &worker->mutex);
        else
            more = pthread_cond_timedwait(&worker->wake, &worker->mutex, &until) != 0;
    }
    idle = worker->draining ? 0 : idle_slots(worker);
    worker->freed = false;
    *seen = worker->wakes;
    (void)pthread_mutex_unlock(&worker->mutex);
    return idle;
}

/* True while the worker may claim; what is claimed from then on is no orphan (reconcile()). */
static bool begin(struct worker *worker, struct uuid *ret_incarnation)
{
    /* What is kept on disk is bounded by what may still run: no more is begun than was kept. */
    size_t kept = finisher_kept(worker->finisher);
    (void)pthread_mutex_lock(&worker->mutex);
    worker->claiming = worker->leased && !worker->draining && kept < (size_t)worker->config.slots;
    *ret_incarnation = worker->incarnation;
    bool may = worker->claiming;
    (void)pthread_mutex_unlock(&worker->mutex);
    return may;
}

/* Gives slots what they can take, and takes out of `queued` what they were given. What the worker
 * must not run any more (it drains, or its incarnation is over: nobody would stop the run) is left.
 */
static void hand_out(struct worker *worker, const struct claim *claims, struct queued *queued,
                     size_t count)
{
    struct slot *given[CLAIM_MAX];
    size_t given_count = 0;
    (void)pthread_mutex_lock(&worker->mutex);
    bool may = worker->leased && !worker->draining &&
               uuid_equal(&worker->incarnation, &claims[0].worker_id);
    for (size_t i = 0; i < count; i++) {
        struct slot *slot = may && queued[i].owner != NULL ? idle_slot(worker) : NULL;
        if (slot == NULL)
            continue;
        slot->claim = claims[i];
        slot->queued = queued[i];
        queued[i] = (struct queued){0};
        give_work(slot, &claims[i].execution_id);
        given[given_count++] = slot;
    }
    (void)pthread_mutex_unlock(&worker->mutex);
    for (size_t i = 0; i < given_count; i++) /* not before: they would wait for the mutex again */
        (void)pthread_cond_signal(&given[i]->news);
}

/* A claim that was lost with its answer is reconcile()'s to find. */
static void end(struct worker *worker, const struct claim *claims, size_t count)
{
    (void)pthread_mutex_lock(&worker->mutex);
    worker->claiming = false;
    for (size_t i = 0; i < count; i++)
        if (claims[i].fence > worker->last_fence)
            worker->last_fence = claims[i].fence;
    (void)pthread_mutex_unlock(&worker->mutex);
}

/* Hands out what was claimed; what nobody took goes back. */
static void distribute(struct worker *worker, const struct claim *claims, struct queued *queued,
                       size_t count, bool loaded)
{
    if (loaded)
        hand_out(worker, claims, queued, count);
    for (size_t i = 0; i < count; i++) {
        if (!loaded || queued[i].owner != NULL)
            give_back(worker, worker->claimer.pg, &claims[i]);
        queued_free(&queued[i]);
    }
}

/* Claims for that many slots. True if there may be more where that came from. */
static bool claim(struct worker *worker, size_t idle)
{
    struct fault fault;
    struct uuid incarnation;
    struct claim claims[CLAIM_MAX];
    struct queued queued[CLAIM_MAX] = {0};
    size_t count = 0, most = idle < CLAIM_MAX ? idle : CLAIM_MAX;
    if (!begin(worker, &incarnation))
        return false;
    bool loaded = queue_claim(worker->claimer.pg, &incarnation, (int)most, claims, queued, &count,
                              &fault) == 0;
    if (!loaded)
        log_warn("cannot claim", "{s:s, s:I}", "detail", fault.detail, "claimed",
                 (json_int_t)count);
    if (count > 0)
        distribute(worker, claims, queued, count, loaded);
    end(worker, claims, count);
    return count == most;
}

/* Nothing waits to be run: a slot that is idle looks for an artifact to inspect, one at a time, so
 * that a pile of them holds up no job. */
static void give_inspection(struct worker *worker)
{
    static const struct uuid none = {{0}};
    (void)pthread_mutex_lock(&worker->mutex);
    struct slot *slot = idle_slot(worker);
    if (slot != NULL && worker->leased && !worker->draining && !worker->inspecting) {
        worker->inspecting = true;
        give_work(slot, &none);
        (void)pthread_cond_signal(&slot->news);
    }
    (void)pthread_mutex_unlock(&worker->mutex);
}

void *claimer_main(void *context)
{
    struct worker *worker = context;
    uint64_t seen = 0;
    bool more = true;
    for (size_t idle; (idle = wait_for_slots(worker, more, &seen)) > 0;) {
        more = claim(worker, idle);
        if (!more)
            give_inspection(worker);
    }
    return NULL;
}
