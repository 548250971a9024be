/* SPDX-License-Identifier: Apache-2.0 */
/* ledger prove against a server of the test's: what it keeps verifies, what does not fit it does
 * not keep, and what is not there yet it waits for. */
#include "tests/unit/cli/ledger_log.h"

#include "tests/unit/cli/http_peer.h"

#include <sys/stat.h>

#define EVENT "01985f2e-5c10-7b11-9d6e-2f3a44d0c02a" /* the 42nd of the log */
#define EXECUTION "01985f2e-5c10-7b11-9d6e-2f3a44d0c999"
#define NOT_YET                                                                                    \
    "{\"code\":\"unavailable\",\"detail\":\"not available now; try again later\","                 \
    "\"request_id\":\"r\"}"

static void give(struct peer *peer, const char *status, const void *body, size_t len)
{
    peer->answers[peer->answer_count++] = (struct peer_answer){status, NULL, body, len};
}

static void give_text(struct peer *peer, const char *status, const char *text)
{
    give(peer, status, text, strlen(text));
}

static void start(struct fixture *fixture, struct peer *peer)
{
    assert_true(peer_start(peer));
    fixture->url = peer->url;
    fixture->api_key = FIXTURE_API_KEY;
}

static void expect_requests(struct peer *peer, const char *const *lines)
{
    peer_stop(peer);
    for (size_t i = 0; lines[i] != NULL; i++) {
        assert_true(i < peer->served);
        if (strncmp(buf_text(&peer->requests[i]), lines[i], strlen(lines[i])) != 0)
            fail_msg("request %zu is %.80s", i, buf_text(&peer->requests[i]));
    }
    peer_free(peer);
}

static struct peer *peer_new(void)
{
    struct peer *peer = calloc(1, sizeof *peer);
    assert_non_null(peer);
    return peer;
}

/* The first answers are that there is no receipt yet. */
static void test_prove_then_verify(void **state)
{
    struct fixture *fixture = *state;
    AUTO_LOG struct test_log *log = log_new();
    AUTO_BUF struct buf text = BUF(RECEIPT_MAX), kept = BUF(RECEIPT_MAX);
    const char *out = fixture_path(fixture, "kept");
    struct peer *peer = peer_new();
    log_receipt(log, 42, 77, &text);
    give_text(peer, "503 Service Unavailable", NOT_YET);
    give_text(peer, "503 Service Unavailable", NOT_YET);
    give(peer, "200 OK", text.data, text.len);
    give_text(peer, "200 OK", log->events[42]);
    start(fixture, peer);
    assert_int_equal(
        FIXTURE_RUN(fixture, "ledger", "prove", EVENT, "--out", out, "--wait", "60", "-o", "json"),
        0);
    AUTO_JSON json_t *result = json_loads(fixture->out, 0, NULL);
    assert_int_equal(json_integer_value(json_object_get(result, "index")), 42);
    assert_int_equal(json_integer_value(json_object_get(result, "size")), 77);
    assert_string_equal(json_string_value(json_object_get(result, "receipt")), out);
    static const char *const lines[] = {
        "GET /v1/events/" EVENT "/receipt ", "GET /v1/events/" EVENT "/receipt ",
        "GET /v1/events/" EVENT "/receipt ", "GET /v1/events/" EVENT " ", NULL};
    expect_requests(peer, lines);
    fixture_read(out, &kept);
    assert_true(span_equal(buf_span(&kept), buf_span(&text)));
    assert_int_equal(FIXTURE_RUN(fixture, "ledger", "verify", out, "--vkey",
                                 log_vkey(fixture, "vkey", log->signer)),
                     0);
}

