/* SPDX-License-Identifier: Apache-2.0 */
/* The retention of events beside a ledger process: into its metrics, while its sequencer leads. */
#pragma once

#include "daemon/settings.h"
#include "sequencer/sequencer.h"
#include "server/metrics.h"

struct ledger_retention;

/* Goes on until stop_fd is readable. The three are borrowed until it is joined. */
int ledger_retention_start(const struct settings *settings, struct sequencer *sequencer,
                           struct metrics *metrics, int stop_fd,
                           struct ledger_retention **ret_retention, struct fault *fault) MUST_CHECK;
/* NULL-safe; waits for its end. */
void ledger_retention_join(struct ledger_retention *retention);
