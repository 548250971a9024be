/* SPDX-License-Identifier: Apache-2.0 */
#include "handlers/batcher.h"

#include "base/clock.h"
#include "base/log.h"
#include "handlers/execution_json.h"
#include "handlers/refusals.h"
#include "handlers/waiters.h"
#include "storage/events.h"

#include <pthread.h>

struct batcher {
    struct gateway *gateway;
    struct pg *pg;
    struct rooms *rooms; /* of its thread */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct submission *first, *last;
    size_t queued;
    bool stopping;
    struct metric *accepted, *refused, *failed, *batches;
};

/* One batch on its way through the writer. */
struct batch {
    struct submission *all[ADMISSION_BATCH_MAX];
    size_t count;
};

int batcher_submit(struct batcher *batcher, struct submission *submission, struct fault *fault)
{
    (void)pthread_mutex_lock(&batcher->mutex);
    bool taken = !batcher->stopping && batcher->queued < BATCHER_QUEUE_MAX;
    if (taken) {
        submission->next = NULL;
        if (batcher->last == NULL)
            batcher->first = submission;
        else
            batcher->last->next = submission;
        batcher->last = submission;
        batcher->queued++;
        (void)pthread_cond_signal(&batcher->changed);
    }
    (void)pthread_mutex_unlock(&batcher->mutex);
    return taken ? 0
                 : fault_set(fault, FAULT_UNAVAILABLE, "too many submissions at once; try again");
}

/* Waits for work; false when stopping and nothing is left. */
static bool take_batch(struct batcher *batcher, struct batch *batch)
{
    batch->count = 0;
    (void)pthread_mutex_lock(&batcher->mutex);
    while (batcher->first == NULL && !batcher->stopping)
        (void)pthread_cond_wait(&batcher->changed, &batcher->mutex);
    while (batcher->first != NULL && batch->count < ADMISSION_BATCH_MAX) {
        struct submission *submission = batcher->first;
        batcher->first = submission->next;
        if (batcher->first == NULL)
            batcher->last = NULL;
        batcher->queued--;
        batch->all[batch->count++] = submission;
    }
    (void)pthread_mutex_unlock(&batcher->mutex);
    return batch->count > 0;
}

static void admit(struct batcher *batcher, struct batch *batch)
{
    struct admission *admissions[ADMISSION_BATCH_MAX];
    size_t count = 0;
    for (size_t i = 0; i < batch->count; i++)
        if (!batch->all[i]->refused)
            admissions[count++] = &batch->all[i]->admission;
    if (count == 0)
        return;
    admission_commit(batcher->pg, batcher->rooms, admissions, count);
    metric_add(batcher->batches, 1);
    for (size_t i = 0; i < batch->count; i++) {
        struct submission *submission = batch->all[i];
        if (!submission->refused && submission->admission.end == ADMISSION_REFUSED) {
            submission->refused = true;
            submission->fault = submission->admission.fault;
        }
    }
}

/* Each refusal's event, as far as its caller's bucket lets it; an answer goes out only after its
 * event is committed. */
static void record_refusals(struct batcher *batcher, struct batch *batch)
{
    struct event *events[ADMISSION_BATCH_MAX];
    size_t count = 0;
    struct fault fault;
    for (size_t i = 0; i < batch->count; i++) {
        struct submission *submission = batch->all[i];
        uint64_t unreported = 0;
        if (!submission->refused ||
            !refusals_take(batcher->gateway->refusals, submission->caller.api_key_id,
                           clock_monotonic_ms(), &unreported))
            continue;
        if (submission_refused_event(batcher->gateway, submission, unreported, &events[count],
                                     &fault) == 0)
            count++;
        else
            submission->fault = fault;
    }
    if (count > 0 &&
        events_insert(batcher->pg, (const struct event *const *)events, count, &fault) != 0) {
        log_error("refusals could not be recorded", "{s:s, s:I}", "detail", fault.detail, "count",
                  (json_int_t)count);
        for (size_t i = 0; i < batch->count; i++)
            if (batch->all[i]->refused)
                batch->all[i]->fault = fault;
    }
    for (size_t i = 0; i < count; i++)
        event_free(events[i]);
}

static void answer(struct batcher *batcher, struct submission *submission)
{
    struct request *request = submission->request;
    struct admission *admission = &submission->admission;
    if (submission->refused) {
        metric_add(batcher->refused, 1);
        (void)reply_fault(request, &submission->fault);
    } else if (admission->end == ADMISSION_FAILED) {
        metric_add(batcher->failed, 1);
        (void)reply_fault(request, &admission->fault);
    } else if (admission->end == ADMISSION_KNOWN) {
        waiters_answer(batcher->gateway->waiters, request, submission->caller.tenant_id,
                       &admission->known_id, submission->wait_ms, true);
    } else {
        metric_add(batcher->accepted, 1);
        if (submission->wait_ms > 0)
            waiters_answer(batcher->gateway->waiters, request, submission->caller.tenant_id,
                           &admission->execution_id, submission->wait_ms, false);
        else
            (void)reply_accepted(request, admission);
    }
    submission_free(submission);
}

static void *batcher_main(void *context)
{
    struct batcher *batcher = context;
    struct batch batch;
    while (take_batch(batcher, &batch)) {
        admit(batcher, &batch);
        record_refusals(batcher, &batch);
        for (size_t i = 0; i < batch.count; i++)
            answer(batcher, batch.all[i]);
    }
    return NULL;
}

int batcher_start(struct gateway *gateway, struct batcher **ret_batcher, struct fault *fault)
{
    AUTO_FREE struct batcher *batcher = calloc(1, sizeof *batcher);
    AUTO_PG struct pg *pg = NULL;
    AUTO_ROOMS struct rooms *rooms = rooms_new(gateway->config.queue_max);
    if (batcher == NULL || rooms == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (pg_open(gateway->config.database, "api writer", &pg, fault) != 0)
        return -1;
    struct metrics *metrics = gateway->config.metrics;
    const char *help = "Submissions answered, by outcome";
    batcher->accepted =
        metric_counter(metrics, "sallyport_submissions_total", "outcome=\"accepted\"", help);
    batcher->refused =
        metric_counter(metrics, "sallyport_submissions_total", "outcome=\"refused\"", help);
    batcher->failed =
        metric_counter(metrics, "sallyport_submissions_total", "outcome=\"failed\"", help);
    batcher->batches =
        metric_counter(metrics, "sallyport_admission_batches_total", "", "Admission transactions");
    batcher->gateway = gateway;
    batcher->pg = pg;
    batcher->rooms = rooms;
    if (pthread_mutex_init(&batcher->mutex, NULL) != 0 ||
        pthread_cond_init(&batcher->changed, NULL) != 0 ||
        pthread_create(&batcher->thread, NULL, batcher_main, batcher) != 0)
        return fault_set(fault, FAULT_INTERNAL, "cannot start the admission writer");
    (void)TAKE(pg);
    (void)TAKE(rooms);
    *ret_batcher = TAKE(batcher);
    return 0;
}

void batcher_stop(struct batcher *batcher)
{
    if (batcher == NULL)
        return;
    (void)pthread_mutex_lock(&batcher->mutex);
    batcher->stopping = true;
    (void)pthread_cond_signal(&batcher->changed);
    (void)pthread_mutex_unlock(&batcher->mutex);
    (void)pthread_join(batcher->thread, NULL);
    (void)pthread_mutex_destroy(&batcher->mutex);
    (void)pthread_cond_destroy(&batcher->changed);
    pg_free(batcher->pg);
    rooms_free(batcher->rooms);
    free(batcher);
}
