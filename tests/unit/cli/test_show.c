/* SPDX-License-Identifier: Apache-2.0 */
/* Nothing that a terminal would obey gets through. */
#include "cli/show.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void expect(const char *text, size_t len, enum show how, const char *shown)
{
    AUTO_BUF struct buf buf = BUF(4096);
    show_text(&buf, span_of(text, len), how);
    assert_string_equal(buf_text(&buf), shown);
}

static void test_text_stays(void **state)
{
    (void)state;
    expect("plain", 5, SHOW_LINE, "plain");
    const char *text = "Gr\xc3\xbc\xc3\x9f"
                       "e \xe2\x82\xac \xf0\x9f\x94\x92";
    expect(text, strlen(text), SHOW_LINE, text);
    expect("a\nb\tc", 5, SHOW_LINES, "a\nb\tc");
}

static void test_what_moves_a_terminal_is_escaped(void **state)
{
    (void)state;
    expect("\x1b[2J", 4, SHOW_LINES, "\\x1b[2J");
    expect("a\nb\tc\r", 6, SHOW_LINE, "a\\x0ab\\x09c\\x0d");
    expect("a\rb\b", 4, SHOW_LINES, "a\\x0db\\x08");
    expect("\0\x7f", 2, SHOW_LINES, "\\x00\\x7f");
    expect("\xc2\x9b"
           "31m",
           5, SHOW_LINES, "\\u{9b}31m"); /* CSI as one C1 character */
    expect("\xe2\x80\xae"
           "exe",
           6, SHOW_LINES, "\\u{202e}exe");              /* right-to-left override */
    expect("\xe2\x81\xa6", 3, SHOW_LINES, "\\u{2066}"); /* isolate */
    expect("\xe2\x80\xa8", 3, SHOW_LINES, "\\u{2028}"); /* line separator */
    expect("\xef\xbb\xbf", 3, SHOW_LINES, "\\u{feff}"); /* no width */
}

static void test_what_is_no_text_is_escaped(void **state)
{
    (void)state;
    expect("\xff\xfe", 2, SHOW_LINES, "\\xff\\xfe");
    expect("\xc3", 1, SHOW_LINES, "\\xc3");                   /* cut */
    expect("\xc0\x9b", 2, SHOW_LINES, "\\xc0\\x9b");          /* overlong ESC */
    expect("\xed\xa0\x80", 3, SHOW_LINES, "\\xed\\xa0\\x80"); /* surrogate */
}

/* Whatever the bytes: no control character but the two allowed, valid UTF-8, and no byte lost. */
static void test_every_pair_of_bytes(void **state)
{
    (void)state;
    for (unsigned pair = 0; pair < 65536; pair++) {
        char bytes[2] = {(char)(pair >> 8), (char)(pair & 0xFF)};
        AUTO_BUF struct buf buf = BUF(64);
        show_text(&buf, span_of(bytes, 2), SHOW_LINE);
        assert_false(buf_failed(&buf));
        for (size_t i = 0; i < buf.len; i++)
            if (buf.data[i] < 0x20 || buf.data[i] == 0x7F)
                fail_msg("bytes %04x give a control character", pair);
        for (size_t i = 0; i + 1 < buf.len; i++)
            if (buf.data[i] == 0xC2 && buf.data[i + 1] < 0xA0)
                fail_msg("bytes %04x give a C1 character", pair);
    }
}

static void test_width_counts_characters(void **state)
{
    (void)state;
    assert_int_equal(show_width(span_text("Gr\xc3\xbc\xc3\x9f"
                                          "e")),
                     5);
    assert_int_equal(show_width(span_text("")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_stays),
        cmocka_unit_test(test_what_moves_a_terminal_is_escaped),
        cmocka_unit_test(test_what_is_no_text_is_escaped),
        cmocka_unit_test(test_every_pair_of_bytes),
        cmocka_unit_test(test_width_counts_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
