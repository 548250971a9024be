/* SPDX-License-Identifier: Apache-2.0 */
/* So many tokens a second, at most `burst` kept. Pure: the caller says what time it is. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct token_bucket {
    int64_t filled_ms; /* by any clock that does not go back for long */
    int64_t thousandths;
};

struct token_rate {
    int64_t per_second, burst; /* each 1 to 10^9 */
};

struct token_bucket token_bucket_full(const struct token_rate *rate, int64_t now_ms);
/* Adds what has come since; true if a token is there. */
bool token_bucket_fill(struct token_bucket *bucket, const struct token_rate *rate, int64_t now_ms);
/* After token_bucket_fill() said true. */
void token_bucket_take(struct token_bucket *bucket);
