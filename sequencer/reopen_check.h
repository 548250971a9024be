/* SPDX-License-Identifier: Apache-2.0 */
/* Is what a restore has left a beginning of what was signed? */
#pragma once

#include "sequencer/signer_state.h"
#include "storage/ledger.h"

/* What is held against the entries; all borrowed. */
struct reopen_check {
    uint64_t size;                      /* of the batch up to which they are read */
    const struct signer_state *state;   /* of the old log; NULL: lost */
    const struct checkpoint *published; /* the newest one, of at most that size; NULL: none */
};

/* Called now and then while it reads, so that a lease can be kept. */
typedef int reopen_tick(void *context, struct fault *fault);

/* Reads every entry and every full tile. The entries must make the batch's root, the tiles and the
 * published checkpoint; and every subtree of the signed one that lies within them. ret_range is the
 * tree. FAULT_CONTENT_MISMATCH says what disagrees. */
int reopen_check(struct pg *pg, const struct reopen_check *check, reopen_tick *tick, void *context,
                 struct merkle_range *ret_range, struct fault *fault) MUST_CHECK;
