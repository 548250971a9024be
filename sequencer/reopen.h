/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A new log over what a restore has left of the old one. The old one signed more than the database
 * has now; under its name nothing can be signed any more without signing two logs. So the entries
 * that are left go on under a new name and a new key, and the first thing this log says is what it
 * was, how much of it was kept, and what was signed last.
 *
 * Not to silence a contradiction: entries that are not what was signed are refused, and so is a log
 * that has lost nothing. Run once where a ledger process led, it reopens the log; run on the hosts
 * of its standbys after that, it finds the log reopened and turns their own state.
 */
#pragma once

#include "sequencer/signer_state.h"

#define REOPEN_REASON_MAX 500

/* All borrowed for the call. */
struct reopen_config {
    const char *conninfo; /* of the role sallyport_ledger */
    const char *node;     /* source of the event */
    const char *origin;   /* the new name, and the new key's */
    const char *key_file; /* the new key: made before, given out with the name */
    const char *state_file;
    const struct note_verifier *previous; /* the keys of the log that is left, one name */
    size_t previous_count;                /* 1 to SIGNER_KEYS_MAX */
    const char *reason;                   /* 1 to REOPEN_REASON_MAX bytes of UTF-8, one line */
    bool state_lost; /* the state file is gone for good: only if it is not there */
    int lease_ms;
};

struct reopen_report {
    bool reopened; /* by this call; else it was, and only the state here was turned */
    uint64_t kept;
    uint64_t signed_size; /* 0 with state_lost */
    char *aside;          /* where the old state is now, NULL if there was none; free() */
};

/* Faults: FAULT_MALFORMED_REQUEST for a config that makes no sense, FAULT_UNAVAILABLE while a
 * ledger process leads, FAULT_CONTENT_MISMATCH for entries, tiles or a checkpoint that are not what
 * was signed, FAULT_STATE_CONFLICT for a name that the log has had, a log that has lost nothing, a
 * state file that is missing, none, or of another log; FAULT_KEY_INVALID for the key file. Whatever
 * fails, nothing was changed, or the log is reopened and the state is as it was: then the same call
 * again turns it. */
int reopen_run(const struct reopen_config *config, struct reopen_report *ret_report,
               struct fault *fault) MUST_CHECK;
