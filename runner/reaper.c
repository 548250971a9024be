/* SPDX-License-Identifier: Apache-2.0 */
/* What waits in the queue and was asked to end ends here, whatever the slots do and wherever it
 * stands. What vanished workers left: unstarted claims go back to the queue, running executions are
 * lost. And what this worker itself holds without knowing: a claim or a start whose answer was lost
 * with a connection. */
#include "runner/worker_internal.h"

#include "base/clock.h"
#include "base/log.h"
#include "runner/spool.h"
#include "storage/notify.h"
#include "storage/workers.h"

#include <poll.h>

#define LOST_MAX 64
#define REAP_MS 1000
#define HELD_MAX (2 * WORKER_SLOTS_MAX + SPOOL_MAX)

static void end_or_say(struct worker *worker, struct pg *pg, const struct claim *claim,
                       bool only_expired)
{
    struct fault fault;
    if (end_lost(worker, pg, claim, only_expired, &fault) == 0)
        log_warn("execution lost", "{s:s}", "execution_id", uuid_format(&claim->execution_id).text);
    else if (fault.code != FAULT_STATE_CONFLICT) /* somebody else was first */
        log_error("cannot end a lost execution", "{s:s}", "detail", fault.detail);
}

static void reap(struct worker *worker)
{
    struct fault fault;
    int64_t returned = 0;
    size_t count = 0;
    struct claim lost[LOST_MAX];
    struct pg *pg = worker->reaper.pg;
    if (queue_return_expired(pg, &returned, &fault) != 0 ||
        queue_find_lost(pg, LOST_MAX, lost, &count, &fault) != 0) {
        log_warn("cannot reap", "{s:s}", "detail", fault.detail);
        return;
    }
    if (returned > 0) {
        worker->returned += (uint64_t)returned;
        log_warn("claims of vanished workers went back to the queue", "{s:I}", "count",
                 (json_int_t)returned);
        worker_announce(worker);
    }
    for (size_t i = 0; i < count; i++)
        end_or_say(worker, pg, &lost[i], true);
    if (workers_forget(pg, &fault) != 0)
        log_warn("cannot forget old workers", "{s:s}", "detail", fault.detail);
}

/* After an outage everybody's lease looks expired: nobody is judged before our own has held for one
 * lease without a gap. */
static bool may_judge(const struct worker *worker)
{
    int64_t now = clock_monotonic_ms();
    return worker->leased && now - worker->held_since_ms >= worker->config.lease_ms &&
           now - worker->renewed_ms < worker->config.lease_ms / 2;
}

static bool is_stopping(const struct worker *worker, int milliseconds)
{
    struct pollfd stop = {.fd = worker->reaper_fd, .events = POLLIN};
    return poll(&stop, 1, milliseconds) > 0;
}

/* True while the worker may claim, and then for reconcile(): what is held now is no orphan. */
static bool set_reaping(struct worker *worker, bool reaping, struct uuid *ret_incarnation)
{
    (void)pthread_mutex_lock(&worker->mutex);
    worker->reaping = reaping && worker->leased;
    *ret_incarnation = worker->incarnation;
    bool may = worker->reaping;
    (void)pthread_mutex_unlock(&worker->mutex);
    return may;
}

/* One that cannot be read must not hold up the others; reconcile() gives it back. */
static void end_each(struct worker *worker, const struct claim *claims, size_t count)
{
    struct fault fault;
    if (end_cancelled(worker, worker->reaper.pg, claims, count, &fault) == 0)
        return;
    for (size_t i = 0; i < count && !fault_passes(&fault); i++)
        if (end_cancelled(worker, worker->reaper.pg, &claims[i], 1, &fault) != 0)
            log_error("an execution that is to end could not be ended", "{s:s, s:s}",
                      "execution_id", uuid_format(&claims[i].execution_id).text, "detail",
                      fault.detail);
}

/* Batch by batch what nobody has claimed and is to end before it starts. */
static void end_waiting(struct worker *worker)
{
    size_t count;
    do {
        struct fault fault;
        struct uuid incarnation;
        struct claim claims[QUEUE_FINISH_MAX];
        count = 0;
        if (!set_reaping(worker, true, &incarnation))
            return;
        if (queue_claim_cancelled(worker->reaper.pg, &incarnation, QUEUE_FINISH_MAX, claims, &count,
                                  &fault) != 0)
            log_warn("cannot claim what is to end", "{s:s}", "detail", fault.detail);
        else if (count > 0)
            end_each(worker, claims, count);
        (void)set_reaping(worker, false, &incarnation);
    } while (count == QUEUE_FINISH_MAX && !is_stopping(worker, 0));
}

/* Until somebody asks for an end, a second at most; the keeper fetches those that run. */
static void wait_for_cancels(struct worker *worker)
{
    struct fault fault;
    int news = pg_wait_notify(worker->reaper.pg, worker->reaper_fd, REAP_MS, &fault);
    if (news > 0)
        keeper_hurry(worker);
    else if (news < 0)
        (void)is_stopping(worker, REAP_MS);
}

void *reaper_main(void *context)
{
    struct worker *worker = context;
    struct fault fault;
    int64_t reaped_ms = 0;
    if (pg_listen(worker->reaper.pg, NOTIFY_CANCEL, &fault) != 0)
        log_warn("cannot listen for cancels", "{s:s}", "detail", fault.detail);
    while (!is_stopping(worker, 0)) {
        int64_t now = clock_monotonic_ms();
        end_waiting(worker);
        if (may_judge(worker) && now - reaped_ms >= REAP_MS) {
            reap(worker);
            reaped_ms = now;
        }
        wait_for_cancels(worker);
    }
    return NULL;
}

/* Marks in `known` which claims a slot holds, or the claim under way may yet give one; stops slots
 * that hold none of them. False while the reaper is claiming: what it gets is not an orphan. */
static bool compare(struct worker *worker, const struct held_claim *held, size_t count, bool *known)
{
    static const struct uuid inspects = {{0}};
    (void)pthread_mutex_lock(&worker->mutex);
    for (size_t i = 0; i < count; i++)
        known[i] = worker->claiming && held[i].claim.fence > worker->last_fence;
    for (int s = 0; s < worker->slot_count; s++) {
        struct slot *slot = &worker->slots[s];
        bool found = !slot->busy || uuid_equal(&slot->execution_id, &inspects);
        for (size_t i = 0; i < count && slot->busy; i++) {
            if (uuid_equal(&slot->execution_id, &held[i].claim.execution_id)) {
                known[i] = true;
                found = true;
            }
        }
        if (!found && slot->missed++ > 0)
            slot_stop(slot, SLOT_LEASE_LOST);
        else if (found)
            slot->missed = 0;
    }
    bool reaping = worker->reaping;
    (void)pthread_mutex_unlock(&worker->mutex);
    return !reaping;
}

void reconcile(struct worker *worker)
{
    struct fault fault;
    struct held_claim held[HELD_MAX];
    bool known[HELD_MAX] = {false};
    size_t count = 0;
    if (queue_held(worker->pg, &worker->incarnation, HELD_MAX, held, &count, &fault) != 0) {
        log_warn("cannot look at what is held", "{s:s}", "detail", fault.detail);
        return;
    }
    if (!compare(worker, held, count, known))
        return;
    for (size_t i = 0; i < count; i++) {
        if (known[i] || finisher_holds(worker->finisher, &held[i].claim.execution_id))
            continue;
        /* Read before the comparison: it may have been ended since, which the fence tells. */
        if (held[i].running)
            end_or_say(worker, worker->pg, &held[i].claim, false);
        else
            give_back(worker, worker->pg, &held[i].claim);
    }
}
