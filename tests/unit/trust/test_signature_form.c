/* SPDX-License-Identifier: Apache-2.0 */
/* The rules that stand before the arithmetic, on their own: OpenSSL would refuse most of these
 * signatures too, and this test does not let it. */
#include "trust_support.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>

static bool valid(enum jws_alg alg, const uint8_t *bytes, size_t len)
{
    const struct jws_alg_spec *spec = jws_alg_spec(alg);
    return signature_form_valid(alg, spec->signature_len, span_of(bytes, len));
}

static void lengths_are_exact(void **state)
{
    (void)state;
    uint8_t bytes[1025];
    memset(bytes, 1, sizeof bytes);
    for (int alg = 0; alg < JWS_ALG_COUNT; alg++) {
        size_t right = jws_alg_spec((enum jws_alg)alg)->signature_len;
        for (size_t len = 0; len <= 130; len++)
            assert_int_equal(valid((enum jws_alg)alg, bytes, len), right != 0 && len == right);
    }
    for (size_t len = 0; len < sizeof bytes; len++) {
        assert_int_equal(signature_form_valid(JWS_RS256, 256, span_of(bytes, len)), len == 256);
        assert_int_equal(signature_form_valid(JWS_PS256, 512, span_of(bytes, len)), len == 512);
    }
    assert_false(signature_form_valid(JWS_ALG_COUNT, 64, span_of(bytes, 64)));
}

static void r_and_s_lie_below_the_order(void **state)
{
    (void)state;
    static const struct {
        enum jws_alg alg;
        int group;
    } rows[] = {{JWS_ES256, NID_X9_62_prime256v1}, {JWS_ES384, NID_secp384r1}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t half = jws_alg_spec(rows[i].alg)->signature_len / 2;
        EC_GROUP *group = EC_GROUP_new_by_curve_name(rows[i].group);
        BIGNUM *number = BN_dup(EC_GROUP_get0_order(group));
        uint8_t bytes[96];
        for (int part = 0; part < 2; part++) {
            uint8_t *place = bytes + (size_t)part * half;
            memset(bytes, 1, sizeof bytes);
            assert_int_equal(BN_bn2binpad(number, place, (int)half), half);
            assert_false(valid(rows[i].alg, bytes, 2 * half)); /* n */
            assert_int_equal(BN_sub_word(number, 1), 1);
            assert_int_equal(BN_bn2binpad(number, place, (int)half), half);
            assert_true(valid(rows[i].alg, bytes, 2 * half)); /* n - 1 */
            assert_int_equal(BN_add_word(number, 2), 1);
            assert_int_equal(BN_bn2binpad(number, place, (int)half), half);
            assert_false(valid(rows[i].alg, bytes, 2 * half)); /* n + 1 */
            assert_int_equal(BN_sub_word(number, 1), 1);
            memset(place, 0, half);
            assert_false(valid(rows[i].alg, bytes, 2 * half)); /* 0 */
            place[half - 1] = 1;
            assert_true(valid(rows[i].alg, bytes, 2 * half)); /* 1 */
            memset(place, 0xff, half);
            assert_false(valid(rows[i].alg, bytes, 2 * half));
        }
        BN_free(number);
        EC_GROUP_free(group);
    }
}

static void s_of_ed25519_lies_below_the_order(void **state)
{
    (void)state;
    BIGNUM *order =
        NULL; /* 2^252 + 27742317777372353535851937790883648493 (RFC 8032 section 5.1) */
    assert_true(BN_dec2bn(&order, "27742317777372353535851937790883648493") > 0);
    BIGNUM *power = BN_new();
    assert_int_equal(BN_set_bit(power, 252), 1);
    assert_int_equal(BN_add(order, order, power), 1);
    uint8_t bytes[64];
    memset(bytes, 0xff, sizeof bytes); /* of R nothing is asked here */
    assert_false(valid(JWS_EDDSA, bytes, 64));
    assert_int_equal(BN_bn2lebinpad(order, bytes + 32, 32), 32);
    assert_false(valid(JWS_EDDSA, bytes, 64));
    assert_int_equal(BN_sub_word(order, 1), 1);
    assert_int_equal(BN_bn2lebinpad(order, bytes + 32, 32), 32);
    assert_true(valid(JWS_EDDSA, bytes, 64));
    assert_int_equal(BN_add_word(order, 2), 1);
    assert_int_equal(BN_bn2lebinpad(order, bytes + 32, 32), 32);
    assert_false(valid(JWS_EDDSA, bytes, 64));
    memset(bytes + 32, 0, 32);
    assert_true(valid(JWS_EDDSA, bytes, 64));
    BN_free(order);
    BN_free(power);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lengths_are_exact),
        cmocka_unit_test(r_and_s_lie_below_the_order),
        cmocka_unit_test(s_of_ed25519_lies_below_the_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
