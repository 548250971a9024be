/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* The cases of Markus Kuhn's "UTF-8 decoder capability and stress test", by its sections; the
 * noncharacters of 5.3 are valid UTF-8 (RFC 3629, Unicode corrigendum 9). */
static const char *const valid[] = {
    "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", /* 1 */
    "\xc2\x80",
    "\xe0\xa0\x80",
    "\xf0\x90\x80\x80", /* 2.1: first of each length */
    "\x7f",
    "\xdf\xbf",
    "\xef\xbf\xbf",
    "\xf4\x8f\xbf\xbf", /* 2.2: last of each */
    "\xed\x9f\xbf",
    "\xee\x80\x80",
    "\xef\xbf\xbd", /* 2.3: beside the surrogates */
    "\xef\xbf\xbe",
    "\xef\xb7\x90",
    "\xf0\x9f\xbf\xbe", /* 5.3 */
    "",
    "plain",
    "\xe2\x82\xac\xf0\x9f\x94\x92",
    "\xe1\x80\x80\xec\x80\x80\xf3\x80\x80\x80",
};
static const char *const invalid[] = {
    "\xf8\x88\x80\x80\x80",
    "\xfc\x84\x80\x80\x80\x80",
    "\xf7\xbf\xbf\xbf", /* 2.1, 2.2: too long */
    "\xfb\xbf\xbf\xbf\xbf",
    "\xfd\xbf\xbf\xbf\xbf\xbf",
    "\xf4\x90\x80\x80",
    "\x80",
    "\xbf",
    "\x80\xbf",
    "\x80\xbf\x80",
    "\x80\xbf\x80\xbf", /* 3.1: continuations alone */
    "\xc0 ",
    "\xdf ",
    "\xe0 ",
    "\xef ",
    "\xf0 ",
    "\xf7 ",
    "\xf8 ",
    "\xfc ", /* 3.2: starts alone */
    "\xc0",
    "\xe0\x80",
    "\xf0\x80\x80",
    "\xdf",
    "\xef\xbf",
    "\xf4\x8f\xbf", /* 3.3: cut short */
    "\xe2\x82\xac\xe2\x82",
    "\xc3\xa9\xc3",
    "\xf0\x9f\x94",
    "\xf0\x9f",
    "\xf0",
    "\xfe",
    "\xff",
    "\xfe\xfe\xff\xff", /* 3.5 */
    "\xc0\xaf",
    "\xe0\x80\xaf",
    "\xf0\x80\x80\xaf",
    "\xf8\x80\x80\x80\xaf", /* 4.1: overlong */
    "\xc1\xbf",
    "\xe0\x9f\xbf",
    "\xf0\x8f\xbf\xbf",
    "\xf8\x87\xbf\xbf\xbf", /* 4.2 */
    "\xc0\x80",
    "\xe0\x80\x80",
    "\xf0\x80\x80\x80",
    "\xfc\x80\x80\x80\x80\x80", /* 4.3: NUL */
    "\xed\xa0\x80",
    "\xed\xad\xbf",
    "\xed\xae\x80",
    "\xed\xbf\xbf", /* 5.1: surrogates */
    "\xed\xa0\x80\xed\xb0\x80",
    "\xed\xaf\xbf\xed\xbf\xbf", /* 5.2: paired */
    "ok\xc3(",
    "\xe2(\xa1",
    "\xe2\x82(",
    "\xf0(\x8c\xbc",
    "\xf0\x90(\xbc",
    "\xf0\x28\x8c\x28",
};

static void kuhn_s_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(valid); i++)
        if (!utf8_valid(valid[i], strlen(valid[i])))
            fail_msg("valid row %zu", i);
    for (size_t i = 0; i < ARRAY_LEN(invalid); i++) {
        if (utf8_valid(invalid[i], strlen(invalid[i])))
            fail_msg("invalid row %zu", i);
        char around[32]; /* valid text around it changes nothing */
        (void)snprintf(around, sizeof around, "\xc3\xa9%s \xc3\xa9", invalid[i]);
        if (utf8_valid(around, strlen(around)))
            fail_msg("invalid row %zu between valid text", i);
    }
    assert_true(utf8_valid("a\0b", 3));
    assert_true(utf8_valid(NULL, 0));
}

