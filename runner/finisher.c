/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/finisher.h"

#include "base/clock.h"
#include "base/log.h"
#include "runner/late.h"
#include "runner/spool.h"

#include <pthread.h>
#include <semaphore.h>
#include <time.h>

#define RETRY_MS 1000
#define REFUSED_MS                                                                                 \
    ((int64_t)15 * 60 * 1000) /* for which a refusal of all ends may be our failing */
#define BATCH_BYTES ((size_t)16 * 1024 * 1024) /* of events and outputs, but for the last one */

/* One end in line; its owner waits. */
struct waiting {
    struct ending *ending;
    struct waiting *next;
    bool is_durable; /* false: ending->fault says why not */
    sem_t decided;
};

struct finisher {
    struct pg *pg;
    struct spool *spool;
    const char *node;
    pthread_t thread;
    bool started;
    size_t at_once; /* of what is kept: one after a failure, so that none holds up the others */
    int64_t retry_ms;
    int64_t
        refused_ms; /* monotonic: a kept end is refused since, and none was stored; 0: none is */

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct waiting *first, *last;
    int64_t pause_ms; /* monotonic: nothing is taken before, for neither database nor disk took */
    bool giving_up, stopping;
};

struct batch {
    struct waiting *all[QUEUE_FINISH_MAX];
    struct ending *endings[QUEUE_FINISH_MAX];
    size_t count;
};

static bool passes(const struct fault *fault)
{
    return fault->code == FAULT_UNAVAILABLE;
}

static void log_end(const char *what, const struct ending *ending, const struct fault *fault)
{
    log_warn(what, "{s:s, s:s}", "execution_id", uuid_format(&ending->claim.execution_id).text,
             "detail", fault->detail);
}

/* ---- to the database ---- */

static void store(struct finisher *finisher, struct ending *const *endings, size_t count)
{
    queue_finish(finisher->pg, endings, count, false);
    for (size_t i = 0; i < count; i++)
        if (endings[i]->fate == ENDING_LATE)
            late_store(finisher->pg, finisher->node, endings[i]);
}

static bool is_news(struct ending *const *endings, size_t count)
{
    bool any = false;
    for (size_t i = 0; i < count; i++)
        any |= endings[i]->fate == ENDING_STORED || endings[i]->fate == ENDING_LATE;
    return any;
}

/* ---- what slots hand in ---- */

/* With the mutex held. */
static void line_add(struct finisher *finisher, struct waiting *waiting)
{
    waiting->next = NULL;
    if (finisher->last == NULL)
        finisher->first = waiting;
    else
        finisher->last->next = waiting;
    finisher->last = waiting;
}

int finisher_store(struct finisher *finisher, struct ending *ending, finisher_meanwhile *meanwhile,
                   void *context, struct fault *fault)
{
    struct waiting waiting = {.ending = ending};
    if (sem_init(&waiting.decided, 0, 0) != 0)
        abort();
    (void)pthread_mutex_lock(&finisher->mutex);
    line_add(finisher, &waiting);
    (void)pthread_cond_signal(&finisher->changed);
    (void)pthread_mutex_unlock(&finisher->mutex);
    meanwhile(context);
    while (sem_wait(&waiting.decided) != 0)
        ;
    (void)sem_destroy(&waiting.decided);
    if (waiting.is_durable)
        return 0;
    *fault = ending->fault;
    return -1;
}

/* With the mutex held: from the line, bounded in number and bytes. */
static void take(struct finisher *finisher, struct batch *batch)
{
    size_t bytes = 0;
    while (finisher->first != NULL && batch->count < QUEUE_FINISH_MAX && bytes < BATCH_BYTES) {
        struct waiting *waiting = finisher->first;
        finisher->first = waiting->next;
        if (finisher->first == NULL)
            finisher->last = NULL;
        bytes += ending_size(waiting->ending);
        batch->endings[batch->count] = waiting->ending;
        batch->all[batch->count++] = waiting;
    }
}

/* When there is something to do next, on the monotonic clock; INT64_MAX: never. */
static int64_t next_due(const struct finisher *finisher)
{
    if (finisher->first != NULL)
        return finisher->giving_up ? 0 : finisher->pause_ms;
    return spool_count(finisher->spool) > 0 ? finisher->retry_ms : INT64_MAX;
}

/* Sleeps until there is something to do; false when stopping and nobody waits. */
static bool wait_for_work(struct finisher *finisher, struct batch *batch)
{
    batch->count = 0;
    (void)pthread_mutex_lock(&finisher->mutex);
    for (int64_t due; !finisher->stopping && (due = next_due(finisher)) > clock_monotonic_ms();) {
        struct timespec until = {due / 1000, due % 1000 * 1000000};
        if (due == INT64_MAX)
            (void)pthread_cond_wait(&finisher->changed, &finisher->mutex);
        else
            (void)pthread_cond_timedwait(&finisher->changed, &finisher->mutex, &until);
    }
    take(finisher, batch);
    bool goes_on = batch->count > 0 || !finisher->stopping;
    (void)pthread_mutex_unlock(&finisher->mutex);
    return goes_on;
}

