/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a reopened log was before: the names it has had, with their keys, and how much of each was
 * kept. Of those names, and up to those sizes, a checkpoint counts that none of the new keys has
 * signed.
 *
 * JSON: {"logs":[{"origin":O,"vkeys":[V,...],"size":N},...],"root":"sha256:..","event_id":ID}
 */
#pragma once

#include "base/json.h"
#include "base/uuid.h"
#include "ledger/checkpoint.h"

#define SIGNER_PREVIOUS_MAX 16
/* A log is signed by two keys at the most. */
#define SIGNER_KEYS_MAX 2

struct signer_log {
    char origin[CHECKPOINT_ORIGIN_MAX + 1];
    size_t verifier_count;
    struct note_verifier verifiers[SIGNER_KEYS_MAX];
    uint64_t size; /* what was kept of it when it was left */
};

struct signer_previous {
    size_t count;                                /* 0: the log was never reopened */
    struct signer_log logs[SIGNER_PREVIOUS_MAX]; /* the last is the latest */
    struct digest root;                          /* of what was kept of the latest */
    struct uuid event_id; /* of ledger.reopened: nothing is signed before it has its place */
};

/* The log before this one, which was reopened. */
const struct signer_log *signer_previous_latest(const struct signer_previous *previous);
/* Is it a name the log has had? */
bool signer_previous_has(const struct signer_previous *previous, const char *origin);

/* Is a checkpoint of this size one of before the last reopening? */
bool signer_previous_covers(const struct signer_previous *previous, uint64_t size);
/* checkpoint_open() as one of the previous logs, of what was kept of it. */
int signer_previous_open(const struct signer_previous *previous, struct span note,
                         struct checkpoint *ret_checkpoint, struct fault *fault) MUST_CHECK;

/* The sentence of the fault says what is wrong with it; its code is FAULT_STATE_CONFLICT. */
int signer_previous_read(const json_t *object, struct signer_previous *ret_previous,
                         struct fault *fault) MUST_CHECK;
/* The caller owns it; NULL without memory. */
json_t *signer_previous_json(const struct signer_previous *previous);
/* The verifier keys as an array of texts; the same. */
json_t *signer_vkeys_json(const struct note_verifier *verifiers, size_t count);
