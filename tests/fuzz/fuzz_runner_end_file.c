/* SPDX-License-Identifier: Apache-2.0 */
/* Kept ends: as they are, and with the hash that makes them fit. What is taken is written again to
 * the same bytes. */
#include "runner/end_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct span file)
{
    struct end_file end;
    struct fault fault = {0};
    if (end_file_read(file, &end, &fault) != 0) {
        if (fault.code != FAULT_CONTENT_MISMATCH)
            abort();
        return;
    }
    AUTO_BUF struct buf again = BUF(END_FILE_MAX);
    end_file_write(&again, &end.ending);
    if (!span_equal(buf_span(&again), file))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(span_of(data, size));
    AUTO_BUF struct buf fitting = BUF(END_FILE_MAX);
    struct digest digest = digest_of(data, size);
    buf_append(&fitting, data, size);
    buf_append(&fitting, digest.bytes, DIGEST_LEN);
    check(buf_span(&fitting));
    return 0;
}
