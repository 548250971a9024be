/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The facts a verdict rests on, read inside the deciding transaction after its shared locks were
 * taken: the same reading when a job is accepted and when it is started.
 */
#pragma once

#include "storage/pg.h"
#include "trust/verdict.h"

struct facts_item {
    /* in, borrowed */
    const char *tenant_id;
    const char *api_key_id;
    const char *kid;
    struct digest tool_sha256;
    const struct digest *inputs;
    size_t input_count;
    /* out */
    struct verdict_facts facts;
    struct digest descriptor_sha256; /* zero where the artifact is absent */
};

/* Steps of pg's open transaction, in one round trip: locks shared, then reads, and behind them,
 * under the same locks, `also` (NULL: nothing), whose result is then the caller's. */
int facts_read(struct pg *pg, struct facts_item *const *items, size_t count, struct pg_call *also,
               struct fault *fault) MUST_CHECK;
