/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The data of io.sallyport.execution.finished.v1: what became of an execution, whatever its
 * end, and the fingerprint that binds who, what, under which checks and when.
 */
#pragma once

#include "ledger/event.h"
#include "ledger/state.h"

/* One output stream. `stored` is what GET .../stdout gives: the beginning of the whole
 * stream, bounded; the hash and count of the whole were taken while it passed. */
struct finished_stream {
    bool captured;      /* false: nothing is known of it (never run, or lost); all its members
                         * are null */
    struct span stored; /* may be empty */
    struct digest whole_sha256;
    uint64_t whole_bytes;
};

/* All borrowed. NULL strings and json_t are null in the event where that is said. */
struct finished_facts {
    const char *task_id;
    const char *tenant_id;
    const char *operator_id;
    const char *correlation_id;
    struct digest tool_sha256;
    const struct digest *descriptor_sha256; /* or NULL */
    const char *target_urn;
    enum execution_state state; /* an end */
    const char *reason;         /* or NULL */
    int exit_code;              /* 0 to 255; -1: none */
    int signal;                 /* the signal's number; 0: none */
    const char *const *limits_hit;
    size_t limits_hit_count;
    const char *const *argv; /* the final one; NULL: it never came to one */
    size_t argv_count;
    struct finished_stream out; /* stdout */
    struct finished_stream err; /* stderr */
    struct span manifest_jws;
    struct digest manifest_sha256; /* of the payload bytes */
    json_t *policy_decision;       /* an object; this and those below are shared, not copied */
    const char *runtime;           /* "gVisor release-..."; or NULL: none was started */
    json_t *isolation_checks;      /* what held, or NULL */
    json_t *limits;                /* or NULL */
    json_t *usage;                 /* or NULL */
    const char *worker;            /* or NULL: it ended in the queue */
    int64_t started_ms;            /* 0: it never started */
    int64_t finished_ms;
};

/* `execution_fingerprint`: SHA-256 of the RFC 8785 object of the strings
 * attestation_measurement_hash, manifest_hash, operator_id, policy_decision_hash, tenant_id,
 * timestamp and tool_hash. Hashes are bare hex; a missing isolation_checks counts as `null`, as
 * the event shows it; timestamp is the event's finished_at. */
int finished_fingerprint(const struct finished_facts *facts, struct digest *ret_fingerprint,
                         struct fault *fault) MUST_CHECK;

/* The event's data; the caller owns it, and changes none of what it shares with the facts. A stream
 * is inlined to EVENT_STREAM_INLINE_MAX bytes, cut at a character, or as `stdout_base64` where that
 * part is not UTF-8 or holds NUL; `stdout_truncated` says that less was stored than passed.
 * FAULT_INTERNAL where facts contradict each other (a state that is no end, more stored than
 * passed, all stored but another hash) or are not UTF-8. */
int finished_data(const struct finished_facts *facts, json_t **ret_data,
                  struct fault *fault) MUST_CHECK;
