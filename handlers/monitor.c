/* SPDX-License-Identifier: Apache-2.0 */
#include "handlers/monitor.h"

#include "base/clock.h"
#include "base/log.h"
#include "storage/blobs.h"
#include "storage/executions.h"
#include "storage/inputs.h"
#include "storage/ledger.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>

#define LOOK_MS 1000
#define WORD_GOOD_MS 10000 /* a word older than this does not admit */
#define SWEEP_EVERY 60

struct monitor {
    struct gateway *gateway;
    struct pg *pg;
    pthread_t thread;
    pthread_mutex_t mutex;
    int stop_fd;
    int64_t looked_ms; /* monotonic; of the last complete look */
    bool admits;
    struct fault why; /* where it does not */
    struct metric *depth, *ledger_size, *pending_age;
};

int monitor_admits(struct monitor *monitor, struct fault *fault)
{
    (void)pthread_mutex_lock(&monitor->mutex);
    bool fresh = clock_monotonic_ms() - monitor->looked_ms < WORD_GOOD_MS;
    bool admits = monitor->admits && fresh;
    struct fault why = monitor->why;
    (void)pthread_mutex_unlock(&monitor->mutex);
    if (admits)
        return 0;
    if (!fresh)
        return fault_set(fault, FAULT_UNAVAILABLE, "the database has not answered lately");
    *fault = why;
    return -1;
}

static int look(struct monitor *monitor, struct fault *fault)
{
    struct ledger_status status;
    int64_t depth = 0;
    int64_t most = monitor->gateway->config.queue_total_max;
    if (ledger_status_read(monitor->pg, &status, fault) != 0 ||
        executions_depth(monitor->pg, most, &depth, fault) != 0)
        return -1;
    metric_set(monitor->depth, depth);
    metric_set(monitor->ledger_size, (int64_t)status.size);
    metric_set(monitor->pending_age, status.pending_age_ms < 0 ? 0 : status.pending_age_ms / 1000);
    if (ledger_status_check(&status, fault) != 0)
        return -1;
    if (depth >= most)
        return fault_set(fault, FAULT_QUEUE_FULL,
                         "%" PRId64 " executions wait or run already; try again later", depth);
    return 0;
}

static void look_and_tell(struct monitor *monitor)
{
    struct fault why = {0};
    bool admits = look(monitor, &why) == 0;
    (void)pthread_mutex_lock(&monitor->mutex);
    bool changed = admits != monitor->admits;
    monitor->admits = admits;
    monitor->why = why;
    monitor->looked_ms = clock_monotonic_ms();
    (void)pthread_mutex_unlock(&monitor->mutex);
    if (changed && admits)
        log_info("submissions are admitted", NULL);
    else if (changed)
        log_warn("submissions are not admitted", "{s:s}", "detail", why.detail);
}

static void sweep(struct monitor *monitor)
{
    struct fault fault;
    int64_t count = 0;
    if (inputs_sweep(monitor->pg, &count, &fault) != 0)
        log_warn("expired inputs could not be swept", "{s:s}", "detail", fault.detail);
    else if (count > 0)
        log_info("expired inputs swept", "{s:I}", "count", (json_int_t)count);
    count = 0;
    if (blobs_sweep(monitor->pg, &count, &fault) != 0)
        log_warn("abandoned uploads could not be swept", "{s:s}", "detail", fault.detail);
    else if (count > 0)
        log_info("abandoned uploads swept", "{s:I}", "count", (json_int_t)count);
}

static void *monitor_main(void *context)
{
    struct monitor *monitor = context;
    struct pollfd stop = {.fd = monitor->stop_fd, .events = POLLIN};
    for (int round = 1; poll(&stop, 1, LOOK_MS) <= 0; round++) {
        look_and_tell(monitor);
        if (round % SWEEP_EVERY == 0)
            sweep(monitor);
    }
    return NULL;
}

int monitor_start(struct gateway *gateway, struct monitor **ret_monitor, struct fault *fault)
{
    AUTO_FREE struct monitor *monitor = calloc(1, sizeof *monitor);
    AUTO_PG struct pg *pg = NULL;
    if (monitor == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (pg_open(gateway->config.database, "api monitor", &pg, fault) != 0)
        return -1;
    struct metrics *metrics = gateway->config.metrics;
    monitor->depth =
        metric_gauge(metrics, "sallyport_queue_depth", "",
                     "Executions queued or running, counted up to the queue's maximum");
    monitor->ledger_size =
        metric_gauge(metrics, "sallyport_ledger_entries", "", "Entries of the ledger");
    monitor->pending_age = metric_gauge(metrics, "sallyport_ledger_pending_age_seconds", "",
                                        "Age of the oldest event without a place in the ledger");
    monitor->gateway = gateway;
    monitor->pg = pg;
    monitor->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (monitor->stop_fd < 0)
        return fault_errno(fault, "eventfd");
    if (pthread_mutex_init(&monitor->mutex, NULL) != 0)
        abort();
    look_and_tell(monitor);
    if (pthread_create(&monitor->thread, NULL, monitor_main, monitor) != 0) {
        (void)close(monitor->stop_fd);
        return fault_set(fault, FAULT_INTERNAL, "cannot start the monitor's thread");
    }
    (void)TAKE(pg);
    *ret_monitor = TAKE(monitor);
    return 0;
}

void monitor_stop(struct monitor *monitor)
{
    if (monitor == NULL)
        return;
    uint64_t one = 1;
    ssize_t written = write(monitor->stop_fd, &one, sizeof one);
    (void)written;
    (void)pthread_join(monitor->thread, NULL);
    (void)close(monitor->stop_fd);
    (void)pthread_mutex_destroy(&monitor->mutex);
    pg_free(monitor->pg);
    free(monitor);
}
