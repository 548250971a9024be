/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a proof is the tenant's own, of what is signed, and never one that does not prove. */
#include "storage/ledger_proofs.h"

#include "ledger/receipt.h"
#include "tests/support/ledger_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int read_proof(struct ledger_fixture *fixture, const char *tenant, const struct uuid *id,
                      struct ledger_inclusion *ret_inclusion, struct fault *fault)
{
    AUTO_BUF struct buf note = BUF(NOTE_MAX);
    return ledger_inclusion_read(fixture->api, tenant, id, false, ret_inclusion, &note, fault);
}

/* The bytes of an event, as an auditor has them. */
static struct digest entry_of(struct ledger_fixture *fixture, const struct uuid *id)
{
    static const struct pg_statement read = {"test_body",
                                             "SELECT body FROM event WHERE event_id = $1"};
    struct fault fault;
    struct pg_params params = {0};
    AUTO_PGRESULT PGresult *row = NULL;
    pg_uuid(&params, id);
    assert_ok(pg_query(fixture->super, NULL, &read, &params, &row, &fault));
    return digest_of_span(pg_get_bytes(row, 0, 0));
}

/* 800 entries: unfinished tiles at two levels. Each receipt is believed by who has the key alone.
 */
static void test_every_event_of_a_tenant_has_its_receipt(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct uuid ids[320];
    ledger_fixture_two_tenants(fixture, 16);
    ledger_fixture_ids(fixture, FIXTURE_TENANT, 320, ids);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        struct ledger_inclusion inclusion;
        struct receipt receipt;
        AUTO_BUF struct buf note = BUF(NOTE_MAX), text = BUF(RECEIPT_MAX);
        struct digest entry = entry_of(fixture, &ids[i]);
        assert_ok(ledger_inclusion_read(fixture->api, FIXTURE_TENANT, &ids[i], false, &inclusion,
                                        &note, &fault));
        assert_int_equal(inclusion.size, 800);
        assert_int_equal(inclusion.index, i / 20 * 50 + (i % 20 < 15 ? i % 20 : i % 20 + 30));
        assert_memory_equal(inclusion.entry.bytes, entry.bytes, DIGEST_LEN);
        assert_ok(
            receipt_format(inclusion.index, &inclusion.proof, buf_span(&note), &text, &fault));
        assert_ok(receipt_verify(buf_span(&text), FIXTURE_ORIGIN, &fixture->verifier, 1, &entry,
                                 &receipt, NULL, &fault));
        assert_int_equal(receipt.index, inclusion.index);
    }
}

static void test_anothers_event_is_none(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct uuid id, nobody = uuid_v7();
    struct ledger_inclusion inclusion;
    AUTO_BUF struct buf note = BUF(NOTE_MAX);
    ledger_fixture_two_tenants(fixture, 1);
    ledger_fixture_ids(fixture, FIXTURE_OTHER, 1, &id);
    assert_fault(read_proof(fixture, FIXTURE_TENANT, &id, &inclusion, &fault), FAULT_NOT_FOUND,
                 "no such event");
    assert_fault(read_proof(fixture, FIXTURE_TENANT, &nobody, &inclusion, &fault), FAULT_NOT_FOUND,
                 "no such event");
    assert_ok(read_proof(fixture, FIXTURE_OTHER, &id, &inclusion, &fault));
    /* The fixture's events are of no execution. */
    assert_fault(
        ledger_inclusion_read(fixture->api, FIXTURE_OTHER, &id, true, &inclusion, &note, &fault),
        FAULT_NOT_FOUND, "no such event");
    assert_int_equal(note.len, 0);
}

