/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/documents.h"

#include "storage/api_key_live.h"
#include "storage/events.h"
#include "storage/locks.h"

#include <string.h>

const char *document_kind_name(enum document_kind kind)
{
    return kind == DOCUMENT_SBOM ? "sbom" : "report";
}

/* What is there before, read under the lock that approvals, acceptance and start share. */
static int read_before(struct pg *tx, const char *tenant, const struct digest *artifact,
                       const struct document_offer *offer, struct document_effect *ret_effect,
                       bool *ret_present, struct fault *fault)
{
    static const struct pg_statement read = {
        "documents_before",
        "SELECT a.state, a.round, a.descriptor_sha256,"
        "       CASE WHEN $3 = 'sbom' THEN a.sbom_sha256 ELSE a.report_sha256 END,"
        "       (SELECT count(*) FROM artifact_approval p"
        "         WHERE p.tenant_id = a.tenant_id AND p.sha256 = a.sha256"
        "           AND p.descriptor_sha256 = a.descriptor_sha256 AND p.round = a.round"
        "           AND p.principal <> a.ingested_by"
        "           AND (p.expires_at IS NULL OR p.expires_at > now()))"
        "  FROM artifact a WHERE a.tenant_id = $1 AND a.sha256 = $2"};
    struct pg_params params = {0};
    pg_text(&params, tenant);
    pg_digest(&params, artifact);
    pg_text(&params, document_kind_name(offer->kind));
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_step(tx, &read, &params, &result, fault) != 0)
        return -1;
    if (PQntuples(result) == 0)
        return fault_set(fault, FAULT_NOT_FOUND, "no such artifact");
    const char *state = pg_get_text(result, 0, 0);
    int round = (int)pg_get_int(result, 0, 1);
    struct digest present = pg_get_digest(result, 0, 3);
    bool same = !pg_is_null(result, 0, 3) && digest_equal(&present, &offer->sha256);
    if (!same && strcmp(state, "inspecting") != 0 && strcmp(state, "pending") != 0)
        return fault_set(fault, FAULT_STATE_CONFLICT,
                         "state: expected inspecting or pending, the artifact is %s", state);
    if (!same && round >= DOCUMENT_ROUNDS_MAX)
        return fault_set(fault, FAULT_QUOTA_EXCEEDED, "the artifact has had %d documents, the most",
                         DOCUMENT_ROUNDS_MAX);
    *ret_effect = (struct document_effect){.descriptor_sha256 = pg_get_digest(result, 0, 2),
                                           .round = round + 1,
                                           .voided = (int)pg_get_int(result, 0, 4)};
    *ret_present = same;
    return 0;
}

static int insert_document(struct pg *tx, const char *tenant, const struct digest *artifact,
                           const struct document_offer *offer, int round, struct fault *fault)
{
    static const struct pg_statement insert = {
        "documents_insert",
        "INSERT INTO artifact_document (tenant_id, sha256, round, kind, document_sha256, format,"
        " summary, body, attached_by) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"};
    struct pg_params params = {0};
    pg_text(&params, tenant);
    pg_digest(&params, artifact);
    pg_int4(&params, round);
    pg_text(&params, document_kind_name(offer->kind));
    pg_digest(&params, &offer->sha256);
    pg_text(&params, offer->format);
    pg_text(&params, offer->summary);
    pg_bytes(&params, offer->body);
    pg_text(&params, offer->principal);
    return pg_step(tx, &insert, &params, NULL, fault);
}

static int begin_round(struct pg *tx, const char *tenant, const struct digest *artifact,
                       const struct document_offer *offer, int round, struct fault *fault)
{
    static const struct pg_statement with_sbom = {"documents_round_sbom",
                                                  "UPDATE artifact SET round = $3, sbom_sha256 = $4"
                                                  " WHERE tenant_id = $1 AND sha256 = $2"};
    static const struct pg_statement with_report = {
        "documents_round_report",
        "UPDATE artifact SET round = $3, report_sha256 = $4, report_severity = $5"
        " WHERE tenant_id = $1 AND sha256 = $2"};
    bool report = offer->kind == DOCUMENT_REPORT;
    struct pg_params params = {0};
    pg_text(&params, tenant);
    pg_digest(&params, artifact);
    pg_int4(&params, round);
    pg_digest(&params, &offer->sha256);
    if (report)
        pg_int4(&params, severity_weight(offer->highest));
    return pg_step(tx, report ? &with_report : &with_sbom, &params, NULL, fault);
}

