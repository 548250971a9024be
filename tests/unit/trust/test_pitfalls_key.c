/* SPDX-License-Identifier: Apache-2.0 */
/* The pitfalls that end when a key is loaded, by their row in the list of known JWS attacks. */
#include "forge.h"

#include <time.h>

#include "trust/key_parts.h"

static void assert_pem_refused(enum jws_alg alg, struct span pem, const char *word)
{
    struct trust_key *key = NULL;
    struct fault fault = {0};
    assert_int_equal(trust_key_from_pem(alg, pem, &key, &fault), -1);
    assert_null(key);
    assert_int_equal(fault.code, FAULT_KEY_INVALID);
    if (strstr(fault.detail, word) == NULL)
        fail_msg("'%s' does not say '%s'", fault.detail, word);
}

static void assert_jwk_refused(enum jws_alg alg, struct span jwk)
{
    struct trust_key *key = NULL;
    AUTO_BUF struct buf pem = BUF(16384);
    struct fault fault = {0};
    assert_int_equal(trust_key_from_jwk(alg, jwk, &key, &pem, &fault), -1);
    assert_null(key);
    assert_int_equal(pem.len, 0);
    assert_int_equal(fault.code, FAULT_KEY_INVALID);
}

/* The same key by both doors. */
static void assert_pkey_refused(enum jws_alg alg, EVP_PKEY *pkey, const char *word)
{
    AUTO_BUF struct buf pem = spki_pem(pkey);
    assert_pem_refused(alg, buf_span(&pem), word);
    if (EVP_PKEY_is_a(pkey, "RSA")) {
        AUTO_BUF struct buf jwk = rsa_jwk(pkey);
        assert_jwk_refused(alg, buf_span(&jwk));
    }
}

static void assert_secret_refused(enum jws_alg alg, struct span secret)
{
    struct trust_key *key = NULL;
    struct fault fault = {0};
    assert_int_equal(trust_key_from_secret(alg, secret, &key, &fault), -1);
    assert_null(key);
    assert_int_equal(fault.code, FAULT_KEY_INVALID);
}

static void row_02_public_key_as_hmac_secret(void **state)
{
    (void)state;
    static const enum jws_alg algs[] = {JWS_RS256, JWS_ES256, JWS_ES384, JWS_EDDSA};
    for (size_t i = 0; i < ARRAY_LEN(algs); i++) {
        AUTO_SIGNER struct signer signer = signer_new(algs[i]);
        AUTO_PKEY EVP_PKEY *pkey = private_of(&signer);
        AUTO_BUF struct buf der = spki_der(pkey);
        AUTO_BUF struct buf jwk = public_jwk(pkey);
        assert_secret_refused(JWS_HS256, buf_span(&signer.pem));
        assert_secret_refused(JWS_HS256, span_of(signer.pem.data, signer.pem.len - 1));
        if (der.len >= 32)
            assert_secret_refused(JWS_HS256, buf_span(&der));
        assert_secret_refused(JWS_HS256, buf_span(&jwk));
    }
}

static void row_05_key_of_another_curve_or_kind(void **state)
{
    (void)state;
    static const struct {
        enum jws_alg alg;
        const char *group;
    } rows[] = {{JWS_ES256, "P-384"},          {JWS_ES256, "P-521"}, {JWS_ES256, "secp256k1"},
                {JWS_ES256, "P-224"},          {JWS_ES384, "P-256"}, {JWS_ES384, "P-521"},
                {JWS_ES256, "brainpoolP256r1"}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO_PKEY EVP_PKEY *pkey = EVP_EC_gen(rows[i].group);
        assert_non_null(pkey);
        assert_pkey_refused(rows[i].alg, pkey, "expects the curve");
    }
    static const enum jws_alg algs[] = {JWS_RS256, JWS_ES256, JWS_EDDSA};
    for (size_t i = 0; i < ARRAY_LEN(algs); i++)
        for (size_t k = 0; k < ARRAY_LEN(algs); k++) {
            if (i == k)
                continue;
            AUTO_SIGNER struct signer signer = signer_new(algs[k]);
            assert_pem_refused(algs[i], buf_span(&signer.pem), "expects a key of type");
            assert_pem_refused(JWS_HS256, buf_span(&signer.pem), "asymmetric");
        }
    static const char *const types[] = {"ED448", "X25519", "X448"};
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        AUTO_PKEY EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, types[i]);
        assert_pkey_refused(JWS_EDDSA, pkey, "expects a key of type");
    }
}

