/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/ledger_retention.h"

#include "sequencer/retention.h"

struct ledger_retention {
    struct retention *thread;
    uint64_t events_before;
    struct metric *events, *passed;
};

static void observe(void *context, const struct retention_counts *counts)
{
    struct ledger_retention *retention = context;
    metric_add(retention->events, counts->events - retention->events_before);
    retention->events_before = counts->events;
    metric_set(retention->passed, counts->passed_ms / 1000);
}

int ledger_retention_start(const struct settings *settings, struct sequencer *sequencer,
                           struct metrics *metrics, int stop_fd,
                           struct ledger_retention **ret_retention, struct fault *fault)
{
    AUTO_FREE struct ledger_retention *retention = calloc(1, sizeof *retention);
    if (retention == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    retention->events = metric_counter(metrics, "sallyport_ledger_events_expired_total", "",
                                       "Events whose bodies this process has let expire");
    retention->passed =
        metric_gauge(metrics, "sallyport_ledger_retention_passed_seconds", "",
                     "Wall clock time at which nothing was left that was to expire");
    const struct retention_config config = {.conninfo = settings->database,
                                            .node = settings->node,
                                            .sequencer = sequencer,
                                            .stop_fd = stop_fd,
                                            .every_ms = RETENTION_EVERY_MS,
                                            .pause_ms = RETENTION_PAUSE_MS,
                                            .batch = RETENTION_BATCH,
                                            .observer = observe,
                                            .context = retention};
    if (retention_start(&config, &retention->thread, fault) != 0)
        return -1;
    *ret_retention = TAKE(retention);
    return 0;
}

void ledger_retention_join(struct ledger_retention *retention)
{
    if (retention == NULL)
        return;
    retention_join(retention->thread);
    free(retention);
}
