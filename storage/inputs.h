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
/* Makes the input of a whole upload; ret_created false where it existed (the upload is then the
 * caller's to remove). */
int inputs_add(struct pg *pg, const char *tenant, const struct input *input, const char *created_by,
               bool *ret_created, struct fault *fault) MUST_CHECK;
