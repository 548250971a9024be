/* SPDX-License-Identifier: Apache-2.0 */
/* PUT and HEAD /v1/inputs/{sha256}: files that manifests name. They expire; a PUT renews them. */
#include "storage/inputs.h"
#include "base/clock.h"
#include "handlers/execution_json.h"
#include "handlers/handlers.h"
#include "handlers/media.h"
#include "handlers/upload.h"

static json_t *input_json(const struct input *input)
{
    return json_pack("{s:s, s:I, s:o}", "sha256", digest_format(&input->sha256).text, "size",
                     (json_int_t)input->size, "expires_at", json_time(input->expires_ms));
}

/* An answer to HEAD has no body to say it in. */
enum answer handle_input_head(struct request *request)
{
    struct fault fault;
    struct digest sha256;
    struct input input;
    if (request_check_query(request, NULL, NULL, &fault) != 0 ||
        path_digest(request, &sha256, &fault) != 0 ||
        inputs_find(pg_of(request), caller_of(request)->tenant_id, &sha256, &input, &fault) != 0)
        return reply_fault(request, &fault);
    if (input.expires_ms != INT64_MIN)
        reply_header(request, "Sallyport-Expires-At", time_format(input.expires_ms).text);
    return reply_empty(request, 200);
}

static int64_t expiry(const struct request *request)
{
    int64_t ttl_ms = gateway_of(request)->config.input_ttl_ms;
    return ttl_ms == 0 ? INT64_MIN : clock_wall_ms() + ttl_ms;
}

static int check_content(const struct digest *expected, const struct upload *upload,
                         struct fault *fault)
{
    if (digest_equal(expected, &upload->sha256))
        return 0;
    return fault_set(fault, FAULT_CONTENT_MISMATCH, "body: its SHA-256 is %s",
                     digest_format(&upload->sha256).text);
}

/* The bytes are stored: what is sent is held against the digest, and thrown away. */
static int renew(struct request *request, const struct digest *expected, struct input *ret_input,
                 struct fault *fault)
{
    struct upload upload;
    if (upload_compare(request, UPLOAD_INPUT, &upload, fault) != 0 ||
        check_content(expected, &upload, fault) != 0)
        return -1;
    if (inputs_renew(pg_of(request), caller_of(request)->tenant_id, expected, expiry(request),
                     ret_input, fault) == 0)
        return 0;
    return fault->code == FAULT_NOT_FOUND
               ? fault_set(fault, FAULT_UNAVAILABLE, "the input went while it was sent; try again")
               : -1;
}

static int store(struct request *request, const struct digest *expected, bool *ret_created,
                 struct input *ret_input, struct fault *fault)
{
    struct upload upload;
    if (upload_receive(request, UPLOAD_INPUT, &upload, fault) != 0)
        return -1;
    const struct input input = {.sha256 = upload.sha256,
                                .blob_id = upload.blob_id,
                                .size = upload.size,
                                .expires_ms = expiry(request)};
    if (check_content(expected, &upload, fault) != 0 ||
        inputs_add(pg_of(request), caller_of(request)->tenant_id, &input,
                   caller_of(request)->principal, ret_created, ret_input, fault) != 0) {
        upload_drop(request, &upload);
        return -1;
    }
    if (!*ret_created)
        upload_drop(request, &upload);
    return 0;
}

enum answer handle_input_put(struct request *request)
{
    struct fault fault;
    struct digest expected;
    struct input input;
    bool stored, created = false;
    if (request_check_query(request, NULL, NULL, &fault) != 0 ||
        path_digest(request, &expected, &fault) != 0 ||
        inputs_stored(pg_of(request), caller_of(request)->tenant_id, &expected, &stored, &fault) !=
            0)
        return reply_fault(request, &fault);
    int status = stored ? renew(request, &expected, &input, &fault)
                        : store(request, &expected, &created, &input, &fault);
    if (status != 0)
        return reply_fault(request, &fault);
    return reply_json(request, created ? 201 : 200, input_json(&input));
}
