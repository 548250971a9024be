/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte picks the algorithm, the rest is a JWK or a set. A key that is taken has a PEM
 * form that is taken as well and writes the same. */
#include "trust/jwks.h"
#include "trust/key.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth)
{
    if (!truth)
        abort();
}

static void check_key(enum jws_alg alg, struct span jwk)
{
    AUTO_TRUST_KEY struct trust_key *key = NULL, *again = NULL;
    AUTO_BUF struct buf pem = BUF(16384), secret = BUF(1024);
    struct fault fault = {0};
    if (trust_key_from_jwk(alg, jwk, &key, &pem, &fault) == 0) {
        require(trust_key_alg(key) == alg);
        /* OpenSSL looks for a modulus's factors by chance, so a bad one may pass once only. */
        bool rsa = alg == JWS_RS256 || alg == JWS_PS256;
        require(trust_key_from_pem(alg, buf_span(&pem), &again, &fault) == 0 ||
                (rsa && fault.code == FAULT_KEY_INVALID));
    } else
        require(key == NULL && pem.len == 0 && fault.code == FAULT_KEY_INVALID);
    if (trust_secret_from_jwk(alg, jwk, &secret, &fault) == 0)
        require(jws_alg_is_hmac(alg) && secret.len > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct span text = span_of(data + 1, size - 1);
    check_key((enum jws_alg)(data[0] % JWS_ALG_COUNT), text);
    AUTO_JSON json_t *object = NULL;
    AUTO_JWK_SET struct jwk_set *set = NULL;
    if (json_object_parse(text, FAULT_KEY_INVALID, "jwks", &object, NULL) != 0 ||
        jwk_set_read(object, &set, NULL) != 0)
        return 0;
    require(set->count >= 1 && set->count <= JWK_SET_MAX);
    for (size_t i = 0; i < set->count; i++) {
        AUTO_TRUST_KEY struct trust_key *key = NULL;
        require(token_kid_valid(set->entries[i].kid));
        require(trust_key_reopen(set->entries[i].alg, buf_span(&set->entries[i].pem), &key, NULL) ==
                0);
    }
    return 0;
}
