/* SPDX-License-Identifier: Apache-2.0 */
#include "handlers/token_bucket.h"

#define TOKEN 1000

struct token_bucket token_bucket_full(const struct token_rate *rate, int64_t now_ms)
{
    return (struct token_bucket){.filled_ms = now_ms, .thousandths = rate->burst * TOKEN};
}

bool token_bucket_fill(struct token_bucket *bucket, const struct token_rate *rate, int64_t now_ms)
{
    int64_t full = rate->burst * TOKEN, passed = now_ms - bucket->filled_ms;
    if (passed > 0) {
        /* after so long it is full, whatever was in it */
        bucket->thousandths = passed > full / rate->per_second
                                  ? full
                                  : bucket->thousandths + passed * rate->per_second;
        bucket->filled_ms = now_ms;
    }
    if (bucket->thousandths > full)
        bucket->thousandths = full;
    return bucket->thousandths >= TOKEN;
}

void token_bucket_take(struct token_bucket *bucket)
{
    bucket->thousandths -= TOKEN;
}
