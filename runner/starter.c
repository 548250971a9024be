/* SPDX-License-Identifier: Apache-2.0 */
/* The starter thread: what queued for a start during its last commit is its next one. Nobody waits
 * for others to come: an idle worker's start is alone in its transaction. */
#include "runner/worker_internal.h"

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
    (void)pthread_mutex_unlock(&worker->mutex);
    while (sem_wait(&slot->decided) != 0)
        ;
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

void *starter_main(void *context)
{
    struct worker *worker = context;
    struct slot *slots[QUEUE_START_MAX];
    struct start *starts[QUEUE_START_MAX];
    for (size_t count; (count = take(worker, slots)) > 0;) {
        for (size_t i = 0; i < count; i++)
            starts[i] = slots[i]->start;
        queue_start(worker->starter.pg, starts, count);
        for (size_t i = 0; i < count; i++)
            (void)sem_post(&slots[i]->decided);
    }
    return NULL;
}
