/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/events.h"

#include "base/clock.h"

#define EVENTS_BATCH_MAX 256

int events_commit(struct pg *pg, const struct event *const *events, size_t count,
                  struct fault *fault)
{
    static const struct pg_statement insert = {
        "events_insert",
        "INSERT INTO event (event_id, tenant_id, type, subject, execution_id, hash, body) "
        "SELECT * FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::uuid[], "
        "$6::bytea[], $7::bytea[])"};
    static const enum pg_array_kind kinds[] = {PG_ARRAY_UUID, PG_ARRAY_TEXT, PG_ARRAY_TEXT,
                                               PG_ARRAY_TEXT, PG_ARRAY_UUID, PG_ARRAY_BYTEA,
                                               PG_ARRAY_BYTEA};
    struct pg_array columns[ARRAY_LEN(kinds)];
    for (size_t c = 0; c < ARRAY_LEN(kinds); c++)
        columns[c] = pg_array_new(kinds[c]);
    for (size_t i = 0; i < count; i++) {
        const struct event *event = events[i];
        pg_array_uuid(&columns[0], &event->id);
        pg_array_text(&columns[1], event->tenant_id == NULL ? "" : event->tenant_id);
        pg_array_text(&columns[2], event_type_name(event->type));
        pg_array_text(&columns[3], event->subject);
        if (event->has_execution_id)
            pg_array_uuid(&columns[4], &event->execution_id);
        else
            pg_array_null(&columns[4]);
        pg_array_bytes(&columns[5], span_of(event->hash.bytes, DIGEST_LEN));
        pg_array_bytes(&columns[6], span_of(event->bytes, event->len));
    }
    struct pg_params params = {0};
    for (size_t c = 0; c < ARRAY_LEN(kinds); c++)
        pg_array_bind(&params, &columns[c]);
    int status = pg_commit(pg, &insert, &params, NULL, fault);
    for (size_t c = 0; c < ARRAY_LEN(kinds); c++)
        pg_array_free(&columns[c]);
    return status;
}

int events_insert(struct pg *pg, const struct event *const *events, size_t count,
                  struct fault *fault)
{
    const char *tenants[EVENTS_BATCH_MAX + 1];
    if (count > EVENTS_BATCH_MAX)
        return fault_set(fault, FAULT_INTERNAL, "more than %d events at once", EVENTS_BATCH_MAX);
    size_t named = 0;
    for (size_t i = 0; i < count; i++)
        if (events[i]->tenant_id != NULL)
            tenants[named++] = events[i]->tenant_id;
    tenants[named] = NULL;
    AUTO_PG_TX struct pg *tx = pg;
    pg_begin(tx, tenants);
    return events_commit(tx, events, count, fault);
}

int events_get(struct pg *pg, const char *tenant, const struct uuid *id, bool executions_only,
               struct buf *ret_bytes, struct fault *fault)
{
    static const struct pg_statement read = {
        "events_get", "SELECT body, hash, expired_at FROM event WHERE event_id = $1 "
                      "AND tenant_id IN ($2, '') AND (NOT $3 OR execution_id IS NOT NULL)"};
    struct pg_params params = {0};
    pg_uuid(&params, id);
    pg_text(&params, tenant);
    pg_bool(&params, executions_only);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query_as(pg, tenant, &read, &params, &result, fault) != 0)
        return -1;
    if (PQntuples(result) == 0)
        return fault_set(fault, FAULT_NOT_FOUND, "no such event");
    if (pg_is_null(result, 0, 0)) {
        struct digest hash = pg_get_digest(result, 0, 1);
        return fault_set(fault, FAULT_EXPIRED,
                         "the event expired on %.10s; its entry in the ledger is %s",
                         time_format(pg_get_time(result, 0, 2)).text, digest_format(&hash).text);
    }
    struct span body = pg_get_bytes(result, 0, 0);
    buf_append(ret_bytes, body.data, body.len);
    return buf_failed(ret_bytes) ? fault_set(fault, FAULT_INTERNAL, "out of memory") : 0;
}
