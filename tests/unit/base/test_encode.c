/* SPDX-License-Identifier: Apache-2.0 */
#include "base/encode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

typedef void encode_fn(struct buf *buf, const void *data, size_t len);
typedef int decode_fn(struct buf *buf, const char *text, size_t len);

static void assert_pair(encode_fn *encode, decode_fn *decode, const void *data, size_t len,
                        const char *text)
{
    AUTO_BUF struct buf encoded = BUF(4096);
    AUTO_BUF struct buf decoded = BUF(4096);
    encode(&encoded, data, len);
    assert_string_equal(buf_text(&encoded), text);
    assert_int_equal(encoded.len, strlen(text));
    assert_int_equal(decode(&decoded, text, strlen(text)), 0);
    assert_true(span_equal(buf_span(&decoded), span_of(data, len)));
}

static void rfc_4648_section_10(void **state)
{
    (void)state;
    static const char *const vectors[][3] = {
        {"", "", ""},
        {"f", "Zg==", "Zg"},
        {"fo", "Zm8=", "Zm8"},
        {"foo", "Zm9v", "Zm9v"},
        {"foob", "Zm9vYg==", "Zm9vYg"},
        {"fooba", "Zm9vYmE=", "Zm9vYmE"},
        {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
    };
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        const char *data = vectors[i][0];
        assert_pair(base64_encode, base64_decode, data, strlen(data), vectors[i][1]);
        assert_pair(base64url_encode, base64url_decode, data, strlen(data), vectors[i][2]);
    }
}

/* RFC 7515 appendix C, and the two characters in which the alphabets differ. */
static void the_alphabets_differ_in_two_characters(void **state)
{
    (void)state;
    static const uint8_t appendix_c[] = {3, 236, 255, 224, 193};
    assert_pair(base64url_encode, base64url_decode, appendix_c, sizeof appendix_c, "A-z_4ME");
    assert_pair(base64_encode, base64_decode, appendix_c, sizeof appendix_c, "A+z/4ME=");
    assert_pair(base64url_encode, base64url_decode, "\xff\xff\xff\xfb\xef\xbe", 6, "____----");
    assert_pair(base64_encode, base64_decode, "\xff\xff\xff\xfb\xef\xbe", 6, "////++++");
}

static void every_byte_at_every_length_returns(void **state)
{
    (void)state;
    for (size_t len = 0; len < 70; len++) {
        uint8_t data[70];
        for (int byte = 0; byte < 256; byte++) {
            for (size_t i = 0; i < len; i++)
                data[i] = (uint8_t)(byte + (int)i * 7);
            AUTO_BUF struct buf url = BUF(200), plain = BUF(200), back = BUF(200);
            base64url_encode(&url, data, len);
            base64_encode(&plain, data, len);
            assert_int_equal(url.len, (len * 4 + 2) / 3);
            assert_int_equal(plain.len, (len + 2) / 3 * 4);
            assert_int_equal(base64url_decode(&back, buf_text(&url), url.len), 0);
            assert_int_equal(base64_decode(&back, buf_text(&plain), plain.len), 0);
            assert_int_equal(back.len, 2 * len);
            assert_memory_equal(back.data, data, len);
            assert_memory_equal(back.data + len, data, len);
        }
    }
}

/* Of all texts of up to three characters exactly those that the encoder writes are accepted. */
static void assert_canonical(encode_fn *encode, decode_fn *decode, const char *text, size_t len)
{
    AUTO_BUF struct buf decoded = BUF(64);
    AUTO_BUF struct buf again = BUF(64);
    buf_puts(&decoded, "kept");
    if (decode(&decoded, text, len) == 0) {
        encode(&again, decoded.data + 4, decoded.len - 4);
        assert_true(span_equal(buf_span(&again), span_of(text, len)));
    } else {
        assert_string_equal(buf_text(&decoded), "kept");
        assert_int_equal(decoded.len, 4);
        assert_false(buf_failed(&decoded));
    }
}

static void one_text_for_each_byte_string(void **state)
{
    (void)state;
    size_t accepted = 0;
    for (int a = 0; a < 256; a++) {
        for (int b = 0; b < 256; b++) {
            const char pair[] = {(char)a, (char)b};
            AUTO_BUF struct buf buf = BUF(8);
            accepted += base64url_decode(&buf, pair, 2) == 0;
            assert_canonical(base64url_encode, base64url_decode, pair, 2);
            const char padded[] = {(char)a, (char)b, '=', '='};
            const char tail[] = {'A', (char)a, (char)b, '='};
            assert_canonical(base64_encode, base64_decode, padded, 4);
            assert_canonical(base64_encode, base64_decode, tail, 4);
            assert_canonical(base64url_encode, base64url_decode, tail, 3);
        }
    }
    assert_int_equal(accepted, 256); /* one byte each */
}

static void assert_refused(decode_fn *decode, const char *text, size_t len)
{
    AUTO_BUF struct buf buf = BUF(4096);
    buf_puts(&buf, "kept");
    if (decode(&buf, text, len) != -1)
        fail_msg("accepted: '%.*s'", (int)len, text);
    assert_int_equal(buf.len, 4);
    assert_string_equal(buf_text(&buf), "kept");
}

