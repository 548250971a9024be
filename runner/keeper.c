/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper thread: one statement every half second renews the lease and fetches cancels. */
#include "runner/worker_internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "storage/notify.h"
#include "storage/workers.h"

#include <poll.h>
#include <unistd.h>

#define RENEW_MS 500
#define HURRY_MS 50 /* between two renewals, however many cancels come */
#define RECONCILE_MS 1000

int keeper_register(struct worker *worker, struct fault *fault)
{
    AUTO_BUF struct buf checks = BUF(65536);
    struct uuid incarnation = uuid_v7();
    json_append(&checks, sandbox_isolation_checks(worker->config.sandbox));
    if (buf_failed(&checks))
        return fault_set(fault, FAULT_INTERNAL, "the isolation checks do not fit");
    struct worker_row row = {.id = incarnation,
                             .node = worker->config.node,
                             .slots = worker->config.slots,
                             .version = SALLYPORT_VERSION,
                             .checks = buf_text(&checks)};
    if (workers_register(worker->pg, &row, worker->config.lease_ms, fault) != 0)
        return -1;
    (void)pthread_mutex_lock(&worker->mutex);
    worker->incarnation = incarnation;
    worker->leased = true;
    (void)pthread_mutex_unlock(&worker->mutex);
    return 0;
}

static void hand_on_cancels(struct worker *worker, const struct worker_cancel *cancels,
                            size_t count)
{
    (void)pthread_mutex_lock(&worker->mutex);
    for (size_t i = 0; i < count; i++)
        for (int s = 0; s < worker->slot_count; s++)
            if (uuid_equal(&worker->slots[s].execution_id, &cancels[i].execution_id))
                slot_stop(&worker->slots[s], cancels[i].reason == CANCEL_ARTIFACT_REVOKED
                                                 ? SLOT_REVOKED
                                                 : SLOT_CANCELLED);
    (void)pthread_mutex_unlock(&worker->mutex);
}

/* The database says that the incarnation is over (its row is gone or was left), which an outage,
 * however long, does not make it: whatever it still runs is killed, for it is nobody's any more. */
static void lose_lease(struct worker *worker)
{
    log_error("the lease has run out; this incarnation is over", "{s:s}", "worker",
              uuid_format(&worker->incarnation).text);
    (void)pthread_mutex_lock(&worker->mutex);
    worker->leased = false;
    for (int s = 0; s < worker->slot_count; s++)
        slot_stop(&worker->slots[s], SLOT_LEASE_LOST);
    (void)pthread_mutex_unlock(&worker->mutex);
}

/* Renews; or, once nothing runs any more under a lease that was lost, registers anew. True if the
 * lease holds. */
static bool renew(struct worker *worker)
{
    struct worker_cancel cancels[WORKER_CANCELS_MAX];
    size_t count = 0;
    struct fault fault;
    if (!worker->leased) {
        if (worker->running > 0)
            return false;
        if (keeper_register(worker, &fault) == 0) {
            log_info("registered anew", "{s:s}", "worker", uuid_format(&worker->incarnation).text);
            return true;
        }
        log_warn("cannot register", "{s:s}", "detail", fault.detail);
        return false;
    }
    if (workers_renew(worker->pg, &worker->incarnation, worker->config.lease_ms, cancels, &count,
                      &fault) == 0) {
        hand_on_cancels(worker, cancels, count);
        return true;
    }
    if (fault.code == FAULT_STATE_CONFLICT)
        lose_lease(worker);
    else
        log_warn("cannot renew the lease", "{s:s}", "detail", fault.detail);
    return false;
}

static bool is_stopping(struct worker *worker)
{
    (void)pthread_mutex_lock(&worker->mutex);
    bool stopping = worker->stopping;
    (void)pthread_mutex_unlock(&worker->mutex);
    return stopping;
}

void keeper_hurry(struct worker *worker)
{
    uint64_t one = 1;
    ssize_t written = write(worker->keeper_fd, &one, sizeof one);
    (void)written;
}

static bool is_hurried(struct worker *worker)
{
    uint64_t times;
    return read(worker->keeper_fd, &times, sizeof times) == sizeof times;
}

/* Sleeps until the next renewal, half a second after the last or sooner if somebody asks; wakes
 * slots when work is announced. */
static void wait_for_news(struct worker *worker, int64_t renewed_ms)
{
    int64_t until_ms = renewed_ms + RENEW_MS;
    for (int64_t left; (left = until_ms - clock_monotonic_ms()) > 0 && !is_stopping(worker);) {
        struct fault fault;
        int news = pg_wait_notify(worker->pg, worker->keeper_fd, (int)left, &fault);
        if (news > 0)
            worker_announce(worker);
        else if (news < 0)
            (void)poll(&(struct pollfd){.fd = worker->keeper_fd, .events = POLLIN}, 1, (int)left);
        if (is_hurried(worker))
            until_ms = renewed_ms + HURRY_MS;
    }
}

/* A renewal that was late or failed leaves a gap, in which others may have looked dead. */
static void note_renewal(struct worker *worker, bool renewed)
{
    int64_t now = clock_monotonic_ms();
    if (!renewed || now - worker->renewed_ms > worker->config.lease_ms / 2)
        worker->held_since_ms = now;
    if (renewed)
        worker->renewed_ms = now;
}

void *keeper_main(void *context)
{
    struct worker *worker = context;
    struct fault fault;
    int64_t reconciled_ms = 0;
    worker->held_since_ms = worker->renewed_ms = clock_monotonic_ms();
    if (pg_listen(worker->pg, NOTIFY_QUEUE, &fault) != 0)
        log_warn("cannot listen for work", "{s:s}", "detail", fault.detail);
    while (!is_stopping(worker)) {
        int64_t now = clock_monotonic_ms();
        bool renewed = renew(worker);
        note_renewal(worker, renewed);
        if (renewed && now - reconciled_ms >= RECONCILE_MS) {
            reconcile(worker);
            reconciled_ms = now;
        }
        wait_for_news(worker, now);
    }
    /* With ends still kept, the lease is left to run out: whoever starts here within it stores them
     * before anybody calls them lost. */
    if (worker->leased && finisher_kept(worker->finisher) == 0 &&
        workers_leave(worker->pg, &worker->incarnation, &fault) != 0)
        log_warn("cannot give the lease up", "{s:s}", "detail", fault.detail);
    return NULL;
}
