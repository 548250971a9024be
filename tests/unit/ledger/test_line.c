/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/line.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void lines_are_taken_from_the_front(void **state)
{
    (void)state;
    struct span rest = span_text("one\n\ntwo\nrest");
    struct span line;
    assert_true(line_take(&rest, &line));
    assert_true(span_equal(line, span_text("one")));
    assert_true(line_take(&rest, &line));
    assert_int_equal(line.len, 0);
    assert_true(line_take(&rest, &line));
    assert_true(span_equal(line, span_text("two")));
    assert_false(line_take(&rest, &line));
    assert_true(span_equal(rest, span_text("rest")));
    rest = span_of(NULL, 0);
    assert_false(line_take(&rest, &line));
}

static void numbers_are_strict_decimals(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t value;
    } good[] = {{"0", 0}, {"7", 7}, {"10", 10}, {"9223372036854775807", INT64_MAX}};
    static const char *const bad[] = {"",
                                      "00",
                                      "01",
                                      "+1",
                                      "-1",
                                      " 1",
                                      "1 ",
                                      "1\r",
                                      "0x1",
                                      "1e3",
                                      "1_0",
                                      "9223372036854775808",
                                      "9999999999999999999",
                                      "18446744073709551616",
                                      "00000000000000000001"};
    uint64_t value;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        assert_true(line_number(span_text(good[i].text), &value));
        assert_int_equal(value, good[i].value);
    }
    value = 42;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(line_number(span_text(bad[i]), &value));
    assert_int_equal(value, 42);
}

static void digests_are_canonical_base64(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",   /* no padding */
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=",  /* spare bits set */
        "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU=",  /* base64url */
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFUA",  /* 33 bytes */
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuA==",  /* 31 bytes */
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU= ", /* a space behind */
        " 47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU",
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU\r",
    };
    struct digest digest;
    assert_true(line_digest(span_text("47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="), &digest));
    struct digest empty = digest_of("", 0);
    assert_true(digest_equal(&digest, &empty));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(line_digest(span_text(bad[i]), &digest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_taken_from_the_front),
        cmocka_unit_test(numbers_are_strict_decimals),
        cmocka_unit_test(digests_are_canonical_base64),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
