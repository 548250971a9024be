/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/verify.h"

#include "trust/backend.h"

#include <string.h>

struct verify_policy verify_policy_default(void)
{
    return (struct verify_policy){.asymmetric = VERIFY_EVP, .hmac = VERIFY_LIBJWT};
}

/* By the token alone, so that the choice is the same whatever the key turns out to be. */
static const struct verify_backend *backend_for(const struct token *token,
                                                struct verify_policy policy)
{
    switch (jws_alg_is_hmac(token->alg) ? policy.hmac : policy.asymmetric) {
    case VERIFY_EVP:
        return &backend_evp;
    case VERIFY_LIBJWT:
        return backend_libjwt.serves(token) ? &backend_libjwt : &backend_evp;
    }
    return NULL;
}

/* A verification under a key nobody has, for its cost alone. The answer depends on nothing but
 * the token. Where the signature's form fails for every key of the algorithm there is nothing to
 * hide and nothing is spent; only for RSA does the form depend on the key, so there a signature
 * of another length than the stand-in's is replaced by one of its length. */
static void spend_time(const struct verify_backend *backend, const struct token *token)
{
    const struct trust_key *key = stand_in_key(token->alg, token->signature.len);
    if (key == NULL)
        return;
    uint8_t filler[RSA_BITS_MAX / 8];
    struct token spent = *token;
    bool rsa = jws_alg_spec(token->alg)->signature_len == 0;
    if (rsa && token->signature.len != key->signature_len) {
        memset(filler, 0x55, sizeof filler);
        spent.signature = span_of(filler, key->signature_len);
    }
    if (signature_form_valid(key->alg, key->signature_len, spent.signature))
        (void)backend->verify(&spent, key);
}

int token_verify(const struct token *token, const struct trust_key *key,
                 struct verify_policy policy, struct fault *fault)
{
    const struct verify_backend *backend = backend_for(token, policy);
    if (backend == NULL)
        return fault_set(fault, FAULT_SIGNATURE_INVALID, VERIFY_REFUSAL);
    if (key == NULL || key->alg != token->alg ||
        !signature_form_valid(key->alg, key->signature_len, token->signature)) {
        spend_time(backend, token);
        return fault_set(fault, FAULT_SIGNATURE_INVALID, VERIFY_REFUSAL);
    }
    if (!backend->verify(token, key))
        return fault_set(fault, FAULT_SIGNATURE_INVALID, VERIFY_REFUSAL);
    return 0;
}
