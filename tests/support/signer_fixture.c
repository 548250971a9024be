/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/signer_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

struct ledger_lease signer_fixture_lease(struct ledger_fixture *fixture)
{
    struct fault fault;
    struct ledger_lease lease = {.holder = "signer/test", .duration_ms = 60000};
    assert_ok(ledger_lease_acquire(fixture->ledger, &lease, &fault));
    assert_true(lease.epoch > 0);
    return lease;
}

int signer_fixture_open(struct ledger_fixture *fixture, const char *state_file, bool init,
                        struct signer **ret_signer, struct fault *fault)
{
    const struct signer_config config = {.origin = FIXTURE_ORIGIN,
                                         .key_file = fixture->key_file,
                                         .state_file = state_file,
                                         .init = init};
    return signer_open(fixture->ledger, &config, ret_signer, fault);
}

int signer_fixture_settle(struct signer *signer, struct pg *pg, const struct ledger_lease *lease,
                          enum signer_step *ret_step, struct signer_evidence *evidence,
                          struct fault *fault)
{
    do {
        if (signer_advance(signer, pg, lease, ret_step, evidence, fault) != 0)
            return -1;
    } while (*ret_step == SIGNER_READING);
    return 0;
}

void signer_fixture_order(struct ledger_fixture *fixture, const char *name, int count)
{
    struct fault fault;
    char state_file[160];
    struct sequencer_config config = ledger_fixture_config(fixture);
    int64_t before = ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_entry");
    (void)snprintf(state_file, sizeof state_file, "%s/of-%s", fixture->folder, name);
    config.state_file = state_file;
    config.init = true;
    AUTO_SEQUENCER struct sequencer *sequencer = NULL;
    assert_ok(sequencer_open(&config, &sequencer, &fault));
    assert_ok(
        ledger_fixture_insert(fixture->api, FIXTURE_TENANT, FIXTURE_ACCEPTED, name, count, &fault));
    ledger_fixture_settle(sequencer);
    assert_ok(sequencer_release(sequencer, &fault));
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_entry"),
                     before + count);
    ledger_fixture_tamper(fixture, "DELETE FROM ledger_checkpoint");
}

struct signer *signer_fixture_signed_log(struct ledger_fixture *fixture,
                                         struct ledger_lease *ret_lease)
{
    struct fault fault;
    struct signer *signer = NULL;
    enum signer_step step;
    struct signer_evidence evidence;
    assert_ok(signer_fixture_open(fixture, fixture->state_file, false, &signer, &fault));
    signer_fixture_order(fixture, "signed", 300);
    *ret_lease = signer_fixture_lease(fixture);
    assert_ok(signer_fixture_settle(signer, fixture->ledger, ret_lease, &step, &evidence, &fault));
    assert_int_equal(step, SIGNER_PUBLISHED);
    assert_int_equal(signer_signed(signer)->size, 300);
    ledger_fixture_verify(fixture, 300);
    return signer;
}
