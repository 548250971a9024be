/* SPDX-License-Identifier: Apache-2.0 */
#include "forge.h"

static void assert_refused_jwk(enum jws_alg alg, const char *jwk, const char *word)
{
    struct trust_key *key = NULL;
    AUTO_BUF struct buf pem = BUF(8192);
    struct fault fault = {0};
    assert_int_equal(trust_key_from_jwk(alg, span_text(jwk), &key, &pem, &fault), -1);
    assert_null(key);
    assert_int_equal(pem.len, 0);
    assert_int_equal(fault.code, FAULT_KEY_INVALID);
    if (strstr(fault.detail, word) == NULL)
        fail_msg("'%s' does not say '%s'", fault.detail, word);
}

static const enum jws_alg asymmetric[] = {JWS_RS256, JWS_PS256, JWS_ES256, JWS_ES384, JWS_EDDSA};

static void a_public_jwk_verifies_and_gives_its_pem(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(asymmetric); i++) {
        AUTO_SIGNER struct signer signer = signer_new(asymmetric[i]);
        AUTO_PKEY EVP_PKEY *pkey = private_of(&signer);
        AUTO_BUF struct buf jwk = public_jwk(pkey);
        AUTO_TRUST_KEY struct trust_key *key = NULL;
        AUTO_BUF struct buf pem = BUF(8192);
        struct fault fault = {0};
        if (trust_key_from_jwk(asymmetric[i], buf_span(&jwk), &key, &pem, &fault) != 0)
            fail_msg("%s", fault.detail);
        assert_true(span_equal(buf_span(&pem), buf_span(&signer.pem)));
        AUTO_BUF struct buf text = token_plain(&signer);
        assert_accepted(buf_span(&text), key);
    }
}

/* The good key of each algorithm with one more member. */
static void assert_member(enum jws_alg alg, const char *member, const char *refusal)
{
    AUTO_SIGNER struct signer signer = signer_new(alg);
    AUTO_PKEY EVP_PKEY *pkey = private_of(&signer);
    AUTO_BUF struct buf jwk = public_jwk(pkey), text = BUF(8192), pem = BUF(8192);
    buf_printf(&text, "{%s,%s", member, buf_text(&jwk) + 1);
    AUTO_TRUST_KEY struct trust_key *key = NULL;
    if (refusal != NULL)
        assert_refused_jwk(alg, buf_text(&text), refusal);
    else
        assert_int_equal(trust_key_from_jwk(alg, buf_span(&text), &key, &pem, NULL), 0);
}

static void purpose_must_fit(void **state)
{
    (void)state;
    assert_member(JWS_ES256, "\"alg\":\"ES256\",\"use\":\"sig\",\"key_ops\":[\"verify\"]", NULL);
    assert_member(JWS_EDDSA, "\"alg\":\"EdDSA\",\"kid\":\"k\",\"x5t\":\"AA\",\"ext\":true", NULL);
    assert_member(JWS_RS256, "\"alg\":\"RS256\"", NULL);
    assert_member(JWS_PS256, "\"alg\":\"PS256\"", NULL);
    assert_member(JWS_PS256, "\"alg\":\"RS256\"", "jwk.alg: expected PS256");
    assert_member(JWS_RS256, "\"alg\":\"RS512\"", "jwk.alg: expected RS256");
    assert_member(JWS_ES256, "\"alg\":\"es256\"", "jwk.alg: expected ES256");
    assert_member(JWS_EDDSA, "\"alg\":\"Ed25519\"", "jwk.alg: expected EdDSA");
    assert_member(JWS_ES256, "\"alg\":null", "jwk.alg: expected a string");
    assert_member(JWS_ES256, "\"use\":\"enc\"", "jwk.use: expected sig");
    assert_member(JWS_ES256, "\"use\":[\"sig\"]", "jwk.use: expected a string");
    assert_member(JWS_ES256, "\"key_ops\":[]", "jwk.key_ops");
    assert_member(JWS_ES256, "\"key_ops\":\"verify\"", "jwk.key_ops");
    assert_member(JWS_ES256, "\"key_ops\":[\"sign\"]", "jwk.key_ops");
    assert_member(JWS_ES256, "\"key_ops\":[\"verify\",\"sign\"]", "jwk.key_ops");
    assert_member(JWS_ES256, "\"key_ops\":[\"verify\",\"verify\"]", "jwk.key_ops");
    assert_member(JWS_ES256, "\"key_ops\":[1]", "jwk.key_ops");
}

static void private_members_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        char member[32];
        (void)snprintf(member, sizeof member, "\"%s\":\"AQ\"", names[i]);
        for (size_t k = 0; k < ARRAY_LEN(asymmetric); k++)
            assert_member(asymmetric[k], member, "is of a private key");
    }
}

static void duplicates_and_kinds_are_refused(void **state)
{
    (void)state;
    assert_member(JWS_ES256, "\"crv\":\"P-384\"", "duplicate");
    assert_refused_jwk(JWS_ES256, "[]", "jwk");
    assert_refused_jwk(JWS_ES256, "", "jwk");
    assert_refused_jwk(JWS_ES256, "{}", "jwk.kty: required");
    assert_refused_jwk(JWS_ES256, "{\"kty\":\"oct\"}", "jwk.kty: expected EC");
    assert_refused_jwk(JWS_ES256, "{\"kty\":\"ec\"}", "jwk.kty: expected EC");
    assert_refused_jwk(JWS_RS256, "{\"kty\":\"EC\"}", "jwk.kty: expected RSA");
    assert_refused_jwk(JWS_EDDSA, "{\"kty\":\"EC\"}", "jwk.kty: expected OKP");
    assert_refused_jwk(JWS_HS256, "{\"kty\":\"oct\",\"k\":\"AQ\"}", "asymmetric");
    assert_refused_jwk(JWS_EDDSA, "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"AA\"}",
                       "jwk.crv: expected Ed25519");
    assert_refused_jwk(JWS_EDDSA, "{\"kty\":\"OKP\",\"crv\":\"Ed448\",\"x\":\"AA\"}",
                       "jwk.crv: expected Ed25519");
    assert_refused_jwk(JWS_ES256, "{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"AA\",\"y\":\"AA\"}",
                       "jwk.crv: expected P-256");
    assert_refused_jwk(JWS_ES256,
                       "{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"AA\",\"y\":\"AA\"}",
                       "jwk.crv: expected P-256");
}

