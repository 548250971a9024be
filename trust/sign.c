/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/sign.h"

#include "base/encode.h"
#include "base/json.h"
#include "trust/key_parts.h"
#include "trust/token.h"

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <string.h>

#define RSA_BITS_NEW 3072
#define SIGNATURE_MAX 1024

struct sign_key {
    const struct jws_alg_spec *spec;
    enum jws_alg alg;
    EVP_PKEY *pkey;    /* NULL for HMAC */
    struct buf secret; /* HMAC only */
};

static struct sign_key *key_new(enum jws_alg alg)
{
    struct sign_key *key = calloc(1, sizeof *key);
    if (key == NULL)
        return NULL;
    key->alg = alg;
    key->spec = jws_alg_spec(alg);
    key->secret = BUF(HMAC_SECRET_MAX);
    return key;
}

static int key_from_pkey(enum jws_alg alg, EVP_PKEY **pkey, struct sign_key **ret_key,
                         struct fault *fault)
{
    struct sign_key *key = key_new(alg);
    if (key == NULL)
        return fault_set(fault, FAULT_INTERNAL, "key: no memory");
    key->pkey = TAKE(*pkey);
    *ret_key = key;
    return 0;
}

int sign_key_generate(enum jws_alg alg, struct sign_key **ret_key, struct fault *fault)
{
    const struct jws_alg_spec *spec = jws_alg_spec(alg);
    if (spec == NULL || spec->family == JWS_HMAC)
        return fault_set(fault, FAULT_KEY_INVALID, "key: expected an asymmetric algorithm");
    AUTO_PKEY EVP_PKEY *pkey = NULL;
    if (spec->family == JWS_ECDSA)
        pkey = EVP_EC_gen(spec->group);
    else if (spec->family == JWS_EDWARDS)
        pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    else
        pkey = EVP_RSA_gen(RSA_BITS_NEW);
    if (pkey == NULL) {
        ERR_clear_error();
        return fault_set(fault, FAULT_INTERNAL, "key: generation failed");
    }
    return key_from_pkey(alg, &pkey, ret_key, fault);
}

/* OpenSSL asks a terminal for the passphrase of an encrypted key unless told that there is none. */
static int no_passphrase(char *buffer, int size, int writing, void *context)
{
    (void)buffer, (void)size, (void)writing, (void)context;
    return -1;
}

int sign_key_from_pem(enum jws_alg alg, struct span pem, struct sign_key **ret_key,
                      struct fault *fault)
{
    if (pem.len > KEY_TEXT_MAX)
        return fault_set(fault, FAULT_KEY_INVALID, "key: PEM longer than %d bytes", KEY_TEXT_MAX);
    BIO *memory = BIO_new_mem_buf(pem.len == 0 ? "" : (const char *)pem.data, (int)pem.len);
    AUTO_PKEY EVP_PKEY *pkey =
        memory == NULL ? NULL : PEM_read_bio_PrivateKey(memory, NULL, no_passphrase, NULL);
    BIO_free(memory);
    ERR_clear_error();
    if (pkey == NULL)
        return fault_set(fault, FAULT_KEY_INVALID,
                         "key: expected a private key in PEM without passphrase");
    if (public_key_check(alg, pkey, fault) != 0)
        return -1;
    return key_from_pkey(alg, &pkey, ret_key, fault);
}

int sign_key_from_secret(enum jws_alg alg, struct span secret, struct sign_key **ret_key,
                         struct fault *fault)
{
    /* The verifier's rules, so that nothing is signed that could not be verified. */
    AUTO_TRUST_KEY struct trust_key *verifier = NULL;
    if (trust_key_from_secret(alg, secret, &verifier, fault) != 0)
        return -1;
    AUTO_SIGN_KEY struct sign_key *key = key_new(alg);
    if (key != NULL)
        buf_append(&key->secret, secret.data, secret.len);
    if (key == NULL || buf_failed(&key->secret))
        return fault_set(fault, FAULT_INTERNAL, "key: no memory");
    *ret_key = TAKE(key);
    return 0;
}

int sign_key_private_pem(const struct sign_key *key, struct buf *ret_pem, struct fault *fault)
{
    if (key->pkey == NULL)
        return fault_set(fault, FAULT_KEY_INVALID, "key: %s has no PEM form", key->spec->name);
    BIO *memory = BIO_new(BIO_s_secmem());
    char *text = NULL;
    long len = 0;
    if (memory != NULL &&
        PEM_write_bio_PKCS8PrivateKey(memory, key->pkey, NULL, NULL, 0, NULL, NULL) == 1)
        len = BIO_get_mem_data(memory, &text);
    if (len > 0)
        buf_append(ret_pem, text, (size_t)len);
    BIO_free(memory);
    if (len <= 0 || buf_failed(ret_pem)) {
        ERR_clear_error();
        return fault_set(fault, FAULT_INTERNAL, "key: could not be written as PEM");
    }
    return 0;
}

