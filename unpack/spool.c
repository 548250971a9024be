/* SPDX-License-Identifier: Apache-2.0 */
#include "unpack/spool.h"

#include "unpack/reader.h"

#include <string.h>

struct item {
    struct spool_member member;
    char *name; /* what member.name borrows */
    char *link; /* cleaned target; NULL for a file */
};

struct spool {
    int fd;
    int64_t bytes, max_bytes;
    struct item *items;
    size_t count, cap;
};

void spool_cleanup(struct spool **spool)
{
    struct spool *it = *spool;
    if (it == NULL)
        return;
    for (size_t i = 0; i < it->count; i++) {
        free(it->items[i].name);
        free(it->items[i].link);
    }
    free(it->items);
    cleanup_close(&it->fd);
    free(it);
}

/* ---- filling ---- */

static struct item *item_find(const struct spool *spool, const char *name)
{
    for (size_t i = 0; i < spool->count; i++) {
        if (strcmp(spool->items[i].name, name) == 0)
            return &spool->items[i];
    }
    return NULL;
}

static int item_add(struct spool *spool, const char *name, struct item **ret_item,
                    struct fault *fault)
{
    if (item_find(spool, name) != NULL)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "%.150s: named twice", name);
    if (spool->count == SPOOL_MEMBERS_MAX)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "more than %d files in the image archive",
                         SPOOL_MEMBERS_MAX);
    if (spool->count == spool->cap) {
        size_t cap = spool->cap == 0 ? 64 : spool->cap * 2;
        struct item *items = reallocarray(spool->items, cap, sizeof *items);
        if (items == NULL)
            return fault_set(fault, FAULT_INTERNAL, "out of memory");
        spool->items = items;
        spool->cap = cap;
    }
    char *copy = strdup(name);
    if (copy == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    struct item *item = &spool->items[spool->count++];
    *item = (struct item){.name = copy, .member = {.name = copy, .offset = spool->bytes}};
    *ret_item = item;
    return 0;
}

static int append(struct spool *spool, const uint8_t *data, size_t len, struct fault *fault)
{
    while (len > 0) {
        ssize_t n = pwrite(spool->fd, data, len, spool->bytes);
        if (n < 0)
            return fault_errno(fault, "cannot keep what is in the image archive");
        data += n;
        len -= (size_t)n;
        spool->bytes += n;
    }
    return 0;
}

/* archive_read_data() gives holes as zeros: what is hashed is what is kept. */
static int add_file(struct spool *spool, struct archive *archive, struct archive_entry *entry,
                    const char *name, struct fault *fault)
{
    struct item *item;
    uint8_t bytes[READER_BLOCK];
    AUTO_DIGEST_STREAM struct digest_stream *hash = digest_stream_new();
    if (hash == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (!archive_entry_size_is_set(entry) || archive_entry_size(entry) < 0)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "%.150s: a file without a size", name);
    if (archive_entry_size(entry) > spool->max_bytes - spool->bytes)
        return fault_set(fault, FAULT_TOO_LARGE, "the image archive holds more than %lld bytes",
                         (long long)spool->max_bytes);
    if (item_add(spool, name, &item, fault) != 0)
        return -1;
    la_ssize_t n;
    while ((n = archive_read_data(archive, bytes, sizeof bytes)) > 0) {
        if (n > spool->max_bytes - spool->bytes)
            return fault_set(fault, FAULT_ARTIFACT_INVALID, "%.150s: more data than its size",
                             name);
        digest_stream_update(hash, bytes, (size_t)n);
        if (append(spool, bytes, (size_t)n, fault) != 0)
            return -1;
    }
    if (n < 0)
        return reader_refuse(archive, fault);
    item->member.size = spool->bytes - item->member.offset;
    item->member.sha256 = digest_stream_value(hash);
    return 0;
}

