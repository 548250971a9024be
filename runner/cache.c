/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/cache.h"

#include "runner/cache_disk.h"
#include "runner/cache_room.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

struct cache_entry {
    struct cache *cache;
    struct cache_entry *next;
    struct digest digest;
    enum artifact_kind kind;
    struct cache_tree tree; /* from `ready` on only its folder changes, with the lock held */
    uint64_t reserved;      /* while it is being fetched: what it may yet come to */
    uint64_t last_used;
    unsigned holders;
    bool ready;     /* false: a thread is fetching it */
    bool discarded; /* not to be found any more, gone when nobody holds it */
    /* cache_entry_check(): walks of the tree, one at a time */
    uint64_t walks_begun, walks_ended;
    struct fault spoiled; /* what the last walk found; FAULT_NONE: nothing */
};

struct cache {
    struct cache_disk disk;
    uint64_t max_cost, max_artifact_bytes;
    struct unpack_config unpack;

    pthread_mutex_t lock; /* over all below, and the entries */
    pthread_cond_t changed;
    struct cache_entry *entries;
    uint64_t leaving; /* cost of trees that are being removed and are in no list */
    uint64_t uses;    /* counts up: what was used last is the largest */
    struct cache_stats stats;
};

static uint64_t cost_of(const struct cache_entry *entry)
{
    return entry->ready ? entry->tree.sum.bytes + entry->tree.sum.entries * CACHE_ENTRY_COST
                        : entry->reserved;
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

static bool is_evictable(const struct cache_entry *entry)
{
    return entry->ready && entry->holders == 0;
}

/* What is on the disk or promised to be, besides `asking`; or what of it cannot be evicted. */
static uint64_t cost_besides(const struct cache *cache, const struct cache_entry *asking,
                             bool only_held)
{
    uint64_t total = only_held ? 0 : cache->leaving;
    for (const struct cache_entry *entry = cache->entries; entry != NULL; entry = entry->next)
        if (entry != asking && !(only_held && is_evictable(entry)))
            total += cost_of(entry);
    return total;
}

/* The most that could be promised to `asking`. */
static uint64_t most_room(const struct cache *cache, const struct cache_entry *asking)
{
    uint64_t held = cost_besides(cache, asking, true);
    return held < cache->max_cost ? cache->max_cost - held : 0;
}

static struct cache_entry *oldest_unused(struct cache *cache)
{
    struct cache_entry *oldest = NULL;
    for (struct cache_entry *entry = cache->entries; entry != NULL; entry = entry->next) {
        if (is_evictable(entry) && (oldest == NULL || entry->last_used < oldest->last_used))
            oldest = entry;
    }
    return oldest;
}

/* Removes an entry that nobody holds, giving the lock up for as long as its files take; they count
 * until they are gone. */
static void expel(struct cache *cache, struct cache_entry *entry)
{
    uint64_t cost = cost_of(entry);
    unlink_entry(cache, entry);
    discard(entry);
    cache->leaving += cost;
    (void)pthread_mutex_unlock(&cache->lock);
    cache_tree_remove(&entry->tree);
    entry_free(entry);
    (void)pthread_mutex_lock(&cache->lock);
    cache->leaving -= cost;
    (void)pthread_cond_broadcast(&cache->changed);
}

/* Evicts what is unused, the longest unused first, until `total` is free for `entry` (NULL:
 * nobody), and keeps that for it. Nothing is evicted where it would not help. False: what is in
 * use, or being fetched, leaves no such room. */
static bool reserve(struct cache *cache, struct cache_entry *entry, uint64_t total)
{
    while (total <= most_room(cache, entry)) {
        if (cost_besides(cache, entry, false) + total <= cache->max_cost) {
            if (entry != NULL)
                entry->reserved = total;
            return true;
        }
        struct cache_entry *oldest = oldest_unused(cache);
        if (oldest == NULL) /* what has been evicted is on its way */
            (void)pthread_cond_wait(&cache->changed, &cache->lock);
        else {
            cache->stats.evictions++;
            expel(cache, oldest);
        }
    }
    return false;
}

/* ---- without the lock ---- */

static int no_room(struct fault *fault)
{
    return fault_set(
        fault, FAULT_UNAVAILABLE,
        "what is in use or being fetched leaves no room for the artifact in the cache");
}

struct filling {
    struct cache *cache;
    struct cache_entry *entry;
    uint64_t packed;
    bool elsewhere;
    struct unpack_config tried; /* by the attempt before; sizes 0 before the first */
};

/* This cache's own bounds: what passes them may still be kept by another. */
static int too_large_here(const struct filling *filling, const char *what, struct fault *fault)
{
    return fault_set(fault, filling->elsewhere ? FAULT_UNAVAILABLE : FAULT_TOO_LARGE,
                     "%s, the artifact is larger than the cache can keep", what);
}

static int give_room(void *context, int attempt, struct unpack_config *config, struct fault *fault)
{
    struct filling *filling = context;
    struct cache *cache = filling->cache;
    const uint64_t fixed = filling->packed + (uint64_t)UNPACK_ENTRIES_ADDED * CACHE_ENTRY_COST;
    const uint64_t whole = cache->max_cost > fixed ? cache->max_cost - fixed : 0;
    struct unpack_config most = cache_room_scale(&cache->unpack, filling->packed, attempt, whole);
    if (!cache_room_allows_more(&most, &filling->tried))
        return too_large_here(filling, "unpacked", fault);
    (void)pthread_mutex_lock(&cache->lock);
    uint64_t room = most_room(cache, filling->entry);
    struct unpack_config next =
        cache_room_scale(&cache->unpack, filling->packed, attempt, room > fixed ? room - fixed : 0);
    bool given =
        cache_room_allows_more(&next, &filling->tried) &&
        reserve(cache, filling->entry,
                fixed + (uint64_t)next.max_bytes + (uint64_t)next.max_entries * CACHE_ENTRY_COST);
    (void)pthread_mutex_unlock(&cache->lock);
    if (!given)
        return no_room(fault);
    *config = filling->tried = next;
    return 0;
}

/* Files of a placeholder: fetched, proven, unpacked; not yet in their place. */
static int fill(struct cache *cache, struct cache_entry *entry, const struct cache_source *source,
                struct fault *fault)
{
    struct filling filling = {.cache = cache,
                              .entry = entry,
                              .packed = (uint64_t)source->size,
                              .elsewhere = source->elsewhere};
    struct cache_order order = {
        .digest = &entry->digest,
        .kind = entry->kind,
        .size = filling.packed,
        .unpack = &cache->unpack,
        .fetch = source->fetch,
        .context = source->context,
        .room = give_room,
        .room_context = &filling,
        .cancel_fd = source->cancel_fd,
    };
    if (source->size < 1)
        return fault_set(fault, FAULT_TOO_LARGE, "an artifact of %lld bytes is none",
                         (long long)source->size);
    if (filling.packed > cache->max_artifact_bytes || filling.packed > cache->max_cost)
        return too_large_here(&filling, "packed", fault);
    (void)pthread_mutex_lock(&cache->lock);
    bool given = reserve(cache, entry, filling.packed);
    (void)pthread_mutex_unlock(&cache->lock);
    return given ? cache_tree_make(&cache->disk, &order, &entry->tree, fault) : no_room(fault);
}

/* The placeholder becomes an entry, or goes. */
static int settle(struct cache *cache, struct cache_entry *entry, bool filled, struct fault *fault)
{
    (void)pthread_mutex_lock(&cache->lock);
    cache->stats.fetches++;
    int result =
        filled ? cache_tree_show(&cache->disk, &entry->digest, entry->kind, &entry->tree, fault)
               : -1;
    if (result == 0) {
        entry->ready = true; /* and counts for what it is, which is no more than was reserved */
    } else if (filled) {
        expel(cache, entry);
    } else {
        unlink_entry(cache, entry);
        entry_free(entry);
    }
    (void)pthread_cond_broadcast(&cache->changed);
    (void)pthread_mutex_unlock(&cache->lock);
    return result;
}

int cache_acquire(struct cache *cache, const struct digest *digest, enum artifact_kind kind,
                  const struct cache_source *source, struct cache_entry **ret_entry,
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
        bool filled = fill(cache, entry, source, fault) == 0;
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
    if (--entry->holders == 0 && entry->discarded)
        expel(cache, entry);
    (void)pthread_mutex_unlock(&cache->lock);
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

/* With the lock held, which it gives up while it walks. */
static void walk(struct cache_entry *entry)
{
    struct cache *cache = entry->cache;
    struct digest stamp;
    struct fault why = {0};
    entry->walks_begun++;
    (void)pthread_mutex_unlock(&cache->lock);
    bool walked = tree_stamp(entry->tree.root, &stamp, &why) == 0;
    (void)pthread_mutex_lock(&cache->lock);
    entry->walks_ended++;
    (void)pthread_cond_broadcast(&cache->changed);
    if (walked && digest_equal(&stamp, &entry->tree.sum.stamp))
        return;
    fault_write(&entry->spoiled, FAULT_CONTENT_MISMATCH,
                "the cached tree of %s is not what was unpacked%s%.100s",
                digest_format(&entry->digest).text, walked ? "" : ": ", why.detail);
    discard(entry);
}

int cache_entry_check(struct cache_entry *entry, struct fault *fault)
{
    struct cache *cache = entry->cache;
    (void)pthread_mutex_lock(&cache->lock);
    /* A walk that begins from now on will do, whoever makes it. */
    const uint64_t before = entry->walks_begun;
    while (entry->walks_ended <= before && entry->spoiled.code == FAULT_NONE) {
        if (entry->walks_begun > entry->walks_ended)
            (void)pthread_cond_wait(&cache->changed, &cache->lock);
        else
            walk(entry);
    }
    bool spoiled = entry->spoiled.code != FAULT_NONE;
    if (spoiled)
        *fault = entry->spoiled;
    cache->stats.refused += spoiled;
    (void)pthread_mutex_unlock(&cache->lock);
    return spoiled ? -1 : 0;
}

struct cache_stats cache_stats(struct cache *cache)
{
    (void)pthread_mutex_lock(&cache->lock);
    struct cache_stats stats = cache->stats;
    for (const struct cache_entry *entry = cache->entries; entry != NULL; entry = entry->next) {
        if (!entry->ready) {
            stats.reserved += entry->reserved;
            continue;
        }
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
    (void)pthread_mutex_lock(&cache->lock);
    (void)reserve(cache, NULL, 0); /* nothing is in use: it always succeeds */
    (void)pthread_mutex_unlock(&cache->lock);
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