static void row_05_point_off_the_curve(void **state)
{
    (void)state;
    AUTO_PKEY EVP_PKEY *pkey = EVP_EC_gen("P-256");
    AUTO_BUF struct buf der = spki_der(pkey);
    uint8_t point[133];
    size_t len = ec_point(pkey, point);
    AUTO_BUF struct buf good = ec_jwk("P-256", point, len);
    AUTO_TRUST_KEY struct trust_key *key = NULL;
    AUTO_BUF struct buf pem = BUF(4096);
    assert_int_equal(trust_key_from_jwk(JWS_ES256, buf_span(&good), &key, &pem, NULL), 0);

    point[len - 1] ^= 1;
    der.data[der.len - 1] ^= 1;
    AUTO_BUF struct buf off = ec_jwk("P-256", point, len);
    AUTO_BUF struct buf off_pem = armour("PUBLIC KEY", buf_span(&der));
    assert_jwk_refused(JWS_ES256, buf_span(&off));
    assert_pem_refused(JWS_ES256, buf_span(&off_pem), "key");
    memset(point + 1, 0, len - 1);
    AUTO_BUF struct buf origin = ec_jwk("P-256", point, len);
    assert_jwk_refused(JWS_ES256, buf_span(&origin));
    memset(point + 1, 0xff, len - 1);
    AUTO_BUF struct buf large = ec_jwk("P-256", point, len);
    assert_jwk_refused(JWS_ES256, buf_span(&large));
}

/* A curve spelt out, and a point in the form RFC 5480 forbids, both of a sound P-256 key. */
static void row_05_explicit_parameters_and_hybrid_point(void **state)
{
    (void)state;
    AUTO_PKEY EVP_PKEY *pkey = EVP_EC_gen("P-256");
    AUTO_BUF struct buf der = spki_der(pkey);
    AUTO_BUF struct buf hybrid = BUF(1024);
    buf_append(&hybrid, der.data, der.len);
    hybrid.data[der.len - 65] = (uint8_t)(6 + (der.data[der.len - 1] & 1));
    AUTO_BUF struct buf hybrid_pem = armour("PUBLIC KEY", buf_span(&hybrid));
    assert_pem_refused(JWS_ES256, buf_span(&hybrid_pem), "hybrid");
    assert_int_equal(EVP_PKEY_set_utf8_string_param(pkey, OSSL_PKEY_PARAM_EC_ENCODING, "explicit"),
                     1);
    AUTO_BUF struct buf explicit_pem = spki_pem(pkey);
    assert_pem_refused(JWS_ES256, buf_span(&explicit_pem), "named curve");
}

static void row_08_ed25519_points_that_prove_nothing(void **state)
{
    (void)state;
    static const char *const points[] = {
        /* small order, with either sign of x */
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000080",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        /* y of p, p + 1 and the largest there is: not canonical */
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "f0ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        /* y = 2 and y = 7: no such x */
        "0200000000000000000000000000000000000000000000000000000000000000",
        "0700000000000000000000000000000000000000000000000000000000000000",
    };
    for (size_t i = 0; i < ARRAY_LEN(points); i++) {
        uint8_t point[32];
        assert_int_equal(hex_decode(points[i], 64, point, sizeof point), 0);
        if (edwards_point_valid(point))
            fail_msg("%s was taken for a point", points[i]);
        AUTO_BUF struct buf jwk = okp_jwk(span_of(point, sizeof point));
        assert_jwk_refused(JWS_EDDSA, buf_span(&jwk));
        AUTO_PKEY EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, point, 32);
        assert_pkey_refused(JWS_EDDSA, pkey, "Ed25519");
    }
    for (int i = 0; i < 50; i++) { /* and those of honest keys are */
        AUTO_PKEY EVP_PKEY *pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
        uint8_t point[32];
        size_t len = sizeof point;
        assert_int_equal(EVP_PKEY_get_raw_public_key(pkey, point, &len), 1);
        assert_true(edwards_point_valid(point));
    }
}

static BIGNUM *bn_of(unsigned long word)
{
    BIGNUM *number = BN_new();
    assert_int_equal(BN_set_word(number, word), 1);
    return number;
}

/* 2^bits - 1 */
static BIGNUM *mersenne(int bits)
{
    BIGNUM *number = bn_of(0);
    assert_int_equal(BN_set_bit(number, bits), 1);
    assert_int_equal(BN_sub_word(number, 1), 1);
    return number;
}

