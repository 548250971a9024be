/* SPDX-License-Identifier: Apache-2.0 */
/* PUT and HEAD /v1/inputs/{sha256}: files that manifests name. */
#include "storage/inputs.h"
#include "handlers/handlers.h"
#include "handlers/media.h"
#include "handlers/upload.h"

static json_t *input_json(const struct input *input)
{
    return json_pack("{s:s, s:I, s:n}", "sha256", digest_format(&input->sha256).text, "size",
                     (json_int_t)input->size, "expires_at");
}

enum answer handle_input_head(struct request *request)
{
    struct fault fault;
    struct digest sha256;
    struct input input;
    if (request_check_query(request, NULL, NULL, &fault) != 0 ||
        path_digest(request, &sha256, &fault) != 0 ||
        inputs_find(pg_of(request), caller_of(request)->tenant_id, &sha256, &input, &fault) != 0)
        return reply_fault(request, &fault);
    return reply_empty(request, 200);
}

enum answer handle_input_put(struct request *request)
{
    struct fault fault;
    struct digest expected;
    struct upload upload;
    if (request_check_query(request, NULL, NULL, &fault) != 0 ||
        path_digest(request, &expected, &fault) != 0 ||
        upload_receive(request, gateway_of(request)->config.input_max, &upload, &fault) != 0)
        return reply_fault(request, &fault);
    if (!digest_equal(&expected, &upload.sha256)) {
        upload_drop(request, &upload);
        (void)fault_set(&fault, FAULT_CONTENT_MISMATCH, "body: its SHA-256 is %s",
                        digest_format(&upload.sha256).text);
        return reply_fault(request, &fault);
    }
    struct input input = {.sha256 = upload.sha256,
                          .blob_id = upload.blob_id,
                          .size = upload.size,
                          .expires_ms = INT64_MIN};
    bool created;
    if (inputs_add(pg_of(request), caller_of(request)->tenant_id, &input,
                   caller_of(request)->principal, &created, &fault) != 0) {
        upload_drop(request, &upload);
        return reply_fault(request, &fault);
    }
    if (!created)
        upload_drop(request, &upload);
    return reply_json(request, created ? 201 : 200, input_json(&input));
}
