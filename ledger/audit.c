/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/audit.h"

#include "ledger/event.h"

#include <inttypes.h>
#include <string.h>

struct audit {
    struct merkle_range range;
    uint64_t events;
};

int audit_new(struct audit **ret_audit, struct fault *fault)
{
    struct audit *audit = calloc(1, sizeof *audit);
    if (audit == NULL)
        return fault_set(fault, FAULT_INTERNAL, "audit: no memory");
    *ret_audit = audit;
    return 0;
}

void audit_free(struct audit *audit)
{
    free(audit);
}

void audit_cleanup(struct audit **audit)
{
    audit_free(*audit);
}

static int line_fault(const struct audit *audit, enum fault_code code, const char *what,
                      struct fault *fault)
{
    return fault_set(fault, code, "line %" PRIu64 " (entry %" PRIu64 "): %s", audit->range.size + 1,
                     audit->range.size, what);
}

/* The entry of a line, and whether the line is an event itself. An event's JSON is not parsed:
 * its hash says whether it is the one that was logged, and nothing else can. */
static int line_entry(const struct audit *audit, struct span line, struct digest *ret_entry,
                      bool *ret_event, struct fault *fault)
{
    if (line.len == 0)
        return line_fault(audit, FAULT_MALFORMED_REQUEST, "empty", fault);
    if (line.len > EVENT_MAX)
        return line_fault(audit, FAULT_MALFORMED_REQUEST, "longer than an event can be", fault);
    *ret_event = line.data[0] == '{' && line.data[line.len - 1] == '}';
    if (*ret_event)
        *ret_entry = digest_of_span(line);
    else if (digest_parse((const char *)line.data, line.len, ret_entry) != 0)
        return line_fault(audit, FAULT_MALFORMED_REQUEST,
                          "expected an event or sha256:<hex>, and nothing before or after it",
                          fault);
    return 0;
}

int audit_line(struct audit *audit, struct span line, const struct digest *recorded,
               struct fault *fault)
{
    struct digest entry;
    bool event;
    if (line_entry(audit, line, &entry, &event, fault) != 0)
        return -1;
    if (recorded != NULL && !digest_equal(&entry, recorded))
        return line_fault(audit, FAULT_CONTENT_MISMATCH,
                          event ? "the event's bytes do not hash to the recorded entry"
                                : "the hash is not the recorded entry",
                          fault);
    struct digest leaf = merkle_entry_leaf(&entry);
    if (merkle_range_append(&audit->range, &leaf, fault) != 0)
        return -1;
    audit->events += event ? 1 : 0;
    return 0;
}

uint64_t audit_count(const struct audit *audit)
{
    return audit->range.size;
}

uint64_t audit_events(const struct audit *audit)
{
    return audit->events;
}

struct digest audit_root(const struct audit *audit)
{
    return merkle_range_root(&audit->range);
}

int audit_compare(const struct audit *audit, uint64_t size, const struct digest *root,
                  struct fault *fault)
{
    if (audit->range.size != size)
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "the export has %" PRIu64 " lines where the checkpoint covers %" PRIu64
                         " entries",
                         audit->range.size, size);
    struct digest found = audit_root(audit);
    if (!digest_equal(&found, root))
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "the root over %" PRIu64 " lines is not the checkpoint's: a line was "
                         "edited, moved, added or taken away",
                         size);
    return 0;
}
