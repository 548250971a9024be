/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking for the end of executions. The api asks, a worker ends: nobody else may. The first word
 * stands, by a trigger: a cancel is neither taken back nor given another reason.
 */
#pragma once

#include "ledger/event.h"
#include "storage/pg.h"

enum cancel_reason { CANCEL_NONE, CANCEL_REQUESTED, CANCEL_ARTIFACT_REVOKED };

/* "cancel_requested" or "artifact_revoked": also the reason of the execution's end; "" for none. */
const char *cancel_reason_name(enum cancel_reason reason);
/* A column of it; SQL null is CANCEL_NONE. A reason not known here still is one: CANCEL_REQUESTED.
 */
enum cancel_reason cancel_reason_get(const PGresult *result, int row, int column);

/* Asks for the end of one execution of the tenant, with its event. *ret_first says whether that was
 * written: it was not if the execution has ended, was asked to before, or is not the tenant's.
 * api_key_id is who asks: FAULT_NOT_AUTHENTICATED if it was revoked meanwhile. */
int cancels_request(struct pg *pg, const char *tenant, const struct uuid *execution_id,
                    const char *api_key_id, const struct event *event, bool *ret_first,
                    struct fault *fault) MUST_CHECK;

struct cancels_count {
    int64_t queued, running;
};
/* A step of an open transaction, which has the artifact's lock: asks for the end of everything of
 * it that waits, and of what runs if told so. Counts what had not been asked to end before. */
int cancels_of_artifact(struct pg *tx, const char *tenant, const struct digest *sha256,
                        bool running, struct cancels_count *ret_count,
                        struct fault *fault) MUST_CHECK;
