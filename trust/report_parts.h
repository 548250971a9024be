/* SPDX-License-Identifier: Apache-2.0 */
/* Between report.c and report_sarif.c. */
#pragma once

#include "trust/findings.h"
#include "trust/report.h"

/* Reads a SARIF log's tool, time and results. */
int report_read_sarif(const json_t *object, struct report *report, struct findings *findings,
                      struct fault *fault) MUST_CHECK;
