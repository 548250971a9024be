/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proofs out of the tables, each by one statement however long the log is: the compact range of the
 * batch that the checkpoint was signed for, and below it one tile a level. For the api's and the
 * readers' roles. Faults as in storage/ledger.h.
 *
 * What is given has been verified: rows that do not lead to the signed root are
 * FAULT_CONTENT_MISMATCH.
 */
#pragma once

#include "storage/ledger.h"

/* An event's place under a checkpoint, and the path that proves it. */
struct ledger_inclusion {
    uint64_t index;
    struct digest entry; /* SHA-256 of the event's bytes */
    uint64_t size;       /* the checkpoint's, as its root */
    struct digest root;
    struct merkle_proof proof;
};

/* That the tenant's event is in the log, under the latest checkpoint, whose signed note is
 * appended to ret_note. With `executions_only` other events do not exist. FAULT_NOT_FOUND if
 * the tenant has no such event; FAULT_UNAVAILABLE while no checkpoint covers it. */
int ledger_inclusion_read(struct pg *pg, const char *tenant, const struct uuid *event_id,
                          bool executions_only, struct ledger_inclusion *ret_inclusion,
                          struct buf *ret_note, struct fault *fault) MUST_CHECK;

/* That the tree of `to` entries begins with that of `from`. */
struct ledger_consistency {
    uint64_t from, to;
    struct merkle_proof proof;
};

/* `to` -1: the latest checkpoint's size. The signed note of size `to` is appended to ret_note:
 * nothing where none was signed. Verified where a batch ended at both sizes, as it did wherever
 * a checkpoint was signed; of another size the tables have no root. FAULT_NOT_FOUND past the
 * latest checkpoint, before the first, or if from > to. `from` is 0 or more. */
int ledger_consistency_read(struct pg *pg, int64_t from, int64_t to,
                            struct ledger_consistency *ret_consistency, struct buf *ret_note,
                            struct fault *fault) MUST_CHECK;
