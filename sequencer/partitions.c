/* SPDX-License-Identifier: Apache-2.0 */
#include "sequencer/partitions.h"

#include "base/clock.h"

#define SHIFT 24
#define AHEAD ((uint64_t)1 << 20)
#define RETRY_MS 10000

int partitions_keep(struct partitions *partitions, struct pg *pg, uint64_t size, int batch_max,
                    struct fault *fault)
{
    uint64_t first = size >> SHIFT;
    uint64_t needed = (size + (uint64_t)batch_max - 1) >> SHIFT;
    uint64_t wanted = (size + AHEAD) >> SHIFT;
    if (partitions->known < first)
        partitions->known = first; /* the table has rows beyond: they lie somewhere */
    while (partitions->known <= wanted) {
        bool optional = partitions->known > needed;
        if (optional && clock_monotonic_ms() < partitions->retry_at)
            return 0;
        struct fault inner;
        if (ledger_partition_make(pg, partitions->known << SHIFT, &inner) != 0) {
            partitions->retry_at = clock_monotonic_ms() + RETRY_MS;
            return optional ? 0 : fault_set(fault, inner.code, "%s", inner.detail);
        }
        partitions->known++;
    }
    return 0;
}
