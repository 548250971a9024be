/* SPDX-License-Identifier: Apache-2.0 */
/*
 * C2SP signed-note: a text, a blank line, signature lines. Signatures of keys and types that
 * are not ours to know are ignored, as the specification asks.
 *
 * Faults: FAULT_MALFORMED_REQUEST for what is not a note, FAULT_CONTENT_MISMATCH for a note
 * that does not verify.
 */
#pragma once

#include "ledger/note_key.h"

#define NOTE_MAX ((size_t)256 * 1024)
#define NOTE_SIGNATURES_MAX 16

/* One signature line, borrowed from the note. */
struct note_signature {
    struct span name;
    uint32_t id;
    struct span base64; /* of the id and the signature; canonical */
    bool verified;      /* set by note_open() alone */
};

/* A note taken apart, borrowed from its bytes. */
struct note {
    struct span text; /* with its final newline, without the blank line */
    size_t signature_count;
    struct note_signature signatures[NOTE_SIGNATURES_MAX];
};

/* Appends the text, the blank line and one signature line for each of 1 to
 * NOTE_SIGNATURES_MAX signers. The text is UTF-8, ends in a newline, has no other control
 * character, and fits NOTE_MAX. */
int note_sign(struct span text, const struct note_signer *const *signers, size_t signer_count,
              struct buf *ret_note, struct fault *fault) MUST_CHECK;

/* Takes a note apart without believing it. */
int note_parse(struct span bytes, struct note *ret_note, struct fault *fault) MUST_CHECK;

/* note_parse(), and at least one signature is of a given key, and every signature that bears a
 * given key's name and id is valid: one that is not rejects the whole note. */
int note_open(struct span bytes, const struct note_verifier *verifiers, size_t verifier_count,
              struct note *ret_note, struct fault *fault) MUST_CHECK;