int documents_attach(struct pg *pg, const char *tenant, const struct digest *artifact,
                     const struct document_offer *offer, documents_event *event, void *context,
                     enum documents_end *ret_end, struct fault *fault)
{
    const char *tenants[] = {tenant, NULL};
    struct document_effect effect;
    bool present;
    AUTO_EVENT struct event *attached = NULL;
    AUTO_PG_TX struct pg *tx = pg;
    pg_begin(tx, tenants);
    if (api_keys_recheck_exclusive(tx, offer->api_key_id, lock_of_artifact(tenant, artifact),
                                   fault) != 0 ||
        read_before(tx, tenant, artifact, offer, &effect, &present, fault) != 0)
        return -1;
    if (present) {
        *ret_end = DOCUMENTS_PRESENT;
        return 0;
    }
    if (insert_document(tx, tenant, artifact, offer, effect.round, fault) != 0 ||
        begin_round(tx, tenant, artifact, offer, effect.round, fault) != 0 ||
        event(context, &effect, &attached, fault) != 0)
        return -1;
    const struct event *const events[] = {attached};
    if (events_commit(tx, events, 1, fault) != 0)
        return -1;
    *ret_end = DOCUMENTS_ATTACHED;
    return 0;
}

/* ---- reading ---- */

#define DOCUMENT_COLUMNS                                                                           \
    "d.sha256, d.kind, d.document_sha256, d.format, d.summary, d.attached_by, d.attached_at"

/* The rows of the documents that their artifacts name. */
#define PRESENT_FROM                                                                               \
    "  FROM artifact a CROSS JOIN (VALUES ('sbom'), ('report')) k(kind)"                           \
    " CROSS JOIN LATERAL (SELECT * FROM artifact_document x"                                       \
    "   WHERE x.tenant_id = a.tenant_id AND x.sha256 = a.sha256 AND x.kind = k.kind"               \
    "     AND x.round <= a.round ORDER BY x.round DESC LIMIT 1) d"

void document_free(struct document *document)
{
    PQclear(TAKE(document->owner));
}

static struct document document_read(const PGresult *result, int row)
{
    return (struct document){
        .artifact = pg_get_digest(result, row, 0),
        .kind = strcmp(pg_get_text(result, row, 1), "sbom") == 0 ? DOCUMENT_SBOM : DOCUMENT_REPORT,
        .sha256 = pg_get_digest(result, row, 2),
        .format = pg_get_text(result, row, 3),
        .summary = pg_get_text(result, row, 4),
        .attached_by = pg_get_text(result, row, 5),
        .attached_ms = pg_get_time(result, row, 6),
    };
}

int documents_list(struct pg *pg, const char *tenant, const struct digest *first,
                   const struct digest *last, documents_each *each, void *context,
                   struct fault *fault)
{
    static const struct pg_statement read = {
        "documents_list", "SELECT " DOCUMENT_COLUMNS PRESENT_FROM
                          " WHERE a.tenant_id = $1 AND a.sha256 BETWEEN $2 AND $3 AND a.round > 0"
                          " ORDER BY a.sha256, d.kind"};
    struct pg_params params = {0};
    pg_text(&params, tenant);
    pg_digest(&params, first);
    pg_digest(&params, last);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query_as(pg, tenant, &read, &params, &result, fault) != 0)
        return -1;
    for (int row = 0; row < PQntuples(result); row++) {
        struct document document = document_read(result, row);
        if (each(context, &document) != 0)
            break;
    }
    return 0;
}

int documents_find(struct pg *pg, const char *tenant, const struct digest *artifact,
                   enum document_kind kind, struct document *ret_document, struct fault *fault)
{
    static const struct pg_statement read = {
        "documents_find", "SELECT " DOCUMENT_COLUMNS ", d.body" PRESENT_FROM
                          " WHERE a.tenant_id = $1 AND a.sha256 = $2 AND k.kind = $3"};
    struct pg_params params = {0};
    pg_text(&params, tenant);
    pg_digest(&params, artifact);
    pg_text(&params, document_kind_name(kind));
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query_as(pg, tenant, &read, &params, &result, fault) != 0)
        return -1;
    if (PQntuples(result) == 0)
        return fault_set(fault, FAULT_NOT_FOUND, "no such artifact, or no %s attached to it",
                         document_kind_name(kind));
    *ret_document = document_read(result, 0);
    ret_document->body = pg_get_bytes(result, 0, 7);
    ret_document->owner = TAKE(result);
    return 0;
}
