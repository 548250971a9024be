/* SPDX-License-Identifier: Apache-2.0 */
/* What an attacker or a careless library can make that sign.h does not: keys of every kind and
 * signatures of every wrong form, straight from OpenSSL. */
#pragma once

#include "trust_support.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

static inline EVP_PKEY *private_of(const struct signer *signer)
{
    AUTO_BUF struct buf pem = BUF(8192);
    assert_int_equal(sign_key_private_pem(signer->sign, &pem, NULL), 0);
    BIO *memory = BIO_new_mem_buf(pem.data, (int)pem.len);
    EVP_PKEY *pkey = PEM_read_bio_PrivateKey(memory, NULL, NULL, NULL);
    BIO_free(memory);
    assert_non_null(pkey);
    return pkey;
}

static inline struct buf spki_der(const EVP_PKEY *pkey)
{
    struct buf der = BUF(16384);
    unsigned char *bytes = NULL;
    int len = i2d_PUBKEY(pkey, &bytes);
    assert_true(len > 0);
    buf_append(&der, bytes, (size_t)len);
    OPENSSL_free(bytes);
    return der;
}

/* These bytes between PEM boundaries of this label. */
static inline struct buf armour(const char *label, struct span der)
{
    struct buf pem = BUF(32768);
    AUTO_BUF struct buf text = BUF(32768);
    base64_encode(&text, der.data, der.len);
    buf_printf(&pem, "-----BEGIN %s-----\n", label);
    for (size_t at = 0; at < text.len; at += 64) {
        buf_append(&pem, text.data + at, text.len - at < 64 ? text.len - at : 64);
        buf_puts(&pem, "\n");
    }
    buf_printf(&pem, "-----END %s-----\n", label);
    assert_false(buf_failed(&pem));
    return pem;
}

static inline struct buf spki_pem(const EVP_PKEY *pkey)
{
    AUTO_BUF struct buf der = spki_der(pkey);
    return armour("PUBLIC KEY", buf_span(&der));
}

static inline EVP_PKEY *rsa_public(const BIGNUM *n, const BIGNUM *e)
{
    OSSL_PARAM_BLD *builder = OSSL_PARAM_BLD_new();
    assert_int_equal(OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n), 1);
    assert_int_equal(OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e), 1);
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(builder);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    EVP_PKEY *pkey = NULL;
    assert_int_equal(EVP_PKEY_fromdata_init(context), 1);
    assert_int_equal(EVP_PKEY_fromdata(context, &pkey, EVP_PKEY_PUBLIC_KEY, params), 1);
    EVP_PKEY_CTX_free(context);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(builder);
    return pkey;
}

static inline struct buf base64url_of(struct span bytes)
{
    struct buf text = BUF(32768);
    base64url_encode(&text, bytes.data, bytes.len);
    assert_false(buf_failed(&text));
    return text;
}

/* {"kty":"RSA","n":...,"e":...} */
static inline struct buf rsa_jwk(const EVP_PKEY *pkey)
{
    BIGNUM *n = NULL, *e = NULL;
    assert_int_equal(EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_N, &n), 1);
    assert_int_equal(EVP_PKEY_get_bn_param(pkey, OSSL_PKEY_PARAM_RSA_E, &e), 1);
    uint8_t bytes[4096];
    AUTO_BUF struct buf n_text = base64url_of(span_of(bytes, (size_t)BN_bn2bin(n, bytes)));
    AUTO_BUF struct buf e_text = base64url_of(span_of(bytes, (size_t)BN_bn2bin(e, bytes)));
    struct buf jwk = BUF(32768);
    buf_printf(&jwk, "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"}", buf_text(&n_text),
               buf_text(&e_text));
    BN_free(n);
    BN_free(e);
    return jwk;
}

/* The uncompressed point, 04 || x || y. */
static inline size_t ec_point(const EVP_PKEY *pkey, uint8_t ret_point[133])
{
    size_t len = 0;
    assert_int_equal(EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY,
                                                     ret_point, 133, &len),
                     1);
    return len;
}

static inline struct buf ec_jwk(const char *crv, const uint8_t *point, size_t point_len)
{
    size_t half = (point_len - 1) / 2;
    AUTO_BUF struct buf x = base64url_of(span_of(point + 1, half));
    AUTO_BUF struct buf y = base64url_of(span_of(point + 1 + half, half));
    struct buf jwk = BUF(4096);
    buf_printf(&jwk, "{\"kty\":\"EC\",\"crv\":\"%s\",\"x\":\"%s\",\"y\":\"%s\"}", crv, buf_text(&x),
               buf_text(&y));
    return jwk;
}

static inline struct buf okp_jwk(struct span point)
{
    AUTO_BUF struct buf x = base64url_of(point);
    struct buf jwk = BUF(4096);
    buf_printf(&jwk, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"}", buf_text(&x));
    return jwk;
}

static inline struct buf public_jwk(const EVP_PKEY *pkey)
{
    uint8_t point[133];
    size_t len = sizeof point;
    if (EVP_PKEY_is_a(pkey, "RSA"))
        return rsa_jwk(pkey);
    if (EVP_PKEY_is_a(pkey, "EC")) {
        len = ec_point(pkey, point);
        return ec_jwk(len == 65 ? "P-256" : "P-384", point, len);
    }
    assert_int_equal(EVP_PKEY_get_raw_public_key(pkey, point, &len), 1);
    return okp_jwk(span_of(point, len));
}

/* A token under HS256 with any bytes as the secret. */
static inline struct buf hs256_token(struct span secret)
{
    struct buf text = BUF(TOKEN_MAX);
    buf_puts(&text, "eyJhbGciOiJIUzI1NiJ9."); /* {"alg":"HS256"} */
    base64url_encode(&text, TEST_PAYLOAD, strlen(TEST_PAYLOAD));
    uint8_t mac[32];
    size_t len = 0;
    assert_non_null(EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, secret.data, secret.len,
                              text.data, text.len, mac, sizeof mac, &len));
    buf_puts(&text, ".");
    base64url_encode(&text, mac, len);
    return text;
}
