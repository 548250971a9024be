/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/armory.h"

#include "storage/blobs.h"

#include "storage/api_key_live.h"
#include "storage/events.h"
#include "storage/locks.h"
#include "storage/notify.h"
#include "trust/caller.h"

#include <string.h>

#define ARTIFACT_COLUMNS                                                                           \
    "a.tenant_id, a.sha256, a.blob_id, a.size, a.kind, a.name, a.version, a.descriptor,"           \
    " a.descriptor_sha256, a.state, a.reason, a.ingested_by, a.ingested_at,"                       \
    " artifact_approvals(a.tenant_id, a.sha256), t.quorum, a.round,"                               \
    " artifact_lacks(a.tenant_id, a.sha256), a.revoked_by, a.revoked_at, a.image"

void artifact_free(struct artifact *artifact)
{
    PQclear(TAKE(artifact->owner));
}

static int artifact_read(const PGresult *result, int row, struct artifact *ret_artifact,
                         struct fault *fault)
{
    struct artifact artifact = {
        .sha256 = pg_get_digest(result, row, 1),
        .blob_id = pg_get_uuid(result, row, 2),
        .size = pg_get_int(result, row, 3),
        .name = pg_get_text(result, row, 5),
        .version = pg_get_text(result, row, 6),
        .descriptor = pg_get_bytes(result, row, 7),
        .descriptor_sha256 = pg_get_digest(result, row, 8),
        .reason = pg_get_text(result, row, 10),
        .ingested_by = pg_get_text(result, row, 11),
        .ingested_ms = pg_get_time(result, row, 12),
        .approvals = (int)pg_get_int(result, row, 13),
        .quorum = (int)pg_get_int(result, row, 14),
        .round = (int)pg_get_int(result, row, 15),
        .revoked_by = pg_get_text(result, row, 17),
        .revoked_ms = pg_get_time(result, row, 18),
        .image = pg_get_text(result, row, 19),
    };
    if (artifact_kind_parse(pg_get_text(result, row, 4), &artifact.kind) != 0 ||
        artifact_state_parse(pg_get_text(result, row, 9), &artifact.state) != 0 ||
        artifact_lack_parse(pg_get_text(result, row, 16), &artifact.lacks) != 0)
        return fault_set(fault, FAULT_INTERNAL, "an artifact has an unknown kind or state");
    *ret_artifact = artifact;
    return 0;
}

int armory_find(struct pg *pg, const char *tenant, const struct digest *sha256,
                struct artifact *ret_artifact, struct fault *fault)
{
    static const struct pg_statement read = {
        "armory_find", "SELECT " ARTIFACT_COLUMNS " FROM artifact a JOIN tenant t USING (tenant_id)"
                       " WHERE a.tenant_id = $1 AND a.sha256 = $2"};
    struct pg_params params = {0};
    pg_text(&params, tenant);
    pg_digest(&params, sha256);
    AUTO_PGRESULT PGresult *result = NULL;
    struct artifact artifact;
    if (pg_query_as(pg, tenant, &read, &params, &result, fault) != 0)
        return -1;
    if (PQntuples(result) == 0)
        return fault_set(fault, FAULT_NOT_FOUND, "no such artifact");
    if (artifact_read(result, 0, &artifact, fault) != 0)
        return -1;
    artifact.owner = TAKE(result);
    *ret_artifact = artifact;
    return 0;
}

int armory_list(struct pg *pg, const char *tenant, const struct digest *after, int limit,
                armory_each *each, void *context, struct fault *fault)
{
    static const struct pg_statement read = {
        "armory_list", "SELECT " ARTIFACT_COLUMNS " FROM artifact a JOIN tenant t USING (tenant_id)"
                       " WHERE a.tenant_id = $1 AND a.sha256 > $2 ORDER BY a.sha256 LIMIT $3"};
    struct pg_params params = {0};
    pg_text(&params, tenant);
    pg_bytes(&params, after == NULL ? span_of("", 0) : span_of(after->bytes, DIGEST_LEN));
    pg_int4(&params, limit);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query_as(pg, tenant, &read, &params, &result, fault) != 0)
        return -1;
    for (int row = 0; row < PQntuples(result); row++) {
        struct artifact artifact;
        if (artifact_read(result, row, &artifact, fault) != 0)
            return -1;
        if (each(context, &artifact) != 0)
            break;
    }
    return 0;
}

