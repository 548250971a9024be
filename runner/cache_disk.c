/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/cache_disk.h"

#include "base/file.h"
#include "base/json.h"
#include "base/uuid.h"
#include "sandbox/path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define RECORD_MAX (4096 + IMAGE_JSON_MAX)

static int no_memory(struct fault *fault)
{
    return fault_set(fault, FAULT_INTERNAL, "out of memory");
}

/* ---- names ---- */

/* A name of its own with this prefix. */
static char *fresh_path(const struct cache_disk *disk, const char *prefix)
{
    struct uuid id = uuid_v7();
    char *path = NULL;
    return asprintf(&path, "%s/%s-%s", disk->folder, prefix, uuid_format(&id).text) < 0 ? NULL
                                                                                        : path;
}

static char *digest_path(const struct cache_disk *disk, const struct digest *digest,
                         enum artifact_kind kind)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s-%s", disk->folder, digest_hex(digest).text,
                    artifact_kind_name(kind)) < 0
               ? NULL
               : path;
}

static int parse_name(const char *name, struct digest *ret_digest, enum artifact_kind *ret_kind)
{
    const char *dash = strchr(name, '-');
    return dash == NULL || digest_parse_any(name, (size_t)(dash - name), ret_digest) != 0
               ? -1
               : artifact_kind_parse(dash + 1, ret_kind);
}

/* Moves the tree to a path it takes over. */
static int move(struct cache_tree *tree, char *path)
{
    AUTO_FREE char *folder = path;
    if (folder == NULL) {
        errno = ENOMEM;
        return -1;
    }
    if (rename(tree->folder, folder) != 0)
        return -1;
    free(tree->folder);
    tree->folder = TAKE(folder);
    return 0;
}

int cache_tree_show(const struct cache_disk *disk, const struct digest *digest,
                    enum artifact_kind kind, struct cache_tree *tree, struct fault *fault)
{
    AUTO_FREE char *folder = digest_path(disk, digest, kind);
    AUTO_FREE char *root = folder == NULL ? NULL : path_join(folder, "root");
    if (root == NULL)
        return no_memory(fault);
    if (move(tree, TAKE(folder)) != 0)
        return fault_errno(fault, "cannot put an artifact into the cache");
    free(tree->root);
    tree->root = TAKE(root);
    return 0;
}

void cache_tree_hide(const struct cache_disk *disk, struct cache_tree *tree)
{
    /* Where it cannot be moved it is destroyed instead: under its name nobody may find it. */
    if (move(tree, fresh_path(disk, "old")) != 0)
        cache_tree_remove(tree);
}

/* What stays, because the disk fails, goes when the cache is opened again. */
void cache_tree_remove(struct cache_tree *tree)
{
    struct fault ignored;
    if (tree->folder != NULL && dir_remove(tree->folder, &ignored) != 0)
        return;
}

void cache_tree_free(struct cache_tree *tree)
{
    free(TAKE(tree->folder));
    free(TAKE(tree->root));
    image_free(TAKE(tree->image));
}

/* ---- the record ---- */

/* What a tree was when it was made. It says of itself whose it is, so that a name is not believed.
 */
struct record {
    struct digest artifact, content, stamp;
    enum artifact_kind kind;
};

/* What the record is held to: the tree's content and, of an image, how it is started. */
static struct digest seal(const struct cache_tree *tree)
{
    AUTO_BUF struct buf whole = BUF(DIGEST_LEN + IMAGE_JSON_MAX);
    if (tree->image == NULL)
        return tree->sum.content;
    buf_append(&whole, tree->sum.content.bytes, DIGEST_LEN);
    buf_append(&whole, tree->image->json.data, tree->image->json.len);
    if (buf_failed(&whole))
        abort(); /* no memory: a wrong digest must not go on */
    return digest_of_span(buf_span(&whole));
}