static void test_the_end_of_an_execution(void **state)
{
    struct fixture *fixture = *state;
    AUTO_LOG struct test_log *log = log_new();
    AUTO_BUF struct buf text = BUF(RECEIPT_MAX);
    const char *out = fixture_path(fixture, "kept");
    struct peer *peer = peer_new();
    log_receipt(log, 42, 77, &text);
    give_text(peer, "200 OK", "{\"id\":\"" EXECUTION "\",\"event_id\":\"" EVENT "\"}");
    give(peer, "200 OK", text.data, text.len);
    give_text(peer, "200 OK", log->events[42]);
    start(fixture, peer);
    assert_int_equal(
        FIXTURE_RUN(fixture, "ledger", "prove", "--execution", EXECUTION, "--out", out), 0);
    static const char *const lines[] = {"GET /v1/executions/" EXECUTION " ",
                                        "GET /v1/events/" EVENT "/receipt ",
                                        "GET /v1/events/" EVENT " ", NULL};
    expect_requests(peer, lines);
    /* One that has not ended has no such event: there is nothing to wait for. */
    peer = peer_new();
    give_text(peer, "200 OK", "{\"id\":\"" EXECUTION "\",\"event_id\":null}");
    start(fixture, peer);
    assert_int_equal(FIXTURE_RUN(fixture, "ledger", "prove", "--execution", EXECUTION), 3);
    expect_requests(peer, lines + 3);
}

/* Of an event that has expired the receipt is kept alone; it proves a copy, and the hash. */
static void test_an_expired_event(void **state)
{
    struct fixture *fixture = *state;
    struct stat found;
    AUTO_LOG struct test_log *log = log_new();
    AUTO_BUF struct buf text = BUF(RECEIPT_MAX), proof = BUF(1024);
    const char *out = fixture_path(fixture, "kept"), *vkey = log_vkey(fixture, "vkey", log->signer);
    const struct digest_text hash = digest_format(&log->entries[42]),
                             other = digest_format(&log->entries[43]);
    log_receipt(log, 42, 77, &text);
    for (int fits = 0; fits < 2; fits++) {
        struct peer *peer = peer_new();
        buf_reset(&proof);
        buf_printf(&proof, "{\"entry\":\"%s\",\"index\":42}", fits ? hash.text : other.text);
        give(peer, "200 OK", text.data, text.len);
        give_text(peer, "410 Gone",
                  "{\"code\":\"expired\",\"detail\":\"gone\",\"request_id\":\"r\"}");
        give_text(peer, "200 OK", buf_text(&proof));
        start(fixture, peer);
        assert_int_equal(FIXTURE_RUN(fixture, "ledger", "prove", EVENT, "--out", out, "-o", "json"),
                         fits ? 0 : 6);
        static const char *const lines[] = {"GET /v1/events/" EVENT "/receipt ",
                                            "GET /v1/events/" EVENT " ",
                                            "GET /v1/ledger/proof?event_id=" EVENT " ", NULL};
        expect_requests(peer, lines);
        assert_int_equal(lstat(out, &found), fits ? 0 : -1);
        assert_int_equal(lstat(fixture_path(fixture, "kept.json"), &found), -1);
    }
    AUTO_JSON json_t *result = json_loads(fixture->out, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(result, "entry")), hash.text);
    assert_null(json_object_get(result, "event"));
    const char *copy =
        fixture_file(fixture, "copy", log->events[42], strlen(log->events[42]), 0644);
    const struct {
        const char *option, *value;
        int exit_code;
    } cases[] = {{"--entry", hash.text, 0},   {"--entry", hash.text + strlen("sha256:"), 0},
                 {"--event", copy, 0},        {"--entry", other.text, 6},
                 {"--entry", "sha256:00", 2}, {"--entry", "", 2}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(FIXTURE_RUN(fixture, "ledger", "verify", out, "--vkey", vkey,
                                     cases[i].option, cases[i].value),
                         cases[i].exit_code);
    assert_int_equal(FIXTURE_RUN(fixture, "ledger", "verify", out, "--vkey", vkey, "--entry",
                                 hash.text, "--event", copy),
                     2);
    /* Neither the event nor its hash. */
    assert_int_equal(FIXTURE_RUN(fixture, "ledger", "verify", out, "--vkey", vkey), 2);
}

