/* SPDX-License-Identifier: Apache-2.0 */
/* A streamed body into a blob, hashed while it passes: memory stays flat whatever its size. */
#pragma once

#include "base/digest.h"
#include "handlers/gateway.h"

struct upload {
    struct uuid blob_id;
    struct digest sha256;
    int64_t size;
};

/* Reads the whole body. Whatever fails, nothing is left (or is swept within the hour, should the
 * database be gone). FAULT_TOO_LARGE past most bytes. */
int upload_receive(struct request *request, int64_t most, struct upload *ret_upload,
                   struct fault *fault) MUST_CHECK;
/* Gives up what was received: best effort, the sweep does the rest. */
void upload_drop(struct request *request, const struct upload *upload);
