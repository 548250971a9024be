/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fault.h"

#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

struct fault_row {
    const char *name;
    int http;
    const char *title;
};

static const struct fault_row rows[FAULT_CODE_COUNT] = {
#define FAULT_ROW(code, wire, status, words) [code] = {wire, status, words},
    FAULT_CODES(FAULT_ROW)
#undef FAULT_ROW
};

static const struct fault_row *row_of(enum fault_code code)
{
    return code > FAULT_NONE && code < FAULT_CODE_COUNT ? &rows[code] : &rows[FAULT_INTERNAL];
}

const char *fault_name(enum fault_code code)
{
    return row_of(code)->name;
}

int fault_http_status(enum fault_code code)
{
    return row_of(code)->http;
}

const char *fault_title(enum fault_code code)
{
    return row_of(code)->title;
}

enum fault_code fault_from_name(const char *name)
{
    for (int code = FAULT_NONE + 1; code < FAULT_CODE_COUNT; code++)
        if (strcmp(rows[code].name, name) == 0)
            return (enum fault_code)code;
    return FAULT_NONE;
}

/* The detail goes into JSON, so a caller's bytes in it must not break it. */
static void detail_clean(char *detail)
{
    size_t len = strlen(detail);
    if (!utf8_valid(detail, len)) {
        for (size_t i = 0; i < len; i++)
            if ((unsigned char)detail[i] >= 0x80)
                detail[i] = '?';
    }
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)detail[i] < 0x20 || detail[i] == 0x7f)
            detail[i] = ' ';
}

PRINTF_LIKE(3, 0)
static void fault_format(struct fault *fault, enum fault_code code, const char *format,
                         va_list arguments)
{
    fault->code = code;
    int len = vsnprintf(fault->detail, sizeof fault->detail, format, arguments);
    if (len >= (int)sizeof fault->detail) {
        size_t kept = sizeof fault->detail - 1;
        while (kept > 0 && ((unsigned char)fault->detail[kept - 1] & 0xC0) == 0x80)
            kept--; /* back to the lead byte of a character that may be cut */
        if (kept > 0 && (unsigned char)fault->detail[kept - 1] >= 0xC0)
            kept--;
        fault->detail[kept] = '\0';
    }
    detail_clean(fault->detail);
}

void fault_write(struct fault *fault, enum fault_code code, const char *format, ...)
{
    if (fault == NULL)
        return;
    va_list arguments;
    va_start(arguments, format);
    fault_format(fault, code, format, arguments);
    va_end(arguments);
}

void fault_write_errno(struct fault *fault, const char *format, ...)
{
    int error = errno;
    if (fault == NULL)
        return;
    va_list arguments;
    va_start(arguments, format);
    fault_format(fault, FAULT_INTERNAL, format, arguments);
    va_end(arguments);
    char words[96];
    const char *reason = strerror_r(error, words, sizeof words);
    size_t len = strlen(fault->detail);
    (void)snprintf(fault->detail + len, sizeof fault->detail - len, ": %s", reason);
}
