/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the layout_*.c files only. */
#pragma once

#include "base/json.h"
#include "unpack/layout.h"

/* The architecture as images name it (GOARCH). */
#if defined(__x86_64__)
#define LAYOUT_ARCHITECTURE "amd64"
#elif defined(__aarch64__)
#define LAYOUT_ARCHITECTURE "arm64"
#else
#error "name this machine as images do"
#endif

/* What layout_oci.c and layout_docker.c find; the layers still without diff_ids. */
struct layout_parts {
    const struct spool_member *config;
    struct layer layers[LAYOUT_LAYERS_MAX];
    size_t layer_count;
};

/* An OCI image layout: index.json and what it names. */
int layout_read_oci(const struct spool *spool, struct layout_parts *ret_parts,
                    struct fault *fault) MUST_CHECK;
/* manifest.json of `docker save`. */
int layout_read_docker(const struct spool *spool, struct layout_parts *ret_parts,
                       struct fault *fault) MUST_CHECK;

/* A member as strict JSON. */
int layout_load(const struct spool *spool, const struct spool_member *member, bool array,
                json_t **ret_value, struct fault *fault) MUST_CHECK;

/* -1: `document: why`. A macro for the reason that fault_set() is one. */
#define layout_refuse(...) (layout_tell(__VA_ARGS__), -1)
void layout_tell(const char *document, const char *why, struct fault *fault);
