/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The one error law of this project.
 *
 * A function that can fail returns 0, or -1 with *fault set. On success the
 * fault is untouched; on failure the ret_ parameters are untouched. A fault is a
 * code of the registry below and one sentence for the caller, which names the
 * field and what was expected and never quotes a secret. Library code does not
 * log: the edge (a handler, a daemon's loop, the client's main) does, once.
 *
 * The registry is the only list of problem codes; the HTTP status, the problem
 * document's title (RFC 9457) and the contract in openapi/ are checked against it.
 */
#pragma once

#include "base/cleanup.h"

/* X(enum name, wire name, HTTP status, title) */
#define FAULT_CODES(X)                                                                             \
    X(FAULT_MALFORMED_REQUEST, "malformed_request", 400, "Malformed request")                      \
    X(FAULT_MALFORMED_TOKEN, "malformed_token", 400, "Malformed token")                            \
    X(FAULT_UNKNOWN_PARAMETER, "unknown_parameter", 400, "Unknown parameter")                      \
    X(FAULT_NOT_AUTHENTICATED, "not_authenticated", 401, "Not authenticated")                      \
    X(FAULT_FORBIDDEN, "forbidden", 403, "Forbidden")                                              \
    X(FAULT_SIGNATURE_INVALID, "signature_invalid", 403, "Signature not valid")                    \
    X(FAULT_TENANT_MISMATCH, "tenant_mismatch", 403, "Tenant mismatch")                            \
    X(FAULT_ARTIFACT_UNKNOWN, "artifact_unknown", 403, "Artifact unknown")                         \
    X(FAULT_ARTIFACT_NOT_APPROVED, "artifact_not_approved", 403, "Artifact not approved")          \
    X(FAULT_ARTIFACT_REVOKED, "artifact_revoked", 403, "Artifact revoked")                         \
    X(FAULT_MANIFEST_STALE, "manifest_stale", 403, "Manifest outside its time window")             \
    X(FAULT_NOT_FOUND, "not_found", 404, "Not found")                                              \
    X(FAULT_METHOD_NOT_ALLOWED, "method_not_allowed", 405, "Method not allowed")                   \
    X(FAULT_REQUEST_TIMEOUT, "request_timeout", 408, "Request timed out")                          \
    X(FAULT_NONCE_REUSED, "nonce_reused", 409, "Nonce already spent")                              \
    X(FAULT_STATE_CONFLICT, "state_conflict", 409, "State conflict")                               \
    X(FAULT_EXPIRED, "expired", 410, "Expired")                                                    \
    X(FAULT_TOO_LARGE, "too_large", 413, "Too large")                                              \
    X(FAULT_UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", 415, "Unsupported media type")       \
    X(FAULT_MANIFEST_INVALID, "manifest_invalid", 422, "Manifest not valid")                       \
    X(FAULT_INPUT_UNKNOWN, "input_unknown", 422, "Input unknown")                                  \
    X(FAULT_ARTIFACT_INVALID, "artifact_invalid", 422, "Artifact not valid")                       \
    X(FAULT_CONTENT_MISMATCH, "content_mismatch", 422, "Content does not match its digest")        \
    X(FAULT_KEY_INVALID, "key_invalid", 422, "Key not valid")                                      \
    X(FAULT_RATE_LIMITED, "rate_limited", 429, "Too many requests")                                \
    X(FAULT_QUEUE_FULL, "queue_full", 429, "Queue full")                                           \
    X(FAULT_QUOTA_EXCEEDED, "quota_exceeded", 429, "Quota exceeded")                               \
    X(FAULT_INTERNAL, "internal", 500, "Internal error")                                           \
    X(FAULT_UNAVAILABLE, "unavailable", 503, "Unavailable")                                        \
    X(FAULT_SHUTTING_DOWN, "shutting_down", 503, "Shutting down")

enum fault_code {
    FAULT_NONE = 0,
#define FAULT_ENUM(name, wire, http, title) name,
    FAULT_CODES(FAULT_ENUM)
#undef FAULT_ENUM
        FAULT_CODE_COUNT
};

struct fault {
    enum fault_code code;
    char detail[256]; /* one sentence, cut to fit, valid UTF-8 */
};

/* Sets *fault (which may be NULL) and returns -1, so that a guard is one line:
 * `return fault_set(fault, FAULT_NOT_FOUND, "no execution %s", id);` */
#define fault_set(...) (fault_write(__VA_ARGS__), -1)

/* FAULT_INTERNAL with errno's text after the given words; returns -1. */
#define fault_errno(...) (fault_write_errno(__VA_ARGS__), -1)

/* What the two do. They are macros so that the compiler sees the -1, and with it that nobody goes
 * on with results that were not set. */
void fault_write(struct fault *fault, enum fault_code code, const char *format, ...)
    PRINTF_LIKE(3, 4);
void fault_write_errno(struct fault *fault, const char *format, ...) PRINTF_LIKE(2, 3);

/* The wire name ("malformed_request"), HTTP status and title of a code. FAULT_NONE
 * and values outside the enum answer as FAULT_INTERNAL. */
const char *fault_name(enum fault_code code);
int fault_http_status(enum fault_code code);
const char *fault_title(enum fault_code code);

/* The code of a wire name, FAULT_NONE if there is none. */
enum fault_code fault_from_name(const char *name);
