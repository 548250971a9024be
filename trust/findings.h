/* SPDX-License-Identifier: Apache-2.0 */
/* The findings of one report, each counted once: what names the same thing twice is one finding, as
 * bad as the worse of the two says. */
#pragma once

#include "base/digest.h"
#include "base/fault.h"
#include "trust/severity.h"

struct findings {
    struct buf items; /* of a private kind */
    struct buf key;   /* of the finding at hand */
};
#define AUTO_FINDINGS AUTO(findings_free)
struct findings findings_new(void);
void findings_free(struct findings *findings);

/* One finding: write what tells it from others into findings->key (buf_puts, json_append), each
 * part ended by findings_part(), then add it. The key is then empty again. FAULT_INTERNAL without
 * memory. */
void findings_part(struct findings *findings);
int findings_add(struct findings *findings, enum severity severity, struct fault *fault) MUST_CHECK;

/* How many there are of each severity, and the worst (by severity_weight(); SEVERITY_NONE if there
 * are none). To be called once, at the end. */
void findings_count(struct findings *findings, int64_t ret_counts[SEVERITY_COUNT],
                    enum severity *ret_highest);