/* RFC 7518: coordinates have the curve's full length, integers have no leading zero. */
static void numbers_have_one_form(void **state)
{
    (void)state;
    AUTO_SIGNER struct signer es = signer_new(JWS_ES256);
    AUTO_PKEY EVP_PKEY *pkey = private_of(&es);
    uint8_t point[133];
    assert_int_equal(ec_point(pkey, point), 65);
    AUTO_BUF struct buf x = base64url_of(span_of(point + 1, 32));
    AUTO_BUF struct buf y = base64url_of(span_of(point + 33, 32));
    static const char *const bad[] = {"", "AA", "A", "AA==", "%", " ", "AAAA\\n"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        AUTO_BUF struct buf text = BUF(1024);
        buf_printf(&text, "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"}", bad[i],
                   buf_text(&y));
        assert_refused_jwk(JWS_ES256, buf_text(&text), "jwk.x");
    }
    uint8_t padded[33] = {0};
    memcpy(padded + 1, point + 33, 32);
    AUTO_BUF struct buf long_y = base64url_of(span_of(padded, 33));
    AUTO_BUF struct buf text = BUF(1024), without_y = BUF(1024);
    buf_printf(&text, "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\",\"y\":\"%s\"}", buf_text(&x),
               buf_text(&long_y));
    assert_refused_jwk(JWS_ES256, buf_text(&text), "jwk.y: expected 32 bytes");
    buf_printf(&without_y, "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"%s\"}", buf_text(&x));
    assert_refused_jwk(JWS_ES256, buf_text(&without_y), "jwk.y: required");

    AUTO_SIGNER struct signer rs = signer_new(JWS_RS256);
    AUTO_PKEY EVP_PKEY *rsa = private_of(&rs);
    AUTO_BUF struct buf jwk = rsa_jwk(rsa);
    char *e = strstr((char *)jwk.data, "\"AQAB\"");
    assert_non_null(e);
    static const char *const exponents[] = {"AAEAAQ", "AQABAA", "Aw",          "",
                                            "AQ",     "AQAA",   "__________8B"};
    for (size_t i = 0; i < ARRAY_LEN(exponents); i++) {
        AUTO_BUF struct buf bad_e = BUF(8192);
        buf_printf(&bad_e, "%.*s\"%s\"}", (int)(e - (char *)jwk.data), buf_text(&jwk),
                   exponents[i]);
        assert_refused_jwk(JWS_RS256, buf_text(&bad_e), "");
    }
}

static void a_symmetric_jwk_gives_its_secret(void **state)
{
    (void)state;
    AUTO_BUF struct buf secret = BUF(1024);
    static const char good[] =
        "{\"kty\":\"oct\",\"alg\":\"HS256\",\"use\":\"sig\",\"key_ops\":[\"sign\",\"verify\"],"
        "\"k\":\"hJtXIZ2uSN5kbQfbtTNWbpdmhkV8FJG-Onbc6mxCcYg\"}";
    assert_int_equal(trust_secret_from_jwk(JWS_HS256, span_text(good), &secret, NULL), 0);
    assert_int_equal(secret.len, 32);
    AUTO_TRUST_KEY struct trust_key *key = NULL;
    assert_int_equal(trust_key_from_secret(JWS_HS256, buf_span(&secret), &key, NULL), 0);
    static const char *const bad[] = {
        "{\"kty\":\"oct\"}",
        "{\"kty\":\"oct\",\"k\":\"\"}",
        "{\"kty\":\"oct\",\"k\":\"AA==\"}",
        "{\"kty\":\"oct\",\"k\":7}",
        "{\"kty\":\"RSA\",\"k\":\"AQAB\"}",
        "{\"kty\":\"oct\",\"alg\":\"HS512\",\"k\":\"AQAB\"}",
        "{\"kty\":\"oct\",\"use\":\"enc\",\"k\":\"AQAB\"}",
        "{\"kty\":\"oct\",\"key_ops\":[\"sign\"],\"k\":\"AQAB\"}",
        "{\"kty\":\"oct\",\"key_ops\":[\"verify\",\"encrypt\"],\"k\":\"AQAB\"}",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        AUTO_BUF struct buf none = BUF(1024);
        struct fault fault = {0};
        assert_int_equal(trust_secret_from_jwk(JWS_HS256, span_text(bad[i]), &none, &fault), -1);
        assert_int_equal(fault.code, FAULT_KEY_INVALID);
        assert_int_equal(none.len, 0);
    }
    assert_int_equal(trust_secret_from_jwk(JWS_ES256, span_text(good), &secret, NULL), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_public_jwk_verifies_and_gives_its_pem),
        cmocka_unit_test(purpose_must_fit),
        cmocka_unit_test(private_members_are_refused),
        cmocka_unit_test(duplicates_and_kinds_are_refused),
        cmocka_unit_test(numbers_have_one_form),
        cmocka_unit_test(a_symmetric_jwk_gives_its_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
