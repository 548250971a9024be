/* SPDX-License-Identifier: Apache-2.0 */
/* key gen, signing and jws verify: each algorithm goes round, and no key stands for another. */
#include "cli/keyfile.h"

#include "base/encode.h"
#include "tests/unit/cli/fixture.h"
#include "tests/unit/cli/http_peer.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/stat.h>

#define PAYLOAD "any payload\n\x01\xff"

static void make_key(struct fixture *fixture, const char *alg, const char *name)
{
    assert_int_equal(
        FIXTURE_RUN(fixture, "key", "gen", "--alg", alg, "--out", fixture_path(fixture, name)), 0);
}

static void sign(const struct sign_key *key, struct buf *token)
{
    struct fault fault = {0};
    if (token_sign(key, "kid-1", NULL, span_of(PAYLOAD, sizeof PAYLOAD - 1), token, &fault) != 0)
        fail_msg("%s", fault.detail);
}

/* `sallyport jws verify`, the token on stdin. */
static int verify(struct fixture *fixture, const struct buf *token, const char *const *words)
{
    const char *path = fixture_file(fixture, "token", buf_text(token), token->len, 0600);
    int kept = dup(STDIN_FILENO), fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(kept >= 0 && fd >= 0 && dup2(fd, STDIN_FILENO) == STDIN_FILENO);
    int result = fixture_run(fixture, words);
    assert_int_equal(dup2(kept, STDIN_FILENO), STDIN_FILENO);
    assert_int_equal(close(kept) | close(fd), 0);
    return result;
}

#define VERIFY(fixture, token, ...)                                                                \
    verify((fixture), (token), (const char *const[]){"jws", "verify", __VA_ARGS__, NULL})

static void expect_payload(const struct fixture *fixture)
{
    assert_int_equal(fixture->out_len, sizeof PAYLOAD - 1);
    assert_memory_equal(fixture->out, PAYLOAD, fixture->out_len);
}

static void test_every_algorithm_goes_round(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *alg;
        bool chosen_by_key;
    } cases[] = {{"ES256", true},  {"ES384", true},  {"EdDSA", true},  {"RS256", false},
                 {"PS256", false}, {"HS256", false}, {"HS384", false}, {"HS512", false}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *alg = cases[i].alg;
        bool hmac = alg[0] == 'H';
        char name[32], public_name[40];
        (void)snprintf(name, sizeof name, "key-%s", alg);
        (void)snprintf(public_name, sizeof public_name, "%s%s", name, hmac ? "" : ".pub");
        make_key(fixture, alg, name);
        AUTO_SIGN_KEY struct sign_key *key = NULL;
        AUTO_BUF struct buf token = BUF(TOKEN_MAX);
        const char *path = fixture_path(fixture, name);
        int guessed = hmac ? keyfile_secret_signer(path, NULL, &key, NULL)
                           : keyfile_signer(path, NULL, &key, NULL);
        assert_int_equal(guessed, cases[i].chosen_by_key ? 0 : -1);
        if (guessed != 0)
            assert_int_equal(hmac ? keyfile_secret_signer(path, alg, &key, NULL)
                                  : keyfile_signer(path, alg, &key, NULL),
                             0);
        assert_string_equal(jws_alg_name(sign_key_alg(key)), alg);
        sign(key, &token);
        const char *public_path = fixture_path(fixture, public_name);
        assert_int_equal(VERIFY(fixture, &token, "--key", public_path, "--alg", alg), 0);
        expect_payload(fixture);
        /* Without --alg a key file serves whatever fits it: a secret never. */
        assert_int_equal(VERIFY(fixture, &token, "--key", public_path), hmac ? 2 : 0);
        buf_puts(&token, "\n");
        assert_int_equal(VERIFY(fixture, &token, "--key", public_path, "--alg", alg), 0);
        buf_puts(&token, "\n");
        assert_int_equal(VERIFY(fixture, &token, "--key", public_path, "--alg", alg), 5);
        assert_int_equal(fixture->out_len, 0);
    }
}

static void test_a_changed_token_is_not_valid(void **state)
{
    struct fixture *fixture = *state;
    make_key(fixture, "ES256", "key");
    AUTO_SIGN_KEY struct sign_key *key = NULL;
    AUTO_BUF struct buf token = BUF(TOKEN_MAX);
    assert_int_equal(keyfile_signer(fixture_path(fixture, "key"), NULL, &key, NULL), 0);
    sign(key, &token);
    size_t signature = token.len - 40, payload = token.len - 90;
    const size_t places[] = {signature, payload, 5};
    for (size_t i = 0; i < ARRAY_LEN(places); i++) {
        uint8_t kept = token.data[places[i]];
        token.data[places[i]] = kept == 'A' ? 'B' : 'A';
        assert_int_equal(VERIFY(fixture, &token, "--key", fixture_path(fixture, "key.pub")), 5);
        assert_int_equal(fixture->out_len, 0);
        token.data[places[i]] = kept;
    }
    assert_int_equal(VERIFY(fixture, &token, "--key", fixture_path(fixture, "key.pub")), 0);
    token.len -= 3;
    assert_int_equal(VERIFY(fixture, &token, "--key", fixture_path(fixture, "key.pub")), 5);
}

