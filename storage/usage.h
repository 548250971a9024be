/* SPDX-License-Identifier: Apache-2.0 */
/* What a tenant stores, and may store. The database counts and holds its quotas (SQLSTATE SP001);
 * this only looks, so that what cannot fit is refused before it is sent. */
#pragma once

#include "storage/pg.h"

/* In bytes. */
struct usage {
    int64_t inputs, inputs_quota;
    int64_t artifacts, artifacts_quota;
};

/* FAULT_NOT_FOUND: no such tenant. */
int usage_read(struct pg *pg, const char *tenant, struct usage *ret_usage,
               struct fault *fault) MUST_CHECK;
