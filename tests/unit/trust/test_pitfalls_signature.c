/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pitfalls that end at the signature, by their row in the list of known JWS attacks, against
 * both backends: rows 2 to 8. Rows 9 and 23 to 30 are in test_pitfalls_proof.c.
 */
#include "forge.h"

#include <openssl/sha.h>

static void row_02_hmac_keyed_with_a_public_key(void **state)
{
    (void)state;
    static const enum jws_alg algs[] = {JWS_RS256, JWS_PS256, JWS_ES256, JWS_ES384, JWS_EDDSA};
    for (size_t i = 0; i < ARRAY_LEN(algs); i++) {
        AUTO_SIGNER struct signer signer = signer_new(algs[i]);
        AUTO_PKEY EVP_PKEY *pkey = private_of(&signer);
        AUTO_BUF struct buf der = spki_der(pkey);
        AUTO_BUF struct buf jwk = public_jwk(pkey);
        const struct span secrets[] = {
            buf_span(&signer.pem), span_of(signer.pem.data, signer.pem.len - 1),
            span_of(signer.pem.data, signer.pem.len + 1), /* with its NUL */
            buf_span(&der), buf_span(&jwk)};
        for (size_t k = 0; k < ARRAY_LEN(secrets); k++) {
            AUTO_BUF struct buf text = hs256_token(secrets[k]);
            assert_forged(buf_span(&text), signer.key);
        }
    }
}

static void row_03_alg_of_the_same_family(void **state)
{
    (void)state;
    static const enum jws_alg rows[][2] = {{JWS_RS256, JWS_PS256}, {JWS_ES256, JWS_ES384},
                                           {JWS_HS256, JWS_HS384}, {JWS_HS256, JWS_HS512},
                                           {JWS_HS384, JWS_HS512}, {JWS_ES256, JWS_EDDSA}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO_SIGNER struct signer a = signer_new(rows[i][0]);
        AUTO_SIGNER struct signer b = signer_new(rows[i][1]);
        AUTO_BUF struct buf by_a = token_plain(&a);
        AUTO_BUF struct buf by_b = token_plain(&b);
        assert_accepted(buf_span(&by_a), a.key);
        assert_forged(buf_span(&by_a), b.key);
        assert_forged(buf_span(&by_b), a.key);
        /* and a header that names the key's algorithm over the other's signature */
        char header[64];
        (void)snprintf(header, sizeof header, "{\"alg\":\"%s\"}", jws_alg_name(rows[i][0]));
        AUTO_BUF struct buf mixed = token_over(&b, header, span_text(TEST_PAYLOAD));
        assert_forged(buf_span(&mixed), a.key);
    }
}

/* The key's own genuine signature over a header that claims any other algorithm. */
static void row_03_genuine_signature_under_another_name(void **state)
{
    (void)state;
    for (int own = 0; own < JWS_ALG_COUNT; own++) {
        AUTO_SIGNER struct signer signer = signer_new((enum jws_alg)own);
        for (int claimed = 0; claimed < JWS_ALG_COUNT; claimed++) {
            char header[64];
            (void)snprintf(header, sizeof header, "{\"alg\":\"%s\"}",
                           jws_alg_name((enum jws_alg)claimed));
            AUTO_BUF struct buf text = token_over(&signer, header, span_text(TEST_PAYLOAD));
            if (claimed == own)
                assert_accepted(buf_span(&text), signer.key);
            else
                assert_forged(buf_span(&text), signer.key);
        }
    }
}

/* libjwt lets the token choose the algorithm. Behind token_verify() it never gets to; without
 * that, its own fence still stands. */