/* The classic: an HMAC token "signed" with the text of a public key. */
static void test_a_public_key_is_no_secret(void **state)
{
    struct fixture *fixture = *state;
    make_key(fixture, "RS256", "rsa");
    AUTO_BUF struct buf pem = BUF(16384), token = BUF(TOKEN_MAX);
    uint8_t mac[32];
    size_t len = 0;
    fixture_read(fixture_path(fixture, "rsa.pub"), &pem);
    buf_puts(&token, "eyJhbGciOiJIUzI1NiJ9."); /* {"alg":"HS256"} */
    base64url_encode(&token, PAYLOAD, sizeof PAYLOAD - 1);
    assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, pem.data, pem.len, token.data,
                              token.len, mac, sizeof mac, &len));
    buf_puts(&token, ".");
    base64url_encode(&token, mac, len);
    assert_int_equal(VERIFY(fixture, &token, "--key", fixture_path(fixture, "rsa.pub")), 5);
    assert_int_equal(
        VERIFY(fixture, &token, "--key", fixture_path(fixture, "rsa.pub"), "--alg", "RS256"), 5);
    assert_int_equal(fixture->out_len, 0);
}

static void test_another_key_is_not_valid(void **state)
{
    struct fixture *fixture = *state;
    make_key(fixture, "ES256", "a");
    make_key(fixture, "ES256", "b");
    make_key(fixture, "EdDSA", "c");
    AUTO_SIGN_KEY struct sign_key *key = NULL;
    AUTO_BUF struct buf token = BUF(TOKEN_MAX);
    assert_int_equal(keyfile_signer(fixture_path(fixture, "a"), NULL, &key, NULL), 0);
    sign(key, &token);
    assert_int_equal(VERIFY(fixture, &token, "--key", fixture_path(fixture, "b.pub")), 5);
    assert_int_equal(VERIFY(fixture, &token, "--key", fixture_path(fixture, "c.pub")), 5);
    assert_int_equal(
        VERIFY(fixture, &token, "--key", fixture_path(fixture, "a.pub"), "--alg", "ES384"), 2);
}

/* RFC 8037, appendix A: an Ed25519 JWK and its token. */
static void test_a_jwk(void **state)
{
    struct fixture *fixture = *state;
    const char *text = "{\"kty\":\"OKP\",\"crv\":\"Ed25519\","
                       "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}";
    const char *jwk = fixture_file(fixture, "jwk", text, strlen(text), 0644);
    AUTO_BUF struct buf token = BUF(TOKEN_MAX);
    buf_puts(&token, "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
                     "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvp"
                     "Ar_MuM0KAg");
    assert_int_equal(VERIFY(fixture, &token, "--jwk", jwk), 0);
    assert_int_equal(fixture->out_len, strlen("Example of Ed25519 signing"));
    assert_memory_equal(fixture->out, "Example of Ed25519 signing", fixture->out_len);
    assert_int_equal(VERIFY(fixture, &token, "--key", jwk), 2);
    assert_int_equal(VERIFY(fixture, &token, "--jwk", jwk, "--key", jwk), 2);
    assert_int_equal(VERIFY(fixture, &token, "--jwk", fixture_path(fixture, "gone")), 2);
}

/* RFC 7515, appendix A.1: a symmetric JWK and its token. */
static void test_a_secret_jwk(void **state)
{
    struct fixture *fixture = *state;
    const char *text = "{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0"
                       "gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"}";
    const char *jwk = fixture_file(fixture, "jwk", text, strlen(text), 0600);
    AUTO_BUF struct buf token = BUF(TOKEN_MAX);
    buf_puts(&token, "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA"
                     "4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92"
                     "K27uhbUJU1p1r_wW1gFWFOEjXk");
    assert_int_equal(VERIFY(fixture, &token, "--jwk", jwk), 0);
    assert_int_equal(VERIFY(fixture, &token, "--jwk", jwk, "--alg", "HS256"), 0);
    token.data[token.len - 2] = token.data[token.len - 2] == 'A' ? 'B' : 'A';
    assert_int_equal(VERIFY(fixture, &token, "--jwk", jwk), 5);
}

