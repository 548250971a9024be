/* SPDX-License-Identifier: Apache-2.0 */
/* A result that came after its execution had been called lost: kept as an event. */
#pragma once

#include "storage/queue.h"

/* Stores the event of an ending that is ENDING_LATE, once, and says so: type
 * execution.result_late.v1, of this node and now, with the data of the ending's own finished event,
 * which was not stored. Of the output it keeps what is in there. The ending stays ENDING_LATE, or
 * becomes ENDING_FAILED with its fault. */
void late_store(struct pg *pg, const char *node, struct ending *ending);
