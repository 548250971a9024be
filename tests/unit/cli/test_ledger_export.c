/* SPDX-License-Identifier: Apache-2.0 */
/* ledger export against a server of the test's: what it writes is what was given, and verifies. */
#include "cli/ledger_files.h"
#include "ledger/tile.h"
#include "tests/unit/cli/fixture.h"
#include "tests/unit/cli/http_peer.h"

#include <sys/stat.h>

#define ORIGIN "ledger.test/export"
#define LINES 260 /* a full bundle and a partial one */
#define FIRST 100 /* lines of the server's first page */

struct log {
    struct buf note, vkey, lines[2], bundles[2];
    struct digest entries[LINES];
};

static void sign_log(struct log *log, const struct merkle_range *range)
{
    uint8_t seed[NOTE_SEED_LEN] = {7};
    AUTO_NOTE_SIGNER struct note_signer *signer = NULL;
    struct checkpoint checkpoint;
    struct digest root = merkle_range_root(range);
    assert_int_equal(note_signer_new(ORIGIN, seed, &signer, NULL), 0);
    const struct note_signer *signers[] = {signer};
    assert_int_equal(checkpoint_init(&checkpoint, ORIGIN, range->size, &root, NULL), 0);
    assert_int_equal(checkpoint_sign(&checkpoint, signers, 1, &log->note, NULL), 0);
    note_verifier_format(note_signer_verifier(signer), &log->vkey);
}

static struct log *log_make(void)
{
    struct log *log = calloc(1, sizeof *log);
    struct merkle_range range = {0};
    assert_non_null(log);
    log->note = log->vkey = BUF(4096);
    for (size_t i = 0; i < 2; i++)
        log->lines[i] = log->bundles[i] = BUF(65536);
    for (size_t i = 0; i < LINES; i++) {
        char event[64];
        (void)snprintf(event, sizeof event, "{\"n\":%zu}", i);
        log->entries[i] = digest_of(event, strlen(event));
        struct digest leaf = merkle_entry_leaf(&log->entries[i]);
        assert_int_equal(merkle_range_append(&range, &leaf, NULL), 0);
        buf_printf(&log->lines[i < FIRST ? 0 : 1], "%s\n", event);
        tile_bundle_append(&log->bundles[i < TILE_WIDTH ? 0 : 1], &log->entries[i]);
    }
    sign_log(log, &range);
    return log;
}

static void log_free(struct log **log)
{
    buf_free(&(*log)->note);
    buf_free(&(*log)->vkey);
    for (size_t i = 0; i < 2; i++) {
        buf_free(&(*log)->lines[i]);
        buf_free(&(*log)->bundles[i]);
    }
    free(*log);
}

static void give_with(struct peer *peer, const char *headers, const struct buf *body)
{
    peer->answers[peer->answer_count++] =
        (struct peer_answer){"200 OK", headers, body->data, body->len};
}

static void give(struct peer *peer, const struct buf *body)
{
    give_with(peer, NULL, body);
}

static struct peer *peer_make(struct fixture *fixture, const struct log *log)
{
    struct peer *peer = calloc(1, sizeof *peer);
    assert_non_null(peer);
    give(peer, &log->note);
    give(peer, &log->lines[0]);
    give(peer, &log->lines[1]);
    give(peer, &log->bundles[0]);
    give(peer, &log->bundles[1]);
    assert_true(peer_start(peer));
    fixture->url = peer->url;
    fixture->api_key = FIXTURE_API_KEY;
    return peer;
}

static void expect_request(const struct peer *peer, size_t n, const char *line)
{
    assert_true(n < peer->served);
    if (strncmp(buf_text(&peer->requests[n]), line, strlen(line)) != 0)
        fail_msg("request %zu is %.80s", n, buf_text(&peer->requests[n]));
}

static void test_export_then_verify(void **state)
{
    struct fixture *fixture = *state;
    AUTO(log_free) struct log *log = log_make();
    struct peer *peer = peer_make(fixture, log);
    AUTO_BUF struct buf note = BUF(4096), lines = BUF(65536);
    const char *folder = fixture_path(fixture, "deep/export");
    assert_int_equal(FIXTURE_RUN(fixture, "ledger", "export", folder), 0);
    peer_stop(peer);
    expect_request(peer, 0, "GET /v1/ledger/checkpoint ");
    expect_request(peer, 1, "GET /v1/ledger/export?from=0&limit=260 ");
    expect_request(peer, 2, "GET /v1/ledger/export?from=100&limit=160 ");
    expect_request(peer, 3, "GET /v1/ledger/tile/entries/000 ");
    expect_request(peer, 4, "GET /v1/ledger/tile/entries/001.p/4 ");
    peer_free(peer);
    fixture_read(fixture_path(fixture, "deep/export/checkpoint"), &note);
    assert_true(span_equal(buf_span(&note), buf_span(&log->note)));
    fixture_read(fixture_path(fixture, "deep/export/events.ndjson"), &lines);
    assert_int_equal(lines.len, log->lines[0].len + log->lines[1].len);
    assert_memory_equal(lines.data, log->lines[0].data, log->lines[0].len);
    const char *vkey = fixture_file(fixture, "vkey", log->vkey.data, log->vkey.len, 0644);
    assert_int_equal(FIXTURE_RUN(fixture, "ledger", "verify", folder, "--vkey", vkey), 0);
}

