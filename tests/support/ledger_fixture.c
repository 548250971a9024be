/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/ledger_fixture.h"

#include "base/clock.h"
#include "base/file.h"
#include "ledger/checkpoint.h"
#include "ledger/tile.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SETTLE_MS 60000

void fixture_assert_ok(int status, const struct fault *fault, const char *file, int line)
{
    if (status == 0)
        return;
    print_error("%s\n", fault->detail);
    _fail(file, line);
}

void fixture_assert_fault(int status, enum fault_code code, const char *words,
                          const struct fault *fault, const char *file, int line)
{
    if (status == -1 && fault->code == code && strstr(fault->detail, words) != NULL)
        return;
    print_error("expected %s with \"%s\", got %d: %s \"%s\"\n", fault_name(code), words, status,
                status == 0 ? "" : fault_name(fault->code), status == 0 ? "" : fault->detail);
    _fail(file, line);
}

int ledger_fixture_group_setup(void **state)
{
    static struct ledger_fixture fixture;
    struct fault fault;
    memset(&fixture, 0, sizeof fixture);
    if (pg_cluster_open(false, &fixture.cluster, &fault) != 0) {
        print_error("%s\n", fault.detail);
        return -1;
    }
    *state = &fixture;
    return 0;
}

int ledger_fixture_group_teardown(void **state)
{
    struct ledger_fixture *fixture = *state;
    pg_cluster_free(TAKE(fixture->cluster));
    return 0;
}

static int make_files(struct ledger_fixture *fixture, struct fault *fault)
{
    uint8_t seed[NOTE_SEED_LEN];
    AUTO_NOTE_SIGNER struct note_signer *signer = NULL;
    AUTO_BUF struct buf text = BUF(1024);
    (void)snprintf(fixture->folder, sizeof fixture->folder, "/tmp/sallyport-ledger.XXXXXX");
    if (mkdtemp(fixture->folder) == NULL)
        return fault_errno(fault, "mkdtemp");
    (void)snprintf(fixture->key_file, sizeof fixture->key_file, "%s/key", fixture->folder);
    (void)snprintf(fixture->state_file, sizeof fixture->state_file, "%s/state", fixture->folder);
    random_bytes(seed, sizeof seed);
    if (note_signer_new(FIXTURE_ORIGIN, seed, &signer, fault) != 0)
        return -1;
    fixture->verifier = *note_signer_verifier(signer);
    note_signer_format(signer, &text);
    buf_puts(&text, "\n");
    return file_replace(fixture->key_file, text.data, text.len, 0600, fault);
}

/* The log knows its key already: what the tests count are their own events. */
static int know_key(struct ledger_fixture *fixture, struct fault *fault)
{
    static const struct pg_statement insert = {
        "fixture_key",
        "INSERT INTO ledger_key_change (change_no, origin, vkey, change, size, event_id) "
        "VALUES (1, '" FIXTURE_ORIGIN "', $1, 'added', 0, gen_random_uuid())"};
    struct pg_params params = {0};
    AUTO_BUF struct buf vkey = BUF(512);
    note_verifier_format(&fixture->verifier, &vkey);
    pg_text(&params, buf_text(&vkey));
    return pg_query(fixture->super, NULL, &insert, &params, NULL, fault);
}

int ledger_fixture_setup(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    if (pg_cluster_renew(fixture->cluster, &fault) == 0 && make_files(fixture, &fault) == 0 &&
        pg_cluster_connect(fixture->cluster, NULL, &fixture->super, &fault) == 0 &&
        know_key(fixture, &fault) == 0 &&
        pg_cluster_connect(fixture->cluster, "sallyport_api", &fixture->api, &fault) == 0 &&
        pg_cluster_connect(fixture->cluster, "sallyport_worker", &fixture->worker, &fault) == 0 &&
        pg_cluster_connect(fixture->cluster, "sallyport_ledger", &fixture->ledger, &fault) == 0)
        return 0;
    print_error("%s\n", fault.detail);
    return -1;
}

int ledger_fixture_teardown(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    pg_free(TAKE(fixture->super));
    pg_free(TAKE(fixture->api));
    pg_free(TAKE(fixture->worker));
    pg_free(TAKE(fixture->ledger));
    return dir_remove(fixture->folder, &fault);
}

