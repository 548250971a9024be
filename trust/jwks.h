/* SPDX-License-Identifier: Apache-2.0 */
/* A JWK Set (RFC 7517 section 5) taken apart; trust_key_from_jwk() then judges each key. */
#pragma once

#include "base/fault.h"
#include "trust/alg.h"
#include "trust/token.h"

#define JWK_SET_MAX 64                /* keys */
#define JWK_SET_TEXT_MAX (256 * 1024) /* bytes */

struct jwk_entry {
    char kid[TOKEN_KID_MAX + 1]; /* "" where a single JWK has none */
    enum jws_alg alg;            /* what it says, or what its kty and crv leave no choice about */
    struct span jwk;             /* its compact JSON */
};

struct jwk_set {
    size_t count;
    struct jwk_entry *entries;
};

#define AUTO_JWK_SET AUTO(jwk_set_cleanup)

/* Reads {"keys": [...]}, or one JWK as a set of one. FAULT_KEY_INVALID names the key
 * ("keys[2].kid") where the set is empty or too large, a kid is missing (but for one JWK alone),
 * not of the form a token can carry or there twice, or an RSA key has no alg. Nothing is skipped: a
 * set is taken as a whole or not at all. */
int jwk_set_parse(struct span text, struct jwk_set **ret_set, struct fault *fault) MUST_CHECK;
void jwk_set_free(struct jwk_set *set);
void jwk_set_cleanup(struct jwk_set **set);
