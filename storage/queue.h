/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue as a worker sees it: claim apart from start, starts and ends under a fencing token.
 *
 * A worker incarnation has one lease for all it has claimed. A claim changes no state; an execution
 * whose worker's lease has run out goes back to the queue, or is lost if it was running.
 */
#pragma once

#include "ledger/event.h"
#include "ledger/state.h"
#include "storage/cancels.h"
#include "storage/facts.h"
#include "trust/manifest.h"

struct claim {
    struct uuid execution_id;
    struct uuid worker_id;
    int64_t fence;
};

/* Claims those that are to end before they start, wherever they stand in the queue: no turn is used
 * for what does not run, no ceiling asked. */
int queue_claim_cancelled(struct pg *pg, const struct uuid *worker_id, int max,
                          struct claim *ret_claims, size_t *ret_count,
                          struct fault *fault) MUST_CHECK;

/* Gives a claim that has not started back to the queue. */
int queue_unclaim(struct pg *pg, const struct claim *claim, struct fault *fault) MUST_CHECK;

/* What the worker needs to know of a claimed execution; its own copy. */
struct queued {
    const char *tenant_id;
    enum execution_state state;
    int64_t submitted_ms, started_ms;
    enum cancel_reason cancel; /* CANCEL_NONE: it is not to end early */
    const char *api_key_id;
    const char *kid;
    struct span token;
    const char *traceparent; /* NULL where there is none */
    const char *worker;      /* "" before its start */
    const char *task_id, *operator_id, *correlation_id, *target_urn;
    struct digest tool_sha256, manifest_sha256;
    struct manifest_limits most; /* that its tenant may have; of each 0: what the host allows */
    char *owner;                 /* holds the texts above; NULL: nothing was loaded */
};
#define AUTO_QUEUED AUTO(queued_free)
void queued_free(struct queued *queued);

/* FAULT_STATE_CONFLICT if the claim does not hold any more. */
int queue_load(struct pg *pg, const struct claim *claim, struct queued *ret_queued,
               struct fault *fault) MUST_CHECK;
/* The same of many, in one statement: ret_queued[i] is of claims[i], and {0} where that does not
 * hold any more. */
int queue_load_all(struct pg *pg, const struct claim *claims, size_t count,
                   struct queued *ret_queued, struct fault *fault) MUST_CHECK;

/* Claims up to `max` executions; none where the lease has run out. Tenants take turns: those that
 * have some waiting get equal parts of a claim, each its oldest, and where they cannot be equal
 * those have more whose last claim is longest ago. Between two claims of a waiting tenant any other
 * gets one part by each claimer at most. Of a tenant with a ceiling (tenant.max_running) this never
 * claims one while all workers together hold that many; a ceiling holds for the claims that begin
 * after it was set, and ends nothing. What was claimed is loaded
 * in the same statement: ret_queued[i] is of ret_claims[i], as from queue_load_all(). On a fault
 * *ret_count of them are claimed all the same, and nothing is loaded. */
int queue_claim(struct pg *pg, const struct uuid *worker_id, int max, struct claim *ret_claims,
                struct queued *ret_queued, size_t *ret_count, struct fault *fault) MUST_CHECK;

struct spent_nonce {
    const char *nonce;
    struct digest token_sha256; /* of the signing input */
};

/* One proven execution on its way to run; everything borrowed until queue_start() returns. */
struct start {
    struct claim claim;
    struct facts_item facts;         /* what it asks; then what the verdict rested on */
    struct digest descriptor_sha256; /* of the descriptor it was proven with */
    struct spent_nonce spent;
    const char *worker_name;
    int64_t started_ms;
    const struct event *event; /* started */
    /* out */
    bool started;
    struct fault fault; /* where it was not */
};

#define QUEUE_START_MAX 64

/* The deciding transaction of up to QUEUE_START_MAX starts: locks, facts, each one's verdict, state
 * running, started events. Each item's outcome is set, whatever happens; of one that is refused
 * nothing is written, and the others do not notice. A refusal of the verdict is the item's fault as
 * it is; FAULT_ARTIFACT_INVALID where the artifact's descriptor is another than was proven. What
 * did not spend its nonce, or has ended before, is FAULT_NONCE_REUSED: whoever wrote the row, it
 * does not run. FAULT_STATE_CONFLICT if the claim does not hold, or a cancel came first. If the
 * database refuses a batch it is split, so that only its bad item fails; FAULT_UNAVAILABLE fails
 * all that were in it (and may mean that they run: only their claims know). */
void queue_start(struct pg *pg, struct start *const *items, size_t count);

/* What became of an ending that was to be stored. */
enum ending_fate {
    ENDING_FAILED, /* `fault` says why: tried again, it may be stored */
    ENDING_STORED,
    ENDING_GONE, /* the claim does not hold any more: somebody else ended it, or has it now */
    ENDING_LATE, /* it does not, and the history calls this very run lost */
};

/* How an execution ended. All borrowed. */
struct ending {
    struct claim claim;
    const char *tenant_id;
    enum execution_state state;
    const char *reason; /* NULL where there is none */
    int exit_code;      /* -1: none */
    int signal;         /* 0: none */
    int64_t finished_ms;
    const char *worker;                 /* NULL: it never had one */
    int64_t stdout_bytes, stderr_bytes; /* whole streams */
    struct span stdout_stored, stderr_stored;
    bool live;                 /* some of that may have been stored while it ran */
    const char *usage;         /* compact JSON or NULL */
    const struct event *event; /* finished */
    /* set by queue_finish() */
    enum ending_fate fate;
    struct fault fault; /* of ENDING_FAILED, ENDING_GONE and ENDING_LATE */
};

/* What an ending brings with it, in bytes. */
size_t ending_size(const struct ending *ending);

/* Up to QUEUE_FINISH_MAX ends, of different executions, in one commit: history rows, outputs and
 * finished events; the active and queue rows go. Each gets its own fate. What the database refuses
 * is split, so that only the bad one fails; a fault that passes (FAULT_UNAVAILABLE) fails all that
 * are left. An end that was stored before, by a commit whose answer was lost, is ENDING_STORED.
 * With `only_expired` a claim holds only if its worker's lease has run out: the reaper's ends. */
#define QUEUE_FINISH_MAX 64
void queue_finish(struct pg *pg, struct ending *const *endings, size_t count, bool only_expired);

/* Keeps the event of an ending that was ENDING_LATE; the execution stays lost.
 * FAULT_STATE_CONFLICT if it has one already. */
int queue_finish_late(struct pg *pg, const struct ending *ending, const struct event *late,
                      struct fault *fault) MUST_CHECK;

/* What an incarnation holds, by the database: up to `max` claims and whether each runs. */
struct held_claim {
    struct claim claim;
    bool running;
};
int queue_held(struct pg *pg, const struct uuid *worker_id, size_t max,
               struct held_claim *ret_claims, size_t *ret_count, struct fault *fault) MUST_CHECK;

/* ---- the reaper ---- */

/* Puts the unstarted claims of workers whose lease ran out back into the queue; returns how many.
 */
int queue_return_expired(struct pg *pg, int64_t *ret_count, struct fault *fault) MUST_CHECK;
/* Up to `max` running executions of such workers. */
int queue_find_lost(struct pg *pg, int max, struct claim *ret_claims, size_t *ret_count,
                    struct fault *fault) MUST_CHECK;
