/* SPDX-License-Identifier: Apache-2.0 */
/* Is this public key fit to be trusted? Asked when it is taken, and again when it is loaded. */
#include "trust/key_parts.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <string.h>

static void bn_cleanup(BIGNUM **bn)
{
    BN_free(*bn);
}
#define AUTO_BN AUTO(bn_cleanup)

static void bn_ctx_cleanup(BN_CTX **context)
{
    BN_CTX_free(*context);
}
#define AUTO_BN_CTX AUTO(bn_ctx_cleanup)

static const unsigned small_primes[] = {
    3,  5,  7,  11, 13, 17,  19,  23,  29,  31,  37,  41,  43,  47,  53,  59,  61,  67,  71,
    73, 79, 83, 89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167};

/* True if value is some power of 65537 modulo p. */
static bool is_power_of_f4(BN_ULONG value, unsigned p)
{
    unsigned power = 1;
    do {
        if (value == power)
            return true;
        power = power * (65537 % p) % p;
    } while (power != 1);
    return false;
}

/* ROCA (CVE-2017-15361): the affected generator's primes are k*M + (65537^a mod M), with M the
 * product of the first primes, so the modulus is a power of 65537 modulo every one of them. An
 * honest modulus is so with a chance of about 2^-154. */
static bool is_roca(const BIGNUM *n)
{
    for (size_t i = 0; i < ARRAY_LEN(small_primes); i++)
        if (!is_power_of_f4(BN_mod_word(n, small_primes[i]), small_primes[i]))
            return false;
    return true;
}

static bool has_small_factor(const BIGNUM *n)
{
    for (size_t i = 0; i < ARRAY_LEN(small_primes); i++)
        if (BN_mod_word(n, small_primes[i]) == 0)
            return true;
    return !BN_is_odd(n);
}

static int check_rsa(const EVP_PKEY *pkey, struct fault *fault)
{
    int bits = EVP_PKEY_get_bits(pkey);
    if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)
        return fault_set(fault, FAULT_KEY_INVALID, "key: expected RSA of %d to %d bits, found %d",
                         RSA_BITS_MIN, RSA_BITS_MAX, bits);
    AUTO_BN BIGNUM *n = NULL;
    AUTO_BN BIGNUM *e = NULL;
    if (EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &n) != 1 ||
        EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e) != 1)
        return fault_set(fault, FAULT_KEY_INVALID, "key: RSA without modulus or exponent");
    if (!BN_is_odd(e) || BN_num_bits(e) > RSA_EXPONENT_BITS_MAX || BN_get_word(e) < 65537)
        return fault_set(fault, FAULT_KEY_INVALID,
                         "key: expected an odd RSA exponent from 65537 and of at most %d bits",
                         RSA_EXPONENT_BITS_MAX);
    if (has_small_factor(n))
        return fault_set(fault, FAULT_KEY_INVALID, "key: the RSA modulus has a small factor");
    if (is_roca(n))
        return fault_set(fault, FAULT_KEY_INVALID,
                         "key: made by a generator whose RSA keys can be factored "
                         "(CVE-2017-15361)");
    return 0;
}

static int check_ec(const struct jws_alg_spec *spec, const EVP_PKEY *pkey, struct fault *fault)
{
    char group[64] = "", form[32] = "";
    int explicit_parameters = 0;
    if (EVP_PKEY_get_group_name(pkey, group, sizeof group, NULL) != 1 ||
        strcmp(group, spec->group) != 0)
        return fault_set(fault, FAULT_KEY_INVALID, "key: %s expects the curve %s", spec->name,
                         spec->crv);
    /* A curve spelt out in parameters can be a look-alike (CVE-2020-0601). */
    if (EVP_PKEY_get_int_param(pkey, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS,
                               &explicit_parameters) == 1 &&
        explicit_parameters != 0)
        return fault_set(fault, FAULT_KEY_INVALID, "key: expected a named curve");
    if (EVP_PKEY_get_utf8_string_param(pkey, OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, form,
                                       sizeof form, NULL) == 1 &&
        strcmp(form, "hybrid") == 0)
        return fault_set(fault, FAULT_KEY_INVALID, "key: a point in hybrid form (RFC 5480)");
    return 0;
}

static int check_edwards(const EVP_PKEY *pkey, struct fault *fault)
{
    uint8_t point[32];
    size_t len = sizeof point;
    if (EVP_PKEY_get_raw_public_key(pkey, point, &len) != 1 || len != sizeof point ||
        !edwards_point_valid(point))
        return fault_set(fault, FAULT_KEY_INVALID,
                         "key: not a canonical Ed25519 point of large order");
    return 0;
}

