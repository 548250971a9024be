/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: heads, entries, tiles, places and status, as the api reads them. */
#include "storage/ledger_lease.h"
#include "tests/support/ledger_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_heads_entries_and_the_latest_checkpoint(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct ledger_head head;
    struct digest root, expected, entries[100];
    uint64_t size;
    AUTO_BUF struct buf note = BUF(NOTE_MAX);
    assert_ok(ledger_head_read(fixture->api, &head, &fault));
    assert_int_equal(head.size, 0);
    expected = merkle_empty_root();
    assert_memory_equal(head.root.bytes, expected.bytes, DIGEST_LEN);
    assert_fault(ledger_checkpoint_latest(fixture->api, &size, &root, NULL, &fault),
                 FAULT_NOT_FOUND, "");
    assert_fault(ledger_head_read_at(fixture->api, 0, &head, &fault), FAULT_NOT_FOUND, "");
    ledger_fixture_two_tenants(fixture, 2);
    assert_ok(ledger_head_read(fixture->api, &head, &fault));
    assert_int_equal(head.size, 100);
    assert_int_equal(head.entries, 100);
    assert_ok(ledger_entries_read(fixture->api, 0, 100, entries, &fault));
    struct merkle_range range = {0};
    for (size_t i = 0; i < 100; i++) {
        struct digest leaf = merkle_entry_leaf(&entries[i]);
        assert_ok(merkle_range_append(&range, &leaf, &fault));
    }
    assert_ok(ledger_head_check(&head, &range, &fault));
    range.hashes[1].bytes[0] ^= 1;
    assert_fault(ledger_head_check(&head, &range, &fault), FAULT_CONTENT_MISMATCH, "root");
    assert_ok(ledger_checkpoint_latest(fixture->api, &size, &root, &note, &fault));
    assert_int_equal(size, 100);
    assert_memory_equal(root.bytes, head.root.bytes, DIGEST_LEN);
    assert_non_null(strstr(buf_text(&note), FIXTURE_ORIGIN "\n100\n"));
    /* Ranges, and what is not there. */
    struct digest some[3];
    assert_ok(ledger_entries_read(fixture->api, 97, 100, some, &fault));
    assert_memory_equal(some, entries + 97, sizeof some);
    assert_ok(ledger_entries_read(fixture->api, 5, 5, NULL, &fault));
    assert_fault(ledger_entries_read(fixture->api, 98, 101, some, &fault), FAULT_CONTENT_MISMATCH,
                 "entry 100");
    assert_fault(ledger_entries_read(fixture->api, 0, LEDGER_ENTRIES_MAX + 1, NULL, &fault),
                 FAULT_INTERNAL, "no range");
    assert_fault(ledger_entries_read(fixture->api, 2, 1, NULL, &fault), FAULT_INTERNAL, "no range");
}

/* Every tile of the tree, at every width it may be asked for, against the tree's own edge. */
static void test_tiles_partial_and_full(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    ledger_fixture_two_tenants(fixture,
                               16); /* 800 entries: three full tiles, 32 hashes, and 3 above */
    AUTO_FREE struct tile_edge *edge = calloc(1, sizeof *edge);
    assert_ok(ledger_edge_read(fixture->api, 800, edge, &fault));
    assert_int_equal(tile_edge_width(edge, 0), 32);
    assert_int_equal(tile_edge_width(edge, 1), 3);
    struct digest hashes[TILE_WIDTH], entries[TILE_WIDTH];
    for (uint64_t n = 0; n < 4; n++) {
        unsigned widest = tile_width(0, n, 800);
        assert_ok(ledger_entries_read(fixture->api, n * TILE_WIDTH, n * TILE_WIDTH + widest,
                                      entries, &fault));
        for (unsigned width = 1; width <= widest; width += n < 3 ? 51 : 1) {
            struct tile tile = {.level = 0, .n = n, .width = width};
            assert_ok(ledger_tile_read(fixture->api, &tile, hashes, &fault));
            for (unsigned i = 0; i < width; i++) {
                struct digest leaf = merkle_entry_leaf(&entries[i]);
                assert_memory_equal(hashes[i].bytes, leaf.bytes, DIGEST_LEN);
            }
        }
    }
    struct tile top = {.level = 1, .n = 0, .width = 3};
    assert_ok(ledger_tile_read(fixture->api, &top, hashes, &fault));
    assert_memory_equal(hashes, edge->hashes[1], 3 * sizeof hashes[0]);
    static const struct tile none[] = {
        {.level = 0, .n = 3, .width = 33},  {.level = 0, .n = 4, .width = 1},
        {.level = 1, .n = 0, .width = 4},   {.level = 2, .n = 0, .width = 1},
        {.level = 1, .n = 0, .width = 256},
    };
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        assert_fault(ledger_tile_read(fixture->api, &none[i], hashes, &fault),
                     FAULT_CONTENT_MISMATCH, "missing");
    static const struct tile wrong[] = {
        {.level = 8, .n = 0, .width = 1},
        {.level = 63, .n = 0, .width = 1},
        {.level = 0, .n = 0, .width = 0},
        {.level = 0, .n = 0, .width = 257},
        {.level = 0, .n = MERKLE_SIZE_MAX, .width = 1},
        {.level = 7, .n = 1, .width = 1},
        {.entries = true, .level = 0, .n = 0, .width = 1},
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_fault(ledger_tile_read(fixture->api, &wrong[i], hashes, &fault), FAULT_NOT_FOUND,
                     "no such tile");
}

static int read_tile(void *context, const struct tile *tile, struct digest *ret_hashes,
                     struct fault *fault)
{
    return ledger_tile_read(context, tile, ret_hashes, fault);
}

/* Proofs from these tiles are believed by who has only the head. */
static void test_proofs_from_tiles(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct ledger_head head;
    static const uint64_t places[] = {0, 1, 255, 256, 300, 767, 768, 799};
    ledger_fixture_two_tenants(fixture, 16);
    assert_ok(ledger_head_read(fixture->api, &head, &fault));
    const struct proof_source source = {.tile = read_tile, .context = fixture->api};
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        struct merkle_proof proof;
        struct digest entry;
        assert_ok(proof_inclusion(&source, places[i], head.size, &proof, &fault));
        assert_ok(ledger_entries_read(fixture->api, places[i], places[i] + 1, &entry, &fault));
        struct digest leaf = merkle_entry_leaf(&entry);
        assert_ok(merkle_inclusion_verify(places[i], head.size, &leaf, &proof, &head.root, &fault));
    }
    struct merkle_proof proof;
    struct merkle_range old;
    assert_ok(proof_range(&source, 513, &old, &fault));
    struct digest old_root = merkle_range_root(&old);
    assert_ok(proof_consistency(&source, 513, head.size, &proof, &fault));
    assert_ok(merkle_consistency_verify(513, &old_root, head.size, &head.root, &proof, &fault));
}

