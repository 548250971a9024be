/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/line.h"

#include "base/encode.h"

#include <string.h>

#define DIGEST_BASE64_LEN 44

bool line_take(struct span *rest, struct span *ret_line)
{
    const uint8_t *newline = rest->len == 0 ? NULL : memchr(rest->data, '\n', rest->len);
    if (newline == NULL)
        return false;
    size_t len = (size_t)(newline - rest->data);
    *ret_line = span_of(rest->data, len);
    *rest = span_of(newline + 1, rest->len - len - 1);
    return true;
}

bool line_number(struct span line, uint64_t *ret_value)
{
    if (line.len < 1 || line.len > 19 || (line.len > 1 && line.data[0] == '0'))
        return false;
    uint64_t value = 0; /* 19 digits fit */
    for (size_t i = 0; i < line.len; i++) {
        if (line.data[i] < '0' || line.data[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(line.data[i] - '0');
    }
    if (value > INT64_MAX)
        return false;
    *ret_value = value;
    return true;
}

bool line_digest(struct span line, struct digest *ret_digest)
{
    AUTO_BUF struct buf bytes = BUF(DIGEST_LEN);
    if (line.len != DIGEST_BASE64_LEN ||
        base64_decode(&bytes, (const char *)line.data, line.len) != 0 || bytes.len != DIGEST_LEN)
        return false;
    memcpy(ret_digest->bytes, bytes.data, DIGEST_LEN);
    return true;
}
