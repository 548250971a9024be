/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One verification key: parsed once, pinned to one algorithm, immutable and safe to use from
 * any thread at once.
 */
#pragma once

#include "base/fault.h"
#include "trust/alg.h"

struct trust_key;
#define AUTO_TRUST_KEY AUTO(trust_key_cleanup)

/* What a key is for is the caller's word (alg), never the key's or a token's: alg must be pinned in
 * the key record. To take a key costs up to 150 ms (RSA of 8,192 bits), to reopen it one: a key
 * that was taken is never taken again because somebody named it. */

/* From an SPKI public key or a certificate in PEM (RFC 7468). FAULT_KEY_INVALID where the key
 * does not fit the algorithm exactly (type, named curve), is weak (RSA < 2048 or > 8192 bits, an
 * exponent that is even, below 65537 or of more than 64 bits, a small factor, the ROCA generator;
 * an Ed25519 point of small order), is off the curve, is private, or is more than one object. The
 * text begins with its BEGIN line. Of a certificate only the key is taken: its dates, names and
 * issuer are not asked, since the key record says how long and for whom it is trusted. */
int trust_key_from_pem(enum jws_alg alg, struct span pem, struct trust_key **ret_key,
                       struct fault *fault) MUST_CHECK;

/* The same from a PEM that was taken before and has been kept since, as a key record is: all is
 * asked again but whether an RSA modulus is composite. That is dear, and whoever may submit could
 * have it asked with every token, by naming one kid after another. */
int trust_key_reopen(enum jws_alg alg, struct span pem, struct trust_key **ret_key,
                     struct fault *fault) MUST_CHECK;

/* From a public JWK (RFC 7517) of kty EC, RSA or OKP; `alg`, `use` and `key_ops`, where present,
 * must fit; a private member (d, p, q, k ...) is refused. ret_pem receives the SPKI PEM form. */
int trust_key_from_jwk(enum jws_alg alg, struct span jwk, struct trust_key **ret_key,
                       struct buf *ret_pem, struct fault *fault) MUST_CHECK;

/* Appends the secret of a symmetric JWK (kty oct), for trust_key_from_secret(); the same rules for
 * `alg`, `use` and `key_ops`. Clear ret_secret with OPENSSL_cleanse after use. */
int trust_secret_from_jwk(enum jws_alg alg, struct span jwk, struct buf *ret_secret,
                          struct fault *fault) MUST_CHECK;

/* An HMAC secret of at least the hash's length and at most 1 KiB (RFC 7518 section 3.2), not
 * guessable at sight (fewer than 8 different bytes, or a shorter text repeated), and not the text
 * of a key (PEM, SPKI, JWK): a public key is no secret. */
int trust_key_from_secret(enum jws_alg alg, struct span secret, struct trust_key **ret_key,
                          struct fault *fault) MUST_CHECK;

/* Spends the time of reopening a key of this algorithm, for a token whose key is not there to be
 * opened; signature_len says how large an RSA key would be. */
void trust_key_rehearse(enum jws_alg alg, size_t signature_len);

enum jws_alg trust_key_alg(const struct trust_key *key);

/* Reference counted: _ref gives another owner, _free gives one up. NULL-safe. */
struct trust_key *trust_key_ref(struct trust_key *key);
void trust_key_free(struct trust_key *key);
void trust_key_cleanup(struct trust_key **key);