static void row_03_libjwt_compares_the_algorithm_itself(void **state)
{
    (void)state;
    static const enum jws_alg algs[] = {JWS_RS256, JWS_ES256, JWS_PS256, JWS_EDDSA};
    for (size_t i = 0; i < ARRAY_LEN(algs); i++) {
        AUTO_SIGNER struct signer signer = signer_new(algs[i]);
        AUTO_BUF struct buf text = hs256_token(buf_span(&signer.pem));
        AUTO_TOKEN struct token *token = NULL;
        assert_int_equal(token_parse(buf_span(&text), &token, NULL), 0);
        assert_true(backend_libjwt.serves(token));
        assert_false(backend_libjwt.verify(token, signer.key));
    }
}

/* One ECDSA algorithm, its group's order and a good token. */
struct ecdsa {
    struct signer signer;
    struct buf text;
    struct token *token;
    size_t half;
    uint8_t order[48];
};

static struct ecdsa ecdsa_new(enum jws_alg alg)
{
    struct ecdsa made = {.signer = signer_new(alg)};
    made.text = token_plain(&made.signer);
    assert_int_equal(token_parse(buf_span(&made.text), &made.token, NULL), 0);
    made.half = made.token->signature.len / 2;
    EC_GROUP *group =
        EC_GROUP_new_by_curve_name(alg == JWS_ES256 ? NID_X9_62_prime256v1 : NID_secp384r1);
    assert_int_equal(BN_bn2binpad(EC_GROUP_get0_order(group), made.order, (int)made.half),
                     made.half);
    EC_GROUP_free(group);
    return made;
}

static void ecdsa_cleanup(struct ecdsa *made)
{
    token_free(made->token);
    buf_free(&made->text);
    signer_cleanup(&made->signer);
}

static void assert_signature_forged(const struct ecdsa *made, const uint8_t *bytes, size_t len)
{
    AUTO_BUF struct buf text = with_signature(buf_span(&made->text), span_of(bytes, len));
    assert_forged(buf_span(&text), made->signer.key);
    assert_forged(buf_span(&text), NULL);
}

static void check_ecdsa_ranges(const struct ecdsa *made)
{
    uint8_t bad[96], over[48], ones[48], zero[48] = {0};
    memcpy(over, made->order, made->half);
    over[made->half - 1]++;
    memset(ones, 0xff, sizeof ones);
    const uint8_t *const numbers[] = {zero, made->order, over, ones};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        for (size_t part = 0; part < 3; part++) {
            memcpy(bad, made->token->signature.data, 2 * made->half);
            if (part != 1)
                memcpy(bad, numbers[i], made->half);
            if (part != 0)
                memcpy(bad + made->half, numbers[i], made->half);
            assert_signature_forged(made, bad, 2 * made->half);
        }
}

static void check_ecdsa_lengths(const struct ecdsa *made)
{
    uint8_t bad[112] = {0};
    size_t len = 2 * made->half;
    memcpy(bad, made->token->signature.data, len);
    static const size_t wrong[] = {1, 2, 31, 32, 63, 65, 66, 95, 97, 98, 112};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_signature_forged(made, bad, wrong[i]);
    memset(bad, 0, sizeof bad); /* each half with a zero before it */
    memcpy(bad + 1, made->token->signature.data, made->half);
    memcpy(bad + 2 + made->half, made->token->signature.data + made->half, made->half);
    assert_signature_forged(made, bad, len + 2);
    assert_signature_forged(made, bad, len);
}

static void check_ecdsa_der(const struct ecdsa *made)
{
    ECDSA_SIG *pair = ECDSA_SIG_new();
    const uint8_t *raw = made->token->signature.data;
    assert_int_equal(ECDSA_SIG_set0(pair, BN_bin2bn(raw, (int)made->half, NULL),
                                    BN_bin2bn(raw + made->half, (int)made->half, NULL)),
                     1);
    unsigned char *der = NULL;
    int len = i2d_ECDSA_SIG(pair, &der);
    assert_true(len > 0);
    assert_signature_forged(made, der, (size_t)len);
    OPENSSL_free(der);
    ECDSA_SIG_free(pair);
}

