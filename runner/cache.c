/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/cache.h"

#include "runner/cache_disk.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

/* What an entry counts for besides its bytes: a block for each file, folder and link. */
#define ENTRY_COST 4096

struct cache_entry {
    struct cache *cache;
    struct cache_entry *next;
    struct digest digest;
    enum artifact_kind kind;
    struct cache_tree tree; /* from `ready` on only its folder changes, with the lock held */
    uint64_t last_used;
    unsigned holders;
    bool ready;     /* false: a thread is fetching it */
    bool discarded; /* not to be found any more, gone when nobody holds it */
};

struct cache {
    struct cache_disk disk;
    uint64_t max_cost, max_artifact_bytes;
    struct unpack_config unpack;

    pthread_mutex_t lock; /* over all below, and the entries */
    pthread_cond_t changed;
    struct cache_entry *entries;
    uint64_t uses; /* counts up: what was used last is the largest */
    struct cache_stats stats;
};

static uint64_t cost_of(const struct cache_entry *entry)
{
    return entry->tree.sum.bytes + entry->tree.sum.entries * ENTRY_COST;
}

static void entry_free(struct cache_entry *entry)
{
    if (entry == NULL)
        return;
    cache_tree_free(&entry->tree);
    free(entry);
}

static struct cache_entry *entry_new(struct cache *cache, const struct digest *digest,
                                     enum artifact_kind kind)
{
    struct cache_entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL)
        return NULL;
    entry->cache = cache;
    entry->digest = *digest;
    entry->kind = kind;
    entry->next = cache->entries;
    cache->entries = entry;
    return entry;
}

/* ---- with the lock held ---- */

static void unlink_entry(struct cache *cache, struct cache_entry *entry)
{
    for (struct cache_entry **at = &cache->entries; *at != NULL; at = &(*at)->next) {
        if (*at == entry) {
            *at = entry->next;
            return;
        }
    }
}

static struct cache_entry *find(struct cache *cache, const struct digest *digest,
                                enum artifact_kind kind)
{
    for (struct cache_entry *entry = cache->entries; entry != NULL; entry = entry->next) {
        if (!entry->discarded && entry->kind == kind && digest_equal(&entry->digest, digest))
            return entry;
    }
    return NULL;
}

/* Out of sight at once, so that its place is free for another; its files go later, without
 * the lock, by cache_tree_remove(). */
static void discard(struct cache_entry *entry)
{
    if (entry->discarded)
        return;
    entry->discarded = true;
    cache_tree_hide(&entry->cache->disk, &entry->tree);
}

static uint64_t total_cost(const struct cache *cache)
{
    uint64_t total = 0;
    for (const struct cache_entry *entry = cache->entries; entry != NULL; entry = entry->next)
        total += entry->ready ? cost_of(entry) : 0;
    return total;
}

static struct cache_entry *oldest_unused(struct cache *cache)
{
    struct cache_entry *oldest = NULL;
    for (struct cache_entry *entry = cache->entries; entry != NULL; entry = entry->next) {
        if (entry->ready && entry->holders == 0 &&
            (oldest == NULL || entry->last_used < oldest->last_used))
            oldest = entry;
    }
    return oldest;
}

/* Moves unused entries, the longest unused first, to *ret_evicted until `room` more fits. */
static bool make_room(struct cache *cache, uint64_t room, struct cache_entry **ret_evicted)
{
    while (total_cost(cache) + room > cache->max_cost) {
        struct cache_entry *entry = oldest_unused(cache);
        if (entry == NULL)
            return false;
        unlink_entry(cache, entry);
        discard(entry);
        entry->next = *ret_evicted;
        *ret_evicted = entry;
        cache->stats.evictions++;
    }
    return true;
}

/* ---- without the lock ---- */

static void remove_evicted(struct cache_entry *evicted)
{
    while (evicted != NULL) {
        struct cache_entry *next = evicted->next;
        cache_tree_remove(&evicted->tree);
        entry_free(evicted);
        evicted = next;
    }
}

/* Files of a placeholder: fetched, proven, unpacked; not yet in their place. */
static int fill(struct cache *cache, struct cache_entry *entry, cache_fetch *fetch, void *context,
                int cancel_fd, struct fault *fault)
{
    struct cache_order order = {
        .digest = &entry->digest,
        .kind = entry->kind,
        .max_bytes = cache->max_artifact_bytes,
        .unpack = &cache->unpack,
        .fetch = fetch,
        .context = context,
        .cancel_fd = cancel_fd,
    };
    if (cache_tree_make(&cache->disk, &order, &entry->tree, fault) != 0)
        return -1;
    if (cost_of(entry) > cache->max_cost)
        return fault_set(fault, FAULT_TOO_LARGE, "unpacked, the artifact is larger than the cache");
    return 0;
}

/* The placeholder becomes an entry, or goes. */
static int settle(struct cache *cache, struct cache_entry *entry, bool filled, struct fault *fault)
{
    struct cache_entry *evicted = NULL;
    (void)pthread_mutex_lock(&cache->lock);
    cache->stats.fetches++;
    int result = -1;
    if (filled && !make_room(cache, cost_of(entry), &evicted))
        (void)fault_set(fault, FAULT_UNAVAILABLE,
                        "what is in use leaves no room for the artifact in the cache");
    else if (filled)
        result = cache_tree_show(&cache->disk, &entry->digest, entry->kind, &entry->tree, fault);
    if (result == 0)
        entry->ready = true;
    else
        unlink_entry(cache, entry);
    (void)pthread_cond_broadcast(&cache->changed);
    (void)pthread_mutex_unlock(&cache->lock);

    remove_evicted(evicted);
    if (result != 0) {
        cache_tree_remove(&entry->tree);
        entry_free(entry);
    }
    return result;
}