static void test_places_of_events(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    int64_t places[64];
    ledger_fixture_two_tenants(fixture, 1);
    struct uuid own[20], other[1];
    ledger_fixture_ids(fixture, FIXTURE_TENANT, 20, own);
    ledger_fixture_ids(fixture, FIXTURE_OTHER, 1, other);
    assert_ok(ledger_places_read(fixture->api, FIXTURE_TENANT, own, 20, places, &fault));
    for (int i = 0; i < 20; i++)
        assert_int_equal(places[i], i < 15 ? i : i + 30);
    struct uuid mixed[4] = {other[0], uuid_v7(), own[3], own[3]};
    assert_ok(ledger_places_read(fixture->api, FIXTURE_TENANT, mixed, 4, places, &fault));
    assert_int_equal(places[0], -1);
    assert_int_equal(places[1], -1);
    assert_int_equal(places[2], 3);
    assert_int_equal(places[3], 3);
    assert_ok(ledger_places_read(fixture->api, NULL, mixed, 1, places, &fault));
    assert_int_equal(places[0], 15);
    assert_ok(ledger_places_read(fixture->api, NULL, NULL, 0, places, &fault));
}

static void test_the_status(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct ledger_status status;
    assert_ok(ledger_status_read(fixture->api, &status, &fault));
    assert_false(status.held);
    assert_int_equal(status.epoch, 0);
    assert_string_equal(status.holder, "");
    assert_int_equal(status.pending_age_ms, -1);
    assert_int_equal(status.unsigned_age_ms, -1);
    assert_int_equal(status.size, 0);
    assert_ok(ledger_status_check(&status, &fault));
    assert_ok(
        ledger_fixture_insert(fixture->api, FIXTURE_TENANT, FIXTURE_ACCEPTED, "x", 3, &fault));
    assert_ok(pg_execute(fixture->super,
                         "UPDATE event_pending SET queued_at = now() - interval '59 s'", &fault));
    assert_ok(ledger_status_read(fixture->api, &status, &fault));
    assert_in_range(status.pending_age_ms, 59000, 59900);
    assert_ok(ledger_status_check(&status, &fault));
    assert_ok(pg_execute(fixture->super,
                         "UPDATE event_pending SET queued_at = now() - interval '61 s'", &fault));
    assert_ok(ledger_status_read(fixture->api, &status, &fault));
    assert_fault(ledger_status_check(&status, &fault), FAULT_UNAVAILABLE, "place");
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    ledger_fixture_settle(sequencer);
    assert_ok(ledger_status_read(fixture->api, &status, &fault));
    assert_true(status.held);
    assert_int_equal(status.epoch, 1);
    assert_int_equal(strncmp(status.holder, "test/", 5), 0);
    assert_int_equal(status.pending_age_ms, -1);
    assert_int_equal(status.unsigned_age_ms, -1);
    assert_int_equal(status.size, 3);
    assert_int_equal(status.checkpoint_size, 3);
    assert_ok(ledger_status_check(&status, &fault));
    ledger_fixture_tamper(fixture, "DELETE FROM ledger_checkpoint; UPDATE ledger_batch "
                                   "SET created_at = now() - interval '61 s'");
    assert_ok(ledger_status_read(fixture->api, &status, &fault));
    assert_fault(ledger_status_check(&status, &fault), FAULT_UNAVAILABLE, "signed");
    assert_int_equal(status.checkpoint_size, 0);
    assert_ok(ledger_lease_stop(fixture->ledger, "it disagrees", &fault));
    assert_ok(ledger_status_read(fixture->api, &status, &fault));
    assert_string_equal(status.problem, "it disagrees");
    assert_fault(ledger_status_check(&status, &fault), FAULT_UNAVAILABLE, "it disagrees");
}

int main(void)
{
#define LEDGER_TEST(name)                                                                          \
    cmocka_unit_test_setup_teardown(name, ledger_fixture_setup, ledger_fixture_teardown)
    const struct CMUnitTest tests[] = {
        LEDGER_TEST(test_heads_entries_and_the_latest_checkpoint),
        LEDGER_TEST(test_tiles_partial_and_full),
        LEDGER_TEST(test_proofs_from_tiles),
        LEDGER_TEST(test_places_of_events),
        LEDGER_TEST(test_the_status),
    };
    return cmocka_run_group_tests_name("ledger_read", tests, ledger_fixture_group_setup,
                                       ledger_fixture_group_teardown);
}
