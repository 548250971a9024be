/* SPDX-License-Identifier: Apache-2.0 */
#include "handlers/upload.h"

#include "storage/blobs.h"

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

static int receive_into(struct request *request, int64_t most, struct upload *upload,
                        struct fault *fault)
{
    AUTO_FREE uint8_t *chunk = malloc(BLOB_CHUNK_MAX);
    AUTO_DIGEST_STREAM struct digest_stream *stream = digest_stream_new();
    if (chunk == NULL || stream == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    size_t len = BLOB_CHUNK_MAX;
    for (int32_t n = 0; len == BLOB_CHUNK_MAX; n++) {
        if (fill(request, chunk, &len, fault) != 0)
            return -1;
        if (len == 0)
            break;
        upload->size += (int64_t)len;
        if (upload->size > most)
            return fault_set(fault, FAULT_TOO_LARGE, "body: larger than %lld bytes",
                             (long long)most);
        digest_stream_update(stream, chunk, len);
        if (blobs_append(pg_of(request), caller_of(request)->tenant_id, &upload->blob_id, n,
                         span_of(chunk, len), fault) != 0)
            return -1;
    }
    upload->sha256 = digest_stream_value(stream);
    return 0;
}

int upload_receive(struct request *request, int64_t most, struct upload *ret_upload,
                   struct fault *fault)
{
    struct upload upload = {0};
    if (blobs_begin(pg_of(request), caller_of(request)->tenant_id, &upload.blob_id, fault) != 0)
        return -1;
    if (receive_into(request, most, &upload, fault) != 0) {
        upload_drop(request, &upload);
        return -1;
    }
    *ret_upload = upload;
    return 0;
}

void upload_drop(struct request *request, const struct upload *upload)
{
    struct fault ignored;
    (void)!blobs_remove(pg_of(request), caller_of(request)->tenant_id, &upload->blob_id, &ignored);
}
