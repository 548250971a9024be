/* SPDX-License-Identifier: Apache-2.0 */
/* Worker incarnations and their leases, by the database's clock. */
#pragma once

#include "storage/cancels.h"
#include "storage/pg.h"

struct worker_row {
    struct uuid id;
    const char *node;
    int slots;
    const char *version;
    const char *checks; /* JSON */
    int64_t started_ms;
    int64_t lease_expires_ms;
};

/* Registers a new incarnation with a lease of lease_ms. */
int workers_register(struct pg *pg, const struct worker_row *worker, int64_t lease_ms,
                     struct fault *fault) MUST_CHECK;

#define WORKER_CANCELS_MAX 256
struct worker_cancel {
    struct uuid execution_id;
    enum cancel_reason reason;
};
/* Renews the lease and fetches which of its executions are to be cancelled, in one statement. A
 * lease that ran out while the database was away is renewed too: what others took meanwhile is told
 * by the fencing tokens (queue_held()). FAULT_STATE_CONFLICT if the row is gone or
 * was left: this incarnation is over. */
int workers_renew(struct pg *pg, const struct uuid *id, int64_t lease_ms,
                  struct worker_cancel *ret_cancels, size_t *ret_count,
                  struct fault *fault) MUST_CHECK;

/* Ends the lease at once and for good: nothing is claimed by it any more. */
int workers_leave(struct pg *pg, const struct uuid *id, struct fault *fault) MUST_CHECK;

/* Forgets incarnations whose lease ran out a day ago and that hold nothing. */
int workers_forget(struct pg *pg, struct fault *fault) MUST_CHECK;

typedef int workers_each(void *context, const struct worker_row *worker);
/* Those whose lease runs, or ran out in the last day; at most 1,000. */
int workers_list(struct pg *pg, workers_each *each, void *context, struct fault *fault) MUST_CHECK;
