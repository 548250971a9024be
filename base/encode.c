/* SPDX-License-Identifier: Apache-2.0 */
#include "base/encode.h"

#include <string.h>

static const char hex_digits[] = "0123456789abcdef";
static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char alphabet_url[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void hex_encode(const void *data, size_t len, char *ret_text)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < len; i++) {
        ret_text[2 * i] = hex_digits[bytes[i] >> 4];
        ret_text[2 * i + 1] = hex_digits[bytes[i] & 15];
    }
    ret_text[2 * len] = '\0';
}

/* A digit's value and one; 0 for all else. An export has millions of them. */
static const uint8_t hex_values[UINT8_MAX + 1] = {
    ['0'] = 1, ['1'] = 2,  ['2'] = 3,  ['3'] = 4,  ['4'] = 5,  ['5'] = 6,  ['6'] = 7,  ['7'] = 8,
    ['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

int hex_decode(const char *text, size_t text_len, uint8_t *ret_data, size_t len)
{
    const uint8_t *digits = (const uint8_t *)text;
    if (text_len != HEX_LEN(len))
        return -1;
    for (size_t i = 0; i < text_len; i++)
        if (hex_values[digits[i]] == 0)
            return -1;
    for (size_t i = 0; i < len; i++)
        ret_data[i] =
            (uint8_t)((hex_values[digits[2 * i]] - 1) << 4 | (hex_values[digits[2 * i + 1]] - 1));
    return 0;
}

static void encode(struct buf *buf, const uint8_t *in, size_t len, const char *table, bool pad)
{
    size_t tail = len % 3;
    size_t out_len = len / 3 * 4 + (tail == 0 ? 0 : pad ? 4 : tail + 1);
    char *out = buf_reserve(buf, out_len);
    if (out == NULL)
        return;
    for (; len >= 3; in += 3, len -= 3) {
        *out++ = table[in[0] >> 2];
        *out++ = table[(in[0] & 3) << 4 | in[1] >> 4];
        *out++ = table[(in[1] & 15) << 2 | in[2] >> 6];
        *out++ = table[in[2] & 63];
    }
    if (tail > 0) {
        uint8_t second = tail == 2 ? in[1] : 0;
        *out++ = table[in[0] >> 2];
        *out++ = table[(in[0] & 3) << 4 | second >> 4];
        if (tail == 2)
            *out++ = table[(second & 15) << 2];
        else if (pad)
            *out++ = '=';
        if (pad)
            *out++ = '=';
    }
    buf_commit(buf, out_len);
}

void base64url_encode(struct buf *buf, const void *data, size_t len)
{
    encode(buf, data, len, alphabet_url, false);
}

void base64_encode(struct buf *buf, const void *data, size_t len)
{
    encode(buf, data, len, alphabet, true);
}

/* Values of the digits that both alphabets share, plus one; 0: none. */
static const uint8_t shared_values[256] = {
    ['A'] = 1,  ['B'] = 2,  ['C'] = 3,  ['D'] = 4,  ['E'] = 5,  ['F'] = 6,  ['G'] = 7,  ['H'] = 8,
    ['I'] = 9,  ['J'] = 10, ['K'] = 11, ['L'] = 12, ['M'] = 13, ['N'] = 14, ['O'] = 15, ['P'] = 16,
    ['Q'] = 17, ['R'] = 18, ['S'] = 19, ['T'] = 20, ['U'] = 21, ['V'] = 22, ['W'] = 23, ['X'] = 24,
    ['Y'] = 25, ['Z'] = 26, ['a'] = 27, ['b'] = 28, ['c'] = 29, ['d'] = 30, ['e'] = 31, ['f'] = 32,
    ['g'] = 33, ['h'] = 34, ['i'] = 35, ['j'] = 36, ['k'] = 37, ['l'] = 38, ['m'] = 39, ['n'] = 40,
    ['o'] = 41, ['p'] = 42, ['q'] = 43, ['r'] = 44, ['s'] = 45, ['t'] = 46, ['u'] = 47, ['v'] = 48,
    ['w'] = 49, ['x'] = 50, ['y'] = 51, ['z'] = 52, ['0'] = 53, ['1'] = 54, ['2'] = 55, ['3'] = 56,
    ['4'] = 57, ['5'] = 58, ['6'] = 59, ['7'] = 60, ['8'] = 61, ['9'] = 62,
};

static int value_of(unsigned char c, bool url)
{
    if (shared_values[c] != 0)
        return shared_values[c] - 1;
    if (c == (url ? '-' : '+'))
        return 62;
    return c == (url ? '_' : '/') ? 63 : -1;
}

/* Decodes `text` (without padding) into `out`; the number of bytes, or -1. */
static ssize_t decode_into(uint8_t *out, const char *text, size_t len, bool url)
{
    uint32_t bits = 0;
    ssize_t n = 0;
    for (size_t i = 0; i < len; i++) {
        int value = value_of((unsigned char)text[i], url);
        if (value < 0)
            return -1;
        bits = bits << 6 | (uint32_t)value;
        if (i % 4 == 3) {
            out[n++] = (uint8_t)(bits >> 16);
            out[n++] = (uint8_t)(bits >> 8);
            out[n++] = (uint8_t)bits;
            bits = 0;
        }
    }
    if (len % 4 == 2) {
        if ((bits & 15) != 0)
            return -1;
        out[n++] = (uint8_t)(bits >> 4);
    } else if (len % 4 == 3) {
        if ((bits & 3) != 0)
            return -1;
        out[n++] = (uint8_t)(bits >> 10);
        out[n++] = (uint8_t)(bits >> 2);
    }
    return n;
}

static int decode(struct buf *buf, const char *text, size_t len, bool url)
{
    size_t tail = len % 4;
    if (tail == 1)
        return -1;
    uint8_t *out = buf_reserve(buf, len / 4 * 3 + (tail == 0 ? 0 : tail - 1));
    ssize_t n = out == NULL ? -1 : decode_into(out, text, len, url);
    if (n < 0) {
        if (out != NULL)
            buf->data[buf->len] = '\0'; /* what was written is forgotten */
        return -1;
    }
    buf_commit(buf, (size_t)n);
    return 0;
}

int base64url_decode(struct buf *buf, const char *text, size_t len)
{
    return decode(buf, text, len, true);
}

int base64_decode(struct buf *buf, const char *text, size_t len)
{
    if (len % 4 != 0)
        return -1;
    size_t padding = 0;
    while (padding < 2 && padding < len && text[len - 1 - padding] == '=')
        padding++;
    return decode(buf, text, len - padding, false);
}
