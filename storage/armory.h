/* SPDX-License-Identifier: Apache-2.0 */
/* Artifacts and their approvals. */
#pragma once

#include "ledger/event.h"
#include "storage/cancels.h"
#include "storage/pg.h"
#include "trust/descriptor.h"
#include "trust/verdict.h"

/* Texts and bytes are borrowed from the row's result. */
struct artifact {
    struct digest sha256;
    struct uuid blob_id;
    int64_t size;
    enum artifact_kind kind;
    const char *name;
    const char *version;
    struct span descriptor; /* exact JSON */
    struct digest descriptor_sha256;
    enum artifact_state state;
    const char *reason; /* "" where there is none */
    const char *image; /* JSON: how an inspected image says it is started; "" where there is none */
    const char *ingested_by;
    const char *ingested_by_key; /* the API key that asks, in armory_ingest(); NULL: the operator */
    int64_t ingested_ms;
    const char *revoked_by; /* "" where it is not */
    int64_t revoked_ms;     /* INT64_MIN where it is not */
    int approvals;          /* live ones that count */
    int quorum;
    int round; /* documents attached so far */
    enum artifact_lack lacks;
    PGresult *owner; /* freed by artifact_free() where set */
};
#define AUTO_ARTIFACT AUTO(artifact_free)
void artifact_free(struct artifact *artifact);

enum armory_ingest_end { ARMORY_CREATED, ARMORY_EXISTED };

/* Makes the artifact of a whole upload, in state inspecting, with its event. The same bytes under
 * the same descriptor exist already: ARMORY_EXISTED, nothing is written. Under another:
 * FAULT_STATE_CONFLICT. In both cases the upload is the caller's to remove. */
int armory_ingest(struct pg *pg, const char *tenant, const struct artifact *artifact,
                  const struct event *event, enum armory_ingest_end *ret_end,
                  struct fault *fault) MUST_CHECK;

int armory_find(struct pg *pg, const char *tenant, const struct digest *sha256,
                struct artifact *ret_artifact, struct fault *fault) MUST_CHECK;

/* The tenant's artifacts by digest, after `after` (NULL: from the start), at most `limit`. */
typedef int armory_each(void *context, const struct artifact *artifact);
int armory_list(struct pg *pg, const char *tenant, const struct digest *after, int limit,
                armory_each *each, void *context, struct fault *fault) MUST_CHECK;

/* The document that an approver says to have seen, or that there was none. */
struct document_seen {
    bool stated; /* false: the approver doesn't say */
    bool some;
    struct digest sha256; /* if some */
};

struct approval {
    const char *principal;
    const char *api_key_id;
    const char *comment;
    struct digest descriptor_sha256;
    int64_t expires_ms;                /* INT64_MIN: never */
    struct document_seen sbom, report; /* to be checked by armory_approve() */
    /* read by armory_approvals() */
    int64_t approved_ms;
    int round;
    const char *void_because; /* "expired", "earlier_round", "other_descriptor"; "": it counts */
};

/* Approves an artifact that is pending, in its present round, with its event. FAULT_NOT_FOUND;
 * FAULT_STATE_CONFLICT where it is not pending, another descriptor or document was seen, or the
 * principal has approved in this round before; FAULT_FORBIDDEN for its ingester. */
int armory_approve(struct pg *pg, const char *tenant, const struct digest *sha256,
                   const struct approval *approval, const struct event *event,
                   struct fault *fault) MUST_CHECK;

/* Makes the event of a revocation, which says how many executions it asks to end. */
typedef int armory_revoke_say(void *context, const struct cancels_count *count,
                              struct event **ret_event, struct fault *fault);

struct artifact_revocation {
    const char *principal;
    const char *api_key_id; /* who asks; NULL: the operator */
    const char *reason;
    bool cancel_running; /* what runs is asked to end too; what waits always is */
    armory_revoke_say *say;
    void *context;
};

/* Revokes (storage/revocation.h), with its event: when this returns nothing is accepted or started
 * of the artifact any more, and what waited is asked to end. FAULT_STATE_CONFLICT if it is revoked
 * or rejected already. */
int armory_revoke(struct pg *pg, const char *tenant, const struct digest *sha256,
                  const struct artifact_revocation *order, struct fault *fault) MUST_CHECK;

typedef int armory_approval_each(void *context, const struct approval *approval);
int armory_approvals(struct pg *pg, const char *tenant, const struct digest *sha256,
                     armory_approval_each *each, void *context, struct fault *fault) MUST_CHECK;

/* Worker side: takes one artifact to inspect, for as long as the worker's lease holds; of the
 * tenant whose last turn is longest ago, that which waits longest. FAULT_NOT_FOUND if none waits.
 * The tenant is written to ret_tenant (of TENANT_ID_MAX + 1 bytes). */
int armory_inspect_next(struct pg *pg, const struct uuid *worker_id, char *ret_tenant,
                        struct artifact *ret_artifact, struct fault *fault) MUST_CHECK;
/* Gives back what this worker took: anybody may take it in so many seconds. */
int armory_inspect_later(struct pg *pg, const struct uuid *worker_id, const char *tenant,
                         const struct digest *sha256, int seconds, struct fault *fault) MUST_CHECK;
/* The inspection's end, with its event: pending, or rejected with a reason. `image` is the JSON of
 * an image that is not rejected, else NULL. Nothing is written where the artifact is not inspecting
 * any more. */
int armory_inspected(struct pg *pg, const char *tenant, const struct digest *sha256,
                     const char *rejected_because, const char *image, const struct event *event,
                     struct fault *fault) MUST_CHECK;
