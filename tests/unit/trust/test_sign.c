/* SPDX-License-Identifier: Apache-2.0 */
#include "trust_support.h"

static void a_generated_key_signs_and_its_pem_verifies(void **state)
{
    (void)state;
    static const enum jws_alg algs[] = {JWS_ES256, JWS_ES384, JWS_EDDSA, JWS_PS256};
    for (size_t i = 0; i < ARRAY_LEN(algs); i++) {
        AUTO_SIGN_KEY struct sign_key *key = NULL, *again = NULL;
        AUTO_BUF struct buf private_pem = BUF(8192), public_pem = BUF(8192), other_pem = BUF(8192);
        assert_int_equal(sign_key_generate(algs[i], &key, NULL), 0);
        assert_int_equal(sign_key_alg(key), algs[i]);
        assert_int_equal(sign_key_private_pem(key, &private_pem, NULL), 0);
        assert_int_equal(sign_key_public_pem(key, &public_pem, NULL), 0);
        assert_non_null(strstr(buf_text(&private_pem), "-----BEGIN PRIVATE KEY-----"));
        assert_non_null(strstr(buf_text(&public_pem), "-----BEGIN PUBLIC KEY-----"));
        assert_int_equal(sign_key_from_pem(algs[i], buf_span(&private_pem), &again, NULL), 0);
        assert_int_equal(sign_key_public_pem(again, &other_pem, NULL), 0);
        assert_true(span_equal(buf_span(&public_pem), buf_span(&other_pem)));
        AUTO_TRUST_KEY struct trust_key *verifier = NULL;
        AUTO_BUF struct buf text = BUF(TOKEN_MAX);
        assert_int_equal(trust_key_from_pem(algs[i], buf_span(&public_pem), &verifier, NULL), 0);
        assert_int_equal(token_sign(again, "k", "JWT", span_text("{}"), &text, NULL), 0);
        assert_accepted(buf_span(&text), verifier);
    }
}

static void the_header_says_what_was_asked(void **state)
{
    (void)state;
    static const struct {
        const char *kid;
        const char *typ;
        const char *header;
    } rows[] = {
        {NULL, NULL, "{\"alg\":\"HS256\"}"},
        {"k", NULL, "{\"alg\":\"HS256\",\"kid\":\"k\"}"},
        {NULL, "JWT", "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"},
        {"\"\\", "JWT", "{\"alg\":\"HS256\",\"kid\":\"\\\"\\\\\",\"typ\":\"JWT\"}"},
    };
    AUTO_SIGNER struct signer signer = signer_new(JWS_HS256);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO_BUF struct buf text = BUF(TOKEN_MAX), header = BUF(4096);
        assert_int_equal(
            token_sign(signer.sign, rows[i].kid, rows[i].typ, span_text("{}"), &text, NULL), 0);
        const uint8_t *dot = memchr(text.data, '.', text.len);
        assert_int_equal(base64url_decode(&header, buf_text(&text), (size_t)(dot - text.data)), 0);
        assert_string_equal(buf_text(&header), rows[i].header);
        assert_accepted(buf_span(&text), signer.key);
    }
    AUTO_BUF struct buf text = BUF(TOKEN_MAX);
    assert_int_equal(token_sign(signer.sign, "\xff", NULL, span_text("{}"), &text, NULL), -1);
    assert_int_equal(text.len, 0);
}

static void a_token_is_appended_or_nothing(void **state)
{
    (void)state;
    AUTO_SIGNER struct signer signer = signer_new(JWS_HS256);
    AUTO_BUF struct buf text = BUF(200);
    buf_puts(&text, "before ");
    assert_int_equal(token_sign(signer.sign, NULL, NULL, span_text("{}"), &text, NULL), 0);
    size_t len = text.len;
    assert_memory_equal(text.data, "before ey", 9);
    assert_accepted(span_of(text.data + 7, len - 7), signer.key);
    struct fault fault = {0};
    uint8_t large[200] = {0};
    assert_int_equal(
        token_sign(signer.sign, NULL, NULL, span_of(large, sizeof large), &text, &fault), -1);
    assert_int_equal(fault.code, FAULT_TOO_LARGE);
    assert_int_equal(text.len, len);
    assert_false(buf_failed(&text));
}

static void keys_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    AUTO_BUF struct buf p256 = BUF(8192), rsa = BUF(8192);
    buf_read("jws/p256.key.pem", &p256);
    buf_read("jws/rsa2048.key.pem", &rsa);
    static const char encrypted[] =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAg=\n"
        "-----END ENCRYPTED PRIVATE KEY-----\n";
    const struct {
        enum jws_alg alg;
        struct span pem;
    } rows[] = {{JWS_ES384, buf_span(&p256)},      {JWS_RS256, buf_span(&p256)},
                {JWS_EDDSA, buf_span(&rsa)},       {JWS_HS256, buf_span(&p256)},
                {JWS_ES256, span_text("")},        {JWS_ES256, span_of(p256.data, p256.len / 2)},
                {JWS_ES256, span_text(encrypted)}, {JWS_ALG_COUNT, buf_span(&p256)}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct sign_key *key = NULL;
        struct fault fault = {0};
        assert_int_equal(sign_key_from_pem(rows[i].alg, rows[i].pem, &key, &fault), -1);
        assert_null(key);
        assert_int_equal(fault.code, FAULT_KEY_INVALID);
    }
    AUTO_SIGNER struct signer es = signer_new(JWS_ES256);
    AUTO_SIGNER struct signer hs = signer_new(JWS_HS256);
    struct sign_key *none = NULL;
    AUTO_BUF struct buf pem = BUF(8192);
    assert_int_equal(sign_key_from_pem(JWS_ES256, buf_span(&es.pem), &none, NULL), -1);
    assert_int_equal(sign_key_generate(JWS_HS256, &none, NULL), -1);
    assert_int_equal(sign_key_from_secret(JWS_HS512, span_text("short"), &none, NULL), -1);
    assert_int_equal(sign_key_private_pem(hs.sign, &pem, NULL), -1);
    assert_int_equal(sign_key_public_pem(hs.sign, &pem, NULL), -1);
    assert_int_equal(pem.len, 0);
    sign_key_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_generated_key_signs_and_its_pem_verifies),
        cmocka_unit_test(the_header_says_what_was_asked),
        cmocka_unit_test(a_token_is_appended_or_nothing),
        cmocka_unit_test(keys_that_do_not_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