static void expect_failure(struct fixture *fixture, struct peer *peer, int exit_code)
{
    struct stat stat;
    const char *folder = fixture_path(fixture, "export");
    assert_int_equal(dir_make(folder, 0755, NULL), 0);
    (void)fixture_file(fixture, "export/checkpoint", "an older one\n", 13, 0644);
    assert_int_equal(FIXTURE_RUN(fixture, "ledger", "export", folder), exit_code);
    peer_stop(peer);
    peer_free(peer);
    assert_int_equal(lstat(fixture_path(fixture, "export/checkpoint"), &stat), -1);
    assert_int_equal(lstat(fixture_path(fixture, "export/events.ndjson.part"), &stat), -1);
    assert_int_equal(lstat(fixture_path(fixture, "export/entries.sha256.part"), &stat), -1);
}

/* Half an export never has a checkpoint: not the new one, not that of an export before. */
static void test_a_broken_export_is_not_taken_for_whole(void **state)
{
    struct fixture *fixture = *state;
    AUTO(log_free) struct log *log = log_make();
    struct buf kept = log->lines[1];

    log->lines[1] = BUF(1); /* the server has no more lines */
    struct peer *peer = peer_make(fixture, log);
    expect_failure(fixture, peer, 1);

    log->lines[1] = kept;
    log->lines[1].len--; /* a line without its end */
    peer = peer_make(fixture, log);
    expect_failure(fixture, peer, 1);
    log->lines[1].len++;

    log->bundles[1].len -= 1; /* a bundle cut short */
    peer = peer_make(fixture, log);
    expect_failure(fixture, peer, 1);
    log->bundles[1].len += 1;
}

static void test_a_server_cannot_give_more_lines(void **state)
{
    struct fixture *fixture = *state;
    AUTO(log_free) struct log *log = log_make();
    buf_puts(&log->lines[1], "{\"one\":\"more\"}\n");
    struct peer *peer = peer_make(fixture, log);
    const char *folder = fixture_path(fixture, "export");
    assert_int_equal(FIXTURE_RUN(fixture, "ledger", "export", folder), 0);
    peer_stop(peer);
    peer_free(peer);
    const char *vkey = fixture_file(fixture, "vkey", log->vkey.data, log->vkey.len, 0644);
    assert_int_equal(FIXTURE_RUN(fixture, "ledger", "verify", folder, "--vkey", vkey), 0);
}

/* How many own events have expired, summed up over the answers. */
static void test_export_counts_what_has_expired(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *headers[2];
        int exit_code, expired;
    } cases[] = {
        {{"Sallyport-Ledger-Expired: 7\r\n", "Sallyport-Ledger-Expired: 35\r\n"}, 0, 42},
        {{"Sallyport-Ledger-Expired: 0\r\n", NULL}, 0, 0},
        {{"Sallyport-Ledger-Expired: many\r\n", NULL}, 1, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO(log_free) struct log *log = log_make();
        struct peer *peer = calloc(1, sizeof *peer);
        assert_non_null(peer);
        give(peer, &log->note);
        give_with(peer, cases[i].headers[0], &log->lines[0]);
        give_with(peer, cases[i].headers[1], &log->lines[1]);
        give(peer, &log->bundles[0]);
        give(peer, &log->bundles[1]);
        assert_true(peer_start(peer));
        fixture->url = peer->url;
        fixture->api_key = FIXTURE_API_KEY;
        assert_int_equal(
            FIXTURE_RUN(fixture, "ledger", "export", fixture_path(fixture, "export"), "-o", "json"),
            cases[i].exit_code);
        peer_stop(peer);
        peer_free(peer);
        if (cases[i].exit_code != 0)
            continue;
        AUTO_JSON json_t *result = json_loads(fixture->out, 0, NULL);
        assert_int_equal(json_integer_value(json_object_get(result, "expired")), cases[i].expired);
    }
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_export_then_verify),
        TEST(test_export_counts_what_has_expired),
        TEST(test_a_broken_export_is_not_taken_for_whole),
        TEST(test_a_server_cannot_give_more_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
