/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/inputs.h"

#include "storage/blobs.h"

#define TRIES 3 /* of inputs_add(), against one that comes or goes at the same time */

static struct input row_read(const PGresult *result, const struct digest *sha256)
{
    return (struct input){.sha256 = *sha256,
                          .blob_id = pg_get_uuid(result, 0, 0),
                          .size = pg_get_int(result, 0, 1),
                          .expires_ms = pg_get_time(result, 0, 2)};
}

int inputs_find(struct pg *pg, const char *tenant, const struct digest *sha256,
                struct input *ret_input, struct fault *fault)
{
    static const struct pg_statement read = {
        "inputs_find", "SELECT blob_id, size, expires_at FROM input WHERE tenant_id = $1"
                       " AND sha256 = $2 AND (expires_at IS NULL OR expires_at > now())"};
    struct pg_params params = {0};
    pg_text(&params, tenant);
    pg_digest(&params, sha256);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query_as(pg, tenant, &read, &params, &result, fault) != 0)
        return -1;
    if (PQntuples(result) == 0)
        return fault_set(fault, FAULT_NOT_FOUND, "no such input");
    *ret_input = row_read(result, sha256);
    return 0;
}

int inputs_stored(struct pg *pg, const char *tenant, const struct digest *sha256, bool *ret_stored,
                  struct fault *fault)
{
    static const struct pg_statement read = {
        "inputs_stored", "SELECT 1 FROM input WHERE tenant_id = $1 AND sha256 = $2"};
    struct pg_params params = {0};
    pg_text(&params, tenant);
    pg_digest(&params, sha256);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query_as(pg, tenant, &read, &params, &result, fault) != 0)
        return -1;
    *ret_stored = PQntuples(result) == 1;
    return 0;
}

/* greatest() takes no notice of nulls, which are the longest here. */
static const struct pg_statement renew = {
    "inputs_renew", "UPDATE input SET expires_at = CASE WHEN expires_at IS NULL OR $3 IS NULL"
                    " THEN NULL ELSE greatest(expires_at, $3) END"
                    " WHERE tenant_id = $1 AND sha256 = $2 RETURNING blob_id, size, expires_at"};

static void renew_params(struct pg_params *params, const char *tenant, const struct digest *sha256,
                         int64_t expires_ms)
{
    pg_text(params, tenant);
    pg_digest(params, sha256);
    pg_time(params, expires_ms);
}

int inputs_renew(struct pg *pg, const char *tenant, const struct digest *sha256, int64_t expires_ms,
                 struct input *ret_input, struct fault *fault)
{
    struct pg_params params = {0};
    renew_params(&params, tenant, sha256, expires_ms);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query_as(pg, tenant, &renew, &params, &result, fault) != 0)
        return -1;
    if (PQntuples(result) == 0)
        return fault_set(fault, FAULT_NOT_FOUND, "no such input");
    *ret_input = row_read(result, sha256);
    return 0;
}

static int insert_input(struct pg *tx, const char *tenant, const struct input *input,
                        const char *created_by, bool *ret_inserted, struct fault *fault)
{
    static const struct pg_statement insert = {
        "inputs_add", "INSERT INTO input (tenant_id, sha256, blob_id, size, created_by, expires_at)"
                      " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING"};
    struct pg_params params = {0};
    pg_text(&params, tenant);
    pg_digest(&params, &input->sha256);
    pg_uuid(&params, &input->blob_id);
    pg_int8(&params, input->size);
    pg_text(&params, created_by);
    pg_time(&params, input->expires_ms);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_step(tx, &insert, &params, &result, fault) != 0)
        return -1;
    *ret_inserted = pg_affected(result) == 1;
    return 0;
}

int inputs_add(struct pg *pg, const char *tenant, const struct input *input, const char *created_by,
               bool *ret_created, struct input *ret_input, struct fault *fault)
{
    const char *tenants[] = {tenant, NULL};
    for (int i = 0; i < TRIES; i++) {
        struct pg_params params = {0};
        bool inserted = false;
        renew_params(&params, tenant, &input->sha256, input->expires_ms);
        AUTO_PGRESULT PGresult *result = NULL;
        AUTO_PG_TX struct pg *tx = pg;
        pg_begin(tx, tenants);
        if (pg_step(tx, &renew, &params, &result, fault) != 0)
            return -1;
        bool renewed = PQntuples(result) == 1;
        if (!renewed && (blobs_complete(tx, tenant, &input->blob_id, input->size, fault) != 0 ||
                         insert_input(tx, tenant, input, created_by, &inserted, fault) != 0))
            return -1;
        if (!renewed && !inserted)
            continue; /* another came between; the upload is incomplete again */
        if (pg_commit(tx, NULL, NULL, NULL, fault) != 0)
            return -1;
        *ret_input = renewed ? row_read(result, &input->sha256) : *input;
        *ret_created = !renewed;
        return 0;
    }
    return fault_set(fault, FAULT_UNAVAILABLE, "the input comes and goes; try again");
}

int inputs_sweep(struct pg *pg, int64_t *ret_count, struct fault *fault)
{
    static const struct pg_statement sweep = {"inputs_sweep", "SELECT inputs_sweep()"};
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query_as(pg, NULL, &sweep, NULL, &result, fault) != 0)
        return -1;
    *ret_count = pg_get_int(result, 0, 0);
    return 0;
}
