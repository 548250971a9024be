/* SPDX-License-Identifier: Apache-2.0 */
#include "sequencer/standing.h"

#include "base/clock.h"

#include <inttypes.h>
#include <string.h>

/* A turn that neither succeeds nor fails hangs. */
#define HANGS_AFTER_MS 10000

void standing_init(struct standing *standing)
{
    (void)pthread_mutex_init(&standing->mutex, NULL);
    standing->status = (struct sequencer_status){.last_turn_ms = clock_monotonic_ms()};
    standing->accused = false;
}

void standing_done(struct standing *standing)
{
    (void)pthread_mutex_destroy(&standing->mutex);
}

void standing_count(struct standing *standing, uint64_t batches, uint64_t events,
                    uint64_t checkpoints, uint64_t followed)
{
    (void)pthread_mutex_lock(&standing->mutex);
    standing->status.batches += batches;
    standing->status.events += events;
    standing->status.checkpoints += checkpoints;
    standing->status.followed += followed;
    (void)pthread_mutex_unlock(&standing->mutex);
}

static void failure_set(struct sequencer_status *status, const struct fault *failure)
{
    (void)snprintf(status->failure, sizeof status->failure, "%s", failure->detail);
}

void standing_turn(struct standing *standing, const struct sequencer_status *now,
                   const char *problem, const char *barred, const struct fault *failure)
{
    (void)pthread_mutex_lock(&standing->mutex);
    struct sequencer_status *status = &standing->status;
    status->role = now->role;
    status->epoch = now->epoch;
    status->size = now->size;
    status->signed_size = now->signed_size;
    status->signed_root = now->signed_root;
    (void)snprintf(status->problem, sizeof status->problem, "%s", problem);
    (void)snprintf(status->barred, sizeof status->barred, "%s", barred);
    if (failure != NULL) {
        failure_set(status, failure);
    } else {
        status->failure[0] = '\0';
        status->last_turn_ms = clock_monotonic_ms();
    }
    (void)pthread_mutex_unlock(&standing->mutex);
}

void standing_failure(struct standing *standing, const struct fault *failure)
{
    (void)pthread_mutex_lock(&standing->mutex);
    failure_set(&standing->status, failure);
    (void)pthread_mutex_unlock(&standing->mutex);
}

void standing_accuse(struct standing *standing, const struct signer_evidence *evidence)
{
    (void)pthread_mutex_lock(&standing->mutex);
    if (!standing->accused) {
        (void)snprintf(standing->accusation, sizeof standing->accusation, "%s", evidence->problem);
        standing->evidence = *evidence;
        standing->evidence.problem = standing->accusation;
        standing->accused = true;
    }
    (void)pthread_mutex_unlock(&standing->mutex);
}

bool standing_accused(struct standing *standing, struct signer_evidence *ret_evidence)
{
    (void)pthread_mutex_lock(&standing->mutex);
    bool accused = standing->accused;
    if (accused)
        *ret_evidence = standing->evidence;
    (void)pthread_mutex_unlock(&standing->mutex);
    return accused;
}

void standing_read(struct standing *standing, struct sequencer_status *ret_status)
{
    (void)pthread_mutex_lock(&standing->mutex);
    *ret_status = standing->status;
    (void)pthread_mutex_unlock(&standing->mutex);
}

int standing_ready(struct standing *standing, struct fault *fault)
{
    struct sequencer_status status;
    standing_read(standing, &status);
    if (status.role == SEQUENCER_STOPPED)
        return fault_set(fault, FAULT_UNAVAILABLE, "the ledger has stopped: %s", status.problem);
    if (status.barred[0] != '\0')
        return fault_set(fault, FAULT_UNAVAILABLE, "this process must not lead: %s", status.barred);
    if (status.failure[0] != '\0')
        return fault_set(fault, FAULT_UNAVAILABLE, "the ledger's last turn failed: %s",
                         status.failure);
    int64_t silent_ms = clock_monotonic_ms() - status.last_turn_ms;
    if (silent_ms > HANGS_AFTER_MS)
        return fault_set(fault, FAULT_UNAVAILABLE,
                         "the ledger process has not succeeded in anything for %" PRId64 " s",
                         silent_ms / 1000);
    return 0;
}
