/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a crash at any point does no harm.
 *
 * A batch is one transaction: places, tiles, head and the end of the pending rows appear together
 * or not at all; an event is pending or has exactly one place, never both, never neither. What
 * this process knows beyond the tables is a tree in memory, thrown away at every failure and
 * rebuilt from the tables; a commit whose answer was lost is thereby found out, not guessed.
 *
 * The lease row keeps leaders apart, also one that was paused, and one that was cut off from a
 * database that still finishes his transaction: a batch holds the row's lock from its first
 * statement to its commit, and a take-over or renewal is an update of that row. So whoever has just
 * acquired or renewed the lease knows that no older batch is in flight; only then the tree is
 * rebuilt. Should all of this fail, the primary key of the entries and the unique prev_size of the
 * batches let one of two batches win, and the signer compares what has been signed.
 */

#include "base/clock.h"
#include "sequencer/key_trace.h"
#include "sequencer/sequencer_parts.h"

#include <string.h>

#define RENEW_EVERY_MS 1000
#define STANDBY_EVERY_MS 250
#define IDLE_POLL_MS 100

static void stand_by(struct sequencer *s)
{
    s->lease.epoch = 0;
    s->tree.loaded = s->traced = false;
    s->acquire_at = clock_monotonic_ms() + STANDBY_EVERY_MS;
    signer_reset(s->signer);
}

static void stop(struct sequencer *s, const char *problem, const struct signer_evidence *evidence)
{
    stop_set(&s->stop, problem, evidence);
    s->tree.loaded = false;
    signer_reset(s->signer);
}

/* Not for this process to lead, until it is started with other keys: another may at once. */
static int bar(struct sequencer *s, const struct fault *why, struct fault *fault)
{
    s->barred = *why;
    int status = ledger_lease_release(s->pg, &s->lease, fault);
    stand_by(s);
    return status;
}

/* A contradiction stops, keys or a name that do not fit bar; anything else is a failure to be
 * passed on. */
static int stop_or_fail(struct sequencer *s, const struct fault *inner,
                        const struct signer_evidence *evidence, struct fault *fault)
{
    if (inner->code == FAULT_KEY_INVALID || inner->code == FAULT_STATE_CONFLICT)
        return bar(s, inner, fault);
    if (inner->code != FAULT_CONTENT_MISMATCH)
        return fault_set(fault, inner->code, "%s", inner->detail);
    stop(s, inner->detail, evidence);
    return 0;
}

/* Leads on, begins to, or does not (lease.epoch is 0 then). */
static int keep_lease(struct sequencer *s, struct fault *fault)
{
    int64_t now = clock_monotonic_ms();
    if (s->lease.epoch == 0) {
        if (now < s->acquire_at || s->stop.stopped)
            return 0;
        s->acquire_at = now + STANDBY_EVERY_MS;
        if (s->barred.code != FAULT_NONE)
            return 0;
        if (ledger_lease_acquire(s->pg, &s->lease, fault) != 0)
            return -1;
        s->renew_at = now;
    }
    /* A tree is rebuilt only after a renewal: see the top of this file. */
    if (s->lease.epoch == 0 || (now < s->renew_at && s->tree.loaded))
        return 0;
    char problem[LEDGER_PROBLEM_MAX + 1];
    if (ledger_lease_renew(s->pg, &s->lease, problem, fault) != 0)
        return -1;
    s->renew_at = now + (s->lease.duration_ms / 4 < RENEW_EVERY_MS ? s->lease.duration_ms / 4
                                                                   : RENEW_EVERY_MS);
    if (s->lease.epoch == 0)
        stand_by(s);
    else if (problem[0] != '\0')
        stop(s, problem, NULL);
    return 0;
}

static int load(struct sequencer *s, struct fault *fault)
{
    struct ledger_head found = {.root = merkle_empty_root()};
    struct merkle_range computed = {0};
    struct fault inner;
    if (ledger_session_begin(s->pg, &s->lease, fault) != 0)
        return -1;
    s->session = pg_session(s->pg);
    s->vouched = false;
    s->partitions = (struct partitions){0};
    if (tree_load(&s->tree, s->pg, &found, &computed, &inner) == 0)
        return 0;
    const struct signer_evidence evidence =
        stop_evidence(signer_signed(s->signer), found.size, &found.root, &computed);
    return stop_or_fail(s, &inner, &evidence, fault);
}

/* Once a leadership, and before anything is signed. Keys that do not fit this log leave no trace
 * in it. */
