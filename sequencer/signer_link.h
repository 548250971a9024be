/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a reopened log was before: the names it has had, the keys of the last of them, and how much
 * of it was kept. Of that name, and up to that size, a checkpoint counts that none of the new keys
 * has signed.
 *
 * JSON: {"origins":[O,...],"vkeys":[V,...],"size":N,"root":"sha256:..","event_id":ID}
 */
#pragma once

#include "base/json.h"
#include "base/uuid.h"
#include "ledger/checkpoint.h"

#define SIGNER_ORIGINS_MAX 16
#define SIGNER_LINK_KEYS_MAX 4

struct signer_link {
    size_t origin_count;                                         /* 0: the log was never reopened */
    char origins[SIGNER_ORIGINS_MAX][CHECKPOINT_ORIGIN_MAX + 1]; /* the last is the latest */
    size_t verifier_count;
    struct note_verifier verifiers[SIGNER_LINK_KEYS_MAX]; /* of the latest */
    uint64_t size;                                        /* of what was kept */
    struct digest root;
    struct uuid event_id; /* of ledger.reopened: nothing is signed before it has its place */
};

/* The name before this one; the log was reopened. */
const char *signer_link_origin(const struct signer_link *link);
/* Is it a name the log has had? */
bool signer_link_has(const struct signer_link *link, const char *origin);

/* The sentence of the fault says what is wrong with it; its code is FAULT_STATE_CONFLICT. */
int signer_link_read(const json_t *object, struct signer_link *ret_link,
                     struct fault *fault) MUST_CHECK;
/* The caller owns it; NULL without memory. */
json_t *signer_link_json(const struct signer_link *link);