/* Older archives name a layer a second time by a link: <folder>/layer.tar -> ../<file>. */
static int add_link(struct spool *spool, struct archive_entry *entry, const char *name,
                    struct fault *fault)
{
    struct item *item;
    char folder[PLACE_PATH_MAX + 1] = "", target[PLACE_PATH_MAX + 1];
    const char *text = archive_entry_symlink(entry);
    const char *slash = strrchr(name, '/');
    if (slash != NULL)
        memcpy(folder, name, (size_t)(slash - name));
    while (text != NULL && strncmp(text, "../", 3) == 0 && *folder != '\0') {
        char *up = strrchr(folder, '/');
        folder[up == NULL ? 0 : up - folder] = '\0';
        text += 3;
    }
    AUTO_FREE char *joined = NULL;
    if (text == NULL)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "%.150s: a link without a target", name);
    if (asprintf(&joined, "%s%s%s", folder, *folder == '\0' ? "" : "/", text) < 0)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (place_clean(joined, target, fault) != 0 || item_add(spool, name, &item, fault) != 0)
        return -1;
    item->link = strdup(target);
    return item->link == NULL ? fault_set(fault, FAULT_INTERNAL, "out of memory") : 0;
}

static int add_entry(struct spool *spool, struct archive *archive, struct archive_entry *entry,
                     struct fault *fault)
{
    char name[PLACE_PATH_MAX + 1];
    if (reader_path(entry, name, fault) != 0)
        return -1;
    if (archive_entry_hardlink(entry) != NULL)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "%.150s: a hard link in an image archive",
                         name);
    switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
        return add_file(spool, archive, entry, name, fault);
    case AE_IFLNK:
        return add_link(spool, entry, name, fault);
    case AE_IFDIR:
        return 0;
    default:
        return fault_set(fault, FAULT_ARTIFACT_INVALID,
                         "%.150s: a device, pipe or socket in an image archive", name);
    }
}

int spool_fill(int archive_fd, const struct place *place, struct spool **ret_spool,
               struct fault *fault)
{
    AUTO_READER struct archive *archive = NULL;
    AUTO_SPOOL struct spool *spool = calloc(1, sizeof *spool);
    if (spool == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    spool->fd = -1;
    spool->max_bytes = place->max_bytes;
    if (place_nameless(place, &spool->fd, fault) != 0 || reader_new(true, &archive, fault) != 0)
        return -1;
    if (archive_read_open_fd(archive, archive_fd, READER_BLOCK) != ARCHIVE_OK)
        return reader_refuse(archive, fault);
    for (;;) {
        struct archive_entry *entry;
        if (reader_next(archive, &entry, fault) != 0)
            return -1;
        if (entry == NULL)
            break;
        if (add_entry(spool, archive, entry, fault) != 0)
            return -1;
    }
    *ret_spool = TAKE(spool);
    return 0;
}

/* ---- reading ---- */

const struct spool_member *spool_find(const struct spool *spool, const char *name)
{
    const struct item *item = item_find(spool, name);
    if (item != NULL && item->link != NULL)
        item = item_find(spool, item->link);
    return item == NULL || item->link != NULL ? NULL : &item->member;
}

ssize_t spool_read(const struct spool *spool, const struct spool_member *member, int64_t at,
                   void *data, size_t len)
{
    int64_t left = member->size - at;
    if (left <= 0)
        return 0;
    return pread(spool->fd, data, (int64_t)len < left ? len : (size_t)left, member->offset + at);
}

int spool_load(const struct spool *spool, const struct spool_member *member, struct buf *buf,
               struct fault *fault)
{
    char *room = buf_reserve(buf, (size_t)member->size);
    if (room == NULL)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "%.150s: larger than %zu bytes",
                         member->name, buf->max);
    for (int64_t at = 0; at < member->size;) {
        ssize_t n = spool_read(spool, member, at, room + at, (size_t)(member->size - at));
        if (n <= 0)
            return fault_errno(fault, "cannot read back %.150s", member->name);
        at += n;
    }
    buf_commit(buf, (size_t)member->size);
    return 0;
}
