/* SPDX-License-Identifier: Apache-2.0 */
/* The event that a caller's request makes: node, tenant, trace and time are the request's. */
#pragma once

#include "ledger/event.h"
#include "server/request.h"

/* `data` is taken over; NULL (it could not be made) is FAULT_INTERNAL. */
int request_event(const struct request *request, enum event_type type, const char *subject,
                  json_t *data, struct event **ret_event, struct fault *fault) MUST_CHECK;
/* The same of one execution. */
int request_execution_event(const struct request *request, enum event_type type,
                            const struct uuid *execution_id, const char *subject, json_t *data,
                            struct event **ret_event, struct fault *fault) MUST_CHECK;
