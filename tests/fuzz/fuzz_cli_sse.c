/* SPDX-License-Identifier: Apache-2.0 */
/* Server-sent events, cut anywhere: the same events come of them, and no event is larger than its
 * text. */
#include "cli/sse.h"

#include "base/digest.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct seen {
    struct digest_stream *hash;
    size_t bytes;
};

static int take(void *context, const char *name, struct span data, struct fault *fault)
{
    struct seen *seen = context;
    (void)fault;
    digest_stream_update(seen->hash, name, strlen(name) + 1);
    digest_stream_update(seen->hash, data.data, data.len);
    seen->bytes += data.len;
    return 0;
}

/* In steps of this many bytes; its fault ends it. */
static struct digest read_all(const uint8_t *data, size_t len, size_t step)
{
    struct fault fault;
    struct seen seen = {.hash = digest_stream_new()};
    AUTO_SSE struct sse sse = sse_begin(take, &seen);
    for (size_t at = 0; at < len; at += step)
        if (sse_feed(&sse, data + at, len - at < step ? len - at : step, &fault) != 0)
            break;
    if (seen.bytes > len)
        abort();
    struct digest value = digest_stream_value(seen.hash);
    digest_stream_free(seen.hash);
    return value;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    struct digest whole = read_all(data, len, len);
    struct digest steps = read_all(data, len, 1 + data[0] % 16);
    if (!digest_equal(&whole, &steps))
        abort();
    return 0;
}
