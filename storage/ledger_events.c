/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/ledger_events.h"

#include <inttypes.h>

/* Pages are bounded by bytes in the database, not here: a result is whole in memory before its
 * first row can be read. Bodies stay in their own storage until a row is sent, so counting their
 * lengths costs nothing. */

static struct ledger_event event_of_row(const PGresult *rows, int row)
{
    struct ledger_event event = {
        .index = (uint64_t)pg_get_int(rows, row, 0),
        .id = pg_get_uuid(rows, row, 1),
        .hash = pg_get_digest(rows, row, 2),
    };
    if (!pg_is_null(rows, row, 3))
        event.body = pg_get_bytes(rows, row, 3);
    return event;
}

/* walked: the next entries of the tenant, past those of which it is known that all have expired,
 * and of the log itself, so many at the most; two walks along the index, for one over both would
 * sort all there is. The result is what fits the page, then perhaps one row without its body (the
 * page was cut before it), then one row without an id: how far the walk went and how many entries
 * it saw. */
static const struct pg_statement events_read = {
    "ledger_events_read",
    "WITH walked AS MATERIALIZED (SELECT * FROM ("
    "(SELECT idx, event_id, hash FROM ledger_entry "
    "WHERE tenant_id = $1 AND idx > greatest($2, (SELECT expired_to - 1 FROM event_retention "
    "WHERE tenant_id = $1)) ORDER BY idx LIMIT $7) UNION ALL "
    "(SELECT idx, event_id, hash FROM ledger_entry "
    "WHERE tenant_id = '' AND idx > $2 ORDER BY idx LIMIT $7)) seen ORDER BY idx LIMIT $7), "
    "matched AS (SELECT w.idx, w.event_id, w.hash, e.body, octet_length(e.body) AS len, "
    "row_number() OVER (ORDER BY w.idx) AS n, sum(octet_length(e.body)) OVER (ORDER BY w.idx) AS "
    "total FROM walked w JOIN event e ON e.event_id = w.event_id AND e.tenant_id IN ($1, '') "
    "WHERE e.body IS NOT NULL AND ($3::text IS NULL OR e.type = $3) "
    "AND ($4::uuid IS NULL OR e.execution_id = $4)), "
    "page AS (SELECT idx, event_id, hash, CASE WHEN n <= $5 AND (n = 1 OR total <= $6) THEN body "
    "END, 0::bigint FROM matched "
    "WHERE n = 1 OR (n <= $5 + 1 AND (n = 2 OR total - len <= $6)) ORDER BY idx) "
    "SELECT * FROM page UNION ALL SELECT max(idx), NULL, NULL, NULL, count(*) FROM walked"};

static int events_give(const PGresult *rows, const struct ledger_events_query *query,
                       int64_t walk_max, ledger_event_fn *take, void *context,
                       struct ledger_events_page *ret_page, struct fault *fault)
{
    int last = PQntuples(rows) - 1;
    struct ledger_events_page page = {.next = query->after};
    for (int row = 0; row < last; row++) {
        if (pg_is_null(rows, row, 3)) {
            page.more = true;
            *ret_page = page;
            return 0;
        }
        struct ledger_event event = event_of_row(rows, row);
        if (take(context, &event, fault) != 0)
            return -1;
        page.next = (int64_t)event.index;
        page.count++;
    }
    if (!pg_is_null(rows, last, 0))
        page.next = pg_get_int(rows, last, 0);
    page.more = pg_get_int(rows, last, 4) == walk_max;
    *ret_page = page;
    return 0;
}

int ledger_events_read(struct pg *pg, const struct ledger_events_query *query,
                       ledger_event_fn *take, void *context, struct ledger_events_page *ret_page,
                       struct fault *fault)
{
    if (query->limit < 1 || query->limit > LEDGER_EVENTS_LIMIT_MAX ||
        query->bytes_max > LEDGER_EVENTS_BYTES_MAX || query->after < -1)
        return fault_set(fault, FAULT_INTERNAL, "ledger: a page of %d events", query->limit);
    bool filtered = query->type != NULL || query->execution_id != NULL;
    int64_t walk_max = filtered ? LEDGER_EVENTS_WALK_MAX : query->limit;
    struct pg_params params = {0};
    pg_text(&params, query->tenant);
    pg_int8(&params, query->after);
    pg_text(&params, query->type);
    pg_uuid(&params, query->execution_id);
    pg_int8(&params, query->limit);
    pg_int8(&params, (int64_t)query->bytes_max);
    pg_int8(&params, walk_max);
    AUTO_PGRESULT PGresult *rows = NULL;
    if (pg_query_as(pg, query->tenant, &events_read, &params, &rows, fault) != 0)
        return -1;
    return events_give(rows, query, walk_max, take, context, ret_page, fault);
}

static const struct pg_statement export_read = {
    "ledger_export_read",
    "WITH walked AS MATERIALIZED (SELECT idx, event_id, hash FROM ledger_entry "
    "WHERE idx >= $1 AND idx < $2 ORDER BY idx LIMIT 1024), "
    "joined AS (SELECT w.idx, w.event_id, w.hash, e.body, e.expired_at IS NOT NULL AS expired, "
    "coalesce(sum(octet_length(e.body)) OVER (ORDER BY w.idx), 0) AS total "
    "FROM walked w LEFT JOIN event e ON e.event_id = w.event_id AND e.tenant_id = ANY ($3)) "
    "SELECT idx, event_id, hash, body, expired FROM joined WHERE total <= $4 OR idx = $1 "
    "ORDER BY idx"};

int ledger_export_read(struct pg *pg, const char *const *tenants, uint64_t from, uint64_t to,
                       ledger_event_fn *take, void *context, uint64_t *ret_next,
                       struct fault *fault)
{
    if (from > to || to > MERKLE_SIZE_MAX)
        return fault_set(fault, FAULT_INTERNAL, "ledger: %" PRIu64 " to %" PRIu64 " is no range",
                         from, to);
    AUTO_PG_ARRAY struct pg_array names = pg_array_new(PG_ARRAY_TEXT);
    for (size_t i = 0; tenants != NULL && tenants[i] != NULL; i++)
        pg_array_text(&names, tenants[i]);
    pg_array_text(&names, ""); /* the log itself */
    struct pg_params params = {0};
    pg_int8(&params, (int64_t)from);
    pg_int8(&params, (int64_t)to);
    pg_array_bind(&params, &names);
    pg_int8(&params, (int64_t)LEDGER_EVENTS_BYTES_MAX);
    AUTO_PGRESULT PGresult *rows = NULL;
    if (pg_query(pg, tenants, &export_read, &params, &rows, fault) != 0)
        return -1;
    if (PQntuples(rows) == 0 && from < to)
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "entry %" PRIu64 " of the ledger is missing", from);
    uint64_t next = from;
    for (int row = 0; row < PQntuples(rows); row++, next++) {
        struct ledger_event event = event_of_row(rows, row);
        event.expired = pg_get_bool(rows, row, 4);
        if (event.index != next)
            return fault_set(fault, FAULT_CONTENT_MISMATCH,
                             "entry %" PRIu64 " of the ledger is missing", next);
        if (take(context, &event, fault) != 0)
            return -1;
    }
    *ret_next = next;
    return 0;
}
