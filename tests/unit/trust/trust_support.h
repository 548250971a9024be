/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of trust/ share: a signer for each algorithm, and what "refused" means. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/encode.h"
#include "base/file.h"
#include "trust/backend.h"
#include "trust/sign.h"
#include "trust/token.h"
#include "trust/verify.h"

#include <string.h>

/* As long as HS512 asks. */
#define TEST_SECRET "a secret of the tests: 64 bytes, since that is what HS512 asks for"

#define TEST_PAYLOAD "{\"a\":1}"

struct signer {
    enum jws_alg alg;
    struct sign_key *sign;
    struct trust_key *key;
    struct buf pem; /* the public half; empty for HMAC */
};

static const struct verify_policy both_engines[] = {
    {.asymmetric = VERIFY_EVP, .hmac = VERIFY_EVP},
    {.asymmetric = VERIFY_LIBJWT, .hmac = VERIFY_LIBJWT},
};

static inline void buf_read(const char *name, struct buf *ret_bytes)
{
    char path[512];
    struct fault fault = {0};
    (void)snprintf(path, sizeof path, "%s/%s", TEST_DATA, name);
    if (file_read(path, ret_bytes, &fault) != 0)
        fail_msg("%s", fault.detail);
}

static inline struct signer signer_new(enum jws_alg alg)
{
    static const char *const files[JWS_ALG_COUNT] = {
        [JWS_RS256] = "jws/rsa2048.key.pem", [JWS_PS256] = "jws/rsa2048.key.pem",
        [JWS_ES256] = "jws/p256.key.pem",    [JWS_ES384] = "jws/p384.key.pem",
        [JWS_EDDSA] = "jws/ed25519.key.pem",
    };
    struct signer signer = {.alg = alg, .pem = BUF(8192)};
    struct fault fault = {0};
    if (jws_alg_is_hmac(alg)) {
        if (sign_key_from_secret(alg, span_text(TEST_SECRET), &signer.sign, &fault) != 0 ||
            trust_key_from_secret(alg, span_text(TEST_SECRET), &signer.key, &fault) != 0)
            fail_msg("%s", fault.detail);
        return signer;
    }
    AUTO_BUF struct buf pem = BUF(8192);
    buf_read(files[alg], &pem);
    if (sign_key_from_pem(alg, buf_span(&pem), &signer.sign, &fault) != 0 ||
        sign_key_public_pem(signer.sign, &signer.pem, &fault) != 0 ||
        trust_key_from_pem(alg, buf_span(&signer.pem), &signer.key, &fault) != 0)
        fail_msg("%s: %s", files[alg], fault.detail);
    return signer;
}

static inline void signer_cleanup(struct signer *signer)
{
    sign_key_free(signer->sign);
    trust_key_free(signer->key);
    buf_free(&signer->pem);
}
#define AUTO_SIGNER AUTO(signer_cleanup)

/* A token over exactly this header. */
static inline struct buf token_over(const struct signer *signer, const char *header,
                                    struct span payload)
{
    struct buf text = BUF(16 * 1024 * 1024);
    struct fault fault = {0};
    if (token_sign_raw(signer->sign, span_text(header), payload, &text, &fault) != 0)
        fail_msg("%s", fault.detail);
    return text;
}

static inline struct buf token_plain(const struct signer *signer)
{
    char header[64];
    (void)snprintf(header, sizeof header, "{\"alg\":\"%s\"}", jws_alg_name(signer->alg));
    return token_over(signer, header, span_text(TEST_PAYLOAD));
}

/* The token with its last part replaced by these bytes. */
static inline struct buf with_signature(struct span token, struct span signature)
{
    struct buf text = BUF(TOKEN_MAX);
    const uint8_t *dot = memrchr(token.data, '.', token.len);
    buf_append(&text, token.data, (size_t)(dot - token.data) + 1);
    base64url_encode(&text, signature.data, signature.len);
    assert_false(buf_failed(&text));
    return text;
}

/* 0 where the text parses and is proven, otherwise -1. */
static inline int prove(struct span text, const struct trust_key *key, struct verify_policy policy,
                        struct fault *fault)
{
    AUTO_TOKEN struct token *token = NULL;
    if (token_parse(text, &token, fault) != 0)
        return -1;
    return token_verify(token, key, policy, fault);
}

static inline void assert_accepted(struct span text, const struct trust_key *key)
{
    for (size_t i = 0; i < ARRAY_LEN(both_engines); i++) {
        struct fault fault = {0};
        if (prove(text, key, both_engines[i], &fault) != 0)
            fail_msg("engine %zu refused a good token: %s", i, fault.detail);
        assert_int_equal(fault.code, FAULT_NONE);
    }
}

/* The parser refuses it, with this word in the sentence. */
static inline void assert_malformed(struct span text, const char *word)
{
    AUTO_TOKEN struct token *token = NULL;
    struct fault fault = {0};
    assert_int_equal(token_parse(text, &token, &fault), -1);
    assert_null(token);
    assert_int_equal(fault.code, FAULT_MALFORMED_TOKEN);
    if (strstr(fault.detail, word) == NULL)
        fail_msg("'%s' does not say '%s'", fault.detail, word);
}

/* Its form is good, and both engines refuse it with the one sentence. */
static inline void assert_forged(struct span text, const struct trust_key *key)
{
    AUTO_TOKEN struct token *token = NULL;
    struct fault fault = {0};
    if (token_parse(text, &token, &fault) != 0)
        fail_msg("not even well-formed: %s", fault.detail);
    for (size_t i = 0; i < ARRAY_LEN(both_engines); i++) {
        fault = (struct fault){0};
        assert_int_equal(token_verify(token, key, both_engines[i], &fault), -1);
        assert_int_equal(fault.code, FAULT_SIGNATURE_INVALID);
        assert_string_equal(fault.detail, VERIFY_REFUSAL);
    }
}

/* Either of the two. */
static inline void assert_refused(struct span text, const struct trust_key *key)
{
    for (size_t i = 0; i < ARRAY_LEN(both_engines); i++) {
        struct fault fault = {0};
        assert_int_equal(prove(text, key, both_engines[i], &fault), -1);
        assert_true(fault.code == FAULT_MALFORMED_TOKEN || fault.code == FAULT_SIGNATURE_INVALID ||
                    fault.code == FAULT_TOO_LARGE);
    }
}
