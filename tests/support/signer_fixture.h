/* SPDX-License-Identifier: Apache-2.0 */
/* The signer alone, apart from the loop that uses it: what ledger_fixture.h has, and its steps. */
#pragma once

#include "sequencer/signer.h"
#include "tests/support/ledger_fixture.h"

#define SIGNER_FIXTURE_RESTORE                                                                     \
    "DELETE FROM ledger_entry; DELETE FROM ledger_batch; DELETE FROM ledger_tile;"                 \
    "DELETE FROM ledger_checkpoint; DELETE FROM event;"

/* The lease, for a minute, on the fixture's connection of the ledger's role. */
struct ledger_lease signer_fixture_lease(struct ledger_fixture *fixture);

/* signer_open() with the fixture's key. */
int signer_fixture_open(struct ledger_fixture *fixture, const char *state_file, bool init,
                        struct signer **ret_signer, struct fault *fault) MUST_CHECK;

/* Steps until something other than reading comes of it. */
int signer_fixture_settle(struct signer *signer, struct pg *pg, const struct ledger_lease *lease,
                          enum signer_step *ret_step, struct signer_evidence *evidence,
                          struct fault *fault) MUST_CHECK;

/* Orders so many events, and leaves no checkpoint of the signer that a sequencer has of its own. */
void signer_fixture_order(struct ledger_fixture *fixture, const char *name, int count);

/* A log of 300 entries, and a signer who has signed it; the lease is taken. */
struct signer *signer_fixture_signed_log(struct ledger_fixture *fixture,
                                         struct ledger_lease *ret_lease);
