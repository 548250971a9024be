/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/alg.h"

#include <string.h>

static const struct jws_alg_spec specs[JWS_ALG_COUNT] = {
    [JWS_HS256] = {.name = "HS256",
                   .family = JWS_HMAC,
                   .hash = "SHA256",
                   .hash_len = 32,
                   .signature_len = 32},
    [JWS_HS384] = {.name = "HS384",
                   .family = JWS_HMAC,
                   .hash = "SHA384",
                   .hash_len = 48,
                   .signature_len = 48},
    [JWS_HS512] = {.name = "HS512",
                   .family = JWS_HMAC,
                   .hash = "SHA512",
                   .hash_len = 64,
                   .signature_len = 64},
    [JWS_RS256] = {.name = "RS256",
                   .family = JWS_RSA_PKCS1,
                   .hash = "SHA256",
                   .key_type = "RSA",
                   .hash_len = 32},
    [JWS_PS256] = {.name = "PS256",
                   .family = JWS_RSA_PSS,
                   .hash = "SHA256",
                   .key_type = "RSA",
                   .hash_len = 32},
    [JWS_ES256] = {.name = "ES256",
                   .family = JWS_ECDSA,
                   .hash = "SHA256",
                   .key_type = "EC",
                   .group = "prime256v1",
                   .crv = "P-256",
                   .hash_len = 32,
                   .signature_len = 64},
    [JWS_ES384] = {.name = "ES384",
                   .family = JWS_ECDSA,
                   .hash = "SHA384",
                   .key_type = "EC",
                   .group = "secp384r1",
                   .crv = "P-384",
                   .hash_len = 48,
                   .signature_len = 96},
    [JWS_EDDSA] = {.name = "EdDSA",
                   .family = JWS_EDWARDS,
                   .key_type = "ED25519",
                   .crv = "Ed25519",
                   .signature_len = 64},
};

const struct jws_alg_spec *jws_alg_spec(enum jws_alg alg)
{
    return (unsigned)alg < JWS_ALG_COUNT ? &specs[alg] : NULL;
}

const char *jws_alg_name(enum jws_alg alg)
{
    const struct jws_alg_spec *spec = jws_alg_spec(alg);
    return spec == NULL ? "" : spec->name;
}

int jws_alg_parse(const char *name, enum jws_alg *ret_alg)
{
    for (int i = 0; i < JWS_ALG_COUNT; i++)
        if (strcmp(name, specs[i].name) == 0) {
            *ret_alg = (enum jws_alg)i;
            return 0;
        }
    return -1;
}

bool jws_alg_is_hmac(enum jws_alg alg)
{
    const struct jws_alg_spec *spec = jws_alg_spec(alg);
    return spec != NULL && spec->family == JWS_HMAC;
}
