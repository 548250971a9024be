/* SPDX-License-Identifier: Apache-2.0 */
/* Inside trust/ only: what a manifest is made of, and what descriptors share with it. */
#pragma once

#include "base/json.h"
#include "trust/manifest.h"

/* The public face first, so that one pointer serves for both. The strings belong to object. */
struct manifest_store {
    struct manifest manifest;
    json_t *object;
    const char **args;
    struct manifest_env *env;
    struct manifest_input *inputs;
};

/* Reads the members of `parameters` that are ours (DESIGN section 5) into the store. */
int manifest_read_parameters(const json_t *parameters, struct manifest_store *store,
                             struct fault *fault) MUST_CHECK;

/* The limits' names and ranges, timeout_seconds first, each reading into its place of *limits. */
#define LIMIT_COUNT 5
void limit_fields(struct manifest_limits *limits, struct json_field ret_fields[LIMIT_COUNT]);
