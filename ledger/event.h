/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Events: CloudEvents 1.0 JSON, serialised once; these exact bytes are the evidence, and
 * their SHA-256 is the ledger's entry.
 */
#pragma once

#include "base/digest.h"
#include "base/fault.h"
#include "base/uuid.h"

/* X(enum name, wire name without the prefix) */
#define EVENT_TYPE_PREFIX "io.sallyport."
#define EVENT_TYPES(X)                                                                             \
    X(EVENT_EXECUTION_ACCEPTED, "execution.accepted.v1")                                           \
    X(EVENT_EXECUTION_STARTED, "execution.started.v1")                                             \
    X(EVENT_EXECUTION_FINISHED, "execution.finished.v1")                                           \
    X(EVENT_EXECUTION_CANCEL_REQUESTED, "execution.cancel_requested.v1")                           \
    X(EVENT_MANIFEST_REFUSED, "manifest.refused.v1")                                               \
    X(EVENT_ARTIFACT_INGESTED, "artifact.ingested.v1")                                             \
    X(EVENT_ARTIFACT_INSPECTED, "artifact.inspected.v1")                                           \
    X(EVENT_ARTIFACT_ATTACHED, "artifact.attached.v1")                                             \
    X(EVENT_ARTIFACT_APPROVED, "artifact.approved.v1")                                             \
    X(EVENT_ARTIFACT_REVOKED, "artifact.revoked.v1")                                               \
    X(EVENT_KEY_ADDED, "key.added.v1")                                                             \
    X(EVENT_KEY_REVOKED, "key.revoked.v1")                                                         \
    X(EVENT_APIKEY_CREATED, "apikey.created.v1")                                                   \
    X(EVENT_APIKEY_REVOKED, "apikey.revoked.v1")                                                   \
    X(EVENT_TENANT_CREATED, "tenant.created.v1")                                                   \
    X(EVENT_TENANT_CHANGED, "tenant.changed.v1")                                                   \
    X(EVENT_EXECUTION_RESULT_LATE, "execution.result_late.v1")                                     \
    X(EVENT_EVENTS_EXPIRED, "events.expired.v1")                                                   \
    X(EVENT_LEDGER_KEY_ADDED, "ledger.key_added.v1")                                               \
    X(EVENT_LEDGER_KEY_RETIRED, "ledger.key_retired.v1")                                           \
    X(EVENT_LEDGER_REOPENED, "ledger.reopened.v1")

enum event_type {
#define EVENT_TYPE_ENUM(name, wire) name,
    EVENT_TYPES(EVENT_TYPE_ENUM)
#undef EVENT_TYPE_ENUM
        EVENT_TYPE_COUNT
};

/* The largest event is execution.finished: two inline streams, where JSON may turn each byte
 * into six (U+0001 is \u0001), the JWS (base64url, which JSON leaves alone), and the rest:
 * argv and the identifiers, which the manifest's bytes bound, and what the worker reports. */
#define EVENT_STREAM_INLINE_MAX ((size_t)32 * 1024)
#define EVENT_JWS_MAX ((size_t)128 * 1024)
#define EVENT_REST_MAX ((size_t)256 * 1024)
#define EVENT_MAX (2 * 6 * EVENT_STREAM_INLINE_MAX + EVENT_JWS_MAX + EVENT_REST_MAX)
_Static_assert(EVENT_MAX <= 1024 * 1024, "an event is at most 1 MiB");

/* Bounds of the head's strings, in bytes. */
#define EVENT_NODE_MAX 128
#define EVENT_SUBJECT_MAX 256
#define EVENT_TENANT_MAX 128
#define EVENT_TRACEPARENT_LEN 55

/* What every event says of itself. All borrowed. */
struct event_head {
    struct uuid id;
    enum event_type type;
    const char *node;                /* source is urn:sallyport:<node>; 1 to 128 of TEXT_TOKEN */
    const char *subject;             /* task_id, digest or kid */
    const char *tenant_id;           /* NULL for the platform's own */
    const struct uuid *execution_id; /* NULL where there is none */
    const char *traceparent;         /* W3C version 00; NULL where there is none */
    int64_t time_ms;                 /* since the epoch, UTC */
};

/* One event's exact bytes, their hash, and what storage writes beside them. */
struct event {
    struct uuid id;
    enum event_type type;
    char *bytes; /* owned, NUL-terminated; one line without its newline */
    size_t len;
    struct digest hash; /* SHA-256 of the bytes: the ledger's entry */
    char *subject;      /* owned */
    char *tenant_id;    /* owned, or NULL */
    bool has_execution_id;
    struct uuid execution_id; /* if has_execution_id */
    int64_t time_ms;
};
#define AUTO_EVENT AUTO(event_cleanup)

/* "io.sallyport.execution.accepted.v1"; "" for values outside the enum. */
const char *event_type_name(enum event_type type);
/* Back from the full name; -1 if there is none. */
int event_type_parse(const char *name, size_t len, enum event_type *ret_type) MUST_CHECK;

/* Serialises one event. Members in this order, absent ones left out: specversion, id, source,
 * type, subject, time, datacontenttype, tenantid, executionid, traceparent, data. `data` is an
 * object, borrowed, its members in the order they were set. FAULT_INTERNAL names a head that
 * breaks its bounds (callers have checked what strangers sent before); FAULT_TOO_LARGE over
 * EVENT_MAX. */
int event_build(const struct event_head *head, const json_t *data, struct event **ret_event,
                struct fault *fault) MUST_CHECK;

void event_free(struct event *event);
void event_cleanup(struct event **event);
