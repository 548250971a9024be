/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wake-ups between processes. NOTIFY takes a cluster-wide lock at commit, so it is never part of a
 * deciding transaction: it follows in one of its own, and everyone polls besides.
 */
#pragma once

#include "storage/pg.h"

#define NOTIFY_QUEUE "sallyport_queue"   /* an execution was accepted, an artifact ingested */
#define NOTIFY_CANCEL "sallyport_cancel" /* an execution is to end early */
#define NOTIFY_ENDED "sallyport_ended"   /* an execution has ended */
#define NOTIFY_EVENT "sallyport_event"   /* an event is pending */

/* Sends to up to four channels (NULL-terminated) in one transaction. */
int notify_send(struct pg *pg, const char *const *channels, struct fault *fault) MUST_CHECK;
