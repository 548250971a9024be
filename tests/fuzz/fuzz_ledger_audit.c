/* SPDX-License-Identifier: Apache-2.0 */
/* Exports: any lines; those taken make the same root as their entries put into a range. */
#include "ledger/audit.h"
#include "ledger/line.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void line_feed(struct audit *audit, struct merkle_range *range, struct span line)
{
    struct fault fault;
    struct digest entry;
    if (audit_line(audit, line, NULL, &fault) != 0)
        return;
    if (line.data[0] == '{')
        entry = digest_of_span(line);
    else if (digest_parse((const char *)line.data, line.len, &entry) != 0)
        abort();
    struct digest leaf = merkle_entry_leaf(&entry);
    if (merkle_range_append(range, &leaf, &fault) != 0)
        abort();
    /* The entry itself is what the log may have recorded; another is refused. */
    uint64_t count = audit_count(audit);
    entry.bytes[0] ^= 1;
    if (audit_line(audit, line, &entry, &fault) == 0 || audit_count(audit) != count)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_AUDIT struct audit *audit = NULL;
    struct merkle_range range = {.size = 0};
    struct span rest = span_of(data, size);
    struct fault fault;
    if (audit_new(&audit, &fault) != 0)
        abort();
    for (struct span line; line_take(&rest, &line);)
        line_feed(audit, &range, line);
    line_feed(audit, &range, rest);
    struct digest root = merkle_range_root(&range);
    if (audit_count(audit) != range.size || audit_events(audit) > range.size ||
        audit_compare(audit, range.size, &root, &fault) != 0 ||
        audit_compare(audit, range.size + 1, &root, &fault) == 0)
        abort();
    return 0;
}
