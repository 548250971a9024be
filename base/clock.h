/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time: wall clock in milliseconds since the epoch (UTC), monotonic milliseconds for
 * deadlines, and RFC 3339 text.
 */
#pragma once

#include "base/buf.h"

/* "2026-01-02T03:04:05.678Z" */
#define TIME_TEXT_LEN 24

struct time_text {
    char text[TIME_TEXT_LEN + 1];
};

int64_t clock_wall_ms(void);
int64_t clock_monotonic_ms(void);

/* RFC 3339 in UTC with milliseconds, by value. Years 0000 to 9999; others are clamped. */
struct time_text time_format(int64_t wall_ms);

/* RFC 3339 section 5.6 `date-time`, strictly: upper or lower case T and Z, an offset is
 * required, any number (1 to 9) of fraction digits (cut to milliseconds), real calendar
 * days, seconds 00 to 60 (60 only as a leap second at 23:59:60 UTC; read as the next
 * second's start). Years 0001 to 9999. -1 otherwise. */
int time_parse(const char *text, size_t len, int64_t *ret_wall_ms) MUST_CHECK;