/* What OpenSSL itself can find wrong: a point off the curve, a prime or even modulus. */
static int ask_openssl(const struct jws_alg_spec *spec, EVP_PKEY *pkey, struct fault *fault)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    bool good = context != NULL && EVP_PKEY_public_check(context) == 1;
    EVP_PKEY_CTX_free(context);
    ERR_clear_error();
    return good ? 0
                : fault_set(fault, FAULT_KEY_INVALID, "key: not a sound public key of type %s",
                            spec->key_type);
}

static int check_kind(const struct jws_alg_spec *spec, const EVP_PKEY *pkey, struct fault *fault)
{
    switch (spec->family) {
    case JWS_RSA_PKCS1:
    case JWS_RSA_PSS:
        return check_rsa(pkey, fault);
    case JWS_ECDSA:
        return check_ec(spec, pkey, fault);
    case JWS_EDWARDS:
        return check_edwards(pkey, fault);
    case JWS_HMAC:
        break;
    }
    return fault_set(fault, FAULT_KEY_INVALID, "key: %s takes no public key", spec->name);
}

static bool is_rsa(const struct jws_alg_spec *spec)
{
    return spec->family == JWS_RSA_PKCS1 || spec->family == JWS_RSA_PSS;
}

int public_key_recheck(enum jws_alg alg, EVP_PKEY *pkey, struct fault *fault)
{
    const struct jws_alg_spec *spec = jws_alg_spec(alg);
    if (spec == NULL || spec->key_type == NULL)
        return fault_set(fault, FAULT_KEY_INVALID, "key: expected an asymmetric algorithm");
    if (EVP_PKEY_is_a(pkey, spec->key_type) != 1)
        return fault_set(fault, FAULT_KEY_INVALID, "key: %s expects a key of type %s", spec->name,
                         spec->key_type);
    if (check_kind(spec, pkey, fault) != 0) {
        ERR_clear_error();
        return -1;
    }
    return is_rsa(spec) ? 0 : ask_openssl(spec, pkey, fault);
}

int public_key_check(enum jws_alg alg, EVP_PKEY *pkey, struct fault *fault)
{
    if (public_key_recheck(alg, pkey, fault) != 0)
        return -1;
    const struct jws_alg_spec *spec = jws_alg_spec(alg);
    return is_rsa(spec) ? ask_openssl(spec, pkey, fault) : 0;
}

/* Does x^2 = (y^2 - 1) / (d*y^2 + 1) have a solution modulo p? The quotient is a square exactly
 * when the product is, and the divisor is never 0 as -1/d is not a square. */
static bool on_edwards_curve(const BIGNUM *y, const BIGNUM *p, BN_CTX *context)
{
    AUTO_BN BIGNUM *d = BN_new();
    AUTO_BN BIGNUM *u = BN_new();
    AUTO_BN BIGNUM *v = BN_new();
    if (d == NULL || u == NULL || v == NULL)
        return false;
    /* d = -121665 / 121666 */
    if (BN_set_word(u, 121666) != 1 || BN_mod_inverse(d, u, p, context) == NULL ||
        BN_mul_word(d, 121665) != 1 || BN_nnmod(d, d, p, context) != 1 || BN_sub(d, p, d) != 1)
        return false;
    if (BN_mod_sqr(u, y, p, context) != 1 || BN_mod_mul(v, d, u, p, context) != 1 ||
        BN_add_word(v, 1) != 1 || BN_sub_word(u, 1) != 1 || BN_mod_mul(u, u, v, p, context) != 1 ||
        BN_nnmod(u, u, p, context) != 1)
        return false;
    int symbol = BN_kronecker(u, p, context);
    return symbol == 0 || symbol == 1;
}

static bool is_small_order(const uint8_t y[32])
{
    /* y of the points of order 4, 1, 2 and (two) 8, little-endian, the sign of x left out. */
    static const uint8_t table[][32] = {
        {0},
        {1},
        {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
        {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4,
         0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6,
         0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
        {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b,
         0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39,
         0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (memcmp(y, table[i], 32) == 0)
            return true;
    return false;
}

bool edwards_point_valid(const uint8_t point[32])
{
    uint8_t y_bytes[32];
    memcpy(y_bytes, point, 32);
    y_bytes[31] &= 0x7f; /* the top bit is the sign of x */
    if (is_small_order(y_bytes))
        return false;
    AUTO_BN_CTX BN_CTX *context = BN_CTX_new();
    AUTO_BN BIGNUM *y = BN_lebin2bn(y_bytes, 32, NULL);
    AUTO_BN BIGNUM *p = BN_new();
    if (context == NULL || y == NULL || p == NULL || BN_set_bit(p, 255) != 1 ||
        BN_sub_word(p, 19) != 1)
        return false;
    return BN_cmp(y, p) < 0 && on_edwards_curve(y, p, context);
}
