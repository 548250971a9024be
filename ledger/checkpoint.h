/* SPDX-License-Identifier: Apache-2.0 */
/*
 * C2SP tlog-checkpoint: a tree head (origin, size, root) as the text of a signed note.
 * Faults as in ledger/note.h.
 */
#pragma once

#include "ledger/merkle.h"
#include "ledger/note.h"

#define CHECKPOINT_ORIGIN_MAX NOTE_NAME_MAX
/* Signature lines are what a note's size is for; the text itself is small. */
#define CHECKPOINT_TEXT_MAX 4096

struct checkpoint {
    char origin[CHECKPOINT_ORIGIN_MAX + 1];
    uint64_t size; /* at most MERKLE_SIZE_MAX */
    struct digest root;
    struct span extensions; /* whole lines, or empty; borrowed from what was parsed */
};

/* Sets the three; FAULT_KEY_INVALID if the origin can't be a key name too (spaces, plus). */
int checkpoint_init(struct checkpoint *ret_checkpoint, const char *origin, uint64_t size,
                    const struct digest *root, struct fault *fault) MUST_CHECK;

/* The text of a checkpoint. Strict: decimal size without leading zeros, canonical base64 of
 * 32 bytes, non-empty extension lines, a newline after each, valid UTF-8, no control
 * character (so no CR), size 0 only with the empty tree's root. */
int checkpoint_parse(struct span text, struct checkpoint *ret_checkpoint,
                     struct fault *fault) MUST_CHECK;
/* Appends the text; refuses what checkpoint_parse() would. */
int checkpoint_format(const struct checkpoint *checkpoint, struct buf *ret_text,
                      struct fault *fault) MUST_CHECK;

/* Appends the signed note. Whether it may be signed (consistency with every checkpoint before)
 * is the caller's to prove first. */
int checkpoint_sign(const struct checkpoint *checkpoint, const struct note_signer *const *signers,
                    size_t signer_count, struct buf *ret_note, struct fault *fault) MUST_CHECK;

/* note_open() with any of the given keys, then checkpoint_parse(); the origin must be the
 * expected one. */
int checkpoint_open(struct span note, const char *origin, const struct note_verifier *verifiers,
                    size_t verifier_count, struct checkpoint *ret_checkpoint,
                    struct fault *fault) MUST_CHECK;
