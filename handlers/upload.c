/* SPDX-License-Identifier: Apache-2.0 */
#include "handlers/upload.h"

#include "storage/blobs.h"
#include "storage/usage.h"

#include <inttypes.h>

/* What may come, and where it goes. */
struct intake {
    struct request *request;
    const char *what; /* "inputs" */
    int64_t most;     /* the setting */
    int64_t quota;
    int64_t room; /* what is left of it */
    bool stored;  /* false: hashed only */
};

static int check_size(const struct intake *intake, int64_t size, struct fault *fault)
{
    if (size > intake->most)
        return fault_set(fault, FAULT_TOO_LARGE, "body: larger than %" PRId64 " bytes",
                         intake->most);
    if (intake->stored && size > intake->room)
        return fault_set(fault, FAULT_QUOTA_EXCEEDED,
                         "the tenant's quota of %" PRId64 " bytes of %s would be passed: %" PRId64
                         " are stored",
                         intake->quota, intake->what, intake->quota - intake->room);
    return 0;
}

/* The bounds, and whether what Content-Length announces keeps them. */
static int open_intake(struct request *request, enum upload_kind kind, bool stored,
                       struct intake *ret_intake, struct fault *fault)
{
    const struct gateway_config *config = &gateway_of(request)->config;
    bool input = kind == UPLOAD_INPUT;
    struct usage usage;
    if (usage_read(pg_of(request), caller_of(request)->tenant_id, &usage, fault) != 0)
        return -1;
    int64_t quota = input ? usage.inputs_quota : usage.artifacts_quota;
    *ret_intake = (struct intake){.request = request,
                                  .what = input ? "inputs" : "artifacts",
                                  .most = input ? config->input_max : config->artifact_max,
                                  .quota = quota,
                                  .room = quota - (input ? usage.inputs : usage.artifacts),
                                  .stored = stored};
    return check_size(ret_intake, request_content_length(request), fault);
}

/* Fills the buffer from the body; less than its size only at the body's end. */
static int fill(struct request *request, uint8_t *chunk, size_t *ret_len, struct fault *fault)
{
    size_t len = 0;
    while (len < BLOB_CHUNK_MAX) {
        size_t n;
        if (request_read(request, chunk + len, BLOB_CHUNK_MAX - len, &n, fault) != 0)
            return -1;
        if (n == 0)
            break;
        len += n;
    }
    *ret_len = len;
    return 0;
}

static int take_body(const struct intake *intake, struct upload *upload, struct fault *fault)
{
    AUTO_FREE uint8_t *chunk = malloc(BLOB_CHUNK_MAX);
    AUTO_DIGEST_STREAM struct digest_stream *stream = digest_stream_new();
    struct request *request = intake->request;
    if (chunk == NULL || stream == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    size_t len = BLOB_CHUNK_MAX;
    for (int32_t n = 0; len == BLOB_CHUNK_MAX; n++) {
        if (fill(request, chunk, &len, fault) != 0)
            return -1;
        if (len == 0)
            break;
        upload->size += (int64_t)len;
        if (check_size(intake, upload->size, fault) != 0)
            return -1;
        digest_stream_update(stream, chunk, len);
        if (intake->stored && blobs_append(pg_of(request), caller_of(request)->tenant_id,
                                           &upload->blob_id, n, span_of(chunk, len), fault) != 0)
            return -1;
    }
    upload->sha256 = digest_stream_value(stream);
    return 0;
}

int upload_receive(struct request *request, enum upload_kind kind, struct upload *ret_upload,
                   struct fault *fault)
{
    struct upload upload = {0};
    struct intake intake;
    if (open_intake(request, kind, true, &intake, fault) != 0 ||
        blobs_begin(pg_of(request), caller_of(request)->tenant_id, &upload.blob_id, fault) != 0)
        return -1;
    if (take_body(&intake, &upload, fault) != 0) {
        upload_drop(request, &upload);
        return -1;
    }
    *ret_upload = upload;
    return 0;
}

int upload_compare(struct request *request, enum upload_kind kind, struct upload *ret_upload,
                   struct fault *fault)
{
    struct upload upload = {0};
    struct intake intake;
    if (open_intake(request, kind, false, &intake, fault) != 0 ||
        take_body(&intake, &upload, fault) != 0)
        return -1;
    *ret_upload = upload;
    return 0;
}

void upload_drop(struct request *request, const struct upload *upload)
{
    struct fault ignored;
    (void)!blobs_remove(pg_of(request), caller_of(request)->tenant_id, &upload->blob_id, &ignored);
}
