/* SPDX-License-Identifier: Apache-2.0 */
/* What the ledger process tells others of itself: written by its loop, read from any thread. */
#pragma once

#include "sequencer/sequencer.h"

#include <pthread.h>

struct standing {
    pthread_mutex_t mutex;
    struct sequencer_status status;
    bool accused;
    char accusation[LEDGER_PROBLEM_MAX + 1];
    struct signer_evidence evidence; /* with the accusation as its problem */
};

/* That of a standby that has just done well. */
void standing_init(struct standing *standing);
void standing_done(struct standing *standing);

void standing_count(struct standing *standing, uint64_t batches, uint64_t events,
                    uint64_t checkpoints, uint64_t followed);
/* A turn has ended: role, epoch and sizes are `now`'s. `failure` is NULL where it succeeded. */
void standing_turn(struct standing *standing, const struct sequencer_status *now,
                   const char *problem, const char *barred, const struct fault *failure);
/* What lies between the turns has failed. */
void standing_failure(struct standing *standing, const struct fault *failure);

/* As sequencer_accuse(); and what was accused, if anything: *ret_evidence is good as long as the
 * standing is. */
void standing_accuse(struct standing *standing, const struct signer_evidence *evidence);
bool standing_accused(struct standing *standing, struct signer_evidence *ret_evidence);

void standing_read(struct standing *standing, struct sequencer_status *ret_status);
/* As sequencer_ready(). */
int standing_ready(struct standing *standing, struct fault *fault) MUST_CHECK;