static size_t encode(uint32_t c, uint8_t *out)
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    size_t len = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = len - 1; i > 0; i--, c >>= 6)
        out[i] = (uint8_t)(0x80 | (c & 0x3f));
    out[0] = (uint8_t)(lead[len] | c);
    return len;
}

/* Each code point by arithmetic: all but the surrogates, and only in full. */
static void every_code_point(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x120000; c++) {
        uint8_t bytes[4];
        size_t len = encode(c, bytes);
        bool expected = c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
        if (utf8_valid(bytes, len) != expected)
            fail_msg("U+%04x", c);
        for (size_t cut = 1; cut < len; cut++)
            assert_false(utf8_valid(bytes, cut));
    }
}

/* All strings of two bytes, by counting: 128^2 of ASCII and 30*64 of two-byte characters. */
static void every_pair_of_bytes(void **state)
{
    (void)state;
    size_t count = 0;
    for (int a = 0; a < 256; a++)
        for (int b = 0; b < 256; b++)
            count += utf8_valid((uint8_t[]){(uint8_t)a, (uint8_t)b}, 2);
    assert_int_equal(count, 128 * 128 + 30 * 64);
}

static void a_cut_ends_at_a_character(void **state)
{
    (void)state;
    static const char text[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x94\x92z"; /* ends: 1 3 6 10 11 */
    static const size_t cuts[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11, 11};
    for (size_t max = 0; max < ARRAY_LEN(cuts); max++)
        assert_int_equal(utf8_cut(text, sizeof text - 1, max), cuts[max]);
    assert_int_equal(utf8_cut("", 0, 5), 0);
    assert_int_equal(utf8_cut("abc", 3, SIZE_MAX), 3);
}

static void a_character_that_has_not_ended(void **state)
{
    static const struct {
        const char *text;
        size_t ragged;
    } cases[] = {{"", 0},
                 {"abc", 0},
                 {"ab\xc3", 1},
                 {"ab\xc3\xa4", 0},
                 {"\xe2", 1},
                 {"\xe2\x82", 2},
                 {"\xe2\x82\xac", 0},
                 {"\xf0\x9f\x98", 3},
                 {"\xf0\x9f\x98\x80", 0},
                 {"\x80\x80\x80\x80", 0},
                 {"\xff", 0},
                 {"a\xc1", 0},
                 {"\xff\xe2\x82", 2}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_int_equal(utf8_ragged(cases[i].text, strlen(cases[i].text)), cases[i].ragged);
}

static void sets_hold_their_bytes_only(void **state)
{
    (void)state;
    assert_true(text_in_set("abc", 3, 1, 3, "abc"));
    assert_true(text_in_set("", 0, 0, 3, "abc"));
    assert_false(text_in_set("", 0, 1, 3, "abc"));
    assert_false(text_in_set("abca", 4, 1, 3, "abc"));
    assert_false(text_in_set("abd", 3, 1, 3, "abc"));
    assert_false(text_in_set("a\0b", 3, 1, 3, "abc")); /* the set's own NUL is not in it */
    assert_false(text_in_set("a\xc3", 2, 1, 3, "abc"));
    for (int c = 0; c < 256; c++) {
        const char byte = (char)c;
        bool alnum = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        assert_int_equal(text_in_set(&byte, 1, 1, 1, TEXT_ALNUM), alnum);
        assert_int_equal(text_in_set(&byte, 1, 1, 1, TEXT_TOKEN),
                         alnum || (c != 0 && strchr("._:-", c) != NULL));
    }
}

static void control_bytes_are_found_anywhere(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        const char text[] = {'a', 'b', (char)c};
        assert_int_equal(text_has_control(text, 3), c < 0x20 || c == 0x7f);
        assert_false(text_has_control(text, 2));
    }
    assert_false(text_has_control("", 0));
    assert_false(text_has_control("caf\xc3\xa9", 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kuhn_s_table),
        cmocka_unit_test(every_code_point),
        cmocka_unit_test(every_pair_of_bytes),
        cmocka_unit_test(a_cut_ends_at_a_character),
        cmocka_unit_test(a_character_that_has_not_ended),
        cmocka_unit_test(sets_hold_their_bytes_only),
        cmocka_unit_test(control_bytes_are_found_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
