/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that wait for the end of an execution (Prefer: wait, RFC 7240): one thread, one
 * connection, woken by NOTIFY and by its own poll. */
#pragma once

#include "handlers/gateway.h"

int waiters_start(struct gateway *gateway, struct waiters **ret_waiters,
                  struct fault *fault) MUST_CHECK;
/* From now on everybody is answered at once, as things stand. */
void waiters_hurry(struct waiters *waiters);
/* Answers all as they stand and ends the thread. NULL-safe. */
void waiters_stop(struct waiters *waiters);

/* Takes the deferred request over and answers it with the execution: 200 when it has ended, or when
 * its time is over 200 where `known` (a token submitted before), else 202. Where too many wait
 * already the answer comes at once. */
void waiters_answer(struct waiters *waiters, struct request *request, const char *tenant,
                    const struct uuid *execution_id, int64_t wait_ms, bool known);