static int insert_artifact(struct pg *tx, const char *tenant, const struct artifact *artifact,
                           bool *ret_inserted, struct fault *fault)
{
    static const struct pg_statement insert = {
        "armory_insert",
        "INSERT INTO artifact (tenant_id, sha256, blob_id, size, kind, name, version, descriptor,"
        " descriptor_sha256, ingested_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
        " ON CONFLICT DO NOTHING"};
    struct pg_params params = {0};
    pg_text(&params, tenant);
    pg_digest(&params, &artifact->sha256);
    pg_uuid(&params, &artifact->blob_id);
    pg_int8(&params, artifact->size);
    pg_text(&params, artifact_kind_name(artifact->kind));
    pg_text(&params, artifact->name);
    pg_text(&params, artifact->version);
    pg_bytes(&params, artifact->descriptor);
    pg_digest(&params, &artifact->descriptor_sha256);
    pg_text(&params, artifact->ingested_by);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_step(tx, &insert, &params, &result, fault) != 0)
        return -1;
    *ret_inserted = pg_affected(result) == 1;
    return 0;
}

static int compare_existing(struct pg *pg, const char *tenant, const struct artifact *artifact,
                            enum armory_ingest_end *ret_end, struct fault *fault)
{
    AUTO_ARTIFACT struct artifact existing = {0};
    if (armory_find(pg, tenant, &artifact->sha256, &existing, fault) != 0)
        return -1;
    if (!digest_equal(&existing.descriptor_sha256, &artifact->descriptor_sha256))
        return fault_set(fault, FAULT_STATE_CONFLICT,
                         "these bytes are in the Armory already, under another descriptor");
    *ret_end = ARMORY_EXISTED;
    return 0;
}

int armory_ingest(struct pg *pg, const char *tenant, const struct artifact *artifact,
                  const struct event *event, enum armory_ingest_end *ret_end, struct fault *fault)
{
    const char *tenants[] = {tenant, NULL};
    bool inserted;
    AUTO_PG_TX struct pg *tx = pg;
    pg_begin(tx, tenants);
    if (api_keys_recheck(tx, artifact->ingested_by_key, fault) != 0 ||
        blobs_complete(tx, tenant, &artifact->blob_id, artifact->size, fault) != 0 ||
        insert_artifact(tx, tenant, artifact, &inserted, fault) != 0)
        return -1;
    if (!inserted) { /* the upload is incomplete again */
        pg_rollback(tx);
        return compare_existing(pg, tenant, artifact, ret_end, fault);
    }
    pg_tell(tx, NOTIFY_QUEUE);
    if (events_commit(tx, &event, 1, fault) != 0)
        return -1;
    *ret_end = ARMORY_CREATED;
    return 0;
}

/* Is what the approver saw what is there? */
static int check_seen(const struct document_seen *seen, const PGresult *result, int column,
                      const char *kind, struct fault *fault)
{
    struct digest present = pg_get_digest(result, 0, column);
    bool some = !pg_is_null(result, 0, column);
    if (!seen->stated || (seen->some == some && (!some || digest_equal(&present, &seen->sha256))))
        return 0;
    return fault_set(fault, FAULT_STATE_CONFLICT, "%s_sha256: the artifact has %s", kind,
                     some ? "another" : "none");
}

/* What of an artifact decides about an approval; the caller holds the lock that a revocation and an
 * attached document take. */