static int trace_keys(struct sequencer *s, struct fault *fault)
{
    struct key_trace trace = {.node = s->node, .origin = s->origin, .size = s->tree.range.size};
    struct signer_evidence evidence;
    struct fault inner;
    if (signer_check(s->signer, s->pg, &evidence, &inner) != 0)
        return stop_or_fail(s, &inner, &evidence, fault);
    trace.verifiers = signer_verifiers(s->signer, &trace.verifier_count);
    if (key_trace_write(s->pg, &s->lease, &trace, &s->traced, &inner) == 0) {
        s->tree.loaded = s->traced; /* else the next turn renews the lease first */
        return 0;
    }
    if (inner.code == FAULT_KEY_INVALID || inner.code == FAULT_STATE_CONFLICT)
        return bar(s, &inner, fault);
    return fault_set(fault, inner.code, "%s", inner.detail);
}

/* A batch whose rows make no sense. */
static int order_failed(struct sequencer *s, const struct fault *inner, struct fault *fault)
{
    const struct signer_evidence evidence =
        stop_evidence(signer_signed(s->signer), s->tree.range.size, &s->tree.root, &s->tree.range);
    return stop_or_fail(s, inner, &evidence, fault);
}

/* One batch, if anything is pending; *ret_more if there is likely to be more. Rows that merely
 * agree with each other are not built on: they must lead on from what was signed. */
static int order(struct sequencer *s, bool *ret_more, struct fault *fault)
{
    bool any;
    *ret_more = false;
    int64_t now = clock_monotonic_ms();
    if (!s->vouched || now < s->order_at)
        return 0;
    if (partitions_keep(&s->partitions, s->pg, s->tree.range.size, s->batch_max, fault) != 0 ||
        ledger_pending_any(s->pg, &any, fault) != 0)
        return -1;
    s->order_at = now + s->look_every_ms;
    if (!any)
        return 0;
    enum ledger_batch_outcome outcome;
    AUTO_LEDGER_BATCH struct ledger_batch *batch = NULL;
    struct fault inner;
    if (ledger_batch_take(s->pg, &s->lease, s->tree.range.size, &s->tree.root, s->batch_max,
                          &outcome, &batch, &inner) != 0)
        return order_failed(s, &inner, fault);
    switch (outcome) {
    case LEDGER_BATCH_TAKEN:
        if (tree_commit(&s->tree, batch, fault) != 0)
            return -1;
        standing_count(&s->standing, 1, ledger_batch_count(batch), 0, 0);
        *ret_more = s->look_every_ms == 0 || ledger_batch_count(batch) == (size_t)s->batch_max;
        if (*ret_more)
            s->order_at = now;
        break;
    case LEDGER_BATCH_LEASE_LOST:
        stand_by(s);
        break;
    case LEDGER_BATCH_STOPPED:
    case LEDGER_BATCH_HEAD_MOVED: /* the next turn renews the lease, then loads or stops */
        s->tree.loaded = false;
        *ret_more = true;
        break;
    case LEDGER_BATCH_EMPTY:
        break;
    }
    return 0;
}

static bool has_news(const struct sequencer *s)
{
    return !s->vouched || signer_signed(s->signer)->size != s->tree.range.size;
}

/* A step of the signer, if it is time for one and there is news. */
static int sign(struct sequencer *s, bool *ret_more, struct fault *fault)
{
    *ret_more = false;
    if (!s->tree.loaded || !has_news(s) || clock_monotonic_ms() < s->sign_at)
        return 0;
    enum signer_step step;
    struct signer_evidence evidence;
    struct fault inner;
    if (signer_advance(s->signer, s->pg, &s->lease, &step, &evidence, &inner) != 0)
        return stop_or_fail(s, &inner, &evidence, fault);
    switch (step) {
    case SIGNER_READING:
        *ret_more = true;
        break;
    case SIGNER_PUBLISHED:
        standing_count(&s->standing, 0, 0, 1, 0);
        s->sign_at = clock_monotonic_ms() + s->sign_every_ms;
        break;
    case SIGNER_IDLE:
        /* Else the rows have changed since they were loaded. */
        s->tree.loaded = tree_is(&s->tree, signer_signed(s->signer));
        break;
    case SIGNER_FOLLOWED: /* proven, but not to be signed yet */
        break;
    case SIGNER_LEASE_LOST:
        stand_by(s);
        break;
    }
    /* The tree was rebuilt from rows; what the signer has signed was proven to extend its memory.
     */
    if (!s->vouched && s->tree.loaded && tree_is(&s->tree, signer_signed(s->signer)))
        s->vouched = *ret_more = true;
    return 0;
}

/* What was found beside the turns stops as what is found in one. */
static void hear(struct sequencer *s)
{
    struct signer_evidence evidence;
    if (s->stop.stopped || !standing_accused(&s->standing, &evidence))
        return;
    const struct merkle_range *last = signer_signed(s->signer);
    evidence.signed_size = last->size;
    evidence.signed_root = merkle_range_root(last);
    stop(s, evidence.problem, &evidence);
}

