/* SPDX-License-Identifier: Apache-2.0 */
/* The event of a result that came after its execution had been called lost. */
#pragma once

#include "storage/queue.h"

/* Type execution.result_late.v1, of this node and now; its data is that of the ending's own
 * finished event, which was not stored. Of the output it keeps what is in there. */
int late_event(const struct ending *ending, const char *node, struct event **ret_event,
               struct fault *fault) MUST_CHECK;