static void test_keys_are_never_overwritten(void **state)
{
    struct fixture *fixture = *state;
    struct stat stat;
    const char *path = fixture_path(fixture, "key");
    make_key(fixture, "ES256", "key");
    assert_int_equal(lstat(path, &stat), 0);
    assert_int_equal(stat.st_mode & 07777, 0600);
    assert_int_equal(FIXTURE_RUN(fixture, "key", "gen", "--alg", "ES256", "--out", path), 2);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(FIXTURE_RUN(fixture, "key", "gen", "--alg", "ES256", "--out", path), 2);
    assert_int_equal(FIXTURE_RUN(fixture, "key", "gen", "--alg", "none", "--out", path), 2);
    assert_int_equal(lstat(path, &stat), -1);
}

static void test_a_private_key_must_be_private(void **state)
{
    struct fixture *fixture = *state;
    AUTO_SIGN_KEY struct sign_key *key = NULL;
    make_key(fixture, "EdDSA", "key");
    assert_int_equal(chmod(fixture_path(fixture, "key"), 0644), 0);
    assert_int_equal(keyfile_signer(fixture_path(fixture, "key"), NULL, &key, NULL), -1);
}

static void test_only_public_halves_are_offered(void **state)
{
    struct fixture *fixture = *state;
    make_key(fixture, "ES256", "pair");
    make_key(fixture, "HS256", "secret");
    AUTO_JSON json_t *offer = NULL, *hmac = NULL;
    struct fault fault = {0};
    assert_int_equal(keyfile_offer(fixture_path(fixture, "pair"), "k", "ES256", &offer, &fault),
                     -1);
    assert_int_equal(fault.code, FAULT_KEY_INVALID);
    assert_int_equal(keyfile_offer(fixture_path(fixture, "pair.pub"), "k", "EdDSA", &offer, NULL),
                     -1);
    assert_int_equal(keyfile_offer(fixture_path(fixture, "pair.pub"), "k", "ES256", &offer, NULL),
                     0);
    assert_non_null(strstr(json_string_value(json_object_get(offer, "public_pem")), "PUBLIC KEY"));
    assert_int_equal(json_object_size(offer), 3);

    AUTO_BUF struct buf secret = BUF(64), text = BUF(128);
    assert_int_equal(keyfile_offer(fixture_path(fixture, "secret"), "k", "HS256", &hmac, NULL), 0);
    fixture_read(fixture_path(fixture, "secret"), &secret);
    base64url_encode(&text, secret.data, secret.len);
    assert_int_equal(secret.len, 32);
    assert_string_equal(json_string_value(json_object_get(hmac, "secret")), buf_text(&text));
}

#define ED_KEY                                                                                     \
    "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""

static const char *write_text(struct fixture *fixture, const char *name, const char *text)
{
    return fixture_file(fixture, name, text, strlen(text), 0644);
}

/* A JWK names itself and its algorithm; the user's word on the name wins, on the algorithm it must
 * fit. */
static void test_a_jwk_says_its_kid_and_alg(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *members, *kid, *alg, *kid_sent, *alg_sent;
    } rows[] = {
        {"\"kid\":\"a\",", NULL, NULL, "a", "EdDSA"},
        {"\"kid\":\"a\",\"alg\":\"EdDSA\",", NULL, NULL, "a", "EdDSA"},
        {"\"kid\":\"a\",", "b", "EdDSA", "b", "EdDSA"},
        {"", "b", NULL, "b", "EdDSA"},
        {"", NULL, NULL, NULL, NULL},
        {"", NULL, "EdDSA", NULL, NULL},
        {"\"kid\":\"a b\",", NULL, NULL, NULL, NULL},
        {"\"kid\":\"a\",", NULL, "ES256", NULL, NULL},
        {"\"kid\":\"a\",\"alg\":\"ES256\",", NULL, NULL, NULL, NULL},
        {"\"kid\":\"a\",\"alg\":\"ES256\",", NULL, "EdDSA", NULL, NULL},
        {"\"kid\":\"a\",\"d\":\"AA\",", NULL, NULL, NULL, NULL},
        {"\"kid\":\"a\",\"keys\":[],", NULL, NULL, NULL, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[256];
        (void)snprintf(text, sizeof text, " \n{%s" ED_KEY "}", rows[i].members);
        const char *path = write_text(fixture, "jwk", text);
        AUTO_JSON json_t *offer = NULL;
        int result = keyfile_offer(path, rows[i].kid, rows[i].alg, &offer, NULL);
        assert_int_equal(result, rows[i].kid_sent == NULL ? -1 : 0);
        if (result != 0)
            continue;
        assert_int_equal(json_object_size(offer), 3);
        assert_string_equal(json_string_value(json_object_get(offer, "kid")), rows[i].kid_sent);
        assert_string_equal(json_string_value(json_object_get(offer, "alg")), rows[i].alg_sent);
        assert_true(json_is_object(json_object_get(offer, "jwk")));
    }
    make_key(fixture, "ES256", "pair");
    AUTO_JSON json_t *none = NULL;
    const char *pem = fixture_path(fixture, "pair.pub");
    assert_int_equal(keyfile_offer(pem, NULL, "ES256", &none, NULL), -1);
    assert_int_equal(keyfile_offer(pem, "k", NULL, &none, NULL), -1);
    assert_null(none);
}