/* On disk, where the database would not take it. False: not yet decided. */
static bool keep(struct finisher *finisher, struct ending *ending)
{
    struct fault fault;
    if (spool_put(finisher->spool, ending, &fault) == 0) {
        log_end("an end waits for the database", ending, &ending->fault);
        return true;
    }
    log_error("an end is neither stored nor kept on disk", "{s:s, s:s, s:s}", "execution_id",
              uuid_format(&ending->claim.execution_id).text, "database", ending->fault.detail,
              "disk", fault.detail);
    return false;
}

/* Back into the line, unless patience is over. */
static bool try_later(struct finisher *finisher, struct waiting *waiting)
{
    (void)pthread_mutex_lock(&finisher->mutex);
    bool later = !finisher->giving_up;
    if (later) {
        line_add(finisher, waiting);
        finisher->pause_ms = clock_monotonic_ms() + RETRY_MS;
    }
    (void)pthread_mutex_unlock(&finisher->mutex);
    return later;
}

/* Tells each waiting slot what became of its end; what is not durable goes back into the line. */
static void decide(struct finisher *finisher, struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        struct waiting *waiting = batch->all[i];
        const struct ending *ending = waiting->ending;
        bool passing = ending->fate == ENDING_FAILED && passes(&ending->fault);
        waiting->is_durable = ending->fate == ENDING_STORED || ending->fate == ENDING_LATE ||
                              (passing && keep(finisher, waiting->ending));
        if (!passing || waiting->is_durable || !try_later(finisher, waiting))
            (void)sem_post(&waiting->decided); /* it is its owner's again */
    }
}

/* ---- what is kept ---- */

struct kept {
    struct buf bytes;
    struct end_file file;
};

static void set_aside(struct finisher *finisher, const struct uuid *id, const struct fault *why)
{
    struct fault fault = {.detail = ""};
    int status = spool_set_aside(finisher->spool, id, &fault);
    log_error("a kept end was put aside: its result is not stored", "{s:s, s:s, s:s}",
              "execution_id", uuid_format(id).text, "detail", why->detail, "file",
              status == 0 ? "renamed" : fault.detail);
}

/* Reads the oldest, as many as may be tried at once. False: the disk has to be asked again later.
 */
static bool read_kept(struct finisher *finisher, struct kept *kept, size_t *ret_count)
{
    size_t bytes = 0, count = 0;
    while (count < finisher->at_once && count < spool_count(finisher->spool) &&
           bytes < BATCH_BYTES) {
        struct fault fault;
        struct uuid id = spool_id(finisher->spool, count);
        kept[count].bytes = BUF(END_FILE_MAX);
        if (spool_get(finisher->spool, count, &kept[count].bytes, &kept[count].file, &fault) == 0) {
            bytes += kept[count++].bytes.len;
            continue;
        }
        buf_free(&kept[count].bytes);
        if (fault.code != FAULT_CONTENT_MISMATCH && fault.code != FAULT_NOT_FOUND) {
            log_error("a kept end cannot be read", "{s:s, s:s}", "execution_id",
                      uuid_format(&id).text, "detail", fault.detail);
            *ret_count = count;
            return false;
        }
        set_aside(finisher, &id, &fault);
    }
    *ret_count = count;
    return true;
}

/* A refusal while other ends are taken is for what is in it; while none is, privileges or a schema
 * may be wrong, and the end is worth some patience. */
static bool is_hopeless(struct finisher *finisher, bool others_stored)
{
    int64_t now = clock_monotonic_ms();
    if (finisher->refused_ms == 0)
        finisher->refused_ms = now;
    return others_stored || now - finisher->refused_ms > REFUSED_MS;
}

/* What became of one; true if it is not kept any more. */
static bool settle_kept(struct finisher *finisher, const struct ending *ending, bool others_stored)
{
    const struct uuid *id = &ending->claim.execution_id;
    if (ending->fate == ENDING_FAILED) {
        if (passes(&ending->fault) || !is_hopeless(finisher, others_stored))
            return false;
        set_aside(finisher, id, &ending->fault);
        return true;
    }
    if (ending->fate == ENDING_STORED)
        log_info("a kept end is stored", "{s:s, s:s}", "execution_id", uuid_format(id).text,
                 "state", execution_state_name(ending->state));
    else if (ending->fate == ENDING_GONE)
        log_end("a kept end is not wanted any more", ending, &ending->fault);
    spool_remove(finisher->spool, id);
    return true;
}

