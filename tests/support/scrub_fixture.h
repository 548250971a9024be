/* SPDX-License-Identifier: Apache-2.0 */
/* A log to be scrubbed: what ledger_fixture.h has, and passes over it. */
#pragma once

#include "sequencer/scrub.h"
#include "tests/support/ledger_fixture.h"

/* Inserts so many events of FIXTURE_TENANT. */
void scrub_fixture_insert(struct ledger_fixture *fixture, const char *name, int count);

/* A log of `first` and then `second` entries, signed after each; what was signed last. */
struct scrub_target scrub_fixture_log(struct ledger_fixture *fixture, int first, int second);

/* A scrub that does not wait. */
struct scrub *scrub_fixture_scrub(void);

/* Steps to the end of a pass, which must come; -1 with the fault where a step fails. */
int scrub_fixture_pass(struct scrub *scrub, struct pg *pg, const struct scrub_target *target,
                       struct signer_evidence *evidence, struct fault *fault) MUST_CHECK;

/* SQL: the event of an entry; and what takes every CHECK of the events away, without which the hash
 * beside a body could not lie. */
#define SCRUB_FIXTURE_EVENT_OF(index)                                                              \
    "event_id = (SELECT event_id FROM ledger_entry WHERE idx = " #index ")"
#define SCRUB_FIXTURE_NO_CHECKS                                                                    \
    "DO $$ DECLARE named name; BEGIN FOR named IN SELECT conname FROM pg_constraint WHERE "        \
    "conrelid = 'event'::regclass AND contype = 'c' LOOP EXECUTE format('ALTER TABLE event DROP "  \
    "CONSTRAINT %I', named); END LOOP; END $$;"
