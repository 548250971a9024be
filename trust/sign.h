/* SPDX-License-Identifier: Apache-2.0 */
/* Making compact JWS: for the client and for tests; the daemons only verify. */
#pragma once

#include "base/fault.h"
#include "trust/alg.h"

struct sign_key;
#define AUTO_SIGN_KEY AUTO(sign_key_cleanup)

/* A fresh private key; asymmetric algorithms only (RSA: 3072 bits). */
int sign_key_generate(enum jws_alg alg, struct sign_key **ret_key, struct fault *fault) MUST_CHECK;
/* From a PKCS#8 (or SEC1, PKCS#1) private PEM without passphrase. */
int sign_key_from_pem(enum jws_alg alg, struct span pem, struct sign_key **ret_key,
                      struct fault *fault) MUST_CHECK;
int sign_key_from_secret(enum jws_alg alg, struct span secret, struct sign_key **ret_key,
                         struct fault *fault) MUST_CHECK;
/* PKCS#8 private PEM, SPKI public PEM. FAULT_KEY_INVALID for HMAC. */
int sign_key_private_pem(const struct sign_key *key, struct buf *ret_pem,
                         struct fault *fault) MUST_CHECK;
int sign_key_public_pem(const struct sign_key *key, struct buf *ret_pem,
                        struct fault *fault) MUST_CHECK;
enum jws_alg sign_key_alg(const struct sign_key *key);

/* Appends the compact token over {"alg","kid" where not NULL,"typ" where not NULL}.
 * FAULT_TOO_LARGE where it does not fit ret_token: give that a maximum of TOKEN_MAX. */
int token_sign(const struct sign_key *key, const char *kid, const char *typ, struct span payload,
               struct buf *ret_token, struct fault *fault) MUST_CHECK;
/* The same over exactly these header bytes, whatever they say. */
int token_sign_raw(const struct sign_key *key, struct span header, struct span payload,
                   struct buf *ret_token, struct fault *fault) MUST_CHECK;

/* NULL-safe. */
void sign_key_free(struct sign_key *key);
void sign_key_cleanup(struct sign_key **key);
