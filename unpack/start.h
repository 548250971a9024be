/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How an image says it is started, from its configuration (OCI image spec, "Image
 * Configuration") and the files it names in its unpacked root. Only facts are found here; what of
 * them is allowed, the worker judges (trust/image.h).
 */
#pragma once

#include "unpack/place.h"

#include <jansson.h>

#define START_JSON_MAX (64 * 1024)

/* Appends the JSON object that trust/image.h reads. The program is looked up: absolute, beside
 * the working folder, or in the image's PATH; it has to be there, and executable. An image
 * without Entrypoint is started by the first element of its Cmd. The working folder is made
 * where it is missing. FAULT_ARTIFACT_INVALID naming the member. */
int start_describe(const json_t *config, struct place *place, struct buf *ret_json,
                   struct fault *fault) MUST_CHECK;