/* A standby proves each new checkpoint of the leader to itself, so that it can go on from there. */
static int follow(struct sequencer *s, bool *ret_more, struct fault *fault)
{
    if (clock_monotonic_ms() < s->follow_at)
        return 0;
    enum signer_step step;
    struct signer_evidence evidence;
    struct fault inner;
    if (signer_follow(s->signer, s->pg, &step, &evidence, &inner) != 0)
        return stop_or_fail(s, &inner, &evidence, fault);
    *ret_more = step == SIGNER_READING;
    if (step == SIGNER_FOLLOWED)
        standing_count(&s->standing, 0, 0, 0, 1);
    if (!*ret_more)
        s->follow_at = clock_monotonic_ms() + STANDBY_EVERY_MS;
    return 0;
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* How long nothing will be due. */
static int wait_of(const struct sequencer *s)
{
    int64_t now = clock_monotonic_ms(), due;
    if (s->stop.stopped && s->lease.epoch == 0)
        due = s->stop.file_due || s->stop.row_due ? now : now + RENEW_EVERY_MS;
    else if (s->stop.stopped)
        due = s->stop.file_due || s->stop.row_due ? now : s->renew_at;
    else if (s->lease.epoch == 0)
        due = s->acquire_at;
    else if (!s->tree.loaded)
        due = now;
    else
        due = sooner(s->renew_at,
                     s->look_every_ms > 0 && s->vouched ? s->order_at : now + IDLE_POLL_MS);
    if (s->tree.loaded && has_news(s))
        due = sooner(due, s->sign_at);
    return due > now ? (int)(due - now) : 0;
}

static int turn(struct sequencer *s, bool *ret_more, struct fault *fault)
{
    bool ordered = false, signing = false;
    *ret_more = false;
    if (s->session != pg_session(s->pg))
        s->tree.loaded = false; /* the connection came back by itself, without its settings */
    hear(s);
    if (stop_tell(&s->stop, s->pg, s->state_file, s->origin, fault) != 0 ||
        keep_lease(s, fault) != 0)
        return -1;
    if (s->stop.stopped)
        return 0;
    if (s->lease.epoch == 0)
        return follow(s, ret_more, fault);
    if (!s->tree.loaded && load(s, fault) != 0)
        return -1;
    if (s->tree.loaded && !s->traced && trace_keys(s, fault) != 0)
        return -1;
    if (!s->tree.loaded)
        return 0;
    if (order(s, &ordered, fault) != 0 || sign(s, &signing, fault) != 0)
        return -1;
    *ret_more = ordered || signing;
    return 0;
}

/* After a failure nothing is taken to be as it was, and the next turn asks the database at once. */
static void failed(struct sequencer *s)
{
    s->tree.loaded = false;
    s->acquire_at = s->follow_at = 0;
    signer_reset(s->signer);
}

int sequencer_turn(struct sequencer *s, int *ret_wait_ms, struct fault *fault)
{
    bool more;
    struct fault inner;
    int status = turn(s, &more, &inner);
    if (status != 0)
        failed(s);
    const struct sequencer_status now = {
        .role = s->stop.stopped       ? SEQUENCER_STOPPED
                : s->lease.epoch == 0 ? SEQUENCER_STANDBY
                                      : SEQUENCER_LEADER,
        .epoch = s->lease.epoch,
        .size = s->tree.loaded ? s->tree.range.size : 0,
        .signed_size = signer_signed(s->signer)->size,
        .signed_root = merkle_range_root(signer_signed(s->signer)),
    };
    standing_turn(&s->standing, &now, s->stop.problem,
                  s->barred.code == FAULT_NONE ? "" : s->barred.detail,
                  status == 0 ? NULL : &inner);
    if (status != 0)
        return fault_set(fault, inner.code, "%s", inner.detail);
    *ret_wait_ms = more ? 0 : wait_of(s);
    return 0;
}

int sequencer_wait(struct sequencer *s, int wake_fd, int wait_ms, struct fault *fault)
{
    struct fault inner;
    if (pg_wait_notify(s->pg, wake_fd, wait_ms, &inner) >= 0)
        return 0;
    failed(s); /* the session is another from here on */
    standing_failure(&s->standing, &inner);
    return fault_set(fault, inner.code, "%s", inner.detail);
}

int sequencer_release(struct sequencer *s, struct fault *fault)
{
    s->tree.loaded = false;
    return ledger_lease_release(s->pg, &s->lease, fault);
}

void sequencer_accuse(struct sequencer *s, const struct signer_evidence *evidence)
{
    standing_accuse(&s->standing, evidence);
}

void sequencer_status(struct sequencer *s, struct sequencer_status *ret_status)
{
    standing_read(&s->standing, ret_status);
}

int sequencer_ready(struct sequencer *s, struct fault *fault)
{
    return standing_ready(&s->standing, fault);
}