int sign_key_public_pem(const struct sign_key *key, struct buf *ret_pem, struct fault *fault)
{
    if (key->pkey == NULL)
        return fault_set(fault, FAULT_KEY_INVALID, "key: %s has no public half", key->spec->name);
    return public_key_pem(key->pkey, ret_pem, fault);
}

enum jws_alg sign_key_alg(const struct sign_key *key)
{
    return key->alg;
}

/* DER ECDSA-Sig-Value to r||s of fixed width (RFC 7518 section 3.4); 0 where it is not one. */
static size_t ecdsa_raw(const uint8_t *der, size_t der_len, size_t raw_len, uint8_t *ret_raw)
{
    const unsigned char *at = der;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)der_len);
    int half = (int)(raw_len / 2);
    bool good = pair != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(pair), ret_raw, half) == half &&
                BN_bn2binpad(ECDSA_SIG_get0_s(pair), ret_raw + half, half) == half;
    ECDSA_SIG_free(pair);
    return good ? raw_len : 0;
}

/* The signature's length; 0 on failure. */
static size_t sign_public(const struct sign_key *key, struct span input,
                          uint8_t ret_signature[SIGNATURE_MAX])
{
    uint8_t made[SIGNATURE_MAX];
    size_t len = sizeof made;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    EVP_PKEY_CTX *parameters = NULL; /* owned by context */
    bool pss = key->spec->family == JWS_RSA_PSS;
    bool good =
        context != NULL &&
        EVP_DigestSignInit_ex(context, &parameters, key->spec->hash, NULL, NULL, key->pkey, NULL) ==
            1 &&
        (!pss || (EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) == 1 &&
                  EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST) == 1)) &&
        EVP_DigestSign(context, made, &len, input.data, input.len) == 1;
    EVP_MD_CTX_free(context);
    if (!good)
        return 0;
    if (key->spec->family == JWS_ECDSA)
        return ecdsa_raw(made, len, key->spec->signature_len, ret_signature);
    memcpy(ret_signature, made, len);
    return len;
}

static size_t sign_secret(const struct sign_key *key, struct span input,
                          uint8_t ret_signature[SIGNATURE_MAX])
{
    size_t len = 0;
    const unsigned char *mac =
        EVP_Q_mac(NULL, "HMAC", NULL, key->spec->hash, NULL, key->secret.data, key->secret.len,
                  input.data, input.len, ret_signature, SIGNATURE_MAX, &len);
    return mac == NULL ? 0 : len;
}

int token_sign_raw(const struct sign_key *key, struct span header, struct span payload,
                   struct buf *ret_token, struct fault *fault)
{
    AUTO_BUF struct buf text = BUF(ret_token->max);
    base64url_encode(&text, header.data, header.len);
    buf_puts(&text, ".");
    base64url_encode(&text, payload.data, payload.len);
    uint8_t signature[SIGNATURE_MAX];
    size_t len = 0;
    if (!buf_failed(&text))
        len = key->pkey != NULL ? sign_public(key, buf_span(&text), signature)
                                : sign_secret(key, buf_span(&text), signature);
    if (!buf_failed(&text) && len == 0) {
        ERR_clear_error();
        return fault_set(fault, FAULT_INTERNAL, "token: signing failed");
    }
    buf_puts(&text, ".");
    base64url_encode(&text, signature, len);
    if (buf_failed(&text) || text.len > ret_token->max - ret_token->len)
        return fault_set(fault, FAULT_TOO_LARGE, "token: longer than %zu bytes",
                         ret_token->max - ret_token->len);
    buf_append(ret_token, text.data, text.len);
    return buf_failed(ret_token) ? fault_set(fault, FAULT_INTERNAL, "token: no memory") : 0;
}

int token_sign(const struct sign_key *key, const char *kid, const char *typ, struct span payload,
               struct buf *ret_token, struct fault *fault)
{
    AUTO_JSON json_t *header =
        json_pack("{s:s, s:s*, s:s*}", "alg", key->spec->name, "kid", kid, "typ", typ);
    AUTO_BUF struct buf text = BUF(4096);
    if (header == NULL)
        return fault_set(fault, FAULT_MALFORMED_TOKEN, "header: expected kid and typ in UTF-8");
    json_append(&text, header);
    if (buf_failed(&text))
        return fault_set(fault, FAULT_MALFORMED_TOKEN, "header: longer than %zu bytes", text.max);
    return token_sign_raw(key, buf_span(&text), payload, ret_token, fault);
}

void sign_key_free(struct sign_key *key)
{
    if (key == NULL)
        return;
    EVP_PKEY_free(key->pkey);
    OPENSSL_cleanse(key->secret.data, key->secret.len);
    buf_free(&key->secret);
    free(key);
}

void sign_key_cleanup(struct sign_key **key)
{
    sign_key_free(*key);
}
