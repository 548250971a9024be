/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pitfalls that end when a signature is judged, continued from test_pitfalls_signature.c: the
 * RSA paddings, and what holds for every algorithm. Rows that also need rows of a database (23:
 * whose key a kid names; 24: replay over restarts and races; 25: revocation in flight) are here
 * in their pure part; the rest is the storage's and the system tests'.
 */
#include "forge.h"

#include "trust/verdict.h"

/* block^d mod n of a whole 256-byte block, in place of the token's signature. */
static struct buf raw_rsa(const struct signer *signer, struct span text, const uint8_t block[256])
{
    AUTO_PKEY EVP_PKEY *pkey = private_of(signer);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    uint8_t signature[256];
    size_t len = sizeof signature;
    assert_int_equal(EVP_PKEY_sign_init(context), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(context, RSA_NO_PADDING), 1);
    assert_int_equal(EVP_PKEY_sign(context, signature, &len, block, 256), 1);
    EVP_PKEY_CTX_free(context);
    return with_signature(text, span_of(signature, len));
}

/* 00 type ff..ff 00 info digest rest, the padding cut to make room for the rest. */
static void pkcs1_block(uint8_t ret_block[256], uint8_t type, struct span info,
                        const struct digest *digest, size_t rest)
{
    memset(ret_block, 0xff, 256);
    size_t at = 256 - rest - DIGEST_LEN;
    memset(ret_block + 256 - rest, 0, rest);
    memcpy(ret_block + at, digest->bytes, DIGEST_LEN);
    at -= info.len;
    memcpy(ret_block + at, info.data, info.len);
    ret_block[at - 1] = 0;
    ret_block[0] = 0;
    ret_block[1] = type;
}

static void row_09_pkcs1_padding_variants(void **state)
{
    (void)state;
    static const uint8_t right[] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                    0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};
    static const uint8_t no_null[] = {0x30, 0x2f, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48,
                                      0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x04, 0x20};
    static const uint8_t other_hash[] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                         0x65, 0x03, 0x04, 0x02, 0x06, 0x05, 0x00, 0x04, 0x20};
    static const uint8_t long_form[] = {0x30, 0x81, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48,
                                        0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};
    AUTO_SIGNER struct signer signer = signer_new(JWS_RS256);
    AUTO_BUF struct buf text = token_plain(&signer);
    AUTO_TOKEN struct token *token = NULL;
    assert_int_equal(token_parse(buf_span(&text), &token, NULL), 0);
    const struct digest digest = token->signing_digest;
    uint8_t block[256];
    pkcs1_block(block, 1, span_of(right, sizeof right), &digest, 0);
    AUTO_BUF struct buf good = raw_rsa(&signer, buf_span(&text), block);
    assert_accepted(buf_span(&good), signer.key); /* so the others fail for their own reason */
    const struct {
        uint8_t type;
        struct span info;
        size_t rest;
    } rows[] = {
        {1, span_of(no_null, sizeof no_null), 0},
        {1, span_of(other_hash, sizeof other_hash), 0},
        {1, span_of(long_form, sizeof long_form), 0},
        {2, span_of(right, sizeof right), 0},
        {0, span_of(right, sizeof right), 0},
        {1, span_of(right, sizeof right), 1},
        {1, span_of(right, sizeof right), 150},
        {1, span_of(right, 0), 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        pkcs1_block(block, rows[i].type, rows[i].info, &digest, rows[i].rest);
        AUTO_BUF struct buf bad = raw_rsa(&signer, buf_span(&text), block);
        assert_forged(buf_span(&bad), signer.key);
    }
    pkcs1_block(block, 1, span_of(right, sizeof right), &digest, 0);
    block[100] = 0xfe;
    AUTO_BUF struct buf dented = raw_rsa(&signer, buf_span(&text), block);
    assert_forged(buf_span(&dented), signer.key);
}

