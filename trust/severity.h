/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How bad a finding is. Scores become words by the qualitative severity rating scale of CVSS
 * (v3.1 section 5, v4.0 section 6): 0.1 to 3.9 low, 4.0 to 6.9 medium, 7.0 to 8.9 high, 9.0 to
 * 10.0 critical; consumers of SARIF read `security-severity` by the same scale.
 */
#pragma once

#include "base/cleanup.h"

/* In the database by these numbers up to critical (tenant.max_severity, artifact.report_severity).
 */
enum severity {
    SEVERITY_NONE, /* no finding at all */
    SEVERITY_NEGLIGIBLE,
    SEVERITY_LOW,
    SEVERITY_MEDIUM,
    SEVERITY_HIGH,
    SEVERITY_CRITICAL,
    SEVERITY_UNKNOWN,
    SEVERITY_COUNT
};

/* "none", "negligible" ... "unknown"; "" for values outside the enum. */
const char *severity_name(enum severity severity);
/* Exactly one of these names. */
int severity_parse(const char *name, enum severity *ret_severity) MUST_CHECK;

/* A scanner's word for a finding, in any case. What is no word of the list, NULL, and "none" (a
 * finding that is none?) are SEVERITY_UNKNOWN. */
enum severity severity_of_word(const char *word);

/* A score of 0 to 10 as decimal text ("7.5"). SEVERITY_UNKNOWN for what is no such score, NULL,
 * and 0: the scanners write 0.0 for a finding that nobody has scored. */
enum severity severity_of_score(const char *score);

/* What it counts as against a tenant's maximum, 0 to 5: unknown is taken for critical. */
int severity_weight(enum severity severity);
