/* SPDX-License-Identifier: Apache-2.0 */
/* GET /v1/armory/artifacts/{sha256}/content: an artifact's bytes as they were pushed, streamed. */
#include "base/encode.h"
#include "handlers/gateway.h"
#include "handlers/handlers.h"
#include "handlers/media.h"
#include "storage/armory.h"
#include "storage/blobs.h"

static int next_piece(struct request *request, void *context, struct buf *piece, bool *ret_last,
                      struct fault *fault)
{
    (void)ret_last; /* its length says it */
    return blobs_next(pg_of(request), caller_of(request)->tenant_id, context, piece->max, piece,
                      fault);
}

/* RFC 9530: the receiver can check what it got without knowing what it asked for. */
static void reply_digest(struct request *request, const struct digest *sha256)
{
    AUTO_BUF struct buf text = BUF(64);
    AUTO_BUF struct buf header = BUF(128);
    base64_encode(&text, sha256->bytes, DIGEST_LEN);
    buf_printf(&header, "sha-256=:%s:", buf_text(&text));
    if (!buf_failed(&text) && !buf_failed(&header))
        reply_header(request, "Repr-Digest", buf_text(&header));
}

enum answer handle_artifact_content(struct request *request)
{
    struct fault fault;
    struct digest sha256;
    char etag[DIGEST_TEXT_LEN + 3];
    AUTO_ARTIFACT struct artifact artifact = {0};
    if (request_check_query(request, NULL, NULL, &fault) != 0 ||
        path_digest(request, &sha256, &fault) != 0 ||
        armory_find(pg_of(request), caller_of(request)->tenant_id, &sha256, &artifact, &fault) != 0)
        return reply_fault(request, &fault);
    (void)snprintf(etag, sizeof etag, "\"%s\"", digest_format(&sha256).text);
    reply_header(request, "ETag", etag);
    reply_header(request, "Cache-Control", "private, no-cache"); /* kept, but asked for each time */
    if (media_has_etag(request, etag))
        return reply_empty(request, 304);

    struct blob_cursor *cursor = calloc(1, sizeof *cursor);
    if (cursor == NULL) {
        (void)fault_set(&fault, FAULT_UNAVAILABLE, "out of memory");
        return reply_fault(request, &fault);
    }
    cursor->id = artifact.blob_id;
    const struct reply_flow content = {.type = "application/octet-stream",
                                       .length = artifact.size,
                                       .source = next_piece,
                                       .context = cursor,
                                       .context_free = free};
    reply_digest(request, &sha256);
    return reply_flow(request, 200, &content);
}