static void assert_rsa_refused(const BIGNUM *n, const BIGNUM *e, const char *word)
{
    AUTO_PKEY EVP_PKEY *pkey = rsa_public(n, e);
    assert_pkey_refused(JWS_RS256, pkey, word);
    assert_pkey_refused(JWS_PS256, pkey, word);
}

static void row_09_rsa_sizes_and_exponents(void **state)
{
    (void)state;
    static const int sizes[] = {512, 1024, 2040};
    BIGNUM *f4 = bn_of(65537);
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        AUTO_PKEY EVP_PKEY *pkey = EVP_RSA_gen((size_t)sizes[i]);
        assert_pkey_refused(JWS_RS256, pkey, "2048 to 8192 bits");
    }
    AUTO_SIGNER struct signer signer = signer_new(JWS_RS256);
    AUTO_PKEY EVP_PKEY *good = private_of(&signer);
    BIGNUM *n = NULL;
    assert_int_equal(EVP_PKEY_get_bn_param(good, OSSL_PKEY_PARAM_RSA_N, &n), 1);
    static const unsigned long exponents[] = {1, 2, 3, 17, 257, 65535, 65536, 65538};
    for (size_t i = 0; i < ARRAY_LEN(exponents); i++) {
        BIGNUM *e = bn_of(exponents[i]);
        assert_rsa_refused(n, e, "exponent");
        BN_free(e);
    }
    BN_add_word(n, 1); /* even */
    assert_rsa_refused(n, f4, "small factor");
    BN_free(n);
    n = mersenne(2203); /* a prime */
    assert_rsa_refused(n, f4, "not a sound public key");
    BN_free(n);
    n = mersenne(2208); /* divisible by 3 */
    assert_rsa_refused(n, f4, "small factor");
    BN_free(n);
    BN_free(f4);
}

/* The smallest prime k*M + (65537^a mod M) with k from `seed` on: what the flawed generator made.
 */
static BIGNUM *roca_prime(const BIGNUM *product, unsigned long exponent, const char *seed,
                          BN_CTX *context)
{
    BIGNUM *prime = NULL, *residue = bn_of(65537), *power = bn_of(exponent);
    assert_true(BN_hex2bn(&prime, seed) > 0);
    assert_int_equal(BN_mod_exp(residue, residue, power, product, context), 1);
    assert_int_equal(BN_mul(prime, prime, product, context), 1);
    assert_int_equal(BN_add(prime, prime, residue), 1);
    while (BN_check_prime(prime, context, NULL) != 1)
        assert_int_equal(BN_add(prime, prime, product), 1);
    BN_free(residue);
    BN_free(power);
    return prime;
}

static void row_09_roca_modulus(void **state)
{
    (void)state;
    BN_CTX *context = BN_CTX_new();
    BIGNUM *product = bn_of(2), *f4 = bn_of(65537), *n = BN_new();
    for (unsigned long p = 3; p <= 167; p += 2) {
        bool prime = true;
        for (unsigned long d = 3; d * d <= p; d += 2)
            prime = prime && p % d != 0;
        if (prime)
            assert_int_equal(BN_mul_word(product, p), 1);
    }
    char seed[208];
    memset(seed, 'C', sizeof seed);
    seed[202] = '\0'; /* 808 bits, times a product of 219 */
    BIGNUM *p = roca_prime(product, 1234567, seed, context);
    seed[0] = 'D';
    BIGNUM *q = roca_prime(product, 7654321, seed, context);
    assert_int_equal(BN_mul(n, p, q, context), 1);
    assert_true(BN_num_bits(n) >= 2048);
    assert_rsa_refused(n, f4, "CVE-2017-15361");
    BN_free(p);
    BN_free(q);
    BN_free(n);
    BN_free(f4);
    BN_free(product);
    BN_CTX_free(context);
}

static void row_09_rsa_pss_key_type(void **state)
{
    (void)state;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA-PSS", NULL);
    AUTO_PKEY EVP_PKEY *pkey = NULL;
    assert_int_equal(EVP_PKEY_keygen_init(context), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_keygen_bits(context, 2048), 1);
    assert_int_equal(EVP_PKEY_keygen(context, &pkey), 1);
    EVP_PKEY_CTX_free(context);
    AUTO_BUF struct buf pem = spki_pem(pkey);
    assert_pem_refused(JWS_PS256, buf_span(&pem), "type RSA");
}

