/* SPDX-License-Identifier: Apache-2.0 */
/* What a JWK says of itself, and JWK Sets (RFC 7517 section 5): every key of one judged as a new
 * key is, or none taken. */
#pragma once

#include "base/fault.h"
#include "base/json.h"
#include "trust/alg.h"
#include "trust/token.h"

/* Each key may cost 150 ms to judge, so a set is short. */
#define JWK_SET_MAX 16

struct jwk_label {
    char kid[TOKEN_KID_MAX + 1]; /* "" where it has none */
    bool has_alg;
    enum jws_alg alg; /* what it says, or what its crv leaves no choice about */
};

struct jwk_entry {
    char kid[TOKEN_KID_MAX + 1];
    enum jws_alg alg;
    struct buf pem; /* its SPKI form */
};

struct jwk_set {
    size_t count;
    struct jwk_entry entries[JWK_SET_MAX];
};

#define AUTO_JWK_SET AUTO(jwk_set_cleanup)

/* Name and algorithm of one JWK; `prefix` begins the fault's sentence ("jwk."). FAULT_KEY_INVALID
 * where a kid is there that no token can carry, or an alg that is not known here. Whether it is a
 * key at all is not asked. */
int jwk_label_read(const json_t *jwk, const char *prefix, struct jwk_label *ret_label,
                   struct fault *fault) MUST_CHECK;

/* Reads {"keys": [...]} and judges each key as trust_key_from_jwk() does. FAULT_KEY_INVALID names
 * the key and its member ("jwks.keys[2].x") where one is not sound, has no kid, has the kid of
 * another, or leaves its algorithm open (RSA without alg). Nothing is skipped, whatever RFC 7517
 * allows: a set is taken as a whole or not at all. A secret (kty oct) is always refused: sets are
 * published, secrets are not. */
int jwk_set_read(const json_t *set, struct jwk_set **ret_set, struct fault *fault) MUST_CHECK;
void jwk_set_free(struct jwk_set *set);
void jwk_set_cleanup(struct jwk_set **set);