static void test_what_is_not_signed_has_no_proof_yet(void **state)
{
    struct ledger_fixture *fixture = *state;
    static const struct pg_statement read = {
        "test_pending", "SELECT event_id FROM event_pending ORDER BY seq LIMIT 1"};
    struct fault fault;
    struct ledger_inclusion inclusion;
    AUTO_PGRESULT PGresult *row = NULL;
    assert_ok(
        ledger_fixture_insert(fixture->api, FIXTURE_TENANT, FIXTURE_ACCEPTED, "x", 5, &fault));
    assert_ok(pg_query(fixture->super, NULL, &read, NULL, &row, &fault));
    struct uuid id = pg_get_uuid(row, 0, 0);
    assert_fault(read_proof(fixture, FIXTURE_TENANT, &id, &inclusion, &fault), FAULT_UNAVAILABLE,
                 "yet");
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    ledger_fixture_settle(sequencer);
    assert_ok(read_proof(fixture, FIXTURE_TENANT, &id, &inclusion, &fault));
    /* A place that no checkpoint covers: of a log without one, and of one with an older one. */
    ledger_fixture_tamper(fixture, "DELETE FROM ledger_checkpoint");
    assert_fault(read_proof(fixture, FIXTURE_TENANT, &id, &inclusion, &fault), FAULT_UNAVAILABLE,
                 "yet");
    ledger_fixture_tamper(fixture, "INSERT INTO ledger_checkpoint (size, root, note) "
                                   "SELECT 0, sha256(''), 'none'");
    assert_fault(read_proof(fixture, FIXTURE_TENANT, &id, &inclusion, &fault), FAULT_UNAVAILABLE,
                 "yet");
}

/* Whatever was edited: no path is handed out that does not lead to the signed root. */
static void test_edited_rows_prove_nothing(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct ledger_inclusion inclusion;
    static const char *const there[] = {
        "UPDATE ledger_tile SET root = sha256('x') WHERE level = 0 AND n = 1",
        "UPDATE ledger_tile SET hashes = set_byte(hashes, 99, 255 - get_byte(hashes, 99)) "
        "WHERE level = 0 AND n = 0",
        "UPDATE ledger_batch SET frontier = set_byte(frontier, 70, 255 - get_byte(frontier, 70))",
        "UPDATE ledger_batch SET frontier = substr(frontier, 33)",
        "DELETE FROM ledger_tile WHERE level = 0 AND n = 1",
        "UPDATE ledger_checkpoint SET root = sha256('x')",
        "UPDATE ledger_entry SET idx = 2000 WHERE idx = 3; "
        "UPDATE ledger_entry SET idx = 3 WHERE idx = 0; UPDATE ledger_entry SET idx = 0 WHERE idx "
        "= 2000",
    };
    static const char back[] =
        "DELETE FROM ledger_tile; INSERT INTO ledger_tile SELECT * FROM kept_tile;"
        "DELETE FROM ledger_entry; INSERT INTO ledger_entry SELECT * FROM kept_entry;"
        "DELETE FROM ledger_checkpoint;"
        "INSERT INTO ledger_checkpoint SELECT * FROM kept_checkpoint;"
        "DELETE FROM ledger_batch; INSERT INTO ledger_batch SELECT * FROM kept_batch;"
        "DROP TABLE kept_tile, kept_entry, kept_checkpoint, kept_batch";
    struct uuid id;
    ledger_fixture_two_tenants(fixture, 16);
    ledger_fixture_ids(fixture, FIXTURE_TENANT, 1, &id);
    for (size_t i = 0; i < ARRAY_LEN(there); i++) {
        assert_ok(pg_execute(fixture->super,
                             "CREATE TABLE kept_tile AS SELECT * FROM ledger_tile;"
                             "CREATE TABLE kept_entry AS SELECT * FROM ledger_entry;"
                             "CREATE TABLE kept_batch AS SELECT * FROM ledger_batch;"
                             "CREATE TABLE kept_checkpoint AS SELECT * FROM ledger_checkpoint",
                             &fault));
        ledger_fixture_tamper(fixture, there[i]);
        assert_fault(read_proof(fixture, FIXTURE_TENANT, &id, &inclusion, &fault),
                     FAULT_CONTENT_MISMATCH, "");
        ledger_fixture_tamper(fixture, back);
        assert_ok(read_proof(fixture, FIXTURE_TENANT, &id, &inclusion, &fault));
    }
}

/* Without its batch a checkpoint has no frontier: the tree is then read tile by tile, to the same
 * end. */
static void test_a_checkpoint_without_its_batch(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct ledger_inclusion before, after;
    struct uuid id;
    ledger_fixture_two_tenants(fixture, 16);
    ledger_fixture_ids(fixture, FIXTURE_TENANT, 1, &id);
    assert_ok(read_proof(fixture, FIXTURE_TENANT, &id, &before, &fault));
    ledger_fixture_tamper(fixture, "DELETE FROM ledger_batch");
    assert_ok(read_proof(fixture, FIXTURE_TENANT, &id, &after, &fault));
    assert_int_equal(before.proof.count, after.proof.count);
    assert_memory_equal(before.proof.hashes, after.proof.hashes,
                        before.proof.count * sizeof before.proof.hashes[0]);
    ledger_fixture_tamper(fixture, "UPDATE ledger_entry SET hash = sha256('x') WHERE idx = 780");
    assert_fault(read_proof(fixture, FIXTURE_TENANT, &id, &after, &fault), FAULT_CONTENT_MISMATCH,
                 "");
}

