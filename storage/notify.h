/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wake-ups between processes. NOTIFY takes a cluster-wide lock at commit, so it is never part of a
 * deciding transaction: it follows in one of its own (pg_tell()), and everyone polls besides.
 */
#pragma once

#include "storage/pg.h"

#define NOTIFY_QUEUE "sallyport_queue"   /* an execution was accepted, an artifact ingested */
#define NOTIFY_CANCEL "sallyport_cancel" /* an execution is to end early */
#define NOTIFY_ENDED "sallyport_ended"   /* an execution has ended */
#define NOTIFY_OUTPUT "sallyport_output" /* of a running execution something was stored */
#define NOTIFY_FOLLOW "sallyport_follow" /* these are followed; tells which */

/* Sends to up to four channels (NULL-terminated) in one transaction. */
int notify_send(struct pg *pg, const char *const *channels, struct fault *fault) MUST_CHECK;

/* What NOTIFY_FOLLOW says: the ids of up to NOTIFY_IDS_MAX executions. */
#define NOTIFY_IDS_MAX 200
int notify_follow(struct pg *pg, const struct uuid *ids, size_t count,
                  struct fault *fault) MUST_CHECK;
/* Reads one; returns how many ids there are, 0 where it is not in that form. */
size_t notify_ids(const char *payload, struct uuid ret_ids[NOTIFY_IDS_MAX]);