static void expect_nothing_kept(struct fixture *fixture, struct peer *peer, int exit_code)
{
    struct stat found;
    static const char *const none[] = {NULL};
    start(fixture, peer);
    assert_int_equal(FIXTURE_RUN(fixture, "ledger", "prove", EVENT, "--out",
                                 fixture_path(fixture, "no"), "--wait", "0"),
                     exit_code);
    expect_requests(peer, none);
    assert_int_equal(lstat(fixture_path(fixture, "no"), &found), -1);
    assert_int_equal(lstat(fixture_path(fixture, "no.json"), &found), -1);
}

static void test_what_does_not_fit_is_not_kept(void **state)
{
    struct fixture *fixture = *state;
    AUTO_LOG struct test_log *log = log_new();
    AUTO_BUF struct buf text = BUF(RECEIPT_MAX);
    log_receipt(log, 42, 77, &text);
    struct peer *peer = peer_new();
    give(peer, "200 OK", text.data, text.len);
    give_text(peer, "200 OK", log->events[43]);
    expect_nothing_kept(fixture, peer, 6);
    peer = peer_new();
    give(peer, "200 OK", text.data, text.len - 1);
    give_text(peer, "200 OK", log->events[42]);
    expect_nothing_kept(fixture, peer, 1);
    peer = peer_new();
    give_text(peer, "503 Service Unavailable", NOT_YET);
    expect_nothing_kept(fixture, peer, 8);
    peer = peer_new();
    give_text(peer, "404 Not Found",
              "{\"code\":\"not_found\",\"detail\":\"no such event\",\"request_id\":\"r\"}");
    expect_nothing_kept(fixture, peer, 3);
}

static void test_words_that_name_nothing(void **state)
{
    struct fixture *fixture = *state;
    fixture->api_key = FIXTURE_API_KEY;
    assert_int_equal(FIXTURE_RUN(fixture, "ledger", "prove"), 2);
    assert_int_equal(FIXTURE_RUN(fixture, "ledger", "prove", EVENT, "--execution", EXECUTION), 2);
    assert_int_equal(FIXTURE_RUN(fixture, "ledger", "prove", "../" EVENT), 2);
    assert_int_equal(FIXTURE_RUN(fixture, "ledger", "prove", "--execution", "x"), 2);
    assert_int_equal(FIXTURE_RUN(fixture, "ledger", "prove", EVENT, "--wait", "-1"), 2);
}

/* A consistency proof that is not at hand is asked for; it is believed no more than a file. */
static void test_verify_asks_for_a_consistency_proof(void **state)
{
    struct fixture *fixture = *state;
    AUTO_LOG struct test_log *log = log_new();
    AUTO_BUF struct buf proof = BUF(65536), wrong = BUF(65536), older = BUF(NOTE_MAX),
                        newer = BUF(NOTE_MAX);
    const char *vkey = log_vkey(fixture, "vkey", log->signer);
    log_checkpoint(log, 77, log->signer, &older);
    log_checkpoint(log, 200, log->signer, &newer);
    log_consistency(log, 77, 200, &proof);
    log_consistency(log, 78, 200, &wrong);
    const char *old_file = fixture_file(fixture, "old", older.data, older.len, 0644);
    const char *new_file = fixture_file(fixture, "new", newer.data, newer.len, 0644);
    static const char *const lines[] = {"GET /v1/ledger/proof?from=77&to=200 ", NULL};
    for (int honest = 0; honest < 2; honest++) {
        struct peer *peer = peer_new();
        const struct buf *said = honest == 1 ? &proof : &wrong;
        give(peer, "200 OK", said->data, said->len);
        start(fixture, peer);
        assert_int_equal(FIXTURE_RUN(fixture, "ledger", "verify", "--old", old_file, "--new",
                                     new_file, "--vkey", vkey),
                         honest == 1 ? 0 : 6);
        expect_requests(peer, lines);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_prove_then_verify),       TEST(test_the_end_of_an_execution),
        TEST(test_an_expired_event),        TEST(test_what_does_not_fit_is_not_kept),
        TEST(test_words_that_name_nothing), TEST(test_verify_asks_for_a_consistency_proof),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
