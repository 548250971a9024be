/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who orders events now. One row, by the database's clock. The lease is courtesy: it keeps two
 * from trying at once. What keeps a paused leader from harm is its epoch, which grows at every
 * take-over and which every batch and every checkpoint compare under the row's lock.
 */
#pragma once

#include "storage/ledger.h"

/* Leadership as its holder knows it. */
struct ledger_lease {
    char holder[LEDGER_HOLDER_MAX + 1]; /* unique to this incarnation */
    int64_t epoch;                      /* 0: not the leader */
    int duration_ms;
};

/* Takes the lease if it is free (expired or released) and sets lease->epoch; leaves it 0 if
 * another has it. Never waits for a batch in flight. */
int ledger_lease_acquire(struct pg *pg, struct ledger_lease *lease, struct fault *fault) MUST_CHECK;

/* Extends it, and signs life. lease->epoch becomes 0 if another has taken over. ret_problem (room
 * for LEDGER_PROBLEM_MAX + 1) gets what has stopped the ledger, "" if nothing has. */
int ledger_lease_renew(struct pg *pg, struct ledger_lease *lease, char *ret_problem,
                       struct fault *fault) MUST_CHECK;

/* Gives it up, so that a standby need not wait; lease->epoch becomes 0 in any case. */
int ledger_lease_release(struct pg *pg, struct ledger_lease *lease, struct fault *fault) MUST_CHECK;

/* A step of an open transaction: locks the lease row to its end, so that nobody takes over in
 * between. *ret_led: the lease is this holder's and has not run out; *ret_stopped, which may be
 * NULL: a problem stands in the row. */
int ledger_lease_lock(struct pg *tx, const struct ledger_lease *lease, bool *ret_led,
                      bool *ret_stopped, struct fault *fault) MUST_CHECK;

/* Records why the ledger must stop, for all: no batch is taken from then on, by nobody. The first
 * reason stays. Not bound to an epoch: a contradiction is one whoever has found it. */
int ledger_lease_stop(struct pg *pg, const char *problem, struct fault *fault) MUST_CHECK;
