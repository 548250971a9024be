/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cache's folder: how trees are made, kept and removed in it. For cache.c, which does the
 * counting and the locking.
 *
 *   <hex>-<kind>/root/     an unpacked artifact
 *   <hex>-<kind>/record    what it was when it was unpacked
 *   new-<uuid>/            being made
 *   old-<uuid>/            on its way out
 */
#pragma once

#include "runner/cache.h"
#include "runner/tree.h"

struct cache_disk {
    char *folder;
    int lock; /* the folder, locked: one process has it */
};

struct cache_tree {
    char *folder; /* absolute: where it is now; owned */
    char *root;   /* where it is found by those who hold it: does not follow cache_tree_hide() */
    struct tree_sum sum;
    struct image *image; /* kind oci: how it says it is started; owned */
};

/* Takes over a tree found at opening (leaves *tree empty) or fails. */
typedef int cache_found(void *context, const struct digest *digest, enum artifact_kind kind,
                        struct cache_tree *tree, struct fault *fault);

/* Makes and locks the folder, removes what is unfinished or unknown in it, hashes every tree in
 * full and hands on those that are what was recorded; removes the others. */
int cache_disk_open(const char *folder, struct cache_disk *ret_disk, cache_found *found,
                    void *context, struct fault *fault) MUST_CHECK;
void cache_disk_close(struct cache_disk *disk);

/* Room for a tree, asked for before each attempt to unpack it: sets max_bytes and max_entries of
 * *config to what may be used. The first attempt is 0; each later one comes because the one before
 * was FAULT_TOO_LARGE, and has to allow more or fail. */
typedef int cache_room(void *context, int attempt, struct unpack_config *config,
                       struct fault *fault);

struct cache_order {
    const struct digest *digest;
    enum artifact_kind kind;
    uint64_t size; /* packed; room for it has been kept */
    const struct unpack_config *unpack;
    cache_fetch *fetch;
    void *context;
    cache_room *room;
    void *room_context;
    int cancel_fd;
};

/* Fetches, proves and unpacks into a new-<uuid> folder; nothing is left where it fails. More bytes
 * than `size` are FAULT_CONTENT_MISMATCH. */
int cache_tree_make(const struct cache_disk *disk, const struct cache_order *order,
                    struct cache_tree *ret_tree, struct fault *fault) MUST_CHECK;

/* Gives it its name by digest. */
int cache_tree_show(const struct cache_disk *disk, const struct digest *digest,
                    enum artifact_kind kind, struct cache_tree *tree,
                    struct fault *fault) MUST_CHECK;

/* Takes that name away (it becomes old-<uuid>): quick. cache_tree_remove() then takes its time. */
void cache_tree_hide(const struct cache_disk *disk, struct cache_tree *tree);
void cache_tree_remove(struct cache_tree *tree);
void cache_tree_free(struct cache_tree *tree);
