/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/retention.h"

#include "storage/events.h"

#include <stdio.h>

int retention_tenant_next(struct pg *pg, const char *after, char ret_tenant[TENANT_ID_MAX + 1],
                          struct fault *fault)
{
    static const struct pg_statement read = {
        "retention_tenant_next",
        "SELECT tenant_id FROM tenant WHERE event_retention_days IS NOT NULL AND tenant_id > $1 "
        "ORDER BY tenant_id LIMIT 1"};
    struct pg_params params = {0};
    pg_text(&params, after);
    AUTO_PGRESULT PGresult *row = NULL;
    if (pg_query(pg, NULL, &read, &params, &row, fault) != 0)
        return -1;
    (void)snprintf(ret_tenant, TENANT_ID_MAX + 1, "%s",
                   PQntuples(row) == 0 ? "" : pg_get_text(row, 0, 0));
    return 0;
}

int retention_take(struct pg *pg, const char *tenant, int most, struct retention_batch *ret_batch,
                   struct fault *fault)
{
    static const struct pg_statement expire = {
        "retention_take", "SELECT gone, first_idx, last_idx, older_than, days, more "
                          "FROM event_expire($1, $2)"};
    const char *tenants[] = {tenant, NULL};
    struct pg_params params = {0};
    pg_text(&params, tenant);
    pg_int4(&params, most);
    AUTO_PGRESULT PGresult *row = NULL;
    pg_begin(pg, tenants);
    if (pg_step(pg, &expire, &params, &row, fault) != 0)
        return -1;
    if (PQntuples(row) == 0) {
        *ret_batch = (struct retention_batch){.count = 0};
        return 0;
    }
    *ret_batch = (struct retention_batch){.count = pg_get_int(row, 0, 0),
                                          .first = pg_get_int(row, 0, 1),
                                          .last = pg_get_int(row, 0, 2),
                                          .before_ms = pg_get_time(row, 0, 3),
                                          .days = pg_get_int(row, 0, 4),
                                          .more = pg_get_bool(row, 0, 5)};
    return 0;
}

int retention_commit(struct pg *pg, const struct event *event, struct fault *fault)
{
    if (event == NULL)
        return pg_commit(pg, NULL, NULL, NULL, fault);
    return events_commit(pg, &event, 1, fault);
}
