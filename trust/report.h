/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vulnerability report, read for its summary: SARIF 2.1.0 (OASIS), Grype's JSON, Trivy's JSON
 * (SchemaVersion 2). It says what the scanner says and nothing more: whose word it is, is the
 * attaching principal's.
 *
 * SARIF: a result's severity is its rule's (else its own) property `security-severity`; without
 * one, its level: note low, warning medium, error critical, because scanners write error for high
 * and critical alike. Results of kind pass, notApplicable or informational and of baselineState
 * absent are no findings; suppressed ones are. One rule, message and first place is one finding.
 * Grype and Trivy: the scanner's own word; one vulnerability in one version of one package is one
 * finding. What Grype was told to ignore is not among its matches; Trivy's secrets, licences and
 * misconfigurations are not vulnerabilities: neither is counted.
 */
#pragma once

#include "trust/document.h"
#include "trust/severity.h"

struct report {
    const char *format;                       /* "sarif", "grype" or "trivy" */
    char tool[DOCUMENT_TEXT_MAX + 1];         /* of SARIF, that of the first run */
    char tool_version[DOCUMENT_TEXT_MAX + 1]; /* "" where it doesn't say */
    int64_t generated_ms;                     /* INT64_MIN where it doesn't say */
    int64_t counts[SEVERITY_COUNT];           /* distinct findings; none of SEVERITY_NONE */
    enum severity highest;                    /* SEVERITY_NONE without findings */
};

/* FAULT_ARTIFACT_INVALID naming the member: none of these formats, or two at once, a member that
 * its format requires missing or of another kind, a scan that says itself that it failed. */
int report_read(struct span document, struct report *ret_report, struct fault *fault) MUST_CHECK;

/* {format, tool, tool_version, generated_at, counts {critical, high, medium, low, negligible,
 * unknown}, highest}; NULL without memory. */
json_t *report_summary(const struct report *report);