static void test_a_set_is_offered_whole(void **state)
{
    struct fixture *fixture = *state;
    AUTO_JSON json_t *offer = NULL, *none = NULL;
    const char *path = write_text(
        fixture, "set", "{\"keys\":[{\"kid\":\"a\"," ED_KEY "},{\"kid\":\"b\"," ED_KEY "}]}\n");
    assert_int_equal(keyfile_offer_set(path, &offer, NULL), 0);
    assert_int_equal(json_object_size(offer), 1);
    const json_t *set = json_object_get(offer, "jwks");
    assert_int_equal(json_array_size(json_object_get(set, "keys")), 2);
    static const char *const refused[] = {
        "",
        "[]",
        "{}",
        "{\"kid\":\"a\"," ED_KEY "}",
        "{\"keys\":[{\"kid\":\"a\"," ED_KEY "},{\"kid\":\"b\",\"d\":\"AA\"," ED_KEY "}]}",
        "{\"keys\":[{\"kid\":\"a\"," ED_KEY "},{\"kid\":\"a\"," ED_KEY "}]}",
        "{\"keys\":[{\"kid\":\"a\"," ED_KEY "}]}x"};
    for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
        struct fault fault = {0};
        const char *bad = write_text(fixture, "bad", refused[i]);
        assert_int_equal(keyfile_offer_set(bad, &none, &fault), -1);
        assert_int_equal(fault.code, FAULT_KEY_INVALID);
        assert_null(none);
    }
}

static void test_a_set_goes_out_and_comes_back(void **state)
{
    struct fixture *fixture = *state;
    struct peer *peer = calloc(1, sizeof *peer);
    assert_non_null(peer);
    peer_add(peer, "201 Created", "Content-Type: application/json\r\n",
             "{\"items\":[{\"kid\":\"set-a\",\"alg\":\"EdDSA\"}]}");
    assert_true(peer_start(peer));
    fixture->url = peer->url;
    fixture->api_key = FIXTURE_API_KEY;
    const char *path = write_text(fixture, "set", "{\"keys\":[{\"kid\":\"set-a\"," ED_KEY "}]}");
    const char *key = write_text(fixture, "key", "{\"kid\":\"one\"," ED_KEY "}");
    /* What does not go together never leaves. */
    assert_int_equal(FIXTURE_RUN(fixture, "key", "add", "--jwks", path, "--kid", "x"), 2);
    assert_int_equal(FIXTURE_RUN(fixture, "key", "add", "--jwks", path, "--alg", "EdDSA"), 2);
    assert_int_equal(FIXTURE_RUN(fixture, "key", "add", "--jwks", path, key), 2);
    assert_int_equal(FIXTURE_RUN(fixture, "key", "add", "--jwks", key), 2);
    assert_int_equal(FIXTURE_RUN(fixture, "key", "add", path), 2);
    assert_int_equal(
        FIXTURE_RUN(fixture, "key", "add", "--jwks", path, "--not-after", "2031-01-02T03:04:05Z"),
        0);
    assert_non_null(memmem(fixture->out, fixture->out_len, "set-a", 5));
    peer_stop(peer);
    assert_int_equal(peer->served, 1);
    assert_non_null(strstr(buf_text(&peer->requests[0]), "POST /v1/keys "));
    assert_non_null(
        strstr(buf_text(&peer->requests[0]), "{\"jwks\":{\"keys\":[{\"kid\":\"set-a\""));
    assert_non_null(strstr(buf_text(&peer->requests[0]), "\"not_after\":\"2031-01-02T03:04:05Z\""));
    peer_free(peer);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_every_algorithm_goes_round),
        TEST(test_a_changed_token_is_not_valid),
        TEST(test_a_public_key_is_no_secret),
        TEST(test_another_key_is_not_valid),
        TEST(test_a_jwk),
        TEST(test_a_secret_jwk),
        TEST(test_keys_are_never_overwritten),
        TEST(test_a_private_key_must_be_private),
        TEST(test_only_public_halves_are_offered),
        TEST(test_a_jwk_says_its_kid_and_alg),
        TEST(test_a_set_is_offered_whole),
        TEST(test_a_set_goes_out_and_comes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
