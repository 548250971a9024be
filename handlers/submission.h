/* SPDX-License-Identifier: Apache-2.0 */
/* One POST /v1/executions from its body to its answer; passed from the request thread to the
 * writer, and on to the waiters. */
#pragma once

#include "handlers/gateway.h"
#include "storage/admission.h"
#include "trust/token.h"

struct submission {
    struct request *request;
    struct caller caller;
    int64_t wait_ms; /* of Prefer: wait; 0: none */

    struct token *token; /* owned; NULL until parsed */
    struct manifest *manifest;
    struct digest *inputs; /* the manifest's input digests */
    char kid[TOKEN_KID_MAX + 1];
    char traceparent[64];
    struct event *event; /* accepted or refused */
    struct admission admission;

    bool refused; /* `fault` is the answer; nothing is admitted */
    struct fault fault;
    struct fault stale;
    struct submission *next; /* in the writer's queue */
};

struct submission *submission_new(struct request *request);
void submission_free(struct submission *submission);

/* The `manifest.refused` event of a refusal: caller, code, detail, token hash. */
int submission_refused_event(const struct gateway *gateway, const struct submission *submission,
                             uint64_t unreported, struct event **ret_event,
                             struct fault *fault) MUST_CHECK;