int ledger_fixture_insert(struct pg *pg, const char *tenant, const char *type, const char *name,
                          int count, struct fault *fault)
{
    static const struct pg_statement insert = {
        "fixture_insert",
        "INSERT INTO event (event_id, tenant_id, type, subject, hash, body) "
        "SELECT gen_random_uuid(), $1, $2, $3, sha256(b.body), b.body FROM "
        "generate_series(1, $4::integer) n, LATERAL (SELECT convert_to("
        "'{\"name\":\"' || $3::text || '\",\"n\":' || n || '}', 'UTF8') AS body) b ORDER BY n"};
    struct pg_params params = {0};
    pg_text(&params, tenant);
    pg_text(&params, type);
    pg_text(&params, name);
    pg_int4(&params, count);
    return pg_query_as(pg, tenant, &insert, &params, NULL, fault);
}

void ledger_fixture_tamper(struct ledger_fixture *fixture, const char *sql)
{
    static const char off[] = "ALTER TABLE event DISABLE TRIGGER append_only;"
                              "ALTER TABLE ledger_entry DISABLE TRIGGER append_only;"
                              "ALTER TABLE ledger_tile DISABLE TRIGGER append_only;"
                              "ALTER TABLE ledger_batch DISABLE TRIGGER append_only;"
                              "ALTER TABLE ledger_checkpoint DISABLE TRIGGER append_only;";
    static const char on[] = "ALTER TABLE event ENABLE ALWAYS TRIGGER append_only;"
                             "ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER append_only;"
                             "ALTER TABLE ledger_tile ENABLE ALWAYS TRIGGER append_only;"
                             "ALTER TABLE ledger_batch ENABLE ALWAYS TRIGGER append_only;"
                             "ALTER TABLE ledger_checkpoint ENABLE ALWAYS TRIGGER append_only;";
    struct fault fault;
    assert_ok(pg_execute(fixture->super, off, &fault));
    assert_ok(pg_execute(fixture->super, sql, &fault));
    assert_ok(pg_execute(fixture->super, on, &fault));
}

void ledger_fixture_forget_key(struct ledger_fixture *fixture)
{
    struct fault fault;
    assert_ok(pg_execute(fixture->super,
                         "ALTER TABLE ledger_key_change DISABLE TRIGGER append_only;"
                         "DELETE FROM ledger_key_change;"
                         "ALTER TABLE ledger_key_change ENABLE ALWAYS TRIGGER append_only",
                         &fault));
}

void ledger_fixture_text(struct ledger_fixture *fixture, const char *sql, struct buf *ret_text)
{
    struct fault fault;
    AUTO_PG struct pg *pg = NULL;
    const struct pg_statement read = {"fixture_text", sql};
    AUTO_PGRESULT PGresult *row = NULL;
    assert_ok(pg_cluster_connect(fixture->cluster, NULL, &pg, &fault));
    assert_ok(pg_query(pg, NULL, &read, NULL, &row, &fault));
    assert_int_equal(PQntuples(row), 1);
    buf_puts(ret_text, pg_get_text(row, 0, 0));
}

int64_t ledger_fixture_number(struct ledger_fixture *fixture, const char *sql)
{
    struct fault fault;
    AUTO_PG struct pg *pg = NULL; /* its own: a statement is prepared once by its address */
    const struct pg_statement read = {"fixture_number", sql};
    AUTO_PGRESULT PGresult *row = NULL;
    assert_ok(pg_cluster_connect(fixture->cluster, NULL, &pg, &fault));
    assert_ok(pg_query(pg, NULL, &read, NULL, &row, &fault));
    return pg_get_int(row, 0, 0);
}

struct sequencer_config ledger_fixture_config(struct ledger_fixture *fixture)
{
    return (struct sequencer_config){
        .conninfo = pg_cluster_conninfo(fixture->cluster, "sallyport_ledger"),
        .node = "test",
        .origin = FIXTURE_ORIGIN,
        .key_file = fixture->key_file,
        .state_file = fixture->state_file,
        .lease_ms = 1000,
        .batch_max = SEQUENCER_BATCH_MAX,
        .sign_every_ms = 0,
        .look_every_ms = 0,
    };
}

struct sequencer *ledger_fixture_sequencer(struct ledger_fixture *fixture)
{
    struct fault fault;
    struct sequencer *sequencer = NULL;
    const struct sequencer_config config = ledger_fixture_config(fixture);
    assert_ok(sequencer_open(&config, &sequencer, &fault));
    return sequencer;
}

void ledger_fixture_settle(struct sequencer *sequencer)
{
    struct fault fault;
    struct sequencer_status status;
    int64_t deadline = clock_monotonic_ms() + SETTLE_MS;
    for (;;) {
        int wait_ms;
        assert_ok(sequencer_turn(sequencer, &wait_ms, &fault));
        sequencer_status(sequencer, &status);
        if (status.role == SEQUENCER_STOPPED && wait_ms > 0)
            return;
        if (status.role == SEQUENCER_LEADER && wait_ms > 0 && status.signed_size == status.size)
            return;
        assert_true(clock_monotonic_ms() < deadline);
        assert_ok(sequencer_wait(sequencer, -1, wait_ms, &fault));
    }
}