static void what_is_not_canonical_is_refused(void **state)
{
    (void)state;
    static const char *const url[] = {
        "Z",     "Zm9vZ",    "Zg==",     "Zg=",    "Zm8=",     "Zh",      "Zm9",     "Zm9vYh",
        "Zm9v ", " Zm9v",    "Zm 9v",    "Zm9v\n", "Zm9v\r\n", "A+z/4ME", "A-z_4M+", "Zm9v.",
        "Zm9v*", "Zm9\xc3v", "\xff\xff", "====",   "=",        "Zm9v=",   "Zm9vYg\t"};
    static const char *const plain[] = {"Z",        "Zg",       "Zg=",        "Zg===",  "Zm8",
                                        "Zh==",     "Zm9=",     "Zg==Zg==",   "Zg==\n", "Zm9v====",
                                        "====",     "===",      "Z===",       "=Zg=",   "Zm=v",
                                        "A-z_4ME=", " Zg==",    "Zm9v Zg=",   "Zm9v=",  "Zm9vYmF",
                                        "Zm9vYh==", "Zm9vYmF=", "Zm9vYm\xc3="};
    for (size_t i = 0; i < ARRAY_LEN(url); i++)
        assert_refused(base64url_decode, url[i], strlen(url[i]));
    for (size_t i = 0; i < ARRAY_LEN(plain); i++)
        assert_refused(base64_decode, plain[i], strlen(plain[i]));
    assert_refused(base64url_decode, "Zm\0v", 4);
    assert_refused(base64_decode, "Zm\0v", 4);
}

/* The failure comes late, after bytes were written: none of them is left. */
static void a_failed_decode_leaves_the_buffer_terminated(void **state)
{
    (void)state;
    char text[1001];
    memset(text, 'Q', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    for (size_t bad = 0; bad < sizeof text - 1; bad += 37) {
        AUTO_BUF struct buf buf = BUF(4096);
        text[bad] = '!';
        assert_int_equal(base64url_decode(&buf, text, sizeof text - 1), -1);
        assert_int_equal(buf.len, 0);
        assert_string_equal(buf_text(&buf), "");
        assert_refused(base64url_decode, text, sizeof text - 1);
        assert_refused(base64_decode, text, sizeof text - 1);
        text[bad] = 'Q';
    }
}

static void no_room_is_a_failure(void **state)
{
    (void)state;
    AUTO_BUF struct buf exact = BUF(6);
    assert_int_equal(base64_decode(&exact, "Zm9vYmFy", 8), 0);
    assert_string_equal(buf_text(&exact), "foobar");
    AUTO_BUF struct buf small = BUF(5);
    assert_int_equal(base64_decode(&small, "Zm9vYmFy", 8), -1);
    assert_true(buf_failed(&small));
    assert_int_equal(small.len, 0);
    AUTO_BUF struct buf text = BUF(7);
    base64_encode(&text, "foobar", 6);
    assert_true(buf_failed(&text));
    assert_int_equal(text.len, 0);
}

static void hex_is_lower_case_and_exact(void **state)
{
    (void)state;
    char text[513];
    uint8_t all[256], back[256];
    for (int i = 0; i < 256; i++)
        all[i] = (uint8_t)i;
    hex_encode(all, sizeof all, text);
    assert_int_equal(strlen(text), 512);
    assert_memory_equal(text, "000102030405060708090a0b0c0d0e0f10", 34);
    assert_int_equal(hex_decode(text, 512, back, 256), 0);
    assert_memory_equal(back, all, 256);
    hex_encode("", 0, text);
    assert_string_equal(text, "");
    assert_int_equal(hex_decode("", 0, back, 0), 0);
    static const char *const bad[] = {"0",  "000", "0000", "0G", "g0", "0A",       "A0", " 0",
                                      "0 ", "0x",  "-1",   "+1", "",   "\xff\x30", "0\n"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        uint8_t byte = 0x5a;
        assert_int_equal(hex_decode(bad[i], strlen(bad[i]), &byte, 1), -1);
        assert_int_equal(byte, 0x5a);
    }
    uint8_t two[2] = {0x5a, 0x5a};
    assert_int_equal(hex_decode("00zz", 4, two, 2), -1);
    assert_memory_equal(two, "\x5a\x5a", 2);
    assert_int_equal(hex_decode("0\0", 2, two, 1), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rfc_4648_section_10),
        cmocka_unit_test(the_alphabets_differ_in_two_characters),
        cmocka_unit_test(every_byte_at_every_length_returns),
        cmocka_unit_test(one_text_for_each_byte_string),
        cmocka_unit_test(what_is_not_canonical_is_refused),
        cmocka_unit_test(a_failed_decode_leaves_the_buffer_terminated),
        cmocka_unit_test(no_room_is_a_failure),
        cmocka_unit_test(hex_is_lower_case_and_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
