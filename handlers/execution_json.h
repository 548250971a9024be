/* SPDX-License-Identifier: Apache-2.0 */
/* An execution as the API shows it (DESIGN section 11), and the answers that carry one. */
#pragma once

#include "server/request.h"
#include "storage/admission.h"
#include "storage/executions.h"

/* NULL without memory. */
json_t *execution_json(const struct execution *execution);
/* With Location. */
enum answer reply_execution(struct request *request, int status, const struct execution *execution);
/* 202 for what was accepted just now. */
enum answer reply_accepted(struct request *request, const struct admission *admission);

/* A JSON string of RFC 3339, or null for INT64_MIN. */
json_t *json_time(int64_t wall_ms);
json_t *json_digest(const struct digest *digest);
/* null for "". */
json_t *json_text_or_null(const char *text);
