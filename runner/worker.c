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

#define POLL_SECONDS 1

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

static int claim_one(struct slot *slot, struct claim *ret_claim, size_t *ret_count)
{
    struct worker *worker = slot->worker;
    struct fault fault;
    (void)pthread_mutex_lock(&worker->mutex);
    struct uuid incarnation = worker->incarnation;
    bool may = worker->leased && !worker->draining;
    slot->claiming = may;
    (void)pthread_mutex_unlock(&worker->mutex);
    *ret_count = 0;
    if (!may)
        return 0;
    if (queue_claim(slot->pg, &incarnation, 1, ret_claim, ret_count, &fault) != 0) {
        log_warn("cannot claim", "{s:s}", "detail", fault.detail);
        *ret_count = 0;
    }
    if (*ret_count == 0) { /* or lost with its answer: reconcile() finds it */
        (void)pthread_mutex_lock(&worker->mutex);
        slot->claiming = false;
        (void)pthread_mutex_unlock(&worker->mutex);
    }
    return *ret_count == 1 ? 0 : -1;
}

/* A slot that is not busy cannot be stopped: what is readable was for its last run. */
static void forget_stop(struct slot *slot)
{
    uint64_t drained;
    ssize_t n = read(slot->cancel_fd, &drained, sizeof drained);
    (void)n;
}

/* Marks the slot busy with the claim. False, and not busy, if the worker drains meanwhile or its
 * incarnation is over: nobody would stop the run then. */
static bool occupy(struct slot *slot, const struct claim *claim)
{
    struct worker *worker = slot->worker;
    uint64_t drained;
    ssize_t n = read(slot->cancel_fd, &drained, sizeof drained);
    (void)n;
    (void)pthread_mutex_lock(&worker->mutex);
    slot->busy =
        !worker->draining && worker->leased && uuid_equal(&worker->incarnation, &claim->worker_id);
    slot->execution_id = claim->execution_id;
    slot->stop = SLOT_RUNS;
    slot->missed = 0;
    slot->claiming = false;
    bool busy = slot->busy;
    (void)pthread_mutex_unlock(&worker->mutex);
    return busy;
}

void give_back(struct worker *worker, struct pg *pg, const struct claim *claim)
{
    struct fault fault;
    worker->returned++;
    if (queue_unclaim(pg, claim, &fault) != 0)
        log_warn("a claim could not be given back", "{s:s}", "detail", fault.detail);
}

static void vacate(struct slot *slot)
{
    (void)pthread_mutex_lock(&slot->worker->mutex);
    slot->busy = false;
    (void)pthread_mutex_unlock(&slot->worker->mutex);
}

/* Waits for an announcement after `seen`, a second at most; false when draining. */
static bool wait_for_work(struct worker *worker, uint64_t *seen)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += POLL_SECONDS;
    (void)pthread_mutex_lock(&worker->mutex);
    while (!worker->draining && worker->wakes == *seen)
        if (pthread_cond_timedwait(&worker->wake, &worker->mutex, &until) != 0)
            break;
    *seen = worker->wakes;
    bool goes_on = !worker->draining;
    (void)pthread_mutex_unlock(&worker->mutex);
    return goes_on;
}

/* One artifact, by one slot at a time, so that a pile of them holds up no job; cancelled with a
 * stop. */
static bool inspect(struct slot *slot)
{
    struct worker *worker = slot->worker;
    forget_stop(slot);
    (void)pthread_mutex_lock(&worker->mutex);
    bool may = worker->leased && !worker->draining && !worker->inspecting;
    if (may) {
        worker->inspecting = slot->busy = true;
        slot->execution_id = (struct uuid){{0}};
        slot->stop = SLOT_RUNS;
    }
    (void)pthread_mutex_unlock(&worker->mutex);
    if (!may)
        return false;
    bool inspected = inspect_one(slot);
    (void)pthread_mutex_lock(&worker->mutex);
    worker->inspecting = slot->busy = false;
    (void)pthread_mutex_unlock(&worker->mutex);
    return inspected;
}

