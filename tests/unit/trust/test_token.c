/* SPDX-License-Identifier: Apache-2.0 */
#include "trust_support.h"

static void its_parts_are_found(void **state)
{
    (void)state;
    AUTO_SIGNER struct signer signer = signer_new(JWS_ES384);
    AUTO_BUF struct buf text = BUF(TOKEN_MAX);
    assert_int_equal(
        token_sign(signer.sign, "key-1", TOKEN_TYP_MANIFEST, span_text("any bytes"), &text, NULL),
        0);
    AUTO_TOKEN struct token *token = NULL;
    assert_int_equal(token_parse(buf_span(&text), &token, NULL), 0);
    assert_int_equal(token->alg, JWS_ES384);
    assert_string_equal(token->kid, "key-1");
    assert_true(token->typ_manifest);
    assert_true(span_equal(token->text, buf_span(&text)));
    assert_true(span_equal(token->payload, span_text("any bytes")));
    assert_int_equal(token->signature.len, 96);
    const uint8_t *dot = memrchr(text.data, '.', text.len);
    assert_true(span_equal(token->signing_input, span_of(text.data, (size_t)(dot - text.data))));
    struct digest digest = digest_of_span(token->signing_input);
    assert_true(digest_equal(&token->signing_digest, &digest));
}

static void kid_and_typ_may_be_absent(void **state)
{
    (void)state;
    AUTO_SIGNER struct signer signer = signer_new(JWS_HS256);
    AUTO_BUF struct buf text = token_plain(&signer);
    AUTO_TOKEN struct token *token = NULL;
    assert_int_equal(token_parse(buf_span(&text), &token, NULL), 0);
    assert_string_equal(token->kid, "");
    assert_false(token->typ_manifest);
}

static void other_header_members_are_ignored(void **state)
{
    (void)state;
    AUTO_SIGNER struct signer signer = signer_new(JWS_HS256);
    AUTO_BUF struct buf text = token_over(
        &signer,
        "{\"cty\":\"json\",\"x5t\":\"AA\",\"alg\":\"HS256\",\"exp\":1,\"x\":{\"alg\":\"none\"}}",
        span_text(TEST_PAYLOAD));
    assert_accepted(buf_span(&text), signer.key);
}

static void a_failure_leaves_the_result_alone(void **state)
{
    (void)state;
    struct token *const marker = (struct token *)(uintptr_t)16;
    struct token *token = marker;
    assert_int_equal(token_parse(span_text("a.b.c"), &token, NULL), -1);
    assert_ptr_equal(token, marker);
    token_free(NULL);
}

static void a_kid_is_printable_ascii(void **state)
{
    (void)state;
    char longest[TOKEN_KID_MAX + 2];
    memset(longest, 'k', sizeof longest);
    longest[TOKEN_KID_MAX] = '\0';
    assert_true(token_kid_valid(longest));
    longest[TOKEN_KID_MAX] = 'k';
    longest[TOKEN_KID_MAX + 1] = '\0';
    assert_false(token_kid_valid(longest));
    assert_true(token_kid_valid("!~"));
    assert_false(token_kid_valid(" ~"));
    assert_false(token_kid_valid(""));
    assert_false(token_kid_valid("a\tb"));
    assert_false(token_kid_valid("\x7f"));
    assert_false(token_kid_valid("\xc3\xa9"));
}

/* Every length up to the cap: nothing in the parser depends on a lucky size. */
static void a_payload_of_any_length(void **state)
{
    (void)state;
    AUTO_SIGNER struct signer signer = signer_new(JWS_HS256);
    uint8_t bytes[300];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 31);
    for (size_t len = 1; len <= sizeof bytes; len++) {
        AUTO_BUF struct buf text = token_over(&signer, "{\"alg\":\"HS256\"}", span_of(bytes, len));
        AUTO_TOKEN struct token *token = NULL;
        assert_int_equal(token_parse(buf_span(&text), &token, NULL), 0);
        assert_true(span_equal(token->payload, span_of(bytes, len)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_parts_are_found),
        cmocka_unit_test(kid_and_typ_may_be_absent),
        cmocka_unit_test(other_header_members_are_ignored),
        cmocka_unit_test(a_failure_leaves_the_result_alone),
        cmocka_unit_test(a_kid_is_printable_ascii),
        cmocka_unit_test(a_payload_of_any_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
