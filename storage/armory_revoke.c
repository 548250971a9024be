/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/armory.h"
#include "storage/events.h"
#include "storage/locks.h"
#include "storage/notify.h"
#include "storage/revocation.h"

int armory_revoke(struct pg *pg, const char *tenant, const struct digest *sha256,
                  const struct artifact_revocation *order, struct fault *fault)
{
    /* A rejected artifact is no more than its state already: nothing was ever approved of it. */
    static const struct pg_statement update = {
        "armory_revoke", "UPDATE artifact SET state = 'revoked', revoked_at = now(), revoked_by = "
                         "$3, reason = $4"
                         " WHERE tenant_id = $1 AND sha256 = $2 AND state IN ('inspecting', "
                         "'pending')"};
    static const struct pg_statement look = {
        "armory_look", "SELECT state || ' already' FROM artifact WHERE tenant_id = $1 AND sha256 = "
                       "$2"};
    const char *tenants[] = {tenant, NULL};
    const struct revocation revocation = {.noun = "artifact",
                                          .lock = lock_of_artifact(tenant, sha256),
                                          .asked_by_key = order->api_key_id,
                                          .update = &update,
                                          .look = &look};
    struct pg_params params = {0};
    pg_text(&params, tenant);
    pg_digest(&params, sha256);
    pg_text(&params, order->principal);
    pg_text(&params, order->reason);
    struct cancels_count count;
    AUTO_EVENT struct event *event = NULL;
    AUTO_PG_TX struct pg *tx = pg;
    pg_begin(tx, tenants);
    if (revocation_make(tx, &revocation, &params, fault) != 0 ||
        cancels_of_artifact(tx, tenant, sha256, order->cancel_running, &count, fault) != 0 ||
        order->say(order->context, &count, &event, fault) != 0)
        return -1;
    const struct event *said = event;
    pg_tell(tx, NOTIFY_CANCEL);
    return events_commit(tx, &said, 1, fault);
}