static int write_record(const struct cache_tree *tree, const struct cache_order *order,
                        struct fault *fault)
{
    struct digest content = seal(tree);
    AUTO_FREE char *path = path_join(tree->folder, "record");
    AUTO_JSON json_t *record =
        json_pack("{s:s, s:s, s:s, s:s}", "artifact", digest_format(order->digest).text, "kind",
                  artifact_kind_name(order->kind), "content", digest_format(&content).text, "stamp",
                  digest_format(&tree->sum.stamp).text);
    if (record != NULL && tree->image != NULL &&
        json_object_set_new(record, "image",
                            json_loadb((const char *)tree->image->json.data, tree->image->json.len,
                                       JSON_REJECT_DUPLICATES, NULL)) != 0)
        return no_memory(fault);
    AUTO_FREE char *text = record == NULL ? NULL : json_dumps(record, JSON_COMPACT);
    if (path == NULL || text == NULL)
        return no_memory(fault);
    return file_replace(path, text, strlen(text), 0600, fault);
}

static int read_image(const json_t *object, struct image **ret_image, struct fault *fault)
{
    AUTO_BUF struct buf text = BUF(IMAGE_JSON_MAX);
    json_append(&text, object);
    return buf_failed(&text)
               ? fault_set(fault, FAULT_INTERNAL, "a cache record with too large an image")
               : image_parse(buf_span(&text), ret_image, fault);
}

/* Fills tree->image; only an image has one, and every image has. */
static int read_record(struct cache_tree *tree, struct record *ret_record, struct fault *fault)
{
    AUTO_FREE char *path = path_join(tree->folder, "record");
    AUTO_BUF struct buf text = BUF(RECORD_MAX);
    AUTO_JSON json_t *object = NULL;
    const char *artifact = NULL, *kind = NULL, *content = NULL, *stamp = NULL;
    const json_t *image = NULL;
    const struct json_field fields[] = {
        {"artifact", JSON_KIND_STRING, true, DIGEST_TEXT_LEN, DIGEST_TEXT_LEN, &artifact},
        {"kind", JSON_KIND_STRING, true, 1, 16, &kind},
        {"content", JSON_KIND_STRING, true, DIGEST_TEXT_LEN, DIGEST_TEXT_LEN, &content},
        {"stamp", JSON_KIND_STRING, true, DIGEST_TEXT_LEN, DIGEST_TEXT_LEN, &stamp},
        {"image", JSON_KIND_OBJECT, false, 0, 0, &image},
    };
    struct record record;
    if (path == NULL)
        return no_memory(fault);
    if (file_read(path, &text, fault) != 0 ||
        json_object_parse(buf_span(&text), FAULT_INTERNAL, "a cache record", &object, fault) != 0 ||
        json_read(object, "", fields, ARRAY_LEN(fields), false, FAULT_INTERNAL, fault) != 0)
        return -1;
    if (digest_parse(artifact, strlen(artifact), &record.artifact) != 0 ||
        artifact_kind_parse(kind, &record.kind) != 0 ||
        digest_parse(content, strlen(content), &record.content) != 0 ||
        digest_parse(stamp, strlen(stamp), &record.stamp) != 0 ||
        (record.kind == ARTIFACT_OCI) != (image != NULL))
        return fault_set(fault, FAULT_INTERNAL, "a cache record that is none");
    if (image != NULL && read_image(image, &tree->image, fault) != 0)
        return -1;
    *ret_record = record;
    return 0;
}

/* ---- making ---- */

/* Where fetched bytes go: hashed and counted while they pass. */
struct arrival {
    int fd;
    struct digest_stream *hash;
    uint64_t bytes, max;
};

