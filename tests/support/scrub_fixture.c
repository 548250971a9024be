/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/scrub_fixture.h"

#include "storage/ledger_scrub.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define RATE 1000000

void scrub_fixture_insert(struct ledger_fixture *fixture, const char *name, int count)
{
    struct fault fault;
    assert_ok(
        ledger_fixture_insert(fixture->api, FIXTURE_TENANT, FIXTURE_ACCEPTED, name, count, &fault));
}

struct scrub_target scrub_fixture_log(struct ledger_fixture *fixture, int first, int second)
{
    struct fault fault;
    struct sequencer_status status;
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    scrub_fixture_insert(fixture, "first", first);
    ledger_fixture_settle(sequencer);
    scrub_fixture_insert(fixture, "second", second);
    ledger_fixture_settle(sequencer);
    sequencer_status(sequencer, &status);
    assert_int_equal(status.signed_size, first + second);
    assert_ok(sequencer_release(sequencer, &fault));
    return (struct scrub_target){.size = status.signed_size, .root = status.signed_root};
}

int scrub_fixture_pass(struct scrub *scrub, struct pg *pg, const struct scrub_target *target,
                       struct signer_evidence *evidence, struct fault *fault)
{
    uint64_t before = scrub_status(scrub).passes;
    uint64_t most = target->size * 4 / LEDGER_SCRUB_MAX + 64;
    while (scrub_status(scrub).passes == before) {
        int wait_ms;
        assert_true(most-- > 0);
        if (scrub_step(scrub, pg, target, &wait_ms, evidence, fault) != 0)
            return -1;
    }
    return 0;
}

struct scrub *scrub_fixture_scrub(void)
{
    struct fault fault;
    struct scrub *scrub = NULL;
    assert_ok(scrub_new(RATE, &scrub, &fault));
    return scrub;
}
