/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Offline verification of an export: line k is entry k, either the exact bytes of an event or
 * `sha256:<hex>` where the event has expired or is another tenant's. Whatever lines are
 * withheld, the root can be rebuilt from what is there.
 *
 * Faults: FAULT_MALFORMED_REQUEST for a line that can be neither, FAULT_CONTENT_MISMATCH for
 * what does not verify. The detail names the line (counted from 1) and its entry's index.
 */
#pragma once

#include "ledger/checkpoint.h"

struct audit;
#define AUTO_AUDIT AUTO(audit_cleanup)

/* FAULT_INTERNAL without memory. */
int audit_new(struct audit **ret_audit, struct fault *fault) MUST_CHECK;
void audit_free(struct audit *audit);
void audit_cleanup(struct audit **audit);

/* Takes the next line, without its newline. `recorded`, if not NULL, is the entry that the log
 * (a bundle, a row) has at this place: a line that does not hash to it is refused and named.
 * A refused line is not counted: the audit stands where it stood. */
int audit_line(struct audit *audit, struct span line, const struct digest *recorded,
               struct fault *fault) MUST_CHECK;

/* Lines taken so far, and how many of them were events, not only their hashes. */
uint64_t audit_count(const struct audit *audit);
uint64_t audit_events(const struct audit *audit);
/* The root over the lines taken so far. */
struct digest audit_root(const struct audit *audit);

/* Does what has been taken so far make this very tree? An older checkpoint is compared when its
 * size is reached, a newer one after more lines. */
int audit_compare(const struct audit *audit, uint64_t size, const struct digest *root,
                  struct fault *fault) MUST_CHECK;
