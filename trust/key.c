/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/key.h"

#include "trust/key_parts.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

#define SECRET_BYTES_MIN 8 /* different ones */

static struct trust_key *key_new(const struct jws_alg_spec *spec, enum jws_alg alg)
{
    AUTO_TRUST_KEY struct trust_key *key = calloc(1, sizeof *key);
    if (key == NULL)
        return NULL;
    key->alg = alg;
    atomic_init(&key->owners, 1);
    key->signature_len = spec->signature_len;
    key->pem = BUF(KEY_TEXT_MAX);
    key->secret = BUF(HMAC_SECRET_MAX);
    if (spec->hash != NULL && (key->hash = EVP_MD_fetch(NULL, spec->hash, NULL)) == NULL)
        return NULL;
    if (spec->family == JWS_HMAC && (key->hmac = EVP_MAC_fetch(NULL, "HMAC", NULL)) == NULL)
        return NULL;
    return TAKE(key);
}

int public_key_pem(const EVP_PKEY *pkey, struct buf *ret_pem, struct fault *fault)
{
    BIO *memory = BIO_new(BIO_s_mem());
    char *text = NULL;
    long len = 0;
    if (memory != NULL && PEM_write_bio_PUBKEY(memory, pkey) == 1)
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

int trust_key_around(enum jws_alg alg, EVP_PKEY **pkey, struct trust_key **ret_key,
                     struct fault *fault)
{
    AUTO_TRUST_KEY struct trust_key *key = key_new(jws_alg_spec(alg), alg);
    if (key == NULL)
        return fault_set(fault, FAULT_INTERNAL, "key: no memory");
    if (public_key_pem(*pkey, &key->pem, fault) != 0)
        return -1;
    if (key->signature_len == 0)
        key->signature_len = (size_t)EVP_PKEY_get_size(*pkey);
    key->pkey = TAKE(*pkey);
    *ret_key = TAKE(key);
    return 0;
}

int trust_key_from_pkey(enum jws_alg alg, EVP_PKEY **pkey, struct trust_key **ret_key,
                        struct fault *fault)
{
    if (public_key_check(alg, *pkey, fault) != 0)
        return -1;
    return trust_key_around(alg, pkey, ret_key, fault);
}

/* A secret that anyone can look up is the algorithm confusion attack waiting to happen: a public
 * key handed in as an HMAC secret. */
static bool is_public_key(struct span secret)
{
    static const char pem[] = "-----BEGIN ";
    if (memmem(secret.data, secret.len, pem, sizeof pem - 1) != NULL)
        return true;
    const unsigned char *at = secret.data;
    AUTO_PKEY EVP_PKEY *pkey = d2i_PUBKEY(NULL, &at, (long)secret.len);
    ERR_clear_error();
    if (pkey != NULL)
        return true;
    AUTO_JSON json_t *jwk = json_loadb((const char *)secret.data, secret.len, 0, NULL);
    return json_object_get(jwk, "kty") != NULL;
}

/* Few different bytes: of 32 random ones there are at least 8, but for one time in 10^36. */
static bool has_little_in_it(struct span secret)
{
    bool seen[256] = {false};
    int different = 0;
    for (size_t i = 0; i < secret.len; i++) {
        different += !seen[secret.data[i]];
        seen[secret.data[i]] = true;
    }
    return different < SECRET_BYTES_MIN;
}

/* What says a shorter text at least twice is worth no more than that. */
static bool repeats_itself(struct span secret, size_t least)
{
    for (size_t period = 1; period < least && period <= secret.len / 2; period++)
        if (memcmp(secret.data, secret.data + period, secret.len - period) == 0)
            return true;
    return false;
}

int trust_key_from_secret(enum jws_alg alg, struct span secret, struct trust_key **ret_key,
                          struct fault *fault)
{
    const struct jws_alg_spec *spec = jws_alg_spec(alg);
    if (spec == NULL || spec->family != JWS_HMAC)
        return fault_set(fault, FAULT_KEY_INVALID, "secret: expected an HMAC algorithm");
    if (secret.len < spec->hash_len || secret.len > HMAC_SECRET_MAX)
        return fault_set(fault, FAULT_KEY_INVALID, "secret: expected %zu to %d bytes for %s",
                         spec->hash_len, HMAC_SECRET_MAX, spec->name);
    if (has_little_in_it(secret) || repeats_itself(secret, spec->hash_len))
        return fault_set(fault, FAULT_KEY_INVALID,
                         "secret: can be guessed: fewer than %d different bytes, or a shorter text "
                         "repeated",
                         SECRET_BYTES_MIN);
    if (is_public_key(secret))
        return fault_set(fault, FAULT_KEY_INVALID,
                         "secret: is a public or encoded key, which is no secret");
    AUTO_TRUST_KEY struct trust_key *key = key_new(spec, alg);
    if (key == NULL)
        return fault_set(fault, FAULT_INTERNAL, "secret: no memory");
    buf_append(&key->secret, secret.data, secret.len);
    if (buf_failed(&key->secret))
        return fault_set(fault, FAULT_INTERNAL, "secret: no memory");
    *ret_key = TAKE(key);
    return 0;
}

enum jws_alg trust_key_alg(const struct trust_key *key)
{
    return key->alg;
}

struct trust_key *trust_key_ref(struct trust_key *key)
{
    if (key != NULL)
        atomic_fetch_add_explicit(&key->owners, 1, memory_order_relaxed);
    return key;
}

void trust_key_free(struct trust_key *key)
{
    if (key == NULL || atomic_fetch_sub_explicit(&key->owners, 1, memory_order_acq_rel) != 1)
        return;
    EVP_PKEY_free(key->pkey);
    EVP_MD_free(key->hash);
    EVP_MAC_free(key->hmac);
    buf_free(&key->pem);
    OPENSSL_cleanse(key->secret.data, key->secret.len);
    buf_free(&key->secret);
    free(key);
}

void trust_key_cleanup(struct trust_key **key)
{
    trust_key_free(*key);
}
