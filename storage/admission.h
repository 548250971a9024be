/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accepting executions: verdict, spent nonce, active row, queue row and `accepted` event of many
 * jobs in one transaction.
 */
#pragma once

#include "ledger/event.h"
#include "storage/facts.h"
#include "storage/rooms.h"
#include "trust/manifest.h"

enum admission_end {
    ADMISSION_ACCEPTED,
    ADMISSION_KNOWN,   /* this very token was accepted before: known_id is its execution */
    ADMISSION_REFUSED, /* by the verdict, its nonce is spent, its tenant has no room: fault */
    ADMISSION_FAILED   /* by us: fault; with FAULT_UNAVAILABLE it may have been accepted */
};

/* One proven manifest on its way in; everything borrowed until admission_commit() returns. */
struct admission {
    struct uuid execution_id;
    const char *api_key_id;
    const char *kid;
    const char *traceparent;
    struct span token;
    struct digest token_sha256;      /* of the signing input */
    const struct manifest *manifest; /* its tenant is the caller's: checked before */
    const struct digest *inputs;     /* the manifest's input digests */
    int64_t submitted_ms;
    const struct event *event; /* accepted */
    const struct fault *stale; /* the manifest is outside its window: refused unless it is known */
    /* out */
    enum admission_end end;
    struct uuid known_id;
    struct fault fault;
};

#define ADMISSION_BATCH_MAX 256

/* Decides and commits up to ADMISSION_BATCH_MAX of them; each item's end is set, whatever happens.
 * If the database refuses a batch it is split, so that only its bad row fails. `rooms` is this
 * writer's own, kept from batch to batch. */
void admission_commit(struct pg *pg, struct rooms *rooms, struct admission *const *items,
                      size_t count);
