/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's disk cache of unpacked artifacts, by digest. Bytes are hashed while they
 * arrive and unpacked only if the digest is the one that was asked for; an unpacked tree is
 * hashed in full when it is made and when the cache is opened, and compared by a statx walk
 * then and before each run. An entry in use is never evicted. Threads may share a cache; two that
 * want the same artifact cause one fetch.
 */
#pragma once

#include "base/digest.h"
#include "base/fault.h"
#include "runner/unpack.h"

struct cache;
struct cache_entry;
#define AUTO_CACHE AUTO(cache_cleanup)
#define AUTO_CACHE_ENTRY AUTO(cache_entry_cleanup)

struct cache_config {
    const char *folder; /* absolute; made with mode 0700 and wholly ours (state_dir/cache) */
    int64_t max_bytes;  /* of all on its disk: trees, in use or not, and what is being fetched */
    int64_t max_artifact_bytes; /* packed; more ends a fetch */
    struct unpack_config unpack;
};

/* Opens the folder: what an earlier process left half-made is removed, complete trees are
 * hashed in full and kept if they are what was recorded. */
int cache_open(const struct cache_config *config, struct cache **ret_cache,
               struct fault *fault) MUST_CHECK;
/* No entry may be held any more. The files stay for the next cache_open(). */
void cache_free(struct cache *cache);
void cache_cleanup(struct cache **cache);

/* Takes the next bytes of what is being fetched. -1: stop, the fault is set. */
typedef int cache_write(void *sink, const void *data, size_t len, struct fault *fault);

/* Hands the whole content to `write`, in pieces of any size, or fails. `context` is the
 * caller's. Called without the cache's lock, at most once per cache_acquire(). */
typedef int cache_fetch(void *context, cache_write *write, void *sink, struct fault *fault);

/* Where an artifact comes from. */
struct cache_source {
    int64_t size; /* of its bytes, as its row says: more are refused */
    cache_fetch *fetch;
    void *context;
    int cancel_fd;  /* readable: ends an unpack; -1 none */
    bool elsewhere; /* it may go to another worker: what only this cache is too small for, and not
                       unpacking as such, is FAULT_UNAVAILABLE */
};

/* The unpacked artifact, fetched only if it isn't there; held until cache_release(). Whoever
 * comes while another thread fetches the same waits for it (and fetches itself should that
 * one fail). Room is kept before the first byte comes, for what is packed and then for what it may
 * unpack to: cache and everything on its way into it never pass max_bytes together.
 * FAULT_CONTENT_MISMATCH: the bytes have another digest, or are more than their row says;
 * FAULT_ARTIFACT_INVALID: refused by unpacking; FAULT_TOO_LARGE: larger than max_artifact_bytes,
 * than may be unpacked, or than an otherwise empty cache has room for; FAULT_UNAVAILABLE: what is
 * in use or being fetched leaves no room now; and what fetch says. */
int cache_acquire(struct cache *cache, const struct digest *digest, enum artifact_kind kind,
                  const struct cache_source *source, struct cache_entry **ret_entry,
                  struct fault *fault) MUST_CHECK;
/* NULL-safe. */
void cache_release(struct cache_entry *entry);
void cache_entry_cleanup(struct cache_entry **entry);

/* The root folder, for struct sandbox_job.rootfs; borrowed. */
const char *cache_entry_root(const struct cache_entry *entry);

/* How it says it is started; borrowed. NULL for all kinds but oci. */
const struct image *cache_entry_image(const struct cache_entry *entry);

/* To be called before each run: walks the tree and compares inode, type, owner, size, mode,
 * mtime, ctime and links of everything with the record made at unpack. Who asks while a walk is
 * under way shares the next one with all who do: it begins after they asked. A difference is
 * FAULT_CONTENT_MISMATCH, and the entry is thrown away once nobody holds it, so that a later
 * cache_acquire() fetches it again. */
int cache_entry_check(struct cache_entry *entry, struct fault *fault) MUST_CHECK;

/* Fetches an input into folder/name (mode 0444, must not exist), hashed while it passes.
 * FAULT_CONTENT_MISMATCH or FAULT_TOO_LARGE (max_bytes), or what fetch says; nothing is left
 * then. `name` is one path component (checked: FAULT_MANIFEST_INVALID). */
int cache_input(const char *folder, const char *name, const struct digest *digest,
                int64_t max_bytes, cache_fetch *fetch, void *context,
                struct fault *fault) MUST_CHECK;

struct cache_stats {
    uint64_t entries, bytes;                    /* complete trees */
    uint64_t reserved;                          /* bytes kept for what is being fetched */
    uint64_t in_use;                            /* of them, held by someone */
    uint64_t fetches, hits, evictions, refused; /* since cache_open() */
};

struct cache_stats cache_stats(struct cache *cache);
