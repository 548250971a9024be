/* SPDX-License-Identifier: Apache-2.0 */
/* Inside trust/ only: what stands behind token_verify(). */
#pragma once

#include "trust/key_parts.h"
#include "trust/token.h"

/* verify_token() has checked, before it calls: key->alg is token->alg, and
 * signature_form_valid(). `verify` answers true only for a valid signature. */
struct verify_backend {
    const char *name;
    bool (*serves)(const struct token *token);
    bool (*verify)(const struct token *token, const struct trust_key *key);
};

extern const struct verify_backend backend_evp;
extern const struct verify_backend backend_libjwt;

/* What a signature must look like before any arithmetic: the exact length; for ECDSA both r and
 * s in [1, n-1] (FIPS 186-4 section 6.4.2); for Ed25519 S < L (RFC 8032 section 5.1.7).
 * signature_len is the key's, which only for RSA says more than alg does. */
bool signature_form_valid(enum jws_alg alg, size_t signature_len, struct span signature);
