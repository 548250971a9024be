/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Documents beside an artifact's bytes. Each one attached begins the artifact's next round, and
 * only approvals of the present round count. The latest of a kind is the present one; those before
 * it stay, as evidence.
 */
#pragma once

#include "ledger/event.h"
#include "storage/pg.h"
#include "trust/severity.h"

enum document_kind { DOCUMENT_SBOM, DOCUMENT_REPORT };

/* "sbom", "report". */
const char *document_kind_name(enum document_kind kind);

#define DOCUMENT_ROUNDS_MAX 1000 /* documents an artifact can have had; the table says so too */

/* One to attach. All borrowed. */
struct document_offer {
    enum document_kind kind;
    struct digest sha256; /* of body */
    const char *format;
    const char *summary; /* JSON, computed from body */
    struct span body;
    enum severity highest; /* of a report */
    const char *principal;
    const char *api_key_id; /* the key that asks */
};

/* What attaching it comes to, for its event. */
struct document_effect {
    struct digest descriptor_sha256;
    int round;  /* that it begins */
    int voided; /* approvals that counted in the round before */
};

/* Makes the event, inside the transaction. */
typedef int documents_event(void *context, const struct document_effect *effect,
                            struct event **ret_event, struct fault *fault);

enum documents_end { DOCUMENTS_ATTACHED, DOCUMENTS_PRESENT };

/* Attaches it under the artifact's exclusive lock, with its event. The very same document is
 * present: DOCUMENTS_PRESENT, nothing is written. FAULT_NOT_FOUND; FAULT_STATE_CONFLICT where the
 * artifact is rejected or revoked; FAULT_QUOTA_EXCEEDED past DOCUMENT_ROUNDS_MAX. */
int documents_attach(struct pg *pg, const char *tenant, const struct digest *artifact,
                     const struct document_offer *offer, documents_event *event, void *context,
                     enum documents_end *ret_end, struct fault *fault) MUST_CHECK;

/* One that is present. Borrowed from the row's result. */
struct document {
    enum document_kind kind;
    struct digest artifact;
    struct digest sha256;
    const char *format;
    const char *summary;
    const char *attached_by;
    int64_t attached_ms;
    struct span body; /* in documents_find() only */
    PGresult *owner;  /* freed by document_free() where set */
};
#define AUTO_DOCUMENT AUTO(document_free)
void document_free(struct document *document);

/* The present documents of the tenant's artifacts from one digest to another (the same: of that
 * one), in their order. -1 from `each` stops. */
typedef int documents_each(void *context, const struct document *document);
int documents_list(struct pg *pg, const char *tenant, const struct digest *first,
                   const struct digest *last, documents_each *each, void *context,
                   struct fault *fault) MUST_CHECK;

/* The present one of a kind, with its exact bytes. FAULT_NOT_FOUND. */
int documents_find(struct pg *pg, const char *tenant, const struct digest *artifact,
                   enum document_kind kind, struct document *ret_document,
                   struct fault *fault) MUST_CHECK;