/* A signature whose r or s begins with a zero, and the same without it. */
static void check_ecdsa_stripped_zero(const struct ecdsa *made)
{
    for (int tries = 0; tries < 20000; tries++) {
        AUTO_BUF struct buf text = token_plain(&made->signer);
        AUTO_TOKEN struct token *token = NULL;
        assert_int_equal(token_parse(buf_span(&text), &token, NULL), 0);
        const uint8_t *raw = token->signature.data;
        if (raw[0] != 0)
            continue;
        assert_accepted(buf_span(&text), made->signer.key);
        AUTO_BUF struct buf stripped =
            with_signature(buf_span(&text), span_of(raw + 1, 2 * made->half - 1));
        assert_forged(buf_span(&stripped), made->signer.key);
        return;
    }
    fail_msg("no signature with a leading zero in 20,000");
}

static void row_06_ecdsa_signature_forms(void **state)
{
    (void)state;
    static const enum jws_alg algs[] = {JWS_ES256, JWS_ES384};
    for (size_t i = 0; i < ARRAY_LEN(algs); i++) {
        AUTO(ecdsa_cleanup) struct ecdsa made = ecdsa_new(algs[i]);
        check_ecdsa_ranges(&made);
        check_ecdsa_lengths(&made);
        check_ecdsa_der(&made);
        check_ecdsa_stripped_zero(&made);
    }
}

/* The twin is as good a proof as its sibling, so the identity of a token for replay is its
 * signing input, never its signature. */
static void row_07_ecdsa_twin_is_the_same_token(void **state)
{
    (void)state;
    static const enum jws_alg algs[] = {JWS_ES256, JWS_ES384};
    for (size_t i = 0; i < ARRAY_LEN(algs); i++) {
        AUTO(ecdsa_cleanup) struct ecdsa made = ecdsa_new(algs[i]);
        uint8_t twin[96];
        memcpy(twin, made.token->signature.data, 2 * made.half);
        BIGNUM *n = BN_bin2bn(made.order, (int)made.half, NULL);
        BIGNUM *s = BN_bin2bn(twin + made.half, (int)made.half, NULL);
        assert_int_equal(BN_sub(s, n, s), 1);
        assert_int_equal(BN_bn2binpad(s, twin + made.half, (int)made.half), made.half);
        BN_free(n);
        BN_free(s);
        AUTO_BUF struct buf text =
            with_signature(buf_span(&made.text), span_of(twin, 2 * made.half));
        assert_accepted(buf_span(&text), made.signer.key);
        AUTO_TOKEN struct token *token = NULL;
        assert_int_equal(token_parse(buf_span(&text), &token, NULL), 0);
        assert_false(span_equal(token->signature, made.token->signature));
        assert_true(digest_equal(&token->signing_digest, &made.token->signing_digest));
    }
}

/* S = k*a for R the neutral point in the given encoding: a signature its key's owner can make
 * with the nonce 0. */
static void neutral_signature(const struct signer *signer, struct span input, const uint8_t r[32],
                              uint8_t ret_signature[64])
{
    AUTO_PKEY EVP_PKEY *pkey = private_of(signer);
    uint8_t seed[32], point[32], expanded[64], k_bytes[64];
    size_t len = 32;
    assert_int_equal(EVP_PKEY_get_raw_private_key(pkey, seed, &len), 1);
    assert_int_equal(EVP_PKEY_get_raw_public_key(pkey, point, &len), 1);
    SHA512(seed, 32, expanded);
    expanded[0] &= 248;
    expanded[31] = (uint8_t)((expanded[31] & 63) | 64);
    AUTO_BUF struct buf hashed = BUF(TOKEN_MAX);
    buf_append(&hashed, r, 32);
    buf_append(&hashed, point, 32);
    buf_append(&hashed, input.data, input.len);
    SHA512(hashed.data, hashed.len, k_bytes);
    BN_CTX *context = BN_CTX_new();
    BIGNUM *a = BN_lebin2bn(expanded, 32, NULL), *k = BN_lebin2bn(k_bytes, 64, NULL), *order = NULL;
    assert_true(
        BN_hex2bn(&order, "1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed"));
    assert_int_equal(BN_mod_mul(a, a, k, order, context), 1);
    memcpy(ret_signature, r, 32);
    assert_int_equal(BN_bn2lebinpad(a, ret_signature + 32, 32), 32);
    BN_free(a);
    BN_free(k);
    BN_free(order);
    BN_CTX_free(context);
}

