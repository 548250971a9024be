/* SPDX-License-Identifier: Apache-2.0 */
/* What queue.c (claims), queue_start.c (starts) and queue_end.c (ends) share. */
#pragma once

#include "storage/queue.h"

static inline void claim_params(struct pg_params *params, const struct claim *claim)
{
    pg_uuid(params, &claim->execution_id);
    pg_uuid(params, &claim->worker_id);
    pg_int8(params, claim->fence);
}

/* Claims, column by column, for unnest($1::uuid[], $2::uuid[], $3::bigint[]). */
struct claim_arrays {
    struct pg_array executions, workers, fences;
};
#define AUTO_CLAIM_ARRAYS AUTO(claim_arrays_free)

static inline struct claim_arrays claim_arrays_new(void)
{
    return (struct claim_arrays){pg_array_new(PG_ARRAY_UUID), pg_array_new(PG_ARRAY_UUID),
                                 pg_array_new(PG_ARRAY_INT8)};
}

static inline void claim_arrays_add(struct claim_arrays *arrays, const struct claim *claim)
{
    pg_array_uuid(&arrays->executions, &claim->execution_id);
    pg_array_uuid(&arrays->workers, &claim->worker_id);
    pg_array_int(&arrays->fences, claim->fence);
}

static inline void claim_arrays_bind(struct pg_params *params, struct claim_arrays *arrays)
{
    pg_array_bind(params, &arrays->executions);
    pg_array_bind(params, &arrays->workers);
    pg_array_bind(params, &arrays->fences);
}

static inline void claim_arrays_free(struct claim_arrays *arrays)
{
    pg_array_free(&arrays->executions);
    pg_array_free(&arrays->workers);
    pg_array_free(&arrays->fences);
}

/* An event's columns, five in a row: uuid, text, text, bytea, bytea. */
enum { EVENT_ID, EVENT_TYPE, EVENT_SUBJECT, EVENT_HASH, EVENT_BODY };

static inline void event_columns_add(struct pg_array *columns, const struct event *event)
{
    pg_array_uuid(&columns[EVENT_ID], &event->id);
    pg_array_text(&columns[EVENT_TYPE], event_type_name(event->type));
    pg_array_text(&columns[EVENT_SUBJECT], event->subject);
    pg_array_bytes(&columns[EVENT_HASH], span_of(event->hash.bytes, DIGEST_LEN));
    pg_array_bytes(&columns[EVENT_BODY], span_of(event->bytes, event->len));
}

static inline int claim_lost(struct fault *fault)
{
    return fault_set(fault, FAULT_STATE_CONFLICT, "the claim does not hold any more");
}
