/* SPDX-License-Identifier: Apache-2.0 */
/* Events: inserted once, as the last thing of a transaction; read by id. Their order is the
 * ledger's (storage/ledger.h). Those of the log itself have no tenant: everybody may read them. */
#pragma once

#include "ledger/event.h"
#include "storage/pg.h"

/* Inserts the events as the last step of the open transaction, and commits it. */
int events_commit(struct pg *pg, const struct event *const *events, size_t count,
                  struct fault *fault) MUST_CHECK;

/* The same in a transaction of their own. */
int events_insert(struct pg *pg, const struct event *const *events, size_t count,
                  struct fault *fault) MUST_CHECK;

/* One event's exact bytes, appended. FAULT_NOT_FOUND if it is neither the tenant's nor of the log
 * itself, or with `executions_only` of no execution; FAULT_EXPIRED, naming its hash, if its body is
 * gone. */
int events_get(struct pg *pg, const char *tenant, const struct uuid *id, bool executions_only,
               struct buf *ret_bytes, struct fault *fault) MUST_CHECK;
