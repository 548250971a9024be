/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the log says of its own keys: an event and a row for each key that begins to sign, and for
 * each that ends, written once by whoever leads and before the first signature.
 *
 * A key ends when a leader comes that has a later key and no longer this one. A leader who only has
 * not been told of the latest key yet ends nothing.
 */
#pragma once

#include "storage/ledger_keys.h"

/* FAULT_KEY_INVALID if the key was retired: it never signs again. */
int key_trace_check(const struct ledger_keys_known *known, const struct note_verifier *verifier,
                    struct fault *fault) MUST_CHECK;

/* Where it is written; all borrowed. */
struct key_trace {
    const char *node; /* the events' source */
    const char *origin;
    const struct note_verifier *verifiers; /* the leader's own keys, the first one first */
    size_t verifier_count;
    uint64_t size; /* of the log now */
};

/* Writes what has changed, if anything has. *ret_done is false where another leads, or the keys
 * changed meanwhile: again, after a renewal. Faults: key_trace_check()'s, and FAULT_STATE_CONFLICT
 * if the log was reopened under another name. */
int key_trace_write(struct pg *pg, const struct ledger_lease *lease, const struct key_trace *trace,
                    bool *ret_done, struct fault *fault) MUST_CHECK;
