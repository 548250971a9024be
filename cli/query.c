/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/query.h"

#include "base/text.h"

#include <inttypes.h>
#include <string.h>

void query_escape(struct buf *path, const char *text)
{
    for (; *text != '\0'; text++) {
        if (strchr(TEXT_ALNUM "-._~", *text) != NULL)
            buf_append(path, text, 1);
        else
            buf_printf(path, "%%%02X", (unsigned char)*text);
    }
}

void query_add(struct buf *path, const char *name, const char *value)
{
    if (value == NULL)
        return;
    buf_puts(path, strchr(buf_text(path), '?') == NULL ? "?" : "&");
    query_escape(path, name);
    buf_puts(path, "=");
    query_escape(path, value);
}

void query_add_number(struct buf *path, const char *name, int64_t value)
{
    char text[24];
    (void)snprintf(text, sizeof text, "%" PRId64, value);
    query_add(path, name, text);
}
