/* SPDX-License-Identifier: Apache-2.0 */
/* The starter thread: what queued for a start during its last commit is its next one. Nobody waits
 * for others to come: an idle worker's start is alone in its transaction. */
#include "runner/worker_internal.h"

#include "base/log.h"
#include "storage/notify.h"

void starter_start(struct slot *slot, struct start *start)
{
    struct worker *worker = slot->worker;
    (void)pthread_mutex_lock(&worker->mutex);
    slot->start = start;
    slot->next_starting = NULL;
    if (worker->first_starting == NULL)
        worker->first_starting = slot;
    else
        worker->last_starting->next_starting = slot;
    worker->last_starting = slot;
    (void)pthread_cond_signal(&worker->starts);
    while (slot->start != NULL)
        (void)pthread_cond_wait(&slot->news, &worker->mutex);
    (void)pthread_mutex_unlock(&worker->mutex);
}

/* Waits for slots that want to start; 0 when no more will. */
static size_t take(struct worker *worker, struct slot **ret_slots)
{
    size_t count = 0;
    (void)pthread_mutex_lock(&worker->mutex);
    while (worker->first_starting == NULL && !worker->starts_end)
        (void)pthread_cond_wait(&worker->starts, &worker->mutex);
    for (; worker->first_starting != NULL && count < QUEUE_START_MAX; count++) {
        ret_slots[count] = worker->first_starting;
        worker->first_starting = ret_slots[count]->next_starting;
    }
    (void)pthread_mutex_unlock(&worker->mutex);
    return count;
}

static void answer(struct worker *worker, struct slot *const *slots, size_t count)
{
    (void)pthread_mutex_lock(&worker->mutex);
    for (size_t i = 0; i < count; i++) {
        slots[i]->start = NULL;
        (void)pthread_cond_signal(&slots[i]->news);
    }
    (void)pthread_mutex_unlock(&worker->mutex);
}

/* The started events' wake-up; the api's waiters do not need it. */
static void announce(struct worker *worker)
{
    static const char *const channels[] = {NOTIFY_EVENT, NULL};
    struct fault fault;
    if (notify_send(worker->starter.pg, channels, &fault) != 0)
        log_warn("cannot notify", "{s:s}", "detail", fault.detail); /* they poll besides */
}

void *starter_main(void *context)
{
    struct worker *worker = context;
    struct slot *slots[QUEUE_START_MAX];
    struct start *starts[QUEUE_START_MAX];
    for (size_t count; (count = take(worker, slots)) > 0;) {
        bool started = false;
        for (size_t i = 0; i < count; i++)
            starts[i] = slots[i]->start;
        queue_start(worker->starter.pg, starts, count);
        for (size_t i = 0; i < count; i++)
            started |= starts[i]->started;
        answer(worker, slots, count);
        if (started)
            announce(worker);
    }
    return NULL;
}
