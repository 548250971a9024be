/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/inputs.h"

#include "storage/blobs.h"

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
    *ret_input = (struct input){.sha256 = *sha256,
                                .blob_id = pg_get_uuid(result, 0, 0),
                                .size = pg_get_int(result, 0, 1),
                                .expires_ms = pg_get_time(result, 0, 2)};
    return 0;
}

int inputs_add(struct pg *pg, const char *tenant, const struct input *input, const char *created_by,
               bool *ret_created, struct fault *fault)
{
    static const struct pg_statement insert = {
        "inputs_add", "INSERT INTO input (tenant_id, sha256, blob_id, size, created_by, expires_at)"
                      " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING"};
    const char *tenants[] = {tenant, NULL};
    struct pg_params params = {0};
    pg_text(&params, tenant);
    pg_digest(&params, &input->sha256);
    pg_uuid(&params, &input->blob_id);
    pg_int8(&params, input->size);
    pg_text(&params, created_by);
    pg_time(&params, input->expires_ms);
    AUTO_PGRESULT PGresult *result = NULL;
    AUTO_PG_TX struct pg *tx = pg;
    pg_begin(tx, tenants);
    if (blobs_complete(tx, tenant, &input->blob_id, fault) != 0 ||
        pg_step(tx, &insert, &params, &result, fault) != 0)
        return -1;
    if (pg_affected(result) == 0) { /* it existed: the upload is incomplete again */
        pg_rollback(tx);
        *ret_created = false;
        return 0;
    }
    if (pg_commit(tx, NULL, NULL, NULL, fault) != 0)
        return -1;
    *ret_created = true;
    return 0;
}
