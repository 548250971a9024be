/* SPDX-License-Identifier: Apache-2.0 */
#include "trust_support.h"

#include "trust/alg.h"

static void names_and_values_match(void **state)
{
    (void)state;
    static const char *const names[] = {"HS256", "HS384", "HS512", "RS256",
                                        "PS256", "ES256", "ES384", "EdDSA"};
    assert_int_equal(ARRAY_LEN(names), JWS_ALG_COUNT);
    for (int i = 0; i < JWS_ALG_COUNT; i++) {
        enum jws_alg alg = JWS_ALG_COUNT;
        assert_string_equal(jws_alg_name((enum jws_alg)i), names[i]);
        assert_int_equal(jws_alg_parse(names[i], &alg), 0);
        assert_int_equal(alg, i);
        assert_int_equal(jws_alg_is_hmac(alg), names[i][0] == 'H');
    }
}

static void others_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"",      "none",  "hs256",  "HS256 ",  "RS384", "RS512",
                                        "ES512", "EdDsa", "ES256K", "Ed25519", "PS384", "HS25"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        enum jws_alg alg = JWS_ES384;
        assert_int_equal(jws_alg_parse(names[i], &alg), -1);
        assert_int_equal(alg, JWS_ES384);
    }
    assert_string_equal(jws_alg_name(JWS_ALG_COUNT), "");
    assert_null(jws_alg_spec((enum jws_alg) - 1));
    assert_false(jws_alg_is_hmac(JWS_ALG_COUNT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_values_match),
        cmocka_unit_test(others_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
