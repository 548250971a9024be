/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys in files: private PEM and secrets to sign with, public PEM, certificates, JWK and
 * secrets to verify with. A secret is the file's exact bytes. Where no algorithm is named the key
 * chooses it, as far as it leaves no choice; a token never does.
 */
#pragma once

#include "base/json.h"
#include "trust/key.h"
#include "trust/sign.h"
#include "trust/token.h"

/* "ES256" to its algorithm; FAULT_MALFORMED_REQUEST otherwise. */
int keyfile_alg(const char *name, enum jws_alg *ret_alg, struct fault *fault) MUST_CHECK;

/* A private PEM; only its owner may read the file. `alg` NULL: the one that fits. */
int keyfile_signer(const char *path, const char *alg, struct sign_key **ret_key,
                   struct fault *fault) MUST_CHECK;

/* An HMAC secret; only its owner may read the file. */
int keyfile_secret_signer(const char *path, const char *alg, struct sign_key **ret_key,
                          struct fault *fault) MUST_CHECK;

/* Does a token verify with the key of this file? `jwk`: the file is a JWK, else PEM (or, with an
 * HMAC algorithm, a secret). `alg` NULL: any that fits the key itself. FAULT_SIGNATURE_INVALID
 * where it does not, FAULT_KEY_INVALID where the file holds no key. */
int keyfile_verify(const char *path, bool jwk, const char *alg, const struct token *token,
                   struct fault *fault) MUST_CHECK;

/* The body of POST /v1/keys for the key of this file, checked here first: {"kid", "alg"} and
 * public_pem, jwk or secret. A private key is refused, so that none is ever sent. `kid` and `alg`
 * may be NULL where the file is a JWK that says them; a `kid` that is given wins, an `alg` must
 * fit. */
int keyfile_offer(const char *path, const char *kid, const char *alg, json_t **ret_offer,
                  struct fault *fault) MUST_CHECK;

/* The same for a JWK Set: {"jwks": {"keys": [...]}}. */
int keyfile_offer_set(const char *path, json_t **ret_offer, struct fault *fault) MUST_CHECK;
