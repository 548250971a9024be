/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Expires the bodies of events whose tenants do not keep them for ever, beside the ordering and on
 * a connection of its own: a pass over the tenants every minute, and at once after becoming the
 * leader. What is gone is said by an event of the tenant, in the same commit.
 *
 * The leader alone does it, so that it is done once; that nothing goes twice or too early is the
 * database's part, whoever asks.
 */
#pragma once

#include "sequencer/sequencer.h"

#define RETENTION_EVERY_MS 60000
#define RETENTION_BATCH 1000
/* Between two batches, so that a policy that is new over a long log leaves room for the others. */
#define RETENTION_PAUSE_MS 100

/* Since the process began. */
struct retention_counts {
    uint64_t events; /* whose bodies have expired */
    uint64_t batches;
    int64_t passed_ms; /* wall clock: when nothing was left that was to expire; 0: never */
};

/* Told after every batch and every pass, in the loop's thread: for metrics. */
typedef void retention_observer(void *context, const struct retention_counts *counts);

/* All borrowed until retention_join(). */
struct retention_config {
    const char *conninfo; /* of the role sallyport_ledger */
    const char *node;
    struct sequencer *sequencer; /* asked whether it leads */
    int stop_fd;                 /* readable: stop */
    int every_ms, pause_ms;
    int batch;                    /* 1 to RETENTION_BATCH_MAX */
    retention_observer *observer; /* may be NULL */
    void *context;
};

struct retention;

/* Connects, and starts its thread. */
int retention_start(const struct retention_config *config, struct retention **ret_retention,
                    struct fault *fault) MUST_CHECK;
/* Waits for the thread, which ends once stop_fd is readable; NULL is fine. */
void retention_join(struct retention *retention);

/* One batch of one tenant, with its event; *ret_count of its bodies have expired. *ret_more: it was
 * full. */
int retention_expire(struct pg *pg, const char *node, const char *tenant, int most,
                     int64_t *ret_count, bool *ret_more, struct fault *fault) MUST_CHECK;
