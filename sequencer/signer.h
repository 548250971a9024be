/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signer: signs a tree only after it has proven to itself that it extends what it signed
 * before. It believes no row: it extends its own frontier, kept in its own file, by the entries
 * themselves, and compares the root that comes out with the batch row's. What does not agree was
 * edited, rolled back or forked. A standby's signer does the same with the checkpoints that the
 * leader publishes: when it takes over, it goes on from what it has proven itself.
 *
 * Order of steps: entries re-read and compared, new state durable on disk, then signed, then
 * published. A crash after the second leaves a state that is ahead of the published checkpoints
 * by a tree that was proven; the next start signs the very same tree again.
 *
 * The key file is the private text of ledger/note.h in one line, mode 0600.
 */
#pragma once

#include "sequencer/signer_state.h"
#include "storage/ledger_lease.h"

struct signer;
#define AUTO_SIGNER AUTO(signer_cleanup)

struct signer_config {
    const char *origin;
    const char *key_file;
    const char *next_key_file; /* NULL or "": none; else both keys sign */
    const char *state_file;
    bool init;
};

/* Faults as sequencer_open() describes them. Keys may not sign this log (FAULT_KEY_INVALID) where
 * its newest checkpoint bears no signature of theirs, which would be an abrupt change, or one of
 * them was retired; nor may any (FAULT_STATE_CONFLICT) where it goes on under another name. */
int signer_open(struct pg *pg, const struct signer_config *config, struct signer **ret_signer,
                struct fault *fault) MUST_CHECK;
void signer_free(struct signer *signer);
void signer_cleanup(struct signer **signer);

enum signer_step {
    SIGNER_IDLE,      /* all is signed and published */
    SIGNER_READING,   /* more entries must be read first: call again */
    SIGNER_PUBLISHED, /* a checkpoint was published */
    SIGNER_FOLLOWED,  /* a tree was proven and remembered, not signed: another's checkpoint, or a
                         reopened log that does not say so yet */
    SIGNER_LEASE_LOST /* another leads: nothing was published */
};

/* Do the tables agree with what was signed, as far as that can be told without reading entries?
 * Faults as of signer_advance(). */
int signer_check(struct signer *signer, struct pg *pg, struct signer_evidence *ret_evidence,
                 struct fault *fault) MUST_CHECK;

/* One bounded step towards a checkpoint of the last batch: reads up to LEDGER_ENTRIES_MAX entries,
 * and signs if that was all. FAULT_KEY_INVALID: the newest checkpoint is signed by a key of this
 * log that this process lacks. FAULT_STATE_CONFLICT: the log goes on under another name.
 * FAULT_CONTENT_MISMATCH is a contradiction, its sentence saying what disagrees; *ret_evidence is
 * then set (and only then) but for its problem. */
int signer_advance(struct signer *signer, struct pg *pg, const struct ledger_lease *lease,
                   enum signer_step *ret_step, struct signer_evidence *ret_evidence,
                   struct fault *fault) MUST_CHECK;

/* The same of a signer who does not lead: a step towards the newest checkpoint published, which is
 * remembered once its signature is this log's key's and its tree extends, entry by entry, the one
 * remembered before. Never signs, never publishes. */
int signer_follow(struct signer *signer, struct pg *pg, enum signer_step *ret_step,
                  struct signer_evidence *ret_evidence, struct fault *fault) MUST_CHECK;

/* The public halves of its keys, one or two: the first is that of key_file. */
const struct note_verifier *signer_verifiers(const struct signer *signer, size_t *ret_count);

/* The tree last signed, or proven of another's checkpoint. */
const struct merkle_range *signer_signed(const struct signer *signer);
/* Forgets a half-read tree, for instance after the lease was lost. */
void signer_reset(struct signer *signer);
