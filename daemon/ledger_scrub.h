/* SPDX-License-Identifier: Apache-2.0 */
/* The scrub beside a ledger process: up to what its sequencer has proven, into its metrics; what it
 * finds stops the sequencer. */
#pragma once

#include "daemon/settings.h"
#include "sequencer/sequencer.h"
#include "server/metrics.h"

struct ledger_scrub;

/* *ret_scrub is NULL where the setting turns it off. The three are borrowed until it is stopped. */
int ledger_scrub_start(const struct settings *settings, struct sequencer *sequencer,
                       struct metrics *metrics, struct ledger_scrub **ret_scrub,
                       struct fault *fault) MUST_CHECK;
/* NULL-safe. */
void ledger_scrub_stop(struct ledger_scrub *scrub);