static void *slot_main(void *context)
{
    struct slot *slot = context;
    uint64_t seen = 0;
    do {
        do {
            struct claim claim;
            size_t count;
            bool ended = true;
            while (ended && claim_one(slot, &claim, &count) == 0) {
                ended = occupy(slot, &claim);
                if (ended) {
                    ended = job_run(slot, &claim);
                    vacate(slot);
                } else {
                    give_back(slot->worker, slot->pg, &claim);
                }
            }
        } while (inspect(slot));
    } while (wait_for_work(slot->worker, &seen));
    return NULL;
}

static int start_reaper(struct worker *worker, struct fault *fault)
{
    if (pg_open(worker->config.database, "worker reaper", &worker->reaper_pg, fault) != 0)
        return -1;
    worker->reaper_started = pthread_create(&worker->reaper, NULL, reaper_main, worker) == 0;
    return worker->reaper_started
               ? 0
               : fault_set(fault, FAULT_INTERNAL, "cannot start the reaper's thread");
}

static int start_slots(struct worker *worker, struct fault *fault)
{
    for (int i = 0; i < worker->config.slots; i++) {
        struct slot *slot = &worker->slots[i];
        slot->worker = worker;
        slot->cancel_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        (void)pthread_mutex_lock(&worker->mutex);
        worker->slot_count = i + 1;
        (void)pthread_mutex_unlock(&worker->mutex);
        if (slot->cancel_fd < 0)
            return fault_errno(fault, "eventfd");
        if (pg_open(worker->config.database, "worker slot", &slot->pg, fault) != 0)
            return -1;
        if (pthread_create(&slot->thread, NULL, slot_main, slot) != 0)
            return fault_set(fault, FAULT_INTERNAL, "cannot start a slot's thread");
        slot->started = true;
    }
    return 0;
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
        pthread_cond_init(&worker->wake, NULL) != 0 || worker->slots == NULL ||
        worker->keeper_fd < 0 || worker->reaper_fd < 0)
        abort();
    int status = -1;
    if (dir_remove(config->inputs_dir, fault) == 0 &&
        dir_make(config->inputs_dir, 0700, fault) == 0 &&
        pg_open(config->database, "worker keeper", &worker->pg, fault) == 0 &&
        migrate_check(worker->pg, fault) == 0 && keeper_register(worker, fault) == 0) {
        worker->keeper_started = pthread_create(&worker->keeper, NULL, keeper_main, worker) == 0;
        if (!worker->keeper_started)
            (void)fault_set(fault, FAULT_INTERNAL, "cannot start the keeper's thread");
        else if (start_reaper(worker, fault) == 0 &&
                 live_start(config->database, &worker->live, fault) == 0)
            status = start_slots(worker, fault);
    }
    if (status != 0) {
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
    (void)pthread_mutex_unlock(&worker->mutex);
    int64_t deadline = clock_monotonic_ms() + worker->config.drain_ms;
    struct pollfd hurry = {.fd = hurry_fd, .events = POLLIN};
    while (any_busy(worker) && clock_monotonic_ms() < deadline && poll(&hurry, 1, 100) <= 0)
        ;
    (void)pthread_mutex_lock(&worker->mutex);
    for (int i = 0; i < worker->slot_count; i++)
        slot_stop(&worker->slots[i], SLOT_SHUTDOWN);
    (void)pthread_mutex_unlock(&worker->mutex);
}

static void stop_reaper(struct worker *worker)
{
    uint64_t one = 1;
    ssize_t written = write(worker->reaper_fd, &one, sizeof one);
    (void)written;
    if (worker->reaper_started)
        (void)pthread_join(worker->reaper, NULL);
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
    for (int i = 0; i < worker->slot_count; i++) {
        struct slot *slot = &worker->slots[i];
        if (slot->started)
            (void)pthread_join(slot->thread, NULL);
        pg_free(slot->pg);
        if (slot->cancel_fd >= 0)
            (void)close(slot->cancel_fd);
    }
    live_stop(worker->live);
    stop_reaper(worker);
    stop_keeper(worker); /* the lease holds until the last run is stored */
    pg_free(worker->reaper_pg);
    pg_free(worker->pg);
    (void)close(worker->reaper_fd);
    (void)close(worker->keeper_fd);
    (void)pthread_cond_destroy(&worker->wake);
    (void)pthread_mutex_destroy(&worker->mutex);
    free(worker->slots);
    free(worker);
}
