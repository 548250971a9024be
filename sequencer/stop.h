/* SPDX-License-Identifier: Apache-2.0 */
/* The end of it all: a contradiction was found, and three must be told: the evidence file, the
 * lease row, and whoever asks this process. */
#pragma once

#include "sequencer/signer_state.h"
#include "storage/ledger_lease.h"

/* All zero: nothing has stopped. */
struct stop {
    bool stopped;
    bool file_due, row_due; /* not told yet */
    char problem[LEDGER_PROBLEM_MAX + 1];
    struct signer_evidence evidence;
};

/* What disagrees, but for the problem: the tree signed last, what the tables say, what they make.
 */
struct signer_evidence stop_evidence(const struct merkle_range *signed_last, uint64_t found_size,
                                     const struct digest *found_root,
                                     const struct merkle_range *computed);

/* For good. `evidence` is NULL where another process has found the problem, and told all. */
void stop_set(struct stop *stop, const char *problem, const struct signer_evidence *evidence);

/* Tells those who have not been told, each whatever becomes of the other: neither may depend on a
 * disk or a database that is in doubt. Fails with the first failure, to be called again. */
int stop_tell(struct stop *stop, struct pg *pg, const char *state_file, const char *origin,
              struct fault *fault) MUST_CHECK;
