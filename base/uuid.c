/* SPDX-License-Identifier: Apache-2.0 */
#include "base/uuid.h"

#include "base/clock.h"
#include "base/encode.h"

#include <openssl/rand.h>
#include <string.h>

void random_bytes(void *ret_data, size_t len)
{
    if (len > INT32_MAX || RAND_bytes(ret_data, (int)len) != 1)
        abort();
}

struct uuid uuid_v7(void)
{
    struct uuid uuid;
    random_bytes(uuid.bytes, sizeof uuid.bytes);
    uint64_t ms = (uint64_t)clock_wall_ms();
    for (int i = 0; i < 6; i++)
        uuid.bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
    uuid.bytes[6] = (uint8_t)(0x70 | (uuid.bytes[6] & 0x0f));
    uuid.bytes[8] = (uint8_t)(0x80 | (uuid.bytes[8] & 0x3f));
    return uuid;
}

struct uuid_text uuid_format(const struct uuid *uuid)
{
    static const int groups[] = {4, 2, 2, 2, 6};
    struct uuid_text text;
    char *out = text.text;
    const uint8_t *in = uuid->bytes;
    for (int i = 0; i < 5; i++) {
        if (i > 0)
            *out++ = '-';
        hex_encode(in, (size_t)groups[i], out);
        out += 2 * groups[i];
        in += groups[i];
    }
    return text;
}

int uuid_parse(const char *text, size_t len, struct uuid *ret_uuid)
{
    if (len != UUID_TEXT_LEN)
        return -1;
    char digits[32];
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        bool dash = i == 8 || i == 13 || i == 18 || i == 23;
        if (dash != (text[i] == '-'))
            return -1;
        if (!dash)
            digits[n++] = text[i];
    }
    return hex_decode(digits, n, ret_uuid->bytes, sizeof ret_uuid->bytes);
}

bool uuid_equal(const struct uuid *a, const struct uuid *b)
{
    return memcmp(a->bytes, b->bytes, sizeof a->bytes) == 0;
}
