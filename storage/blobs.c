/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/blobs.h"

int blobs_begin(struct pg *pg, const char *tenant, struct uuid *ret_id, struct fault *fault)
{
    static const struct pg_statement insert = {
        "blobs_begin", "INSERT INTO blob (blob_id, tenant_id) VALUES ($1, $2)"};
    struct uuid id = uuid_v7();
    struct pg_params params = {0};
    pg_uuid(&params, &id);
    pg_text(&params, tenant);
    if (pg_query_as(pg, tenant, &insert, &params, NULL, fault) != 0)
        return -1;
    *ret_id = id;
    return 0;
}

int blobs_append(struct pg *pg, const char *tenant, const struct uuid *id, int32_t n,
                 struct span data, struct fault *fault)
{
    static const struct pg_statement insert = {
        "blobs_append",
        "WITH upload AS (UPDATE blob SET touched_at = now() WHERE blob_id = $1"
        " AND tenant_id = $4 AND completed_at IS NULL RETURNING blob_id, tenant_id) "
        "INSERT INTO blob_chunk (blob_id, n, tenant_id, data) SELECT blob_id, $2, "
        "tenant_id, $3 FROM upload, set_config('synchronous_commit', 'off', true)"};
    struct pg_params params = {0};
    pg_uuid(&params, id);
    pg_int4(&params, n);
    pg_bytes(&params, data);
    pg_text(&params, tenant);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query_as(pg, tenant, &insert, &params, &result, fault) != 0)
        return -1;
    if (pg_affected(result) != 1)
        return fault_set(fault, FAULT_UNAVAILABLE, "the upload took too long and was swept");
    return 0;
}

int blobs_complete(struct pg *pg, const char *tenant, const struct uuid *id, int64_t size,
                   struct fault *fault)
{
    static const struct pg_statement update = {
        "blobs_complete", "UPDATE blob SET completed_at = now()"
                          " WHERE blob_id = $1 AND tenant_id = $2 AND completed_at IS NULL"
                          " AND $3 = (SELECT coalesce(sum(octet_length(c.data)), 0)"
                          " FROM blob_chunk c WHERE c.blob_id = $1 AND c.tenant_id = $2)"};
    struct pg_params params = {0};
    pg_uuid(&params, id);
    pg_text(&params, tenant);
    pg_int8(&params, size);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_step(pg, &update, &params, &result, fault) != 0)
        return -1;
    if (pg_affected(result) != 1)
        return fault_set(fault, FAULT_UNAVAILABLE, "the upload was swept, or is not whole");
    return 0;
}

int blobs_remove(struct pg *pg, const char *tenant, const struct uuid *id, struct fault *fault)
{
    static const struct pg_statement remove_blob = {
        "blobs_remove",
        "DELETE FROM blob WHERE blob_id = $1 AND tenant_id = $2 AND completed_at IS NULL"};
    struct pg_params params = {0};
    pg_uuid(&params, id);
    pg_text(&params, tenant);
    return pg_query_as(pg, tenant, &remove_blob, &params, NULL, fault);
}

int blobs_read(struct pg *pg, const char *tenant, const struct uuid *id, blobs_each *each,
               void *context, struct fault *fault)
{
    static const struct pg_statement read = {
        "blobs_read",
        "SELECT data FROM blob_chunk WHERE blob_id = $1 AND n = $2 AND tenant_id = $3"};
    for (int32_t n = 0;; n++) {
        struct pg_params params = {0};
        pg_uuid(&params, id);
        pg_int4(&params, n);
        pg_text(&params, tenant);
        AUTO_PGRESULT PGresult *result = NULL;
        if (pg_query_as(pg, tenant, &read, &params, &result, fault) != 0)
            return -1;
        if (PQntuples(result) == 0)
            return 0;
        if (each(context, pg_get_bytes(result, 0, 0), fault) != 0)
            return -1;
    }
}

int blobs_next(struct pg *pg, const char *tenant, struct blob_cursor *cursor, size_t most,
               struct buf *piece, struct fault *fault)
{
    static const struct pg_statement read = {
        "blobs_next", "SELECT substr(data, $3 + 1, $4), octet_length(data) FROM blob_chunk"
                      " WHERE blob_id = $1 AND n = $2 AND tenant_id = $5"};
    struct pg_params params = {0};
    pg_uuid(&params, &cursor->id);
    pg_int4(&params, cursor->n);
    pg_int4(&params, cursor->at);
    pg_int4(&params, (int32_t)most);
    pg_text(&params, tenant);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query_as(pg, tenant, &read, &params, &result, fault) != 0)
        return -1;
    if (PQntuples(result) == 0)
        return 0;
    struct span bytes = pg_get_bytes(result, 0, 0);
    buf_append(piece, bytes.data, bytes.len);
    cursor->at += (int32_t)bytes.len;
    if (cursor->at >= pg_get_int(result, 0, 1)) {
        cursor->n++;
        cursor->at = 0;
    }
    return 0;
}

int blobs_sweep(struct pg *pg, int64_t *ret_count, struct fault *fault)
{
    static const struct pg_statement sweep = {"blobs_sweep", "SELECT blobs_sweep()"};
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query_as(pg, NULL, &sweep, NULL, &result, fault) != 0)
        return -1;
    *ret_count = pg_get_int(result, 0, 0);
    return 0;
}
