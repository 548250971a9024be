/* SPDX-License-Identifier: Apache-2.0 */
/* Inputs: files that jobs read, named by the digest of their bytes. */
#pragma once

#include "storage/pg.h"

struct input {
    struct digest sha256;
    struct uuid blob_id;
    int64_t size;
    int64_t expires_ms; /* INT64_MIN: never */
};

/* FAULT_NOT_FOUND for an unknown or expired one. */
int inputs_find(struct pg *pg, const char *tenant, const struct digest *sha256,
                struct input *ret_input, struct fault *fault) MUST_CHECK;
/* Whether its bytes are stored, expired or not. */
int inputs_stored(struct pg *pg, const char *tenant, const struct digest *sha256, bool *ret_stored,
                  struct fault *fault) MUST_CHECK;
/* Gives an input that is stored, expired or not, this time to live (INT64_MIN: for ever), unless
 * it has a longer one; ret_input is what it is now. FAULT_NOT_FOUND. */
int inputs_renew(struct pg *pg, const char *tenant, const struct digest *sha256, int64_t expires_ms,
                 struct input *ret_input, struct fault *fault) MUST_CHECK;
/* Makes the input of a whole upload. ret_created false where it existed: it was renewed, and the
 * upload is the caller's to remove. ret_input is what it is now. FAULT_QUOTA_EXCEEDED. */
int inputs_add(struct pg *pg, const char *tenant, const struct input *input, const char *created_by,
               bool *ret_created, struct input *ret_input, struct fault *fault) MUST_CHECK;

/* Removes inputs that expired more than a day ago, at most a hundred; their bytes go with the next
 * blobs_sweep(). Returns how many. */
int inputs_sweep(struct pg *pg, int64_t *ret_count, struct fault *fault) MUST_CHECK;