void ledger_fixture_await_role(struct sequencer *sequencer, enum sequencer_role role)
{
    struct fault fault;
    struct sequencer_status status;
    int64_t deadline = clock_monotonic_ms() + SETTLE_MS;
    for (;;) {
        int wait_ms;
        assert_ok(sequencer_turn(sequencer, &wait_ms, &fault));
        sequencer_status(sequencer, &status);
        if (status.role == role)
            return;
        assert_true(clock_monotonic_ms() < deadline);
        assert_ok(sequencer_wait(sequencer, -1, wait_ms, &fault));
    }
}

void ledger_fixture_two_tenants(struct ledger_fixture *fixture, int rounds)
{
    struct fault fault;
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    for (int i = 0; i < rounds; i++) {
        assert_ok(ledger_fixture_insert(fixture->api, FIXTURE_TENANT, FIXTURE_ACCEPTED, "acme", 15,
                                        &fault));
        assert_ok(ledger_fixture_insert(fixture->worker, FIXTURE_OTHER, FIXTURE_STARTED, "globex",
                                        30, &fault));
        assert_ok(ledger_fixture_insert(fixture->worker, FIXTURE_TENANT, FIXTURE_STARTED, "acme", 5,
                                        &fault));
    }
    ledger_fixture_settle(sequencer);
    assert_ok(sequencer_release(sequencer, &fault));
    ledger_fixture_verify(fixture, (uint64_t)rounds * 50);
}

void ledger_fixture_ids(struct ledger_fixture *fixture, const char *tenant, int count,
                        struct uuid *ret_ids)
{
    static const struct pg_statement read = {
        "fixture_ids",
        "SELECT event_id FROM ledger_entry WHERE tenant_id = $1 ORDER BY idx LIMIT $2"};
    struct fault fault;
    struct pg_params params = {0};
    AUTO_PGRESULT PGresult *rows = NULL;
    pg_text(&params, tenant);
    pg_int8(&params, count);
    assert_ok(pg_query(fixture->super, NULL, &read, &params, &rows, &fault));
    assert_int_equal(PQntuples(rows), count);
    for (int i = 0; i < count; i++)
        ret_ids[i] = pg_get_uuid(rows, i, 0);
}

/* MTH of RFC 6962 section 2.1, word by word: the second opinion on all the clever code. */
static struct digest naive_root(const struct digest *leaves, uint64_t count)
{
    if (count == 0)
        return digest_of("", 0);
    if (count == 1)
        return leaves[0];
    uint64_t split = 1;
    while (split * 2 < count)
        split *= 2;
    uint8_t input[1 + 2 * DIGEST_LEN] = {1};
    struct digest left = naive_root(leaves, split);
    struct digest right = naive_root(leaves + split, count - split);
    memcpy(input + 1, left.bytes, DIGEST_LEN);
    memcpy(input + 1 + DIGEST_LEN, right.bytes, DIGEST_LEN);
    return digest_of(input, sizeof input);
}

static void assert_digest(const struct digest *a, const struct digest *b)
{
    assert_memory_equal(a->bytes, b->bytes, DIGEST_LEN);
}

static PGresult *rows_of(struct pg *pg, const struct pg_statement *statement)
{
    struct fault fault;
    PGresult *rows = NULL;
    assert_ok(pg_query(pg, NULL, statement, NULL, &rows, &fault));
    return rows;
}

static struct digest *verify_entries(struct pg *pg, uint64_t count)
{
    static const struct pg_statement read = {
        "fixture_entries", "SELECT l.idx, l.hash, e.body, l.tenant_id = e.tenant_id "
                           "FROM ledger_entry l JOIN event e USING (event_id) ORDER BY l.idx"};
    AUTO_PGRESULT PGresult *rows = rows_of(pg, &read);
    assert_int_equal(PQntuples(rows), count);
    struct digest *leaves = calloc(count + 1, sizeof *leaves);
    assert_non_null(leaves);
    for (int i = 0; i < PQntuples(rows); i++) {
        uint8_t input[1 + DIGEST_LEN] = {0};
        struct digest entry = pg_get_digest(rows, i, 1);
        struct digest hash = digest_of_span(pg_get_bytes(rows, i, 2));
        assert_int_equal(pg_get_int(rows, i, 0), i);
        assert_true(pg_get_bool(rows, i, 3));
        assert_digest(&entry, &hash);
        memcpy(input + 1, entry.bytes, DIGEST_LEN);
        leaves[i] = digest_of(input, sizeof input);
    }
    return leaves;
}

