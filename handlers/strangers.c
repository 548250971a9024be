/* SPDX-License-Identifier: Apache-2.0 */
#include "handlers/strangers.h"

#include "base/uuid.h"
#include "handlers/token_bucket.h"

#include <pthread.h>
#include <string.h>

#define SETS 512 /* a power of two */
#define WAYS 8   /* places of a set */

struct place {
    struct http_address network;
    bool taken;
    struct token_bucket tokens;
};

struct strangers {
    pthread_mutex_t mutex;
    struct token_rate each, all;
    uint64_t seed[2]; /* so that nobody can choose the addresses of one set */
    struct token_bucket tokens;
    struct place places[SETS][WAYS];
};

int strangers_new(int64_t per_second, struct strangers **ret_strangers, struct fault *fault)
{
    struct strangers *strangers = calloc(1, sizeof *strangers);
    if (strangers == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (pthread_mutex_init(&strangers->mutex, NULL) != 0)
        abort();
    strangers->each = (struct token_rate){per_second, per_second * STRANGERS_BURST_SECONDS};
    strangers->all = (struct token_rate){strangers->each.per_second * STRANGERS_ALL,
                                         strangers->each.burst * STRANGERS_ALL};
    strangers->tokens = token_bucket_full(&strangers->all, 0);
    random_bytes(strangers->seed, sizeof strangers->seed);
    *ret_strangers = strangers;
    return 0;
}

void strangers_free(struct strangers *strangers)
{
    if (strangers == NULL)
        return;
    (void)pthread_mutex_destroy(&strangers->mutex);
    free(strangers);
}

/* An IPv4 address whole, the first half of any other. */
static struct http_address network_of(const struct http_address *address)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct http_address network = *address;
    if (memcmp(address->bytes, mapped, sizeof mapped) != 0)
        memset(network.bytes + 8, 0, 8);
    return network;
}

static struct place *set_of(struct strangers *strangers, const struct http_address *network)
{
    uint64_t half[2];
    memcpy(half, network->bytes, sizeof half);
    uint64_t hash = strangers->seed[0];
    for (size_t i = 0; i < 2; i++) {
        hash = (hash ^ half[i] ^ strangers->seed[1]) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    return strangers->places[(hash >> 32) % SETS];
}

/* The network's place; else, full, that of nobody, or of who was there longest ago. */
static struct place *place_of(struct strangers *strangers, const struct http_address *network,
                              int64_t now_ms)
{
    struct place *set = set_of(strangers, network), *oldest = set;
    for (size_t i = 0; i < WAYS; i++) {
        struct place *place = &set[i];
        if (place->taken && memcmp(&place->network, network, sizeof *network) == 0)
            return place;
        if (oldest->taken && (!place->taken || place->tokens.filled_ms < oldest->tokens.filled_ms))
            oldest = place;
    }
    *oldest = (struct place){
        .network = *network, .taken = true, .tokens = token_bucket_full(&strangers->each, now_ms)};
    return oldest;
}

bool strangers_take(struct strangers *strangers, const struct http_address *address, int64_t now_ms)
{
    struct http_address network = network_of(address);
    (void)pthread_mutex_lock(&strangers->mutex);
    struct place *place = place_of(strangers, &network, now_ms);
    bool taken = token_bucket_fill(&place->tokens, &strangers->each, now_ms) &&
                 token_bucket_fill(&strangers->tokens, &strangers->all, now_ms);
    if (taken) {
        token_bucket_take(&place->tokens);
        token_bucket_take(&strangers->tokens);
    }
    (void)pthread_mutex_unlock(&strangers->mutex);
    return taken;
}
