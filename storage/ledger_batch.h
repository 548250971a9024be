/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One batch: pending events get their places, in one transaction. Everything of it becomes
 * visible at once or never: the entries, the tiles that they fill, the one head row, and the
 * disappearance of the pending rows.
 */
#pragma once

#include "storage/ledger_lease.h"

#define LEDGER_BATCH_MAX 8192

/* An open transaction, and the rows it has taken. */
struct ledger_batch;
#define AUTO_LEDGER_BATCH AUTO(ledger_batch_cleanup)

enum ledger_batch_outcome {
    LEDGER_BATCH_TAKEN,
    LEDGER_BATCH_EMPTY,      /* nothing is pending */
    LEDGER_BATCH_LEASE_LOST, /* the epoch is another's, or the lease has run out */
    LEDGER_BATCH_STOPPED,    /* a problem stands in the lease row */
    LEDGER_BATCH_HEAD_MOVED  /* the last batch is not of the expected size and root */
};

/* Settings of the leader's session, once a connection, before its first batch. */
int ledger_session_begin(struct pg *pg, const struct ledger_lease *lease,
                         struct fault *fault) MUST_CHECK;

/* Is any event pending? Cheap, and takes no lock. */
int ledger_pending_any(struct pg *pg, bool *ret_any, struct fault *fault) MUST_CHECK;

/* Begins: locks the lease row, compares the epoch, compares the last batch with the caller's idea
 * of it, and takes up to `max` (1 to LEDGER_BATCH_MAX) pending events in their order. The lock is
 * held to the end, so that nobody takes over in between; a caller that sleeps on it is cut off by
 * the database after the lease's duration (ledger_session_begin()). *ret_batch is set only if
 * *ret_outcome is LEDGER_BATCH_TAKEN. */
int ledger_batch_take(struct pg *pg, const struct ledger_lease *lease, uint64_t head_size,
                      const struct digest *head_root, int max,
                      enum ledger_batch_outcome *ret_outcome, struct ledger_batch **ret_batch,
                      struct fault *fault) MUST_CHECK;

/* Is the last batch of this size and root (size 0: is there none)? A step of an open transaction,
 * after ledger_lease_lock(): its snapshot sees every batch that was committed under the lock. */
int ledger_batch_head_is(struct pg *tx, uint64_t size, const struct digest *root, bool *ret_is,
                         struct fault *fault) MUST_CHECK;

/* The taken events' entries, in order: that of entry head_size first. */
size_t ledger_batch_count(const struct ledger_batch *batch);
const struct digest *ledger_batch_entries(const struct ledger_batch *batch);

/* A tile that this batch fills; of the form tile_edge_append() calls, `batch` its context. */
int ledger_batch_tile(void *batch, const struct tile *tile, const struct digest *hashes,
                      const struct digest *root, struct fault *fault) MUST_CHECK;

/* Writes all of it and commits; `range` is the tree after it. FAULT_UNAVAILABLE may mean that it
 * was committed and the answer lost: the caller reads the head again before anything else. */
int ledger_batch_commit(struct ledger_batch *batch, const struct merkle_range *range,
                        struct fault *fault) MUST_CHECK;

/* Rolls back what was not committed. */
void ledger_batch_free(struct ledger_batch *batch);
void ledger_batch_cleanup(struct ledger_batch **batch);

/* Makes the partition of entry `index` if it is missing. In a transaction of its own that no
 * reader or writer holds up; behind other changes of the table it waits only briefly:
 * FAULT_UNAVAILABLE then, try again. */
int ledger_partition_make(struct pg *pg, uint64_t index, struct fault *fault) MUST_CHECK;
