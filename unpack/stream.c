/* SPDX-License-Identifier: Apache-2.0 */
#include "unpack/stream.h"

#include "unpack/reader.h"

#include <errno.h>

struct stream {
    const struct spool *spool;
    const struct spool_member *blob;
    int64_t at;          /* in the blob */
    struct archive *raw; /* NULL where it is not packed */
    struct digest_stream *hash;
    int64_t bytes, max;
    uint8_t block[READER_BLOCK];
};

void stream_cleanup(struct stream **stream)
{
    struct stream *it = *stream;
    if (it == NULL)
        return;
    reader_free(&it->raw);
    digest_stream_free(it->hash);
    free(it);
}

static int broken(const struct stream *stream, const char *why, struct fault *fault)
{
    return fault_set(fault, FAULT_ARTIFACT_INVALID, "%.100s: %.100s", stream->blob->name,
                     why == NULL ? "not readable" : why);
}

static la_ssize_t read_blob(struct archive *archive, void *context, const void **ret_block)
{
    struct stream *stream = context;
    ssize_t n =
        spool_read(stream->spool, stream->blob, stream->at, stream->block, sizeof stream->block);
    if (n < 0)
        archive_set_error(archive, EIO, "cannot be read back");
    else
        stream->at += n;
    *ret_block = stream->block;
    return n;
}

/* The one filter that was named, and no guessing: nothing else unpacks, nothing unpacks twice. */
static int open_packed(struct stream *stream, enum packing packing, struct fault *fault)
{
    struct archive_entry *entry;
    stream->raw = archive_read_new();
    if (stream->raw == NULL || archive_read_support_format_raw(stream->raw) != ARCHIVE_OK ||
        archive_read_support_format_empty(stream->raw) != ARCHIVE_OK ||
        archive_read_append_filter(stream->raw, packing == PACKING_GZIP
                                                    ? ARCHIVE_FILTER_GZIP
                                                    : ARCHIVE_FILTER_ZSTD) != ARCHIVE_OK)
        return fault_set(fault, FAULT_INTERNAL, "libarchive cannot read gzip and zstd");
    if (archive_read_open(stream->raw, stream, NULL, read_blob, NULL) != ARCHIVE_OK)
        return broken(stream, archive_error_string(stream->raw), fault);
    int result = archive_read_next_header(stream->raw, &entry);
    return result == ARCHIVE_OK || result == ARCHIVE_EOF
               ? 0
               : broken(stream, archive_error_string(stream->raw), fault);
}

int stream_open(const struct spool *spool, const struct spool_member *blob, enum packing packing,
                int64_t max, struct stream **ret_stream, struct fault *fault)
{
    AUTO_STREAM struct stream *stream = calloc(1, sizeof *stream);
    if (stream != NULL)
        stream->hash = digest_stream_new();
    if (stream == NULL || stream->hash == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    stream->spool = spool;
    stream->blob = blob;
    stream->max = max;
    if (packing != PACKING_NONE && open_packed(stream, packing, fault) != 0)
        return -1;
    *ret_stream = TAKE(stream);
    return 0;
}

static int next_plain(struct stream *stream, struct span *ret_bytes, struct fault *fault)
{
    ssize_t n =
        spool_read(stream->spool, stream->blob, stream->at, stream->block, sizeof stream->block);
    if (n < 0)
        return fault_errno(fault, "cannot read back %.100s", stream->blob->name);
    stream->at += n;
    *ret_bytes = span_of(stream->block, (size_t)n);
    return 0;
}

static int next_unpacked(struct stream *stream, struct span *ret_bytes, struct fault *fault)
{
    const void *data = "";
    size_t len = 0;
    la_int64_t offset;
    int result = archive_read_data_block(stream->raw, &data, &len, &offset);
    if (result == ARCHIVE_EOF)
        len = 0;
    else if (result != ARCHIVE_OK)
        return broken(stream, archive_error_string(stream->raw), fault);
    *ret_bytes = span_of(data, len);
    return 0;
}

int stream_next(struct stream *stream, struct span *ret_bytes, struct fault *fault)
{
    struct span bytes;
    if ((stream->raw == NULL ? next_plain(stream, &bytes, fault)
                             : next_unpacked(stream, &bytes, fault)) != 0)
        return -1;
    if ((int64_t)bytes.len > stream->max - stream->bytes)
        return fault_set(fault, FAULT_TOO_LARGE,
                         "%.100s: the layers unpack to more than is allowed", stream->blob->name);
    stream->bytes += (int64_t)bytes.len;
    digest_stream_update(stream->hash, bytes.data, bytes.len);
    *ret_bytes = bytes;
    return 0;
}

int stream_end(struct stream *stream, struct digest *ret_sha256, int64_t *ret_bytes,
               struct fault *fault)
{
    struct span rest;
    do {
        if (stream_next(stream, &rest, fault) != 0)
            return -1;
    } while (rest.len > 0);
    if (stream->raw != NULL && archive_filter_bytes(stream->raw, -1) != stream->blob->size)
        return broken(stream, "has bytes behind what is packed", fault);
    *ret_sha256 = digest_stream_value(stream->hash);
    *ret_bytes = stream->bytes;
    return 0;
}