/* The one read of ledger_path() has all there is below the leaf's subtree: for each leaf of trees
 * of one size after the other, full tiles, and of the last level a part that ends at no tile's end.
 */
static void test_one_read_has_the_whole_path(void **state)
{
    struct ledger_fixture *fixture = *state;
    ledger_fixture_two_tenants(fixture, 16);
    assert_int_equal(
        ledger_fixture_number(
            fixture,
            "WITH leaf AS (SELECT idx, size, floor(log(2, (idx # size)::numeric))::integer AS h "
            "FROM generate_series(1, 800, 17) size, LATERAL generate_series(0, size - 1) idx), "
            "wanted AS (SELECT idx, size, l AS level, idx >> (8 * l + p) << p AS first, 1 << p AS "
            "n "
            "FROM leaf, generate_series(0, 1) l, LATERAL (SELECT least(8, h - 8 * l) AS p) x "
            "WHERE 8 * l < h), "
            "found AS (SELECT idx, size, level, first, octet_length(hashes) / 32 AS n "
            "FROM leaf, LATERAL ledger_path(idx, size)) "
            "SELECT (SELECT count(*) FROM (TABLE wanted EXCEPT ALL TABLE found) x) "
            "+ (SELECT count(*) FROM (TABLE found EXCEPT ALL TABLE wanted) x) "
            "+ CASE WHEN EXISTS (SELECT FROM wanted) THEN 0 ELSE 1 END"),
        0);
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_path(800, 800)"),
                     0);
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM ledger_path(-1, 800)"),
                     0);
}

static int consistency(struct ledger_fixture *fixture, int64_t from, int64_t to,
                       struct ledger_consistency *ret_found, struct buf *ret_note,
                       struct fault *fault)
{
    return ledger_consistency_read(fixture->api, from, to, ret_found, ret_note, fault);
}

/* Every pair of sizes, of batches (two) and in between, against the tree made of the entries. */
static void test_consistency_of_any_two_sizes(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    static const int64_t sizes[] = {0, 1, 50, 255, 256, 257, 512, 600, 767, 799, 800};
    struct digest entries[800], roots[ARRAY_LEN(sizes)];
    ledger_fixture_two_tenants(fixture, 16);
    assert_ok(ledger_entries_read(fixture->api, 0, 800, entries, &fault));
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct merkle_range range = {0};
        for (int64_t n = 0; n < sizes[i]; n++) {
            struct digest leaf = merkle_entry_leaf(&entries[n]);
            assert_ok(merkle_range_append(&range, &leaf, &fault));
        }
        roots[i] = merkle_range_root(&range);
        for (size_t k = 0; k <= i; k++) {
            struct ledger_consistency found;
            AUTO_BUF struct buf note = BUF(NOTE_MAX);
            assert_ok(consistency(fixture, sizes[k], sizes[i], &found, &note, &fault));
            assert_int_equal(found.from, sizes[k]);
            assert_int_equal(found.to, sizes[i]);
            assert_ok(merkle_consistency_verify(found.from, &roots[k], found.to, &roots[i],
                                                &found.proof, &fault));
            assert_int_equal(note.len > 0, sizes[i] == 800);
        }
    }
    struct ledger_consistency found;
    AUTO_BUF struct buf note = BUF(NOTE_MAX);
    assert_ok(consistency(fixture, 50, -1, &found, &note, &fault));
    assert_int_equal(found.to, 800);
    assert_fault(consistency(fixture, 801, -1, &found, &note, &fault), FAULT_NOT_FOUND, "800");
    assert_fault(consistency(fixture, 1, 801, &found, &note, &fault), FAULT_NOT_FOUND, "800");
    assert_fault(consistency(fixture, 800, 799, &found, &note, &fault), FAULT_NOT_FOUND, "799");
    ledger_fixture_tamper(fixture, "DELETE FROM ledger_checkpoint");
    assert_fault(consistency(fixture, 1, 2, &found, &note, &fault), FAULT_NOT_FOUND, "checkpoint");
}