static int arrive(void *sink, const void *data, size_t len, struct fault *fault)
{
    struct arrival *arrival = sink;
    if (len > arrival->max - arrival->bytes)
        return fault_set(fault, FAULT_TOO_LARGE, "more than %llu bytes arrive",
                         (unsigned long long)arrival->max);
    arrival->bytes += len;
    digest_stream_update(arrival->hash, data, len);
    for (const char *at = data; len > 0;) {
        ssize_t n = write(arrival->fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fault_errno(fault, "cannot keep what arrives");
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

/* Fetches into the open file and proves the digest. */
static int fetch_into(int fd, const struct digest *digest, uint64_t max, cache_fetch *fetch,
                      void *context, struct fault *fault)
{
    AUTO_DIGEST_STREAM struct digest_stream *hash = digest_stream_new();
    if (hash == NULL)
        return no_memory(fault);
    struct arrival arrival = {.fd = fd, .hash = hash, .max = max};
    if (fetch(context, arrive, &arrival, fault) != 0)
        return -1;
    struct digest arrived = digest_stream_value(hash);
    if (!digest_equal(&arrived, digest))
        return fault_set(fault, FAULT_CONTENT_MISMATCH, "%s was asked for, %.75s arrived",
                         digest_format(digest).text, digest_format(&arrived).text);
    return 0;
}

/* Unpacks into as much room as it takes; how much that is, nobody knows before. */
static int unpack_into_room(struct cache_tree *tree, const struct cache_order *order, int packed,
                            struct fault *fault)
{
    struct unpack_config config = *order->unpack;
    for (int attempt = 0;; attempt++) {
        struct fault why = {0};
        if (order->room(order->room_context, attempt, &config, fault) != 0)
            return -1;
        int status = order->kind == ARTIFACT_OCI
                         ? unpack_image(&config, packed, tree->root, order->cancel_fd, &tree->sum,
                                        &tree->image, &why)
                         : unpack_archive(&config, order->kind, packed, tree->root,
                                          order->cancel_fd, &tree->sum, &why);
        if (status == 0)
            return 0;
        if (why.code != FAULT_TOO_LARGE || (config.max_bytes >= order->unpack->max_bytes &&
                                            config.max_entries >= order->unpack->max_entries))
            return fault_set(fault, why.code, "%s", why.detail);
        if (dir_remove(tree->root, fault) != 0)
            return -1;
        if (mkdir(tree->root, 0700) != 0)
            return fault_errno(fault, "cannot make a folder in the cache");
    }
}

static int fill(struct cache_tree *tree, const struct cache_order *order, struct fault *fault)
{
    AUTO_FREE char *packed = path_join(tree->folder, "packed");
    if (packed == NULL)
        return no_memory(fault);
    if (mkdir(tree->folder, 0700) != 0 || mkdir(tree->root, 0700) != 0)
        return fault_errno(fault, "cannot make a folder in the cache");
    AUTO_CLOSE int fd = open(packed, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fault_errno(fault, "cannot make a file in the cache");
    struct fault why = {0};
    if (fetch_into(fd, order->digest, order->size, order->fetch, order->context, &why) != 0)
        return fault_set(fault, why.code == FAULT_TOO_LARGE ? FAULT_CONTENT_MISMATCH : why.code,
                         "%s", why.detail);
    /* The unpacker gets it for reading only. */
    AUTO_CLOSE int reading = open(packed, O_RDONLY | O_CLOEXEC);
    if (reading < 0)
        return fault_errno(fault, "cannot read back an artifact");
    if (unpack_into_room(tree, order, reading, fault) != 0)
        return -1;
    if (unlink(packed) != 0)
        return fault_errno(fault, "cannot remove a packed artifact");
    return write_record(tree, order, fault);
}

int cache_tree_make(const struct cache_disk *disk, const struct cache_order *order,
                    struct cache_tree *ret_tree, struct fault *fault)
{
    AUTO(cache_tree_free) struct cache_tree tree = {.folder = fresh_path(disk, "new")};
    tree.root = tree.folder == NULL ? NULL : path_join(tree.folder, "root");
    if (tree.root == NULL)
        return no_memory(fault);
    if (fill(&tree, order, fault) != 0) {
        cache_tree_remove(&tree);
        return -1;
    }
    *ret_tree = tree;
    tree = (struct cache_tree){0};
    return 0;
}

int cache_input(const char *folder, const char *name, const struct digest *digest,
                int64_t max_bytes, cache_fetch *fetch, void *context, struct fault *fault)
{
    if (name[0] == '\0' || strlen(name) > 255 || strchr(name, '/') != NULL ||
        strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return fault_set(fault, FAULT_MANIFEST_INVALID,
                         "an input's name has to be one path component");
    AUTO_FREE char *path = path_join(folder, name);
    if (path == NULL)
        return no_memory(fault);
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0444);
    if (fd < 0)
        return fault_errno(fault, "cannot make a file for an input");
    if (fetch_into(fd, digest, max_bytes < 0 ? 0 : (uint64_t)max_bytes, fetch, context, fault) !=
            0 ||
        (fchmod(fd, 0444) != 0 && fault_errno(fault, "cannot close an input to writers") != 0)) {
        (void)unlink(path);
        return -1;
    }
    return 0;
}

/* ---- opening ---- */

/* One tree of an earlier process: proven in full to be this artifact's, or a fault. The content
 * alone would not tell another owner, a capability, or a second name from outside. */
static int prove(struct cache_tree *tree, const struct digest *artifact, enum artifact_kind kind,
                 struct fault *fault)
{
    struct record record;
    if (read_record(tree, &record, fault) != 0 || tree_measure(tree->root, &tree->sum, fault) != 0)
        return -1;
    struct digest content = seal(tree);
    return record.kind == kind && digest_equal(&record.artifact, artifact) &&
                   digest_equal(&record.content, &content) &&
                   digest_equal(&record.stamp, &tree->sum.stamp)
               ? 0
               : fault_set(fault, FAULT_CONTENT_MISMATCH, "not what was recorded");
}

static int take_in(const struct cache_disk *disk, const char *name, cache_found *found,
                   void *context, struct fault *fault)
{
    AUTO(cache_tree_free) struct cache_tree tree = {.folder = path_join(disk->folder, name)};
    tree.root = tree.folder == NULL ? NULL : path_join(tree.folder, "root");
    if (tree.root == NULL)
        return no_memory(fault);
    struct digest digest;
    enum artifact_kind kind;
    if (parse_name(name, &digest, &kind) != 0 || prove(&tree, &digest, kind, NULL) != 0)
        return dir_remove(tree.folder, fault);
    return found(context, &digest, kind, &tree, fault);
}

static void close_dir(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
}

int cache_disk_open(const char *folder, struct cache_disk *ret_disk, cache_found *found,
                    void *context, struct fault *fault)
{
    AUTO(cache_disk_close) struct cache_disk disk = {.folder = strdup(folder), .lock = -1};
    if (disk.folder == NULL)
        return no_memory(fault);
    if (dir_make(folder, 0700, fault) != 0)
        return -1;
    disk.lock = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (disk.lock < 0 || fchmod(disk.lock, 0700) != 0)
        return fault_errno(fault, "cannot open %s", folder);
    if (flock(disk.lock, LOCK_EX | LOCK_NB) != 0)
        return fault_set(fault, FAULT_UNAVAILABLE, "another process uses the cache %s", folder);
    AUTO(close_dir) DIR *dir = opendir(folder);
    if (dir == NULL)
        return fault_errno(fault, "cannot list %s", folder);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (take_in(&disk, entry->d_name, found, context, fault) != 0)
            return -1;
    }
    *ret_disk = disk;
    disk = (struct cache_disk){.lock = -1};
    return 0;
}

void cache_disk_close(struct cache_disk *disk)
{
    cleanup_close(&disk->lock);
    disk->lock = -1;
    free(TAKE(disk->folder));
}