static void row_10_hmac_secrets(void **state)
{
    (void)state;
    static const struct {
        enum jws_alg alg;
        size_t hash_len;
    } rows[] = {{JWS_HS256, 32}, {JWS_HS384, 48}, {JWS_HS512, 64}};
    uint8_t secret[1025];
    for (size_t i = 0; i < sizeof secret; i++)
        secret[i] = (uint8_t)(i * 7 + 1);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_secret_refused(rows[i].alg, span_of(NULL, 0));
        assert_secret_refused(rows[i].alg, span_of(secret, 1));
        assert_secret_refused(rows[i].alg, span_of(secret, rows[i].hash_len - 1));
        assert_secret_refused(rows[i].alg, span_of(secret, 1025));
        for (size_t len = rows[i].hash_len; len <= 1024; len += 1024 - rows[i].hash_len) {
            AUTO_TRUST_KEY struct trust_key *key = NULL;
            assert_int_equal(trust_key_from_secret(rows[i].alg, span_of(secret, len), &key, NULL),
                             0);
        }
    }
    uint8_t same[64];
    for (int byte = 0; byte <= 255; byte += 85) {
        memset(same, byte, sizeof same);
        assert_secret_refused(JWS_HS256, span_of(same, sizeof same));
    }
    assert_secret_refused(JWS_ES256, span_of(secret, 64));
    assert_secret_refused(JWS_ALG_COUNT, span_of(secret, 64));
}

static void row_10_hmac_secrets_that_can_be_guessed(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "abababababababababababababababababababababababababababababababab",
        "0123456012345601234560123456012345601234560123456012345601234560", /* seven bytes */
        "correct horse batterycorrect horse battery",                       /* twice */
        "Password123!Password123!Password123!Pass",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaabcdefg",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "\n-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAlkHiawz2sRs7veGKkR6UZGdh",
    };
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        assert_secret_refused(JWS_HS256, span_text(refused[i]));
    /* Eight different bytes, and no repetition shorter than the hash. */
    static const char *const taken[] = {
        "0123456701234567012345670123456776543210765432107654321076543210",
        "0123456789abcdef0123456789abcdeffedcba9876543210fedcba9876543210",
        "abcdefghijklmnopqrstuvwxyzABCDEFabcdefghijklmnopqrstuvwxyzABCDEF",
        "abcdefghijklmnopqrstuvwxyzABCDEa", /* it begins as it ends, as by chance */
        "abcdefghijklmnopqabcdefghijklmno"};
    for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
        AUTO_TRUST_KEY struct trust_key *key = NULL;
        assert_int_equal(trust_key_from_secret(JWS_HS256, span_text(taken[i]), &key, NULL), 0);
    }
}

static void row_29_keys_that_cost_too_much(void **state)
{
    (void)state;
    BIGNUM *n = BN_new(), *f4 = bn_of(65537), *huge = BN_new();
    static const int sizes[] = {8193, 16384};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        assert_int_equal(BN_rand(n, sizes[i], BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD), 1);
        assert_rsa_refused(n, f4, "2048 to 8192 bits");
    }
    AUTO_SIGNER struct signer signer = signer_new(JWS_RS256);
    AUTO_PKEY EVP_PKEY *good = private_of(&signer);
    BN_free(n);
    n = NULL;
    assert_int_equal(EVP_PKEY_get_bn_param(good, OSSL_PKEY_PARAM_RSA_N, &n), 1);
    static const int exponent_bits[] = {65, 1024, 2047};
    for (size_t i = 0; i < ARRAY_LEN(exponent_bits); i++) {
        assert_int_equal(BN_rand(huge, exponent_bits[i], BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD), 1);
        assert_rsa_refused(n, huge, "exponent");
    }
    assert_int_equal(BN_rand(n, 8192, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD), 1);
    assert_int_equal(BN_rand(huge, 4096, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ODD), 1);
    assert_rsa_refused(n, huge, "exponent");
    BN_free(n);
    BN_free(f4);
    BN_free(huge);
    AUTO_BUF struct buf long_pem = BUF(1 << 20);
    buf_puts(&long_pem, "-----BEGIN PUBLIC KEY-----\n");
    while (long_pem.len < KEY_TEXT_MAX)
        buf_puts(&long_pem, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n");
    assert_pem_refused(JWS_RS256, buf_span(&long_pem), "longer than");
    assert_jwk_refused(JWS_RS256, buf_span(&long_pem));
}

