/* SPDX-License-Identifier: Apache-2.0 */
/* UUID version 7 (RFC 9562): time-ordered, 74 random bits from the system's generator. */
#pragma once

#include "base/buf.h"

#define UUID_TEXT_LEN 36

struct uuid {
    uint8_t bytes[16];
};

struct uuid_text {
    char text[UUID_TEXT_LEN + 1];
};

/* A new one of the current wall clock. Aborts if the system has no randomness. */
struct uuid uuid_v7(void);
struct uuid_text uuid_format(const struct uuid *uuid);
/* The 36-character lower-case form only, any version. */
int uuid_parse(const char *text, size_t len, struct uuid *ret_uuid) MUST_CHECK;
bool uuid_equal(const struct uuid *a, const struct uuid *b);
/* 62 or more random bits as lower-case hex and other short secrets: fills len bytes. */
void random_bytes(void *ret_data, size_t len);
