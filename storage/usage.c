/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/usage.h"

int usage_read(struct pg *pg, const char *tenant, struct usage *ret_usage, struct fault *fault)
{
    static const struct pg_statement read = {
        "usage_read",
        "SELECT u.input_bytes, t.input_quota_bytes, u.artifact_bytes, t.artifact_quota_bytes"
        "  FROM tenant t LEFT JOIN tenant_usage u USING (tenant_id) WHERE tenant_id = $1"};
    struct pg_params params = {0};
    pg_text(&params, tenant);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query_as(pg, tenant, &read, &params, &result, fault) != 0)
        return -1;
    if (PQntuples(result) == 0)
        return fault_set(fault, FAULT_NOT_FOUND, "no such tenant");
    *ret_usage = (struct usage){.inputs = pg_get_int(result, 0, 0),
                                .inputs_quota = pg_get_int(result, 0, 1),
                                .artifacts = pg_get_int(result, 0, 2),
                                .artifacts_quota = pg_get_int(result, 0, 3)};
    return 0;
}