static int check_approvable(struct pg *tx, const char *tenant, const struct digest *sha256,
                            const struct approval *approval, struct fault *fault)
{
    static const struct pg_statement read = {
        "armory_approvable",
        "SELECT state, descriptor_sha256, ingested_by, sbom_sha256, report_sha256 FROM artifact"
        " WHERE tenant_id = $1 AND sha256 = $2"};
    struct pg_params params = {0};
    pg_text(&params, tenant);
    pg_digest(&params, sha256);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_step(tx, &read, &params, &result, fault) != 0)
        return -1;
    if (PQntuples(result) == 0)
        return fault_set(fault, FAULT_NOT_FOUND, "no such artifact");
    struct digest present = pg_get_digest(result, 0, 1);
    if (strcmp(pg_get_text(result, 0, 0), "pending") != 0)
        return fault_set(fault, FAULT_STATE_CONFLICT, "state: expected pending, the artifact is %s",
                         pg_get_text(result, 0, 0));
    if (!digest_equal(&present, &approval->descriptor_sha256))
        return fault_set(fault, FAULT_STATE_CONFLICT,
                         "descriptor_sha256: not that of the artifact's descriptor");
    if (strcmp(pg_get_text(result, 0, 2), approval->principal) == 0)
        return fault_set(fault, FAULT_FORBIDDEN, "who ingested an artifact cannot approve it");
    if (check_seen(&approval->sbom, result, 3, "sbom", fault) != 0)
        return -1;
    return check_seen(&approval->report, result, 4, "report", fault);
}

int armory_approve(struct pg *pg, const char *tenant, const struct digest *sha256,
                   const struct approval *approval, const struct event *event, struct fault *fault)
{
    static const struct pg_statement insert = {
        "armory_approve",
        "INSERT INTO artifact_approval (tenant_id, sha256, descriptor_sha256, principal, "
        "api_key_id,"
        " comment, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING"};
    const char *tenants[] = {tenant, NULL};
    struct pg_params params = {0};
    pg_text(&params, tenant);
    pg_digest(&params, sha256);
    pg_digest(&params, &approval->descriptor_sha256);
    pg_text(&params, approval->principal);
    pg_text(&params, approval->api_key_id);
    pg_text(&params, approval->comment);
    pg_time(&params, approval->expires_ms);
    AUTO_PGRESULT PGresult *result = NULL;
    AUTO_PG_TX struct pg *tx = pg;
    pg_begin(tx, tenants);
    if (api_keys_recheck_shared(tx, approval->api_key_id, lock_of_artifact(tenant, sha256),
                                fault) != 0 ||
        check_approvable(tx, tenant, sha256, approval, fault) != 0 ||
        pg_step(tx, &insert, &params, &result, fault) != 0)
        return -1;
    if (pg_affected(result) == 0)
        return fault_set(fault, FAULT_STATE_CONFLICT, "this principal has approved it before");
    return events_commit(tx, &event, 1, fault);
}

int armory_approvals(struct pg *pg, const char *tenant, const struct digest *sha256,
                     armory_approval_each *each, void *context, struct fault *fault)
{
    static const struct pg_statement read = {
        "armory_approvals",
        "SELECT p.principal, p.api_key_id, p.comment, p.descriptor_sha256, p.approved_at,"
        "       p.expires_at, p.round,"
        "       CASE WHEN p.descriptor_sha256 <> a.descriptor_sha256 THEN 'other_descriptor'"
        "            WHEN p.round <> a.round THEN 'earlier_round'"
        "            WHEN p.expires_at <= now() THEN 'expired' END"
        "  FROM artifact_approval p JOIN artifact a USING (tenant_id, sha256)"
        " WHERE p.tenant_id = $1 AND p.sha256 = $2"
        " ORDER BY p.round DESC, p.approved_at DESC LIMIT 1000"};
    struct pg_params params = {0};
    pg_text(&params, tenant);
    pg_digest(&params, sha256);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query_as(pg, tenant, &read, &params, &result, fault) != 0)
        return -1;
    for (int row = PQntuples(result) - 1; row >= 0; row--) { /* as they came, the latest 1,000 */
        struct approval approval = {.principal = pg_get_text(result, row, 0),
                                    .api_key_id = pg_get_text(result, row, 1),
                                    .comment = pg_get_text(result, row, 2),
                                    .descriptor_sha256 = pg_get_digest(result, row, 3),
                                    .approved_ms = pg_get_time(result, row, 4),
                                    .expires_ms = pg_get_time(result, row, 5),
                                    .round = (int)pg_get_int(result, row, 6),
                                    .void_because = pg_get_text(result, row, 7)};
        if (each(context, &approval) != 0)
            break;
    }
    return 0;
}