static void row_09_pss_salt_and_mgf(void **state)
{
    (void)state;
    static const struct {
        int padding;
        int salt;
        const char *mgf1;
        bool good;
    } rows[] = {{RSA_PKCS1_PSS_PADDING, 32, "SHA256", true},
                {RSA_PKCS1_PSS_PADDING, 0, "SHA256", false},
                {RSA_PKCS1_PSS_PADDING, 20, "SHA256", false},
                {RSA_PKCS1_PSS_PADDING, 33, "SHA256", false},
                {RSA_PKCS1_PSS_PADDING, RSA_PSS_SALTLEN_MAX, "SHA256", false},
                {RSA_PKCS1_PSS_PADDING, 32, "SHA1", false},
                {RSA_PKCS1_PSS_PADDING, 32, "SHA512", false},
                {RSA_PKCS1_PADDING, 0, NULL, false}};
    AUTO_SIGNER struct signer signer = signer_new(JWS_PS256);
    AUTO_PKEY EVP_PKEY *pkey = private_of(&signer);
    AUTO_BUF struct buf text = token_plain(&signer);
    AUTO_TOKEN struct token *token = NULL;
    assert_int_equal(token_parse(buf_span(&text), &token, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        EVP_PKEY_CTX *parameters = NULL;
        uint8_t signature[256];
        size_t len = sizeof signature;
        assert_int_equal(
            EVP_DigestSignInit_ex(context, &parameters, "SHA256", NULL, NULL, pkey, NULL), 1);
        assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(parameters, rows[i].padding), 1);
        if (rows[i].mgf1 != NULL) {
            assert_int_equal(EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, rows[i].salt), 1);
            assert_int_equal(EVP_PKEY_CTX_set_rsa_mgf1_md_name(parameters, rows[i].mgf1, NULL), 1);
        }
        assert_int_equal(EVP_DigestSign(context, signature, &len, token->signing_input.data,
                                        token->signing_input.len),
                         1);
        EVP_MD_CTX_free(context);
        AUTO_BUF struct buf made = with_signature(buf_span(&text), span_of(signature, len));
        if (rows[i].good)
            assert_accepted(buf_span(&made), signer.key);
        else
            assert_forged(buf_span(&made), signer.key);
    }
}

static void row_23_key_of_one_signs_as_another(void **state)
{
    (void)state;
    AUTO_SIGNER struct signer ours = signer_new(JWS_ES256);
    AUTO_SIGN_KEY struct sign_key *theirs = NULL;
    AUTO_BUF struct buf text = BUF(TOKEN_MAX);
    assert_int_equal(sign_key_generate(JWS_ES256, &theirs, NULL), 0);
    assert_int_equal(token_sign(theirs, "our-kid", NULL, span_text(TEST_PAYLOAD), &text, NULL), 0);
    assert_forged(buf_span(&text), ours.key);
}

static void row_24_one_identity_for_one_signing_input(void **state)
{
    (void)state;
    AUTO_SIGNER struct signer signer = signer_new(JWS_ES256);
    AUTO_BUF struct buf first = token_plain(&signer);
    AUTO_BUF struct buf again = token_plain(&signer); /* ECDSA: another signature */
    AUTO_BUF struct buf other = token_over(&signer, "{\"alg\":\"ES256\"}", span_text("{\"a\":2}"));
    AUTO_TOKEN struct token *a = NULL, *b = NULL, *c = NULL;
    assert_int_equal(token_parse(buf_span(&first), &a, NULL), 0);
    assert_int_equal(token_parse(buf_span(&again), &b, NULL), 0);
    assert_int_equal(token_parse(buf_span(&other), &c, NULL), 0);
    assert_false(span_equal(a->signature, b->signature));
    assert_true(digest_equal(&a->signing_digest, &b->signing_digest));
    assert_false(digest_equal(&a->signing_digest, &c->signing_digest));
}

static void row_25_revoked_key_answers_as_a_bad_signature(void **state)
{
    (void)state;
    const struct verdict_facts facts = {.key_live = false,
                                        .caller_live = true,
                                        .artifact_state = ARTIFACT_PENDING,
                                        .approvals = 2,
                                        .quorum = 2};
    struct fault fault = {0};
    assert_int_equal(verdict_reach(&facts, &fault), -1);
    assert_int_equal(fault.code, FAULT_SIGNATURE_INVALID);
    assert_string_equal(fault.detail, VERIFY_REFUSAL);
}

