/* SPDX-License-Identifier: Apache-2.0 */
/* Artifacts and their approvals. */
#pragma once

#include "ledger/event.h"
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
    int approvals; /* live ones that count */
    int quorum;
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

struct approval {
    const char *principal;
    const char *api_key_id;
    const char *comment;
    struct digest descriptor_sha256;
    int64_t approved_ms;
    int64_t expires_ms; /* INT64_MIN: never */
};

/* Approves an artifact that is pending, with its event. FAULT_NOT_FOUND; FAULT_STATE_CONFLICT where
 * it is not pending, another descriptor was seen, or the principal has approved before;
 * FAULT_FORBIDDEN for its ingester. */
int armory_approve(struct pg *pg, const char *tenant, const struct digest *sha256,
                   const struct approval *approval, const struct event *event,
                   struct fault *fault) MUST_CHECK;

typedef int armory_approval_each(void *context, const struct approval *approval);
int armory_approvals(struct pg *pg, const char *tenant, const struct digest *sha256,
                     armory_approval_each *each, void *context, struct fault *fault) MUST_CHECK;

/* Worker side: takes one artifact to inspect for the given time. FAULT_NOT_FOUND if none waits. The
 * tenant is written to ret_tenant (of TENANT_ID_MAX + 1 bytes). */
int armory_inspect_next(struct pg *pg, int seconds, char *ret_tenant, struct artifact *ret_artifact,
                        struct fault *fault) MUST_CHECK;
/* The inspection's end, with its event: pending, or rejected with a reason. `image` is the JSON of
 * an image that is not rejected, else NULL. Nothing is written where the artifact is not inspecting
 * any more. */
int armory_inspected(struct pg *pg, const char *tenant, const struct digest *sha256,
                     const char *rejected_because, const char *image, const struct event *event,
                     struct fault *fault) MUST_CHECK;
