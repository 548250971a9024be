/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The execution manifest: verified payload bytes to a checked, immutable struct. Member
 * names and rules are DESIGN section 5's; an unknown top-level member is kept, never used.
 * What that section leaves open: operator_id, source, action and correlation_id are 1 to 256
 * bytes without control characters and not blank, tenant_id is as caller.h has it, target_urn
 * as urn.h, env names as env.h (and never those it forbids); `inputs` and `limits` take no
 * members but ours, while task_context and parameters may carry others.
 */
#pragma once

#include "base/digest.h"
#include "base/fault.h"
#include "base/json.h"

#define MANIFEST_ARGS_MAX 256           /* elements */
#define MANIFEST_ARGS_BYTES (64 * 1024) /* all of them together */
#define MANIFEST_ENV_MAX 64
#define MANIFEST_INPUTS_MAX 64
#define MANIFEST_STDIN_MAX (64 * 1024)
#define MANIFEST_TIMEOUT_MAX (24 * 3600)

struct manifest_input {
    const char *name; /* 1-128 of [A-Za-z0-9._-], not "." or "..", unique */
    struct digest sha256;
};

struct manifest_env {
    const char *name;
    const char *value;
};

/* 0 in any of these means: not asked. */
struct manifest_limits {
    int64_t timeout_seconds; /* 1 .. MANIFEST_TIMEOUT_MAX */
    int64_t memory_mib;      /* 1 .. 1 Mi */
    int64_t pids;            /* 1 .. 65536 */
    int64_t cpu_percent;     /* 1 .. 10000; 100 is one cpu */
    int64_t tmp_mib;         /* 1 .. 1 Mi */
};

/* All pointers live as long as the manifest. Optional texts are NULL where absent. */
struct manifest {
    struct digest sha256; /* of the payload bytes */
    const char *nonce;
    const char *target_urn;
    struct digest tool_sha256;
    const char *task_id;
    const char *tenant_id;
    const char *operator_id;
    const char *source;
    const char *action;
    const char *correlation_id;
    int64_t issued_at_ms;
    int64_t requested_at_ms;
    int64_t not_before_ms; /* INT64_MIN where absent */
    int64_t expires_at_ms; /* INT64_MAX where absent */

    const char *const *args;
    size_t arg_count;
    const struct manifest_env *env;
    size_t env_count;
    const struct manifest_input *inputs;
    size_t input_count;
    const char *stdin_text; /* NULL where absent */
    struct manifest_limits limits;
};

#define AUTO_MANIFEST AUTO(manifest_cleanup)

/* FAULT_MANIFEST_INVALID, naming member and rule ("task_context.task_id: expected ..."). */
int manifest_parse(struct span payload, struct manifest **ret_manifest,
                   struct fault *fault) MUST_CHECK;

/* How far from now an issued_at may lie. */
struct manifest_window {
    int64_t max_age_ms;   /* back; default 15 minutes */
    int64_t max_ahead_ms; /* ahead; default 60 seconds */
};

/* FAULT_MANIFEST_STALE unless now lies in the window, not before not_before and before expires_at.
 */
int manifest_check_window(const struct manifest *manifest, struct manifest_window window,
                          int64_t now_ms, struct fault *fault) MUST_CHECK;

void manifest_free(struct manifest *manifest);
void manifest_cleanup(struct manifest **manifest);
