/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies of events expire by their tenant's policy; the row and its hash stay, and with them every
 * entry and proof. What may go the database decides (event_expire() of migrations/), by its own
 * clock. For the ledger process's role.
 */
#pragma once

#include "ledger/event.h"
#include "storage/pg.h"
#include "trust/caller.h"

#define RETENTION_BATCH_MAX 10000

/* What went in one batch. */
struct retention_batch {
    int64_t count;       /* bodies; 0: none, and then but for `more` nothing else is set */
    int64_t first, last; /* of their entries: not all between need be the tenant's */
    int64_t before_ms;   /* by the database's clock: they had their places before this time */
    int64_t days;        /* the policy */
    bool more;           /* it was full: ask again */
};

/* The first tenant after `after` (""), in the order of their names, that has a policy; "" if there
 * is none. */
int retention_tenant_next(struct pg *pg, const char *after, char ret_tenant[TENANT_ID_MAX + 1],
                          struct fault *fault) MUST_CHECK;

/* Begins a transaction in which up to `most` (1 to RETENTION_BATCH_MAX) of the tenant's bodies
 * expire; to be ended by retention_commit() or pg_rollback(). FAULT_INTERNAL, and all is as it was,
 * where an event is not what the ledger recorded. */
int retention_take(struct pg *pg, const char *tenant, int most, struct retention_batch *ret_batch,
                   struct fault *fault) MUST_CHECK;
/* Commits it, with the event that says so: NULL where the count is 0. */
int retention_commit(struct pg *pg, const struct event *event, struct fault *fault) MUST_CHECK;