int armory_inspect_next(struct pg *pg, const struct uuid *worker_id, char *ret_tenant,
                        struct artifact *ret_artifact, struct fault *fault)
{
    static const struct pg_statement take = {
        "armory_inspect_next",
        "WITH next AS ("
        "  SELECT x.tenant_id, x.sha256 FROM artifact x LEFT JOIN inspection_turn i USING "
        "(tenant_id)"
        "   WHERE x.state = 'inspecting'"
        "     AND (x.inspect_until IS NULL OR x.inspect_until < now() OR"
        "          (x.inspect_worker IS NOT NULL AND NOT EXISTS (SELECT FROM worker w"
        "            WHERE w.worker_id = x.inspect_worker AND w.lease_expires_at > now())))"
        "   ORDER BY i.taken_at NULLS FIRST, x.ingested_at LIMIT 1 FOR UPDATE OF x SKIP LOCKED"
        "), turn AS ("
        "  INSERT INTO inspection_turn AS i (tenant_id, taken_at) SELECT tenant_id, now() FROM next"
        "  ON CONFLICT (tenant_id) DO UPDATE SET taken_at = greatest(i.taken_at, excluded.taken_at)"
        "), a AS ("
        "  UPDATE artifact x SET inspect_worker = $1, inspect_until = now() + interval '1 day'"
        "    FROM next WHERE x.tenant_id = next.tenant_id AND x.sha256 = next.sha256 RETURNING x.*"
        ") SELECT " ARTIFACT_COLUMNS " FROM a JOIN tenant t USING (tenant_id)"};
    struct pg_params params = {0};
    pg_uuid(&params, worker_id);
    AUTO_PGRESULT PGresult *result = NULL;
    struct artifact artifact;
    if (pg_query_as(pg, NULL, &take, &params, &result, fault) != 0)
        return -1;
    if (PQntuples(result) == 0)
        return fault_set(fault, FAULT_NOT_FOUND, "nothing waits for inspection");
    if (artifact_read(result, 0, &artifact, fault) != 0)
        return -1;
    (void)snprintf(ret_tenant, TENANT_ID_MAX + 1, "%s", pg_get_text(result, 0, 0));
    artifact.owner = TAKE(result);
    *ret_artifact = artifact;
    return 0;
}

int armory_inspect_later(struct pg *pg, const struct uuid *worker_id, const char *tenant,
                         const struct digest *sha256, int seconds, struct fault *fault)
{
    static const struct pg_statement update = {
        "armory_inspect_later",
        "UPDATE artifact SET inspect_worker = NULL,"
        " inspect_until = now() + make_interval(secs => $4)"
        " WHERE tenant_id = $1 AND sha256 = $2 AND inspect_worker = $3 AND state = 'inspecting'"};
    struct pg_params params = {0};
    pg_text(&params, tenant);
    pg_digest(&params, sha256);
    pg_uuid(&params, worker_id);
    pg_int4(&params, seconds);
    return pg_query_as(pg, NULL, &update, &params, NULL, fault);
}

int armory_inspected(struct pg *pg, const char *tenant, const struct digest *sha256,
                     const char *rejected_because, const char *image, const struct event *event,
                     struct fault *fault)
{
    static const struct pg_statement update = {
        "armory_inspected",
        "UPDATE artifact SET state = CASE WHEN $3::text IS NULL THEN 'pending' ELSE 'rejected' END,"
        " reason = $3, image = $4, inspect_until = NULL, inspect_worker = NULL"
        " WHERE tenant_id = $1 AND sha256 = $2 AND state = 'inspecting'"};
    const char *tenants[] = {tenant, NULL};
    struct pg_params params = {0};
    pg_text(&params, tenant);
    pg_digest(&params, sha256);
    pg_text(&params, rejected_because);
    pg_text(&params, image);
    AUTO_PGRESULT PGresult *result = NULL;
    AUTO_PG_TX struct pg *tx = pg;
    pg_begin(tx, tenants);
    if (pg_step(tx, &update, &params, &result, fault) != 0)
        return -1;
    if (pg_affected(result) == 0) { /* another worker's inspection came first, or a revocation */
        pg_rollback(tx);
        return 0;
    }
    return events_commit(tx, &event, 1, fault);
}
