/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/show.h"

#include "base/text.h"

#include <string.h>

/* The character at the front of valid UTF-8, and its bytes; 0 bytes where it is not valid. */
static size_t take_character(const uint8_t *at, size_t left, uint32_t *ret_character)
{
    size_t len = at[0] < 0x80 ? 1 : at[0] < 0xE0 ? 2 : at[0] < 0xF0 ? 3 : 4;
    if (len > left || !utf8_valid(at, len))
        return 0;
    uint32_t character = len == 1 ? at[0] : at[0] & (0x7Fu >> len);
    for (size_t i = 1; i < len; i++)
        character = character << 6 | (at[i] & 0x3Fu);
    *ret_character = character;
    return len;
}

static bool turns_direction(uint32_t c)
{
    return c == 0x061C || c == 0x200E || c == 0x200F || (c >= 0x202A && c <= 0x202E) ||
           (c >= 0x2066 && c <= 0x2069);
}

static bool is_harmless(uint32_t c, enum show how)
{
    if (c == '\n' || c == '\t')
        return how == SHOW_LINES;
    if (c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x2028 || c == 0x2029 || c == 0xFEFF)
        return false;
    return !turns_direction(c);
}

void show_text(struct buf *buf, struct span text, enum show how)
{
    while (text.len > 0) {
        uint32_t character = 0;
        size_t len = take_character(text.data, text.len, &character);
        if (len > 0 && is_harmless(character, how))
            buf_append(buf, text.data, len);
        else if (len > 1)
            buf_printf(buf, "\\u{%x}", character);
        else
            buf_printf(buf, "\\x%02x", text.data[0]);
        len = len == 0 ? 1 : len;
        text.data += len;
        text.len -= len;
    }
}

size_t show_width(struct span text)
{
    size_t width = 0;
    for (size_t i = 0; i < text.len; i++)
        width += (text.data[i] & 0xC0) != 0x80 ? 1 : 0;
    return width;
}
