/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which keys have signed the log, in the order they came. A key is added once and retired once; a
 * retired key never comes back, which the table states.
 */
#pragma once

#include "ledger/event.h"
#include "storage/ledger_lease.h"

/* "<name>+<8 hex digits>+<44 characters>" */
#define LEDGER_VKEY_MAX 400
/* Keys of one origin, the retired ones too. */
#define LEDGER_KEYS_MAX 256

struct ledger_key {
    char vkey[LEDGER_VKEY_MAX + 1];
    bool retired;
};

struct ledger_keys_known {
    int changes; /* rows of all origins: what ledger_keys_change() compares */
    size_t count;
    struct ledger_key keys[LEDGER_KEYS_MAX]; /* 100 KiB: not for a stack */
};

/* The keys of an origin, oldest first. FAULT_TOO_LARGE if there are more than LEDGER_KEYS_MAX. */
int ledger_keys_read(struct pg *pg, const char *origin, struct ledger_keys_known *ret_known,
                     struct fault *fault) MUST_CHECK;

/* That key among them, or NULL. */
const struct ledger_key *ledger_keys_find(const struct ledger_keys_known *known,
                                          const struct note_verifier *verifier);

struct ledger_key_change {
    const char *vkey;
    bool retired;        /* else added */
    struct event *event; /* that says so */
};

/* Writes the changes and their events, one transaction under the lease. *ret_led is false, and
 * nothing written, if another leads or has made a change since `known` was read.
 * FAULT_STATE_CONFLICT if the log was reopened under another origin. */
int ledger_keys_change(struct pg *pg, const struct ledger_lease *lease, const char *origin,
                       const struct ledger_keys_known *known, uint64_t size,
                       const struct ledger_key_change *changes, size_t count, bool *ret_led,
                       struct fault *fault) MUST_CHECK;
