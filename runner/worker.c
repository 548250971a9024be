/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/worker_internal.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "storage/migrate.h"

#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>

#define REST_SECONDS 1

struct worker_limits worker_limits_default(void)
{
    return (struct worker_limits){
        .fallback = {.timeout_seconds = 60,
                     .memory_mib = 256,
                     .pids = 64,
                     .cpu_percent = 100,
                     .tmp_mib = 64},
        .most = {.timeout_seconds = 3600,
                 .memory_mib = 2048,
                 .pids = 512,
                 .cpu_percent = 400,
                 .tmp_mib = 1024},
        .open_files = 256,
        .file_size_bytes = INT64_C(1) << 30,
        .output_bytes = 4 << 20,
    };
}

void slot_stop(struct slot *slot, enum slot_stop why)
{
    if (!slot->busy || slot->stop != SLOT_RUNS)
        return;
    slot->stop = why;
    uint64_t one = 1;
    ssize_t written = write(slot->cancel_fd, &one, sizeof one);
    (void)written;
}

void worker_announce(struct worker *worker)
{
    (void)pthread_mutex_lock(&worker->mutex);
    worker->wakes++;
    (void)pthread_cond_broadcast(&worker->wake);
    (void)pthread_mutex_unlock(&worker->mutex);
}

void give_back(struct worker *worker, struct pg *pg, const struct claim *claim)
{
    struct fault fault;
    worker->returned++;
    if (queue_unclaim(pg, claim, &fault) != 0)
        log_warn("a claim could not be given back", "{s:s}", "detail", fault.detail);
}

/* With the mutex held. A slot that is not busy cannot be stopped: what is readable was for what it
 * has done. */
static void vacate(struct slot *slot)
{
    uint64_t drained;
    if (slot->busy && slot->stop != SLOT_RUNS &&
        read(slot->cancel_fd, &drained, sizeof drained) < 0)
        abort(); /* slot_stop() wrote it, under this mutex */
    slot->busy = false;
}

/* Idle, whatever it was, a slot waits to be given work by the claimer; false once the worker
 * drains. Where an execution has ended, a ceiling may have room again. */
static bool wait_for_work(struct slot *slot, bool ended)
{
    struct worker *worker = slot->worker;
    (void)pthread_mutex_lock(&worker->mutex);
    vacate(slot);
    worker->freed |= ended;
    slot->idle = true;
    (void)pthread_cond_broadcast(&worker->wake);
    while (!slot->busy && !worker->draining)
        (void)pthread_cond_wait(&slot->news, &worker->mutex);
    slot->idle = false;
    bool busy = slot->busy;
    (void)pthread_mutex_unlock(&worker->mutex);
    return busy;
}

/* Until work is announced, a second at most: what has just been given back may fail again. */
static void rest(struct slot *slot)
{
    struct worker *worker = slot->worker;
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += REST_SECONDS;
    (void)pthread_mutex_lock(&worker->mutex);
    vacate(slot);
    for (uint64_t seen = worker->wakes; !worker->draining && worker->wakes == seen;)
        if (pthread_cond_timedwait(&worker->wake, &worker->mutex, &until) != 0)
            break;
    (void)pthread_mutex_unlock(&worker->mutex);
}

/* One artifact; cancelled with a stop. */
static void inspect(struct slot *slot)
{
    struct worker *worker = slot->worker;
    bool inspected = inspect_one(slot);
    (void)pthread_mutex_lock(&worker->mutex);
    worker->inspecting = false;
    (void)pthread_mutex_unlock(&worker->mutex);
    if (inspected)
        worker_announce(worker); /* there may be another */
}

static void *slot_main(void *context)
{
    struct slot *slot = context;
    static const struct uuid inspects = {{0}};
    for (bool ended = false; wait_for_work(slot, ended);) {
        bool inspected = uuid_equal(&slot->execution_id, &inspects);
        ended = false;
        if (inspected)
            inspect(slot);
        else
            ended = job_run(slot);
        if (!inspected && !ended)
            rest(slot);
    }
    return NULL;
}

static int start_thread(struct worker *worker, struct helper *helper, const char *name,
                        void *(*run)(void *), struct fault *fault)
{
    helper->started = pthread_create(&helper->thread, NULL, run, worker) == 0;
    return helper->started ? 0
                           : fault_set(fault, FAULT_INTERNAL, "cannot start the %s's thread", name);
}

