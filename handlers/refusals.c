/* SPDX-License-Identifier: Apache-2.0 */
#include "handlers/refusals.h"

#include "handlers/token_bucket.h"
#include "trust/caller.h"

#include <pthread.h>
#include <string.h>

#define CALLERS 1024

struct bucket {
    char api_key_id[API_KEY_ID_LEN + 1];
    struct token_bucket tokens;
    uint64_t unreported;
};

static const struct token_rate rate = {REFUSALS_PER_SECOND, REFUSALS_BURST};

struct refusals {
    pthread_mutex_t mutex;
    struct bucket buckets[CALLERS];
};

int refusals_new(struct refusals **ret_refusals, struct fault *fault)
{
    struct refusals *refusals = calloc(1, sizeof *refusals);
    if (refusals == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (pthread_mutex_init(&refusals->mutex, NULL) != 0)
        abort();
    *ret_refusals = refusals;
    return 0;
}

void refusals_free(struct refusals *refusals)
{
    if (refusals == NULL)
        return;
    (void)pthread_mutex_destroy(&refusals->mutex);
    free(refusals);
}

/* The caller's bucket; else the one that was used longest ago, full. */
static struct bucket *bucket_of(struct refusals *refusals, const char *api_key_id, int64_t now_ms)
{
    struct bucket *oldest = &refusals->buckets[0];
    for (size_t i = 0; i < CALLERS; i++) {
        struct bucket *bucket = &refusals->buckets[i];
        if (strcmp(bucket->api_key_id, api_key_id) == 0)
            return bucket;
        if (bucket->tokens.filled_ms < oldest->tokens.filled_ms)
            oldest = bucket;
    }
    *oldest = (struct bucket){.tokens = token_bucket_full(&rate, now_ms)};
    (void)snprintf(oldest->api_key_id, sizeof oldest->api_key_id, "%s", api_key_id);
    return oldest;
}

bool refusals_take(struct refusals *refusals, const char *api_key_id, int64_t now_ms,
                   uint64_t *ret_unreported)
{
    (void)pthread_mutex_lock(&refusals->mutex);
    struct bucket *bucket = bucket_of(refusals, api_key_id, now_ms);
    bool taken = token_bucket_fill(&bucket->tokens, &rate, now_ms);
    if (taken) {
        token_bucket_take(&bucket->tokens);
        *ret_unreported = bucket->unreported;
        bucket->unreported = 0;
    } else {
        bucket->unreported++;
    }
    (void)pthread_mutex_unlock(&refusals->mutex);
    return taken;
}
