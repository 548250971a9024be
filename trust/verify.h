/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proving a token's bytes. Two backends serve behind one interface (backend.h inside);
 * which one is a setting per family, except that what libjwt can't serve goes to EVP.
 */
#pragma once

#include "trust/key.h"
#include "trust/token.h"

enum verify_engine { VERIFY_EVP, VERIFY_LIBJWT };

/* Zero is not the default: verify_policy_default() is EVP for asymmetric, libjwt for HMAC. */
struct verify_policy {
    enum verify_engine asymmetric;
    enum verify_engine hmac;
};

struct verify_policy verify_policy_default(void);

/* The one sentence of every refusal: unknown, revoked or foreign key, and bad signature alike. */
#define VERIFY_REFUSAL "no valid signature by a key that this tenant trusts"

/* 0 only if the token's signature over its exact signing input is valid under this key and the
 * header's alg is the key's. Otherwise FAULT_SIGNATURE_INVALID with one fixed sentence, the same
 * for every cause (a key of NULL, i.e. unknown kid, included: it costs a real verification of the
 * claimed algorithm so that time tells nothing). */
int token_verify(const struct token *token, const struct trust_key *key,
                 struct verify_policy policy, struct fault *fault) MUST_CHECK;