/* Between ends of batches a proof has been followed before it is handed out. */
static void test_edited_rows_are_not_consistent(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct ledger_consistency found;
    AUTO_BUF struct buf note = BUF(NOTE_MAX);
    ledger_fixture_two_tenants(fixture, 1);
    int64_t size = ledger_fixture_number(fixture, "SELECT max(size) FROM ledger_batch");
    assert_ok(
        ledger_fixture_insert(fixture->api, FIXTURE_TENANT, FIXTURE_ACCEPTED, "x", 750, &fault));
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    ledger_fixture_settle(sequencer);
    assert_ok(consistency(fixture, size, -1, &found, &note, &fault));
    assert_int_equal(found.from, 50);
    assert_int_equal(found.to, 800);
    assert_ok(
        consistency(fixture, size, 800, &found, &note, &fault)); /* not the first checkpoint */
    ledger_fixture_tamper(fixture,
                          "UPDATE ledger_tile SET hashes = set_byte(hashes, 32 * 49, 255 - "
                          "get_byte(hashes, 32 * 49)) WHERE level = 0 AND n = 0");
    assert_fault(consistency(fixture, size, -1, &found, &note, &fault), FAULT_CONTENT_MISMATCH, "");
}

/* A log that a build before schema version 8 has written. */
static void test_tiles_without_a_recorded_root(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct ledger_inclusion before, after;
    struct uuid id;
    ledger_fixture_two_tenants(fixture, 16);
    ledger_fixture_ids(fixture, FIXTURE_TENANT, 1, &id);
    assert_ok(read_proof(fixture, FIXTURE_TENANT, &id, &before, &fault));
    ledger_fixture_tamper(fixture, "UPDATE ledger_tile SET root = NULL WHERE n <> 1");
    assert_ok(read_proof(fixture, FIXTURE_TENANT, &id, &after, &fault));
    assert_int_equal(before.proof.count, after.proof.count);
    assert_memory_equal(before.proof.hashes, after.proof.hashes,
                        before.proof.count * sizeof before.proof.hashes[0]);
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    ledger_fixture_settle(sequencer);
    struct sequencer_status status;
    sequencer_status(sequencer, &status);
    assert_int_equal(status.role, SEQUENCER_LEADER);
}

static void test_checkpoints_of_a_size(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    uint64_t size;
    struct digest root;
    AUTO_BUF struct buf latest = BUF(NOTE_MAX), note = BUF(NOTE_MAX);
    ledger_fixture_two_tenants(fixture, 1);
    assert_ok(ledger_checkpoint_latest(fixture->api, &size, &root, &latest, &fault));
    assert_ok(ledger_checkpoint_read_at(fixture->api, size, &note, &fault));
    assert_string_equal(buf_text(&note), buf_text(&latest));
    assert_fault(ledger_checkpoint_read_at(fixture->api, size + 1, &note, &fault), FAULT_NOT_FOUND,
                 "51");
    AUTO_BUF struct buf small = BUF(16);
    assert_fault(ledger_checkpoint_read_at(fixture->api, size, &small, &fault), FAULT_INTERNAL,
                 "fit");
}

int main(void)
{
#define LEDGER_TEST(name)                                                                          \
    cmocka_unit_test_setup_teardown(name, ledger_fixture_setup, ledger_fixture_teardown)
    const struct CMUnitTest tests[] = {
        LEDGER_TEST(test_every_event_of_a_tenant_has_its_receipt),
        LEDGER_TEST(test_anothers_event_is_none),
        LEDGER_TEST(test_what_is_not_signed_has_no_proof_yet),
        LEDGER_TEST(test_edited_rows_prove_nothing),
        LEDGER_TEST(test_a_checkpoint_without_its_batch),
        LEDGER_TEST(test_one_read_has_the_whole_path),
        LEDGER_TEST(test_consistency_of_any_two_sizes),
        LEDGER_TEST(test_edited_rows_are_not_consistent),
        LEDGER_TEST(test_tiles_without_a_recorded_root),
        LEDGER_TEST(test_checkpoints_of_a_size),
    };
    return cmocka_run_group_tests_name("ledger_proofs", tests, ledger_fixture_group_setup,
                                       ledger_fixture_group_teardown);
}