static void join_thread(struct helper *helper)
{
    if (helper->started)
        (void)pthread_join(helper->thread, NULL);
    pg_free(helper->pg);
}

static int start_slots(struct worker *worker, struct fault *fault)
{
    for (int i = 0; i < worker->config.slots; i++) {
        struct slot *slot = &worker->slots[i];
        slot->worker = worker;
        slot->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (slot->cancel_fd < 0)
            return fault_errno(fault, "eventfd");
        if (pthread_cond_init(&slot->news, NULL) != 0 || sem_init(&slot->decided, 0, 0) != 0)
            abort();
        (void)pthread_mutex_lock(&worker->mutex);
        worker->slot_count = i + 1;
        (void)pthread_mutex_unlock(&worker->mutex);
        if (pg_open(worker->config.database, "worker slot", &slot->pg, fault) != 0)
            return -1;
        if (pthread_create(&slot->thread, NULL, slot_main, slot) != 0)
            return fault_set(fault, FAULT_INTERNAL, "cannot start a slot's thread");
        slot->started = true;
    }
    return 0;
}

/* What a former process kept is stored before anything of ours begins. */
static int start_finisher(struct worker *worker, struct fault *fault)
{
    const struct worker_config *config = &worker->config;
    const struct finisher_config ends = {config->database, config->node, config->ends_dir};
    return finisher_start(&ends, &worker->finisher, fault);
}

static int start_keeper(struct worker *worker, struct fault *fault)
{
    if (pg_open(worker->config.database, "worker keeper", &worker->pg, fault) != 0 ||
        migrate_check(worker->pg, fault) != 0 || start_finisher(worker, fault) != 0 ||
        keeper_register(worker, fault) != 0)
        return -1;
    worker->keeper_started = pthread_create(&worker->keeper, NULL, keeper_main, worker) == 0;
    return worker->keeper_started
               ? 0
               : fault_set(fault, FAULT_INTERNAL, "cannot start the keeper's thread");
}

static int connect_helpers(struct worker *worker, struct fault *fault)
{
    const char *database = worker->config.database;
    return pg_open(database, "worker reaper", &worker->reaper.pg, fault) != 0 ||
                   pg_open_keyed(database, "worker starter", &worker->starter.pg, fault) != 0 ||
                   pg_open_keyed(database, "worker claimer", &worker->claimer.pg, fault) != 0
               ? -1
               : 0;
}

/* The claimer last: there has to be somebody to give to. */
static int start_all(struct worker *worker, struct fault *fault)
{
    return known_open(worker, fault) != 0 || start_keeper(worker, fault) != 0 ||
                   connect_helpers(worker, fault) != 0 ||
                   start_thread(worker, &worker->reaper, "reaper", reaper_main, fault) != 0 ||
                   start_thread(worker, &worker->starter, "starter", starter_main, fault) != 0 ||
                   live_start(worker->config.database, &worker->live, fault) != 0 ||
                   start_slots(worker, fault) != 0 ||
                   start_thread(worker, &worker->claimer, "claimer", claimer_main, fault) != 0
               ? -1
               : 0;
}

int worker_start(const struct worker_config *config, struct worker **ret_worker,
                 struct fault *fault)
{
    struct worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    worker->config = *config;
    worker->keeper_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    worker->reaper_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    worker->slots = calloc((size_t)config->slots, sizeof *worker->slots);
    if (pthread_mutex_init(&worker->mutex, NULL) != 0 ||
        pthread_cond_init(&worker->wake, NULL) != 0 ||
        pthread_cond_init(&worker->starts, NULL) != 0 || worker->slots == NULL ||
        worker->keeper_fd < 0 || worker->reaper_fd < 0)
        abort();
    if (dir_remove(config->inputs_dir, fault) != 0 ||
        dir_make(config->inputs_dir, 0700, fault) != 0 || start_all(worker, fault) != 0) {
        worker_stop(worker, -1);
        return -1;
    }
    *ret_worker = worker;
    return 0;
}

