/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proofs out of the tables: about two short reads a level of tiles, however long the log is. For
 * the api's and the readers' roles. Faults as in storage/ledger.h.
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
 * appended to ret_note. With `executions_only` other events do not exist. What is given has been
 * verified: rows that do not lead to the signed root are FAULT_CONTENT_MISMATCH. FAULT_NOT_FOUND if
 * the tenant has no such event; FAULT_UNAVAILABLE while no checkpoint covers it. */
int ledger_inclusion_read(struct pg *pg, const char *tenant, const struct uuid *event_id,
                          bool executions_only, struct ledger_inclusion *ret_inclusion,
                          struct buf *ret_note, struct fault *fault) MUST_CHECK;
