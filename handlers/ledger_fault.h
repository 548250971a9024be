/* SPDX-License-Identifier: Apache-2.0 */
/* Answers a fault of storage/ledger*.h. */
#pragma once

#include "server/request.h"

/* Rows that contradict each other were edited: that is never the caller's mistake. */
static inline enum answer reply_ledger_fault(struct request *request, struct fault *fault)
{
    if (fault->code == FAULT_CONTENT_MISMATCH)
        fault->code = FAULT_INTERNAL;
    return reply_fault(request, fault);
}
