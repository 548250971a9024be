/* SPDX-License-Identifier: Apache-2.0 */
#include "trust_support.h"

#include "trust/jwks.h"

#define ED_X "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
#define P256_XY                                                                                    \
    "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","                                       \
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""

static void a_set_is_taken_apart(void **state)
{
    (void)state;
    AUTO_JWK_SET struct jwk_set *set = NULL;
    struct fault fault = {0};
    if (jwk_set_parse(span_text("{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"a\","
                                "\"x\":\"" ED_X "\"}, {\"kty\":\"EC\",\"crv\":\"P-256\","
                                "\"alg\":\"ES256\",\"kid\":\"b\"," P256_XY "}],\"x\":1}"),
                      &set, &fault) != 0)
        fail_msg("%s", fault.detail);
    assert_int_equal(set->count, 2);
    assert_string_equal(set->entries[0].kid, "a");
    assert_int_equal(set->entries[0].alg, JWS_EDDSA);
    assert_string_equal(set->entries[1].kid, "b");
    assert_int_equal(set->entries[1].alg, JWS_ES256);
    for (size_t i = 0; i < set->count; i++) {
        AUTO_TRUST_KEY struct trust_key *key = NULL;
        AUTO_BUF struct buf pem = BUF(4096);
        assert_int_equal(
            trust_key_from_jwk(set->entries[i].alg, set->entries[i].jwk, &key, &pem, NULL), 0);
    }
}

static void one_key_is_a_set_of_one(void **state)
{
    (void)state;
    AUTO_JWK_SET struct jwk_set *set = NULL;
    assert_int_equal(jwk_set_parse(span_text("{\"kty\":\"EC\",\"crv\":\"P-384\"}"), &set, NULL), 0);
    assert_int_equal(set->count, 1);
    assert_string_equal(set->entries[0].kid, "");
    assert_int_equal(set->entries[0].alg, JWS_ES384);
    assert_true(span_equal(set->entries[0].jwk, span_text("{\"kty\":\"EC\",\"crv\":\"P-384\"}")));
}

static void others_are_refused_whole(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *detail;
    } rows[] = {
        {"", "jwks"},
        {"[]", "jwks"},
        {"{\"keys\":[]}", "keys: expected an array of 1 to 64"},
        {"{\"keys\":{}}", "keys: expected an array of 1 to 64"},
        {"{\"keys\":[1]}", "keys[0]: expected an object"},
        {"{\"keys\":[{\"alg\":\"ES256\"}]}", "keys[0].kid: expected 1 to 128"},
        {"{\"keys\":[{\"alg\":\"ES256\",\"kid\":\"\"}]}", "keys[0].kid: expected 1 to 128"},
        {"{\"keys\":[{\"alg\":\"ES256\",\"kid\":7}]}", "keys[0].kid: expected a string"},
        {"{\"keys\":[{\"alg\":\"ES256\",\"kid\":\"a\\u0001\"}]}", "keys[0].kid: expected 1 to 128"},
        {"{\"keys\":[{\"kty\":\"RSA\",\"kid\":\"a\"}]}", "keys[0].alg: required"},
        {"{\"keys\":[{\"alg\":\"none\",\"kid\":\"a\"}]}", "keys[0].alg: not an algorithm"},
        {"{\"keys\":[{\"alg\":\"ES256\",\"kid\":\"a\"},{\"alg\":\"ES384\",\"kid\":\"a\"}]}",
         "keys[1].kid: is there twice"},
        {"{\"keys\":[{\"alg\":\"ES256\",\"kid\":\"a\",\"kid\":\"b\"}]}", "jwks: not strict JSON"},
        {"{\"kty\":\"RSA\"}", "jwk.alg: required"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct jwk_set *set = NULL;
        struct fault fault = {0};
        assert_int_equal(jwk_set_parse(span_text(rows[i].text), &set, &fault), -1);
        assert_null(set);
        assert_int_equal(fault.code, FAULT_KEY_INVALID);
        if (strncmp(fault.detail, rows[i].detail, strlen(rows[i].detail)) != 0)
            fail_msg("'%s' does not begin with '%s'", fault.detail, rows[i].detail);
    }
}

static void a_set_is_bounded(void **state)
{
    (void)state;
    AUTO_BUF struct buf text = BUF(1 << 20), longer = BUF(1 << 20);
    for (int i = 0; i < JWK_SET_MAX; i++)
        buf_printf(&text, "%s{\"alg\":\"ES256\",\"kid\":\"%d\"}", i == 0 ? "{\"keys\":[" : ",", i);
    buf_printf(&longer, "%s,{\"alg\":\"ES256\",\"kid\":\"more\"}]}", buf_text(&text));
    buf_puts(&text, "]}");
    AUTO_JWK_SET struct jwk_set *set = NULL, *none = NULL;
    assert_int_equal(jwk_set_parse(buf_span(&text), &set, NULL), 0);
    assert_int_equal(set->count, JWK_SET_MAX);
    assert_string_equal(set->entries[63].kid, "63");
    assert_int_equal(jwk_set_parse(buf_span(&longer), &none, NULL), -1);
    AUTO_FREE char *spaces = malloc(JWK_SET_TEXT_MAX + 1);
    assert_non_null(spaces);
    memset(spaces, ' ', JWK_SET_TEXT_MAX + 1);
    assert_int_equal(jwk_set_parse(span_of(spaces, JWK_SET_TEXT_MAX + 1), &none, NULL), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_set_is_taken_apart),
        cmocka_unit_test(one_key_is_a_set_of_one),
        cmocka_unit_test(others_are_refused_whole),
        cmocka_unit_test(a_set_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
