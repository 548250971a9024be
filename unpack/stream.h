/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of one layer as they are unpacked: read from the spool through exactly the packing
 * that was named, hashed and counted while they pass. */
#pragma once

#include "unpack/spool.h"

enum packing { PACKING_NONE, PACKING_GZIP, PACKING_ZSTD };

struct stream;
#define AUTO_STREAM AUTO(stream_cleanup)

/* At most max unpacked bytes may pass. */
int stream_open(const struct spool *spool, const struct spool_member *blob, enum packing packing,
                int64_t max, struct stream **ret_stream, struct fault *fault) MUST_CHECK;
void stream_cleanup(struct stream **stream);

/* The next bytes, borrowed until the next call; an empty span at the end. */
int stream_next(struct stream *stream, struct span *ret_bytes, struct fault *fault) MUST_CHECK;

/* Reads what is left, and says what has passed. Bytes behind the packed data are refused:
 * nothing of a layer goes unread. */
int stream_end(struct stream *stream, struct digest *ret_sha256, int64_t *ret_bytes,
               struct fault *fault) MUST_CHECK;
