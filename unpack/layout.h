/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an image archive is made of: from an OCI image layout (OCI image spec, "Image Layout",
 * "Image Index", "Image Manifest") or, where there is none, from what `docker save` writes. Every
 * blob that counts is found by its digest and size or, where its format names none, by its
 * place; the unpacked layers are held to the configuration's diff_ids by whoever unpacks them.
 */
#pragma once

#include "unpack/layer.h"

#define LAYOUT_LAYERS_MAX 128
#define LAYOUT_JSON_MAX (1u << 20) /* of one document */

struct layout {
    json_t *config; /* the image's configuration; owned */
    struct layer layers[LAYOUT_LAYERS_MAX];
    size_t layer_count;
};

/* Finds the one image for this machine. FAULT_ARTIFACT_INVALID with the reason. */
int layout_read(const struct spool *spool, struct layout *ret_layout,
                struct fault *fault) MUST_CHECK;
void layout_free(struct layout *layout);
