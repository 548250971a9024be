/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tables say of the past, held against what a signer knows. FAULT_CONTENT_MISMATCH is a
 * contradiction, its sentence saying what disagrees; FAULT_KEY_INVALID is none: this process lacks
 * a key, or has one too many.
 */
#pragma once

#include "sequencer/signer_state.h"
#include "storage/ledger.h"

/* All borrowed. */
struct signer_past {
    const struct signer_state *state;
    const struct note_verifier *verifiers; /* of this process's own keys */
    size_t verifier_count;
};

/* The newest checkpoint; size 0 and no note before the first. */
struct signer_newest {
    uint64_t size;
    struct digest root;
    struct buf note;
};
#define AUTO_SIGNER_NEWEST AUTO(signer_newest_cleanup)
void signer_newest_cleanup(struct signer_newest *newest);
int signer_past_newest(struct pg *pg, struct signer_newest *ret_newest,
                       struct fault *fault) MUST_CHECK;

/* Head and batches must be what was signed, and what is published. */
int signer_past_compare(const struct signer_past *past, struct pg *pg,
                        const struct ledger_head *head, uint64_t published,
                        struct fault *fault) MUST_CHECK;

/* The batch that ends where the newest checkpoint does. */
int signer_past_batch(struct pg *pg, const struct signer_newest *newest,
                      struct ledger_head *ret_head, struct fault *fault) MUST_CHECK;

/* The newest checkpoint must be what its row says, and signed by one of this process's keys; where
 * the log was reopened, up to what was kept one of the previous log's does as well. One by another
 * key that the log has had is FAULT_KEY_INVALID. */
int signer_past_note(const struct signer_past *past, struct pg *pg,
                     const struct signer_newest *newest, struct fault *fault) MUST_CHECK;

/* Before a process begins: FAULT_KEY_INVALID if the newest checkpoint bears no signature of its
 * keys, true or false, or one of its keys was retired; FAULT_STATE_CONFLICT if the log goes on
 * under another name. */
int signer_past_keys(const struct signer_past *past, struct pg *pg, struct fault *fault) MUST_CHECK;
