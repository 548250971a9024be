/* SPDX-License-Identifier: Apache-2.0 */
/* A streamed body into a blob, hashed while it passes: memory stays flat whatever its size. */
#pragma once

#include "base/digest.h"
#include "handlers/gateway.h"

enum upload_kind { UPLOAD_INPUT, UPLOAD_ARTIFACT };

struct upload {
    struct uuid blob_id;
    struct digest sha256;
    int64_t size;
};

/* Reads the whole body. What Content-Length says to be too large for the setting, or for what is
 * left of the tenant's quota, is refused before any of it is asked for; what comes without a length
 * stops at the same bounds. Whatever fails, nothing is left (or is swept within the hour, should
 * the database be gone). FAULT_TOO_LARGE, FAULT_QUOTA_EXCEEDED, and those of request_read(). */
int upload_receive(struct request *request, enum upload_kind kind, struct upload *ret_upload,
                   struct fault *fault) MUST_CHECK;
/* The same for bytes that are stored already: hashed, not kept; no blob_id, no quota. */
int upload_compare(struct request *request, enum upload_kind kind, struct upload *ret_upload,
                   struct fault *fault) MUST_CHECK;
/* Gives up what was received: best effort, the sweep does the rest. */
void upload_drop(struct request *request, const struct upload *upload);