/* What is parsed next is the very buffer whose text was signed. */
static void row_26_the_payload_is_the_signed_bytes(void **state)
{
    (void)state;
    static const char bytes[] = "{\"a\":1}\0{\"evil\":1}\xff";
    const struct span payload = span_of(bytes, sizeof bytes - 1);
    AUTO_SIGNER struct signer signer = signer_new(JWS_HS256);
    AUTO_BUF struct buf text = token_over(&signer, "{\"alg\":\"HS256\"}", payload);
    assert_accepted(buf_span(&text), signer.key);
    AUTO_TOKEN struct token *token = NULL;
    assert_int_equal(token_parse(buf_span(&text), &token, NULL), 0);
    assert_true(span_equal(token->payload, payload));
    assert_true(span_equal(token->text, buf_span(&text)));
    assert_ptr_not_equal(token->text.data, text.data);
    AUTO_BUF struct buf input = BUF(TOKEN_MAX);
    buf_puts(&input, "eyJhbGciOiJIUzI1NiJ9.");
    base64url_encode(&input, bytes, sizeof bytes - 1);
    assert_true(span_equal(token->signing_input, buf_span(&input)));
}

static void row_28_one_answer_for_every_cause(void **state)
{
    (void)state;
    AUTO_SIGNER struct signer other = signer_new(JWS_HS512);
    for (int alg = 0; alg < JWS_ALG_COUNT; alg++) {
        AUTO_SIGNER struct signer signer = signer_new((enum jws_alg)alg);
        AUTO_BUF struct buf text = token_plain(&signer);
        AUTO_TOKEN struct token *token = NULL;
        assert_int_equal(token_parse(buf_span(&text), &token, NULL), 0);
        uint8_t bytes[1024] = {0};
        memcpy(bytes, token->signature.data, token->signature.len);
        bytes[token->signature.len / 2 - 1] ^= 4;
        AUTO_BUF struct buf wrong =
            with_signature(buf_span(&text), span_of(bytes, token->signature.len));
        bytes[token->signature.len / 2 - 1] ^= 4;
        bytes[token->signature.len - 1] ^= 1; /* the last of its bits counts as well */
        AUTO_BUF struct buf last =
            with_signature(buf_span(&text), span_of(bytes, token->signature.len));
        assert_forged(buf_span(&last), signer.key);
        AUTO_BUF struct buf shorter = with_signature(buf_span(&text), span_of(bytes, 5));
        AUTO_BUF struct buf longer = with_signature(buf_span(&text), span_of(bytes, 1000));
        assert_forged(buf_span(&text), NULL); /* unknown kid */
        if (alg != JWS_HS512)
            assert_forged(buf_span(&text), other.key);
        assert_forged(buf_span(&wrong), signer.key);
        assert_forged(buf_span(&wrong), NULL);
        assert_forged(buf_span(&shorter), signer.key);
        assert_forged(buf_span(&longer), signer.key);
        assert_forged(buf_span(&longer), NULL);
    }
}

static void row_30_no_engine_no_proof(void **state)
{
    (void)state;
    AUTO_SIGNER struct signer signer = signer_new(JWS_ES256);
    AUTO_SIGNER struct signer hmac = signer_new(JWS_HS256);
    AUTO_BUF struct buf text = token_plain(&signer);
    AUTO_BUF struct buf hmac_text = token_plain(&hmac);
    const struct verify_policy none = {(enum verify_engine)2, (enum verify_engine) - 1};
    struct fault fault = {0};
    assert_int_equal(prove(buf_span(&text), signer.key, none, &fault), -1);
    assert_int_equal(fault.code, FAULT_SIGNATURE_INVALID);
    assert_string_equal(fault.detail, VERIFY_REFUSAL);
    assert_int_equal(prove(buf_span(&hmac_text), hmac.key, none, &fault), -1);
    assert_int_equal(prove(buf_span(&text), NULL, none, &fault), -1);
    const struct verify_policy half = {VERIFY_EVP, (enum verify_engine)7};
    assert_int_equal(prove(buf_span(&text), signer.key, half, &fault), 0);
    assert_int_equal(prove(buf_span(&hmac_text), hmac.key, half, &fault), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_09_pkcs1_padding_variants),
        cmocka_unit_test(row_09_pss_salt_and_mgf),
        cmocka_unit_test(row_23_key_of_one_signs_as_another),
        cmocka_unit_test(row_24_one_identity_for_one_signing_input),
        cmocka_unit_test(row_25_revoked_key_answers_as_a_bad_signature),
        cmocka_unit_test(row_26_the_payload_is_the_signed_bytes),
        cmocka_unit_test(row_28_one_answer_for_every_cause),
        cmocka_unit_test(row_30_no_engine_no_proof),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