/* One batch of what is kept, oldest first; true if more may be tried at once. */
static bool store_kept(struct finisher *finisher)
{
    struct kept *kept = calloc(QUEUE_FINISH_MAX, sizeof *kept);
    struct ending *endings[QUEUE_FINISH_MAX] = {NULL};
    size_t count = 0;
    if (kept == NULL)
        return false;
    bool good = read_kept(finisher, kept, &count);
    for (size_t i = 0; i < count; i++)
        endings[i] = &kept[i].file.ending;
    store(finisher, endings, count);
    bool news = is_news(endings, count);
    for (size_t i = 0; i < count; i++)
        good &= settle_kept(finisher, endings[i], news);
    if (news)
        finisher->refused_ms = 0;
    for (size_t i = 0; i < count; i++)
        buf_free(&kept[i].bytes);
    free(kept);
    if (!good)
        spool_rotate(finisher->spool);
    finisher->at_once = good ? QUEUE_FINISH_MAX : 1;
    return good;
}

/* A batch where it is time for one; between two of them, what slots hand in comes first. */
static void retry_kept(struct finisher *finisher)
{
    int64_t now = clock_monotonic_ms();
    if (spool_count(finisher->spool) == 0 || now < finisher->retry_ms)
        return;
    bool at_once = store_kept(finisher);
    finisher->retry_ms = clock_monotonic_ms() + (at_once ? 0 : RETRY_MS);
}

/* All of it, until the database or the disk asks for patience. */
static void store_all_kept(struct finisher *finisher)
{
    while (spool_count(finisher->spool) > 0 && store_kept(finisher))
        ;
    finisher->retry_ms = clock_monotonic_ms() + RETRY_MS;
}

/* ---- the thread ---- */

static void *finisher_main(void *context)
{
    struct finisher *finisher = context;
    struct batch batch;
    while (wait_for_work(finisher, &batch)) {
        if (batch.count > 0) {
            store(finisher, batch.endings, batch.count);
            decide(finisher, &batch);
        }
        retry_kept(finisher);
    }
    store_all_kept(finisher);
    return NULL;
}

static int open_parts(const struct finisher_config *config, struct finisher *finisher,
                      struct fault *fault)
{
    if (spool_open(config->folder, &finisher->spool, fault) != 0 ||
        pg_open_keyed(config->database, "worker finisher", &finisher->pg, fault) != 0)
        return -1;
    size_t kept = spool_count(finisher->spool);
    if (kept > 0)
        log_info("a former process has left ends to store", "{s:I}", "count", (json_int_t)kept);
    return 0;
}

int finisher_start(const struct finisher_config *config, struct finisher **ret_finisher,
                   struct fault *fault)
{
    struct finisher *finisher = calloc(1, sizeof *finisher);
    pthread_condattr_t monotonic;
    if (finisher == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (pthread_condattr_init(&monotonic) != 0 ||
        pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC) != 0 ||
        pthread_cond_init(&finisher->changed, &monotonic) != 0 ||
        pthread_mutex_init(&finisher->mutex, NULL) != 0)
        abort();
    (void)pthread_condattr_destroy(&monotonic);
    finisher->node = config->node;
    finisher->at_once = QUEUE_FINISH_MAX;
    if (open_parts(config, finisher, fault) != 0) {
        finisher_free(finisher);
        return -1;
    }
    store_all_kept(finisher);
    finisher->started = pthread_create(&finisher->thread, NULL, finisher_main, finisher) == 0;
    if (!finisher->started) {
        finisher_free(finisher);
        return fault_set(fault, FAULT_INTERNAL, "cannot start the finisher's thread");
    }
    *ret_finisher = finisher;
    return 0;
}

void finisher_give_up(struct finisher *finisher)
{
    (void)pthread_mutex_lock(&finisher->mutex);
    finisher->giving_up = true;
    (void)pthread_cond_signal(&finisher->changed);
    (void)pthread_mutex_unlock(&finisher->mutex);
}

bool finisher_holds(struct finisher *finisher, const struct uuid *execution_id)
{
    return spool_holds(finisher->spool, execution_id);
}

size_t finisher_kept(struct finisher *finisher)
{
    return spool_count(finisher->spool);
}

void finisher_stop(struct finisher *finisher)
{
    if (finisher == NULL)
        return;
    (void)pthread_mutex_lock(&finisher->mutex);
    finisher->stopping = true;
    (void)pthread_cond_signal(&finisher->changed);
    (void)pthread_mutex_unlock(&finisher->mutex);
    if (finisher->started)
        (void)pthread_join(finisher->thread, NULL);
    finisher->started = false;
}

void finisher_free(struct finisher *finisher)
{
    if (finisher == NULL)
        return;
    finisher_stop(finisher);
    pg_free(finisher->pg);
    spool_free(finisher->spool);
    (void)pthread_cond_destroy(&finisher->changed);
    (void)pthread_mutex_destroy(&finisher->mutex);
    free(finisher);
}
