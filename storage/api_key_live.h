/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the API key that asks still lives, in the transaction that decides. */
#pragma once

#include "storage/pg.h"

/* A step of an open transaction: locks the key that asks against its revocation, then looks whether
 * it still lives. FAULT_NOT_AUTHENTICATED if not; NULL, the operator, always does. */
int api_keys_recheck(struct pg *pg, const char *id, struct fault *fault) MUST_CHECK;
/* The same, and takes `lock` too, shared or exclusively, both in the order in which all take their
 * locks. */
int api_keys_recheck_shared(struct pg *pg, const char *id, int64_t lock,
                            struct fault *fault) MUST_CHECK;
int api_keys_recheck_exclusive(struct pg *pg, const char *id, int64_t lock,
                               struct fault *fault) MUST_CHECK;
