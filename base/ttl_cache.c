/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ttl_cache.h"

#include "base/clock.h"

#include <pthread.h>
#include <string.h>

#define PLACES 1024
#define KEY_MAX 256

struct place {
    char key[KEY_MAX]; /* "": empty */
    int64_t until_ms;  /* monotonic */
    void *value;       /* NULL: known to be absent */
};

struct ttl_cache {
    pthread_mutex_t mutex;
    int64_t ttl_ms;
    void *(*copy)(void *value);
    void (*destroy)(void *value);
    struct place places[PLACES];
};

int ttl_cache_new(int64_t ttl_ms, void *(*copy)(void *value), void (*destroy)(void *value),
                  struct ttl_cache **ret_cache, struct fault *fault)
{
    struct ttl_cache *cache = calloc(1, sizeof *cache);
    if (cache == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (pthread_mutex_init(&cache->mutex, NULL) != 0)
        abort();
    cache->ttl_ms = ttl_ms;
    cache->copy = copy;
    cache->destroy = destroy;
    *ret_cache = cache;
    return 0;
}

static void place_clear(struct ttl_cache *cache, struct place *place)
{
    if (place->value != NULL)
        cache->destroy(TAKE(place->value));
    place->key[0] = '\0';
}

void ttl_cache_free(struct ttl_cache *cache)
{
    if (cache == NULL)
        return;
    for (size_t i = 0; i < PLACES; i++)
        place_clear(cache, &cache->places[i]);
    (void)pthread_mutex_destroy(&cache->mutex);
    free(cache);
}

/* FNV-1a. Keys that collide only displace each other, so no secret seed is needed. */
static struct place *place_of(struct ttl_cache *cache, const char *key)
{
    uint32_t hash = 2166136261u;
    for (; *key != '\0'; key++)
        hash = (hash ^ (unsigned char)*key) * 16777619u;
    return &cache->places[hash % PLACES];
}

bool ttl_cache_get(struct ttl_cache *cache, const char *key, void **ret_value)
{
    bool found = false;
    (void)pthread_mutex_lock(&cache->mutex);
    struct place *place = place_of(cache, key);
    if (key[0] != '\0' && strcmp(place->key, key) == 0 && place->until_ms > clock_monotonic_ms()) {
        *ret_value = place->value == NULL ? NULL : cache->copy(place->value);
        found = place->value == NULL || *ret_value != NULL;
    }
    (void)pthread_mutex_unlock(&cache->mutex);
    return found;
}

void ttl_cache_put(struct ttl_cache *cache, const char *key, void *value)
{
    if (strlen(key) >= KEY_MAX)
        return;
    void *kept = value == NULL ? NULL : cache->copy(value);
    if (value != NULL && kept == NULL)
        return;
    (void)pthread_mutex_lock(&cache->mutex);
    struct place *place = place_of(cache, key);
    place_clear(cache, place);
    (void)snprintf(place->key, sizeof place->key, "%s", key);
    place->until_ms = clock_monotonic_ms() + cache->ttl_ms;
    place->value = kept;
    (void)pthread_mutex_unlock(&cache->mutex);
}