static double cpu_ms(int (*load)(enum jws_alg, struct span, struct trust_key **, struct fault *),
                     struct span pem)
{
    double best = 1e12;
    for (int i = 0; i < 3; i++) {
        AUTO_TRUST_KEY struct trust_key *key = NULL;
        struct timespec from, to;
        (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &from);
        assert_int_equal(load(JWS_RS256, pem, &key, NULL), 0);
        (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &to);
        double spent =
            (double)(to.tv_sec - from.tv_sec) * 1e3 + (double)(to.tv_nsec - from.tv_nsec) / 1e6;
        best = spent < best ? spent : best;
    }
    return best;
}

/* To name a kid must not cost what it costs to add it: not how fast, but less by an order. */
static void row_29_a_stored_key_is_not_judged_again(void **state)
{
    (void)state;
    BIGNUM *n = BN_new(), *p = BN_new(), *q = BN_new(), *f4 = bn_of(65537);
    BN_CTX *context = BN_CTX_new();
    bool smooth = true;
    while (smooth) { /* random numbers are as good as primes here, without small factors */
        assert_int_equal(BN_rand(p, 4096, BN_RAND_TOP_TWO, BN_RAND_BOTTOM_ODD), 1);
        assert_int_equal(BN_rand(q, 4096, BN_RAND_TOP_TWO, BN_RAND_BOTTOM_ODD), 1);
        assert_int_equal(BN_mul(n, p, q, context), 1);
        smooth = false;
        for (unsigned factor = 3; !smooth && factor < 8192; factor += 2)
            smooth = BN_mod_word(n, factor) == 0;
    }
    BN_CTX_free(context);
    BN_free(p);
    BN_free(q);
    AUTO_PKEY EVP_PKEY *pkey = rsa_public(n, f4);
    BN_free(n);
    BN_free(f4);
    AUTO_BUF struct buf pem = spki_pem(pkey);
    double taken = cpu_ms(trust_key_from_pem, buf_span(&pem));
    double reopened = cpu_ms(trust_key_reopen, buf_span(&pem));
    if (reopened > taken / 10)
        fail_msg("taken in %.1f ms, reopened in %.1f ms", taken, reopened);
}

/* All else is asked again, whoever has edited the record since. */
static void a_reopened_key_is_as_sound_as_a_taken_one(void **state)
{
    (void)state;
    static const struct {
        enum jws_alg alg, other;
    } rows[] = {{JWS_RS256, JWS_ES256},
                {JWS_ES256, JWS_ES384},
                {JWS_ES384, JWS_RS256},
                {JWS_EDDSA, JWS_ES256},
                {JWS_PS256, JWS_EDDSA}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO_SIGNER struct signer signer = signer_new(rows[i].alg);
        AUTO_BUF struct buf text = token_plain(&signer), secret = BUF(8192);
        AUTO_TRUST_KEY struct trust_key *key = NULL;
        struct trust_key *none = NULL;
        assert_int_equal(trust_key_reopen(rows[i].alg, buf_span(&signer.pem), &key, NULL), 0);
        assert_accepted(buf_span(&text), key);
        assert_int_equal(trust_key_reopen(rows[i].other, buf_span(&signer.pem), &none, NULL), -1);
        assert_int_equal(trust_key_reopen(JWS_HS256, buf_span(&signer.pem), &none, NULL), -1);
        assert_int_equal(sign_key_private_pem(signer.sign, &secret, NULL), 0);
        assert_int_equal(trust_key_reopen(rows[i].alg, buf_span(&secret), &none, NULL), -1);
        assert_null(none);
    }
    AUTO_PKEY EVP_PKEY *weak = EVP_RSA_gen(1024);
    AUTO_BUF struct buf pem = spki_pem(weak);
    struct trust_key *none = NULL;
    assert_int_equal(trust_key_reopen(JWS_RS256, buf_span(&pem), &none, NULL), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_02_public_key_as_hmac_secret),
        cmocka_unit_test(row_05_key_of_another_curve_or_kind),
        cmocka_unit_test(row_05_point_off_the_curve),
        cmocka_unit_test(row_05_explicit_parameters_and_hybrid_point),
        cmocka_unit_test(row_08_ed25519_points_that_prove_nothing),
        cmocka_unit_test(row_09_rsa_sizes_and_exponents),
        cmocka_unit_test(row_09_roca_modulus),
        cmocka_unit_test(row_09_rsa_pss_key_type),
        cmocka_unit_test(row_10_hmac_secrets),
        cmocka_unit_test(row_10_hmac_secrets_that_can_be_guessed),
        cmocka_unit_test(row_29_keys_that_cost_too_much),
        cmocka_unit_test(row_29_a_stored_key_is_not_judged_again),
        cmocka_unit_test(a_reopened_key_is_as_sound_as_a_taken_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
