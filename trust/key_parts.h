/* SPDX-License-Identifier: Apache-2.0 */
/* Inside trust/ only: what a verification key is made of, and how its sources share the work. */
#pragma once

#include "base/json.h"
#include "trust/key.h"

#include <openssl/evp.h>
#include <stdatomic.h>

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192
#define RSA_EXPONENT_BITS_MAX 64
#define HMAC_SECRET_MAX 1024
#define KEY_TEXT_MAX (16 * 1024) /* a PEM or JWK text; a certificate is the longest */

/* Nothing in it changes after its birth but the count of owners. OpenSSL's fetched algorithms
 * and an EVP_PKEY that is only read may be used from many threads; contexts may not, so each
 * verification makes its own. */
struct trust_key {
    enum jws_alg alg;
    atomic_uint owners;
    size_t signature_len; /* bytes a signature has under this key */
    EVP_PKEY *pkey;       /* NULL for HMAC */
    EVP_MD *hash;         /* NULL for EdDSA */
    EVP_MAC *hmac;        /* NULL but for HMAC */
    struct buf pem;       /* SPKI, for the backend that parses at every call; empty for HMAC */
    struct buf secret;    /* cleansed when freed */
};

/* A key around a public key that nobody has checked yet; takes pkey over only on success. */
int trust_key_from_pkey(enum jws_alg alg, EVP_PKEY **pkey, struct trust_key **ret_key,
                        struct fault *fault) MUST_CHECK;

/* The same without the check, for keys that this source code holds itself. */
int trust_key_around(enum jws_alg alg, EVP_PKEY **pkey, struct trust_key **ret_key,
                     struct fault *fault) MUST_CHECK;

/* One JWK and what its faults begin with: "jwk.", or its place in a set, "jwks.keys[2].". */
struct jwk {
    const json_t *members;
    const char *prefix;
};

/* trust_key_from_jwk() of members that are parsed already. */
int trust_key_from_members(enum jws_alg alg, const struct jwk *jwk, struct trust_key **ret_key,
                           struct buf *ret_pem, struct fault *fault) MUST_CHECK;

/* Type, curve, size and known weaknesses: FAULT_KEY_INVALID unless the key fits alg and is sound.
 */
int public_key_check(enum jws_alg alg, EVP_PKEY *pkey, struct fault *fault) MUST_CHECK;

/* All of that but the one thing that is dear: whether an RSA modulus is composite (5 ms for 2,048
 * bits, 150 ms for 8,192). For keys that passed public_key_check() when they were taken. */
int public_key_recheck(enum jws_alg alg, EVP_PKEY *pkey, struct fault *fault) MUST_CHECK;

/* Appends the SPKI PEM form. */
int public_key_pem(const EVP_PKEY *pkey, struct buf *ret_pem, struct fault *fault) MUST_CHECK;

/* True if these 32 bytes are the canonical form of a curve point that is not of small order
 * (RFC 8032 section 5.1.3; the eight small-order points make signatures mean nothing). */
bool edwards_point_valid(const uint8_t point[32]);

/* A key of this algorithm that nobody holds the private half of, to spend the time of a
 * verification on. signature_len chooses the size for RSA. Borrowed, lives for ever; NULL where
 * it could not be made. */
const struct trust_key *stand_in_key(enum jws_alg alg, size_t signature_len);

static inline void pkey_cleanup(EVP_PKEY **pkey)
{
    EVP_PKEY_free(*pkey);
}
#define AUTO_PKEY AUTO(pkey_cleanup)