static void verify_batches(struct pg *pg, const struct digest *leaves, uint64_t count)
{
    static const struct pg_statement read = {
        "fixture_batches",
        "SELECT prev_size, size, root, frontier FROM ledger_batch ORDER BY size"};
    AUTO_PGRESULT PGresult *rows = rows_of(pg, &read);
    struct merkle_range range = {0};
    for (int i = 0; i < PQntuples(rows); i++) {
        struct fault fault;
        uint64_t size = (uint64_t)pg_get_int(rows, i, 1);
        assert_int_equal(pg_get_int(rows, i, 0), range.size);
        assert_true(size > range.size && size <= count);
        assert_ok(merkle_range_append_many(&range, leaves + range.size, size - range.size, &fault));
        struct digest root = pg_get_digest(rows, i, 2), expected = merkle_range_root(&range);
        assert_digest(&root, &expected);
        AUTO_BUF struct buf frontier = BUF(4096);
        merkle_range_encode(&range, &frontier);
        assert_true(span_equal(buf_span(&frontier), pg_get_bytes(rows, i, 3)));
    }
    assert_int_equal(range.size, count);
    struct digest root = merkle_range_root(&range), naive = naive_root(leaves, count);
    assert_digest(&root, &naive);
}

static void verify_tiles(struct pg *pg, const struct digest *leaves, uint64_t count)
{
    static const struct pg_statement read = {
        "fixture_tiles", "SELECT level, n, hashes, root FROM ledger_tile ORDER BY level, n"};
    AUTO_PGRESULT PGresult *rows = rows_of(pg, &read);
    int row = 0;
    for (unsigned level = 0; level < TILE_LEVELS; level++) {
        uint64_t under = (uint64_t)1 << (TILE_HEIGHT * level); /* leaves under one hash */
        for (uint64_t n = 0; n < tile_full(level, count); n++, row++) {
            assert_true(row < PQntuples(rows));
            assert_int_equal(pg_get_int(rows, row, 0), level);
            assert_int_equal(pg_get_int(rows, row, 1), n);
            struct span hashes = pg_get_bytes(rows, row, 2);
            assert_int_equal(hashes.len, TILE_WIDTH * DIGEST_LEN);
            struct digest root = pg_get_digest(rows, row, 3);
            struct digest expected =
                naive_root(leaves + n * TILE_WIDTH * under, TILE_WIDTH * under);
            assert_digest(&root, &expected);
            for (uint64_t i = 0; i < TILE_WIDTH; i++) {
                struct digest hash = naive_root(leaves + (n * TILE_WIDTH + i) * under, under);
                assert_memory_equal(hashes.data + i * DIGEST_LEN, hash.bytes, DIGEST_LEN);
            }
        }
    }
    assert_int_equal(row, PQntuples(rows));
}

static void verify_checkpoints(struct ledger_fixture *fixture, const struct digest *leaves,
                               uint64_t count)
{
    static const struct pg_statement read = {
        "fixture_checkpoints", "SELECT size, root, note FROM ledger_checkpoint ORDER BY size"};
    AUTO_PGRESULT PGresult *rows = rows_of(fixture->super, &read);
    for (int i = 0; i < PQntuples(rows); i++) {
        struct fault fault;
        struct checkpoint checkpoint;
        assert_ok(checkpoint_open(pg_get_bytes(rows, i, 2), FIXTURE_ORIGIN, &fixture->verifier, 1,
                                  &checkpoint, &fault));
        assert_int_equal(checkpoint.size, pg_get_int(rows, i, 0));
        assert_true(checkpoint.size <= count);
        struct digest root = pg_get_digest(rows, i, 1);
        struct digest naive = naive_root(leaves, checkpoint.size);
        assert_digest(&checkpoint.root, &root);
        assert_digest(&checkpoint.root, &naive);
    }
}

void ledger_fixture_verify(struct ledger_fixture *fixture, uint64_t count)
{
    AUTO_FREE struct digest *leaves = verify_entries(fixture->super, count);
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM event"), count);
    assert_int_equal(
        ledger_fixture_number(fixture, "SELECT count(DISTINCT event_id) FROM ledger_entry"), count);
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM event_pending"), 0);
    verify_batches(fixture->super, leaves, count);
    verify_tiles(fixture->super, leaves, count);
    verify_checkpoints(fixture, leaves, count);
}
