/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/cancels.h"

#include "storage/api_key_live.h"
#include "storage/events.h"
#include "storage/notify.h"

#include <string.h>

static const char *const reason_names[] = {
    [CANCEL_NONE] = "",
    [CANCEL_REQUESTED] = "cancel_requested",
    [CANCEL_ARTIFACT_REVOKED] = "artifact_revoked",
};

const char *cancel_reason_name(enum cancel_reason reason)
{
    return (unsigned)reason < ARRAY_LEN(reason_names) ? reason_names[reason] : "";
}

enum cancel_reason cancel_reason_get(const PGresult *result, int row, int column)
{
    if (pg_is_null(result, row, column))
        return CANCEL_NONE;
    return strcmp(pg_get_text(result, row, column), "artifact_revoked") == 0
               ? CANCEL_ARTIFACT_REVOKED
               : CANCEL_REQUESTED;
}

int cancels_request(struct pg *pg, const char *tenant, const struct uuid *execution_id,
                    const char *api_key_id, const struct event *event, bool *ret_first,
                    struct fault *fault)
{
    static const struct pg_statement update = {
        "cancels_request",
        "UPDATE execution_active SET cancel_requested_at = now(), cancel_reason = "
        "'cancel_requested', cancel_event_id = $3"
        " WHERE tenant_id = $1 AND execution_id = $2 AND cancel_requested_at IS NULL"};
    const char *tenants[] = {tenant, NULL};
    struct pg_params params = {0};
    pg_text(&params, tenant);
    pg_uuid(&params, execution_id);
    pg_uuid(&params, &event->id);
    AUTO_PGRESULT PGresult *result = NULL;
    AUTO_PG_TX struct pg *tx = pg;
    pg_begin(tx, tenants);
    if (api_keys_recheck(tx, api_key_id, fault) != 0 ||
        pg_step(tx, &update, &params, &result, fault) != 0)
        return -1;
    bool first = pg_affected(result) == 1;
    pg_tell(tx, NOTIFY_CANCEL);
    if (first && events_commit(tx, &event, 1, fault) != 0)
        return -1;
    *ret_first = first;
    return 0;
}

int cancels_of_artifact(struct pg *tx, const char *tenant, const struct digest *sha256,
                        bool running, struct cancels_count *ret_count, struct fault *fault)
{
    static const struct pg_statement update = {
        "cancels_of_artifact",
        /* Locked in the order in which ends lock theirs (queue_finish()). */
        "WITH held AS ("
        "  SELECT execution_id FROM execution_active"
        "   WHERE tenant_id = $1 AND tool_sha256 = $2 AND cancel_requested_at IS NULL"
        "     AND (state = 'queued' OR $3)"
        "   ORDER BY execution_id FOR UPDATE"
        "), c AS ("
        "  UPDATE execution_active a SET cancel_requested_at = now(), cancel_reason = "
        "'artifact_revoked'"
        "    FROM held WHERE a.execution_id = held.execution_id"
        "  RETURNING a.state"
        ") SELECT count(*) FILTER (WHERE state = 'queued'), count(*) FILTER (WHERE state = "
        "'running') FROM c"};
    struct pg_params params = {0};
    pg_text(&params, tenant);
    pg_digest(&params, sha256);
    pg_bool(&params, running);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_step(tx, &update, &params, &result, fault) != 0)
        return -1;
    *ret_count = (struct cancels_count){.queued = pg_get_int(result, 0, 0),
                                        .running = pg_get_int(result, 0, 1)};
    return 0;
}
