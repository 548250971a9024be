/* SPDX-License-Identifier: Apache-2.0 */
/* The signature algorithms we know (RFC 7518 section 3.1, RFC 8037), in one table. */
#pragma once

#include "base/buf.h"

enum jws_alg {
    JWS_HS256,
    JWS_HS384,
    JWS_HS512,
    JWS_RS256,
    JWS_PS256,
    JWS_ES256,
    JWS_ES384,
    JWS_EDDSA,
    JWS_ALG_COUNT
};

enum jws_family { JWS_HMAC, JWS_RSA_PKCS1, JWS_RSA_PSS, JWS_ECDSA, JWS_EDWARDS };

struct jws_alg_spec {
    const char *name;
    enum jws_family family;
    const char *hash;     /* OpenSSL's name; NULL for EdDSA, which hashes inside */
    const char *key_type; /* OpenSSL's name of the key's type; NULL for HMAC */
    const char *group;    /* ECDSA: OpenSSL's name of the curve */
    const char *crv; /* ECDSA and EdDSA: the JWK name of the curve (RFC 7518 section 6.2.1.1) */
    size_t hash_len; /* bytes; 0 for EdDSA */
    size_t signature_len; /* bytes; 0 for RSA, where it is the modulus's */
};

/* "ES256"; exact letter case. "" for a value outside the enum. */
const char *jws_alg_name(enum jws_alg alg);
int jws_alg_parse(const char *name, enum jws_alg *ret_alg) MUST_CHECK;
bool jws_alg_is_hmac(enum jws_alg alg);

/* The algorithm's row; NULL for a value outside the enum. */
const struct jws_alg_spec *jws_alg_spec(enum jws_alg alg);
