/* SPDX-License-Identifier: Apache-2.0 */
#include "server/url.h"

#include "base/text.h"

#include <string.h>
#include <strings.h>

/* RFC 3986: unreserved, sub-delims, and what else pchar, path and query allow, with the
 * square brackets that form libraries leave bare. */
#define URL_CHARACTERS TEXT_ALNUM "-._~!$&'()*+,;=:@/?%[]"

static size_t span_find(struct span text, char wanted)
{
    const uint8_t *at = text.len == 0 ? NULL : memchr(text.data, wanted, text.len);
    return at == NULL ? text.len : (size_t)(at - text.data);
}

static struct span span_from(struct span text, size_t start)
{
    return start >= text.len ? span_of("", 0) : span_of(text.data + start, text.len - start);
}

/* The target from its path on. In absolute-form scheme and authority are left out: which host
 * was meant is the Host header's matter (RFC 9112 section 3.2.2). */
static struct span target_path(struct span target)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        size_t len = strlen(schemes[i]);
        if (target.len < len || strncasecmp((const char *)target.data, schemes[i], len) != 0)
            continue;
        struct span rest = span_from(target, len);
        return span_from(rest, span_find(rest, '/'));
    }
    return target;
}

int url_split(struct span target, struct span *ret_path, struct span *ret_query,
              struct fault *fault)
{
    for (size_t i = 0; i < target.len; i++)
        if (target.data[i] == '\0' || strchr(URL_CHARACTERS, target.data[i]) == NULL)
            return fault_set(fault, FAULT_MALFORMED_REQUEST,
                             "the request target has a character that must be percent-encoded");
    struct span whole = target_path(target);
    if (whole.len == 0 || whole.data[0] != '/')
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "the request target must be an absolute path");
    size_t mark = span_find(whole, '?');
    *ret_path = span_of(whole.data, mark);
    *ret_query = span_from(whole, mark + 1);
    return 0;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int url_decode(struct span text, bool plus_is_space, const char *what, char *ret_text,
               struct fault *fault)
{
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == '+' && plus_is_space)
            c = ' ';
        if (c == '%') {
            int high = text.len - i > 2 ? hex_digit(text.data[i + 1]) : -1;
            int low = high < 0 ? -1 : hex_digit(text.data[i + 2]);
            if (low < 0)
                return fault_set(fault, FAULT_MALFORMED_REQUEST,
                                 "%s has a %% without two hex digits after it", what);
            c = (uint8_t)(high << 4 | low);
            i += 2;
        }
        ret_text[len++] = (char)c;
    }
    if (text_has_control(ret_text, len))
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "%s has a control character", what);
    if (!utf8_valid(ret_text, len))
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "%s is not UTF-8", what);
    ret_text[len] = '\0';
    return 0;
}

int url_query(struct span query, char *text, struct url_parameter *ret_parameters, size_t max,
              size_t *ret_count, struct fault *fault)
{
    size_t count = 0;
    for (size_t start = 0; query.len > 0 && start <= query.len;) {
        struct span rest = span_from(query, start);
        struct span pair = span_of(rest.data, span_find(rest, '&'));
        size_t equals = span_find(pair, '=');
        if (equals == 0)
            return fault_set(fault, FAULT_MALFORMED_REQUEST, "a query parameter has no name");
        if (count == max)
            return fault_set(fault, FAULT_MALFORMED_REQUEST,
                             "there are more than %zu query parameters", max);
        char *name = text;
        if (url_decode(span_of(pair.data, equals), true, "a query parameter", name, fault) != 0)
            return -1;
        char *value = name + strlen(name) + 1;
        if (url_decode(span_from(pair, equals + 1), true, "a query parameter", value, fault) != 0)
            return -1;
        text = value + strlen(value) + (equals == pair.len ? 0 : 1);
        ret_parameters[count++] = (struct url_parameter){name, equals == pair.len ? "" : value};
        start += pair.len + 1;
    }
    *ret_count = count;
    return 0;
}
