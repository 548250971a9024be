/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which refusals become an event: a token bucket a caller, so that a broken client cannot fill the
 * ledger; what it held back is told by the next event it lets through.
 */
#pragma once

#include "base/fault.h"

#include <stdbool.h>
#include <stdint.h>

#define REFUSALS_PER_SECOND 10
#define REFUSALS_BURST 100

struct refusals;

int refusals_new(struct refusals **ret_refusals, struct fault *fault) MUST_CHECK;
void refusals_free(struct refusals *refusals);

/* True if this refusal may be an event; ret_unreported is then how many before it were not. */
bool refusals_take(struct refusals *refusals, const char *api_key_id, int64_t now_ms,
                   uint64_t *ret_unreported);
