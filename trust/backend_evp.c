/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL with keys parsed once and algorithms fetched once. Serves everything. */
#include "trust/backend.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <string.h>

#define DER_SIGNATURE_MAX (2 + 2 * (2 + 1 + 48)) /* P-384: under 128, so one length byte */

static bool serves_all(const struct token *token)
{
    (void)token;
    return true;
}

/* A positive big-endian number as DER INTEGER: no leading zeros, but one where the top bit
 * would read as a sign. */
static uint8_t *der_integer(uint8_t *at, const uint8_t *number, size_t len)
{
    while (len > 1 && *number == 0) {
        number++;
        len--;
    }
    bool pad = (*number & 0x80) != 0;
    *at++ = 0x02;
    *at++ = (uint8_t)(len + pad);
    if (pad)
        *at++ = 0;
    memcpy(at, number, len);
    return at + len;
}

/* r||s (RFC 7518 section 3.4) as ECDSA-Sig-Value (RFC 3279 section 2.2.3). */
static size_t ecdsa_der(struct span signature, uint8_t ret_der[DER_SIGNATURE_MAX])
{
    size_t len = signature.len / 2;
    uint8_t *end = der_integer(ret_der + 2, signature.data, len);
    end = der_integer(end, signature.data + len, len);
    ret_der[0] = 0x30;
    ret_der[1] = (uint8_t)(end - ret_der - 2);
    return (size_t)(end - ret_der);
}

static bool pss_as_rfc7518(EVP_PKEY_CTX *context, const EVP_MD *hash)
{
    return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1 &&
           EVP_PKEY_CTX_set_rsa_mgf1_md(context, hash) == 1;
}

static bool verify_public(const struct token *token, const struct trust_key *key)
{
    uint8_t der[DER_SIGNATURE_MAX];
    struct span signature = token->signature;
    enum jws_family family = jws_alg_spec(key->alg)->family;
    if (family == JWS_ECDSA)
        signature = span_of(der, ecdsa_der(token->signature, der));
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *parameters = NULL; /* owned by context */
    bool valid = context != NULL &&
                 EVP_DigestVerifyInit(context, &parameters, key->hash, NULL, key->pkey) == 1 &&
                 (family != JWS_RSA_PSS || pss_as_rfc7518(parameters, key->hash)) &&
                 EVP_DigestVerify(context, signature.data, signature.len, token->signing_input.data,
                                  token->signing_input.len) == 1;
    EVP_MD_CTX_free(context);
    return valid;
}

static bool verify_hmac(const struct token *token, const struct trust_key *key)
{
    uint8_t mac[EVP_MAX_MD_SIZE];
    size_t len = 0;
    char hash[16];
    (void)snprintf(hash, sizeof hash, "%s", jws_alg_spec(key->alg)->hash);
    const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, hash, 0),
                                 OSSL_PARAM_construct_end()};
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(key->hmac);
    bool valid =
        context != NULL && EVP_MAC_init(context, key->secret.data, key->secret.len, params) == 1 &&
        EVP_MAC_update(context, token->signing_input.data, token->signing_input.len) == 1 &&
        EVP_MAC_final(context, mac, &len, sizeof mac) == 1 && len == token->signature.len &&
        CRYPTO_memcmp(mac, token->signature.data, len) == 0;
    EVP_MAC_CTX_free(context);
    OPENSSL_cleanse(mac, sizeof mac);
    return valid;
}

static bool verify(const struct token *token, const struct trust_key *key)
{
    bool valid = key->pkey != NULL ? verify_public(token, key) : verify_hmac(token, key);
    if (!valid)
        ERR_clear_error(); /* the thread's queue must not grow with what strangers send */
    return valid;
}

const struct verify_backend backend_evp = {.name = "evp", .serves = serves_all, .verify = verify};
