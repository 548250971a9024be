/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Under which name the log went on after a restore. Each origin begins once and is left once,
 * which the table states; what was left never signs again.
 */
#pragma once

#include "ledger/event.h"
#include "storage/ledger_lease.h"

#define LEDGER_ORIGIN_MAX 255

struct ledger_reopening {
    char origin[LEDGER_ORIGIN_MAX + 1];
    char previous_origin[LEDGER_ORIGIN_MAX + 1];
    uint64_t size; /* of what was kept, as its root */
    struct digest root;
    struct uuid event_id; /* of ledger.reopened */
};

/* How this origin began; FAULT_NOT_FOUND if it is no reopened log's. */
int ledger_reopening_read(struct pg *pg, const char *origin, struct ledger_reopening *ret_reopening,
                          struct fault *fault) MUST_CHECK;

/* Has the log not been reopened under another name? FAULT_STATE_CONFLICT with that name if it has.
 * The second is a step of an open transaction. */
int ledger_reopening_check(struct pg *pg, const char *origin, struct fault *fault) MUST_CHECK;
int ledger_reopening_step(struct pg *tx, const char *origin, struct fault *fault) MUST_CHECK;

/* One transaction under the lease: the row, its event, the end of ledger_lease.problem and of the
 * lease. *ret_led is false, and nothing written, if another leads by now or has ordered events
 * meanwhile. FAULT_STATE_CONFLICT if the origin is one that the log has had. */
int ledger_reopening_commit(struct pg *pg, const struct ledger_lease *lease,
                            const struct ledger_reopening *reopening, const struct event *event,
                            bool *ret_led, struct fault *fault) MUST_CHECK;
