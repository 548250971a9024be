/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 (RFC 3629) and small character-class checks over bounded text. */
#pragma once

#include "base/buf.h"

/* Valid UTF-8: no overlong forms, no surrogates, nothing above U+10FFFF. NUL is valid here. */
bool utf8_valid(const void *data, size_t len);

/* The largest n <= max such that the first n bytes end at a character's end. data must be
 * valid UTF-8. */
size_t utf8_cut(const void *data, size_t len, size_t max);

/* The bytes, 0 to 3, of a character begun but not ended at the end of text whose beginning may be
 * anything. */
size_t utf8_ragged(const void *data, size_t len);

/* True if len is in [min, max] and each byte is in `allowed`. */
bool text_in_set(const char *text, size_t len, size_t min, size_t max, const char *allowed);

#define TEXT_ALNUM "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
#define TEXT_TOKEN TEXT_ALNUM "._:-"

/* True if there is a byte below 0x20 or 0x7f. */
bool text_has_control(const char *text, size_t len);