int worker_ready(struct worker *worker, struct fault *fault)
{
    (void)pthread_mutex_lock(&worker->mutex);
    bool leased = worker->leased, draining = worker->draining;
    (void)pthread_mutex_unlock(&worker->mutex);
    if (draining)
        return fault_set(fault, FAULT_SHUTTING_DOWN, "the worker is draining");
    return leased ? 0 : fault_set(fault, FAULT_UNAVAILABLE, "the worker has no lease now");
}

void worker_stats(struct worker *worker, struct worker_stats *ret_stats)
{
    *ret_stats = (struct worker_stats){.started = worker->started,
                                       .ended = worker->ended,
                                       .refused = worker->refused,
                                       .returned = worker->returned,
                                       .lost = worker->lost,
                                       .running = worker->running};
}

static bool any_busy(struct worker *worker)
{
    bool busy = false;
    (void)pthread_mutex_lock(&worker->mutex);
    for (int i = 0; i < worker->slot_count; i++)
        busy |= worker->slots[i].busy;
    (void)pthread_mutex_unlock(&worker->mutex);
    return busy;
}

static void drain(struct worker *worker, int hurry_fd)
{
    (void)pthread_mutex_lock(&worker->mutex);
    worker->draining = true;
    (void)pthread_cond_broadcast(&worker->wake);
    for (int i = 0; i < worker->slot_count; i++)
        (void)pthread_cond_signal(&worker->slots[i].news);
    (void)pthread_mutex_unlock(&worker->mutex);
    int64_t deadline = clock_monotonic_ms() + worker->config.drain_ms;
    struct pollfd hurry = {.fd = hurry_fd, .events = POLLIN};
    while (any_busy(worker) && clock_monotonic_ms() < deadline && poll(&hurry, 1, 100) <= 0)
        ;
    (void)pthread_mutex_lock(&worker->mutex);
    for (int i = 0; i < worker->slot_count; i++)
        slot_stop(&worker->slots[i], SLOT_SHUTDOWN);
    (void)pthread_mutex_unlock(&worker->mutex);
    if (worker->finisher != NULL)
        finisher_give_up(worker->finisher);
}

static void stop_slots(struct worker *worker)
{
    for (int i = 0; i < worker->slot_count; i++)
        if (worker->slots[i].started)
            (void)pthread_join(worker->slots[i].thread, NULL);
}

static void free_slots(struct worker *worker)
{
    for (int i = 0; i < worker->slot_count; i++) {
        struct slot *slot = &worker->slots[i];
        pg_free(slot->pg);
        (void)pthread_cond_destroy(&slot->news);
        (void)sem_destroy(&slot->decided);
        (void)close(slot->cancel_fd);
    }
    free(worker->slots);
}

static void stop_starter(struct worker *worker)
{
    (void)pthread_mutex_lock(&worker->mutex);
    worker->starts_end = true;
    (void)pthread_cond_signal(&worker->starts);
    (void)pthread_mutex_unlock(&worker->mutex);
    join_thread(&worker->starter);
}

static void stop_reaper(struct worker *worker)
{
    uint64_t one = 1;
    ssize_t written = write(worker->reaper_fd, &one, sizeof one);
    (void)written;
    join_thread(&worker->reaper);
}

static void stop_keeper(struct worker *worker)
{
    (void)pthread_mutex_lock(&worker->mutex);
    worker->stopping = true;
    (void)pthread_mutex_unlock(&worker->mutex);
    keeper_hurry(worker);
    if (worker->keeper_started)
        (void)pthread_join(worker->keeper, NULL);
}

void worker_stop(struct worker *worker, int hurry_fd)
{
    if (worker == NULL)
        return;
    drain(worker, hurry_fd);
    join_thread(&worker->claimer);
    stop_slots(worker);
    stop_starter(worker); /* slots wait for it */
    live_stop(worker->live);
    stop_reaper(worker);
    finisher_stop(worker->finisher);
    stop_keeper(worker); /* the lease holds until the last run is stored */
    known_close(worker);
    finisher_free(worker->finisher);
    pg_free(worker->pg);
    (void)close(worker->reaper_fd);
    (void)close(worker->keeper_fd);
    (void)pthread_cond_destroy(&worker->starts);
    (void)pthread_cond_destroy(&worker->wake);
    (void)pthread_mutex_destroy(&worker->mutex);
    free_slots(worker);
    free(worker);
}
