/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The signer's own memory, in files of its own that no database restore touches: what it signed
 * last, and evidence where the database contradicted that. Both are one JSON object each.
 *
 * State: {"version":1,"origin":O,"size":N,"root":"sha256:..","frontier":["sha256:..",...]}, and
 * "previous" (sequencer/signer_previous.h) where the log was reopened.
 */
#pragma once

#include "sequencer/signer_previous.h"

/* The tree last signed. Its root is merkle_range_root(&range). Size 0: nothing yet. */
struct signer_state {
    char origin[CHECKPOINT_ORIGIN_MAX + 1];
    struct merkle_range range;
    struct signer_previous previous;
};

/* Strict: a closed object, the root that of the frontier, the origin the given one (NULL: any).
 * FAULT_NOT_FOUND if there is no file, FAULT_STATE_CONFLICT if it is not such a state. */
int signer_state_read(const char *path, const char *origin, struct signer_state *ret_state,
                      struct fault *fault) MUST_CHECK;

/* Durable when it returns: the file is the old state or the new one, whatever happens. */
int signer_state_write(const char *path, const struct signer_state *state,
                       struct fault *fault) MUST_CHECK;

/* Puts state and evidence aside, as `<path>.<time>` and `<path>.<time>.evidence`: the evidence is
 * no longer in the way then, and the state's place is free to be written over. Neither is ever
 * without a name. *ret_aside is the first of the two, to be freed. */
int signer_state_put_aside(const char *path, char **ret_aside, struct fault *fault) MUST_CHECK;

/* What disagrees. `computed` is the tree that the entries make. */
struct signer_evidence {
    const char *problem;
    uint64_t signed_size, found_size, computed_size;
    struct digest signed_root, found_root, computed_root;
};

/* Keeps it in `<path>.evidence`; a file that is there already stays as it is, being the first
 * word on the matter. */
int signer_evidence_keep(const char *path, const char *origin,
                         const struct signer_evidence *evidence, struct fault *fault) MUST_CHECK;
/* FAULT_STATE_CONFLICT if there is evidence beside the state file. */
int signer_evidence_check(const char *path, struct fault *fault) MUST_CHECK;
