/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the api looks at once a second: does the ledger run, is the queue full, have uploads been
 * abandoned. Submissions are admitted on its last word, and not at all while there is none.
 */
#pragma once

#include "handlers/gateway.h"

int monitor_start(struct gateway *gateway, struct monitor **ret_monitor,
                  struct fault *fault) MUST_CHECK;
void monitor_stop(struct monitor *monitor);

/* 0, or why no job is admitted now: FAULT_UNAVAILABLE or FAULT_QUEUE_FULL. */
int monitor_admits(struct monitor *monitor, struct fault *fault) MUST_CHECK;
