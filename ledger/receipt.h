/* SPDX-License-Identifier: Apache-2.0 */
/*
 * C2SP tlog-proof v1: one text that proves offline that an entry is in the log: its index,
 * its inclusion path, and the signed checkpoint that the path leads to.
 *
 * Faults: FAULT_MALFORMED_REQUEST for what is not a receipt, FAULT_CONTENT_MISMATCH for one
 * that does not verify (a wrong index, size 0, a hash too few or too many, another entry,
 * root, origin or key).
 */
#pragma once

#include "ledger/checkpoint.h"

#define RECEIPT_MAX (NOTE_MAX + 64 * 1024)
#define RECEIPT_EXTRA_MAX (32 * 1024)

/* A receipt taken apart, borrowed from its bytes (the proof is a copy). */
struct receipt {
    struct span extra; /* base64 of what nobody signed; empty if there is none */
    uint64_t index;
    struct merkle_proof proof;
    struct span checkpoint; /* the signed note, verbatim */
};

/* Appends the text. `checkpoint` is a signed note as checkpoint_sign() made it; the proof's
 * length is checked against it, nothing else is: this makes receipts, receipt_verify() believes
 * them or not. Without extra data. */
int receipt_format(uint64_t index, const struct merkle_proof *proof, struct span checkpoint,
                   struct buf *ret_text, struct fault *fault) MUST_CHECK;

/* Takes one apart without believing it. Strict: LF only, decimal without leading zeros,
 * canonical base64, at most 63 hashes of 32 bytes, a well-formed note at the end. */
int receipt_parse(struct span text, struct receipt *ret_receipt, struct fault *fault) MUST_CHECK;

/* That `entry` (SHA-256 of the event's bytes) is in the log of that origin and one of those
 * keys. ret_receipt and ret_checkpoint may be NULL. */
int receipt_verify(struct span text, const char *origin, const struct note_verifier *verifiers,
                   size_t verifier_count, const struct digest *entry, struct receipt *ret_receipt,
                   struct checkpoint *ret_checkpoint, struct fault *fault) MUST_CHECK;
