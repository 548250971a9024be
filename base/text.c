/* SPDX-License-Identifier: Apache-2.0 */
#include "base/text.h"

#include <string.h>

/* Length of the valid character at `at`, 0 if there is none (RFC 3629 section 4). */
static size_t utf8_character(const uint8_t *at, size_t left)
{
    uint8_t a = at[0];
    if (a < 0x80)
        return 1;
    if (a < 0xC2 || a > 0xF4)
        return 0;
    size_t len = a < 0xE0 ? 2 : a < 0xF0 ? 3 : 4;
    if (left < len)
        return 0;
    uint8_t low = a == 0xE0 ? 0xA0 : a == 0xF0 ? 0x90 : 0x80;
    uint8_t high = a == 0xED ? 0x9F : a == 0xF4 ? 0x8F : 0xBF;
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((at[i] & 0xC0) != 0x80)
            return 0;
    return len;
}

bool utf8_valid(const void *data, size_t len)
{
    const uint8_t *at = data;
    while (len > 0) {
        size_t step = utf8_character(at, len);
        if (step == 0)
            return false;
        at += step;
        len -= step;
    }
    return true;
}

size_t utf8_cut(const void *data, size_t len, size_t max)
{
    if (len <= max)
        return len;
    const uint8_t *bytes = data;
    size_t cut = max;
    while (cut > 0 && (bytes[cut] & 0xC0) == 0x80)
        cut--;
    return cut;
}

size_t utf8_ragged(const void *data, size_t len)
{
    const uint8_t *bytes = data;
    for (size_t back = 1; back <= 3 && back <= len; back++) {
        uint8_t byte = bytes[len - back];
        if ((byte & 0xC0) == 0x80)
            continue;
        if (byte < 0xC2 || byte > 0xF4)
            return 0;
        size_t need = byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2;
        return need > back ? back : 0;
    }
    return 0;
}

bool text_in_set(const char *text, size_t len, size_t min, size_t max, const char *allowed)
{
    if (len < min || len > max)
        return false;
    for (size_t i = 0; i < len; i++)
        if (text[i] == '\0' || strchr(allowed, text[i]) == NULL)
            return false;
    return true;
}

bool text_has_control(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return true;
    return false;
}