int cache_acquire(struct cache *cache, const struct digest *digest, enum artifact_kind kind,
                  cache_fetch *fetch, void *context, int cancel_fd, struct cache_entry **ret_entry,
                  struct fault *fault)
{
    (void)pthread_mutex_lock(&cache->lock);
    struct cache_entry *entry;
    while ((entry = find(cache, digest, kind)) != NULL && !entry->ready)
        (void)pthread_cond_wait(&cache->changed, &cache->lock);
    bool hit = entry != NULL;
    if (hit)
        cache->stats.hits++;
    else
        entry = entry_new(cache, digest, kind);
    if (entry != NULL) {
        entry->holders++;
        entry->last_used = ++cache->uses;
    }
    (void)pthread_mutex_unlock(&cache->lock);

    if (entry == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (!hit) {
        bool filled = fill(cache, entry, fetch, context, cancel_fd, fault) == 0;
        if (settle(cache, entry, filled, fault) != 0)
            return -1;
    }
    *ret_entry = entry;
    return 0;
}

void cache_release(struct cache_entry *entry)
{
    if (entry == NULL)
        return;
    struct cache *cache = entry->cache;
    (void)pthread_mutex_lock(&cache->lock);
    entry->holders--;
    bool gone = entry->holders == 0 && entry->discarded;
    if (gone)
        unlink_entry(cache, entry);
    (void)pthread_mutex_unlock(&cache->lock);
    if (gone) {
        cache_tree_remove(&entry->tree);
        entry_free(entry);
    }
}

void cache_entry_cleanup(struct cache_entry **entry)
{
    cache_release(*entry);
}

const char *cache_entry_root(const struct cache_entry *entry)
{
    return entry->tree.root;
}

const struct image *cache_entry_image(const struct cache_entry *entry)
{
    return entry->tree.image;
}

int cache_entry_check(struct cache_entry *entry, struct fault *fault)
{
    struct cache *cache = entry->cache;
    struct digest stamp;
    struct fault why = {0};
    bool walked = tree_stamp(entry->tree.root, &stamp, &why) == 0;
    if (walked && digest_equal(&stamp, &entry->tree.sum.stamp))
        return 0;
    (void)pthread_mutex_lock(&cache->lock);
    discard(entry);
    cache->stats.refused++;
    (void)pthread_mutex_unlock(&cache->lock);
    return fault_set(fault, FAULT_CONTENT_MISMATCH,
                     "the cached tree of %s is not what was unpacked%s%.100s",
                     digest_format(&entry->digest).text, walked ? "" : ": ", why.detail);
}

struct cache_stats cache_stats(struct cache *cache)
{
    (void)pthread_mutex_lock(&cache->lock);
    struct cache_stats stats = cache->stats;
    for (const struct cache_entry *entry = cache->entries; entry != NULL; entry = entry->next) {
        if (!entry->ready)
            continue;
        stats.entries++;
        stats.bytes += entry->tree.sum.bytes;
        stats.in_use += entry->holders > 0;
    }
    (void)pthread_mutex_unlock(&cache->lock);
    return stats;
}

/* ---- opening and closing ---- */

/* Called by cache_disk_open() for each tree that proved to be what was recorded. */
static int adopt(void *context, const struct digest *digest, enum artifact_kind kind,
                 struct cache_tree *tree, struct fault *fault)
{
    struct cache *cache = context;
    struct cache_entry *entry = entry_new(cache, digest, kind);
    if (entry == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    entry->tree = *tree;
    *tree = (struct cache_tree){0};
    entry->ready = true;
    return 0;
}

int cache_open(const struct cache_config *config, struct cache **ret_cache, struct fault *fault)
{
    AUTO_CACHE struct cache *cache = calloc(1, sizeof *cache);
    if (cache == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    (void)pthread_mutex_init(&cache->lock, NULL);
    (void)pthread_cond_init(&cache->changed, NULL);
    cache->disk.lock = -1;
    if (config->max_bytes < 1 || config->max_artifact_bytes < 1)
        return fault_set(fault, FAULT_INTERNAL, "a cache needs sizes");
    cache->max_cost = (uint64_t)config->max_bytes;
    cache->max_artifact_bytes = (uint64_t)config->max_artifact_bytes;
    cache->unpack = config->unpack;
    if (cache_disk_open(config->folder, &cache->disk, adopt, cache, fault) != 0)
        return -1;
    struct cache_entry *evicted = NULL;
    (void)make_room(cache, 0, &evicted); /* nothing is in use: it always succeeds */
    remove_evicted(evicted);
    cache->stats = (struct cache_stats){0};
    *ret_cache = TAKE(cache);
    return 0;
}

void cache_free(struct cache *cache)
{
    if (cache == NULL)
        return;
    while (cache->entries != NULL) {
        struct cache_entry *entry = cache->entries;
        cache->entries = entry->next;
        entry_free(entry);
    }
    cache_disk_close(&cache->disk);
    (void)pthread_cond_destroy(&cache->changed);
    (void)pthread_mutex_destroy(&cache->lock);
    free(cache);
}

void cache_cleanup(struct cache **cache)
{
    cache_free(*cache);
}
