/* SPDX-License-Identifier: Apache-2.0 */
/* What queue.c (claims, starts) and queue_end.c (ends) share. */
#pragma once

#include "storage/queue.h"

static inline void claim_params(struct pg_params *params, const struct claim *claim)
{
    pg_uuid(params, &claim->execution_id);
    pg_uuid(params, &claim->worker_id);
    pg_int8(params, claim->fence);
}

static inline int claim_lost(struct fault *fault)
{
    return fault_set(fault, FAULT_STATE_CONFLICT, "the claim does not hold any more");
}