static void row_08_ed25519_r_that_is_not_canonical(void **state)
{
    (void)state;
    AUTO_SIGNER struct signer signer = signer_new(JWS_EDDSA);
    AUTO_BUF struct buf text = token_plain(&signer);
    AUTO_TOKEN struct token *token = NULL;
    assert_int_equal(token_parse(buf_span(&text), &token, NULL), 0);
    static const char *const encodings[] = {
        "0100000000000000000000000000000000000000000000000000000000000000",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0100000000000000000000000000000000000000000000000000000000000080"};
    for (size_t i = 0; i < ARRAY_LEN(encodings); i++) {
        uint8_t r[32], signature[64];
        assert_int_equal(hex_decode(encodings[i], 64, r, sizeof r), 0);
        neutral_signature(&signer, token->signing_input, r, signature);
        AUTO_BUF struct buf made = with_signature(buf_span(&text), span_of(signature, 64));
        if (i == 0) /* the arithmetic above is right: this one RFC 8032 accepts */
            assert_accepted(buf_span(&made), signer.key);
        else
            assert_forged(buf_span(&made), signer.key);
    }
}

static void row_08_ed25519_s_and_length(void **state)
{
    (void)state;
    AUTO_SIGNER struct signer signer = signer_new(JWS_EDDSA);
    AUTO_BUF struct buf text = token_plain(&signer);
    AUTO_TOKEN struct token *token = NULL;
    assert_int_equal(token_parse(buf_span(&text), &token, NULL), 0);
    BIGNUM *order = NULL;
    assert_true(
        BN_hex2bn(&order, "1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed"));
    BIGNUM *s = BN_lebin2bn(token->signature.data + 32, 32, NULL);
    uint8_t bad[66];
    memcpy(bad, token->signature.data, 64);
    for (int times = 1; times <= 15; times++) { /* S + L, S + 2L ... all below 2^256 */
        assert_int_equal(BN_add(s, s, order), 1);
        if (BN_bn2lebinpad(s, bad + 32, 32) != 32)
            break;
        AUTO_BUF struct buf made = with_signature(buf_span(&text), span_of(bad, 64));
        assert_forged(buf_span(&made), signer.key);
        assert_true(times < 16);
    }
    assert_int_equal(BN_bn2lebinpad(order, bad + 32, 32), 32); /* S = L */
    AUTO_BUF struct buf at_order = with_signature(buf_span(&text), span_of(bad, 64));
    assert_forged(buf_span(&at_order), signer.key);
    memcpy(bad, token->signature.data, 64);
    static const size_t wrong[] = {1, 32, 63, 65, 66};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        AUTO_BUF struct buf made = with_signature(buf_span(&text), span_of(bad, wrong[i]));
        assert_forged(buf_span(&made), signer.key);
    }
    AUTO_BUF struct buf renamed =
        token_over(&signer, "{\"alg\":\"Ed25519\"}", span_text(TEST_PAYLOAD));
    assert_malformed(buf_span(&renamed), "header.alg");
    BN_free(order);
    BN_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_02_hmac_keyed_with_a_public_key),
        cmocka_unit_test(row_03_alg_of_the_same_family),
        cmocka_unit_test(row_03_genuine_signature_under_another_name),
        cmocka_unit_test(row_03_libjwt_compares_the_algorithm_itself),
        cmocka_unit_test(row_06_ecdsa_signature_forms),
        cmocka_unit_test(row_07_ecdsa_twin_is_the_same_token),
        cmocka_unit_test(row_08_ed25519_r_that_is_not_canonical),
        cmocka_unit_test(row_08_ed25519_s_and_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
