/* SPDX-License-Identifier: Apache-2.0 */
/* Checkpoint texts: one text for each checkpoint. */
#include "ledger/checkpoint.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span text = span_of(data, size);
    struct checkpoint checkpoint;
    struct fault fault;
    AUTO_BUF struct buf again = BUF(CHECKPOINT_TEXT_MAX);
    if (checkpoint_parse(text, &checkpoint, &fault) != 0)
        return 0;
    if (checkpoint.size > MERKLE_SIZE_MAX || checkpoint_format(&checkpoint, &again, &fault) != 0 ||
        !span_equal(buf_span(&again), text))
        abort();
    return 0;
}
