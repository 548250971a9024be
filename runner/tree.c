/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#define DEPTH_MAX 100
#define NAMES_MAX (1u << 20) /* in one folder */
#define READ_SIZE 65536

/* One walk; the three differ in what they do with an entry. */
struct walk {
    const char *root;                      /* for messages */
    struct digest_stream *content, *stamp; /* or NULL */
    bool seal;
    uid_t uid;
    gid_t gid;
    uint64_t max_entries, max_bytes;
    uint64_t entries, bytes;
    struct buf path; /* of the entry at hand, below the root; "" is the root itself */
};

static int walk_folder(struct walk *walk, int fd, int depth, struct fault *fault);

static int broken(const struct walk *walk, struct fault *fault)
{
    return fault_errno(fault, "cannot walk %.60s at %.100s", walk->root, buf_text(&walk->path));
}

/* ---- what is hashed of an entry ---- */

/* Numbers as 8 bytes, big-endian, texts with their length before: no two entries of different
 * content have the same bytes. */
static void hash_number(struct digest_stream *hash, uint64_t number)
{
    uint8_t bytes[8];
    for (int i = 7; i >= 0; i--, number >>= 8)
        bytes[i] = (uint8_t)number;
    digest_stream_update(hash, bytes, sizeof bytes);
}

static void hash_text(struct digest_stream *hash, const void *text, size_t len)
{
    hash_number(hash, len);
    digest_stream_update(hash, text, len);
}

static void hash_stamp(struct walk *walk, const struct stat *stat)
{
    hash_text(walk->stamp, walk->path.data, walk->path.len);
    const uint64_t numbers[] = {
        stat->st_ino,
        stat->st_mode,
        stat->st_uid,
        stat->st_gid,
        S_ISDIR(stat->st_mode) ? 0 : stat->st_nlink,
        S_ISREG(stat->st_mode) ? (uint64_t)stat->st_size : 0,
        (uint64_t)stat->st_mtim.tv_sec,
        (uint64_t)stat->st_mtim.tv_nsec,
        (uint64_t)stat->st_ctim.tv_sec,
        (uint64_t)stat->st_ctim.tv_nsec,
    };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        hash_number(walk->stamp, numbers[i]);
}

static int hash_file(struct walk *walk, int folder, const char *name, const struct stat *before,
                     struct fault *fault)
{
    AUTO_CLOSE int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat stat;
    if (fd < 0 || fstat(fd, &stat) != 0)
        return broken(walk, fault);
    uint8_t bytes[READ_SIZE];
    uint64_t left = (uint64_t)before->st_size;
    while (left > 0 && stat.st_ino == before->st_ino) {
        ssize_t n = read(fd, bytes, left < sizeof bytes ? left : sizeof bytes);
        if (n < 0)
            return broken(walk, fault);
        if (n == 0)
            break;
        digest_stream_update(walk->content, bytes, (size_t)n);
        left -= (size_t)n;
    }
    if (left > 0 || stat.st_ino != before->st_ino)
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "%.60s changed while it was read, at %.100s", walk->root,
                         buf_text(&walk->path));
    return 0;
}

static int hash_content(struct walk *walk, int folder, const char *name, const struct stat *stat,
                        struct fault *fault)
{
    hash_text(walk->content, walk->path.data, walk->path.len);
    hash_number(walk->content, stat->st_mode);
    if (S_ISREG(stat->st_mode)) {
        hash_number(walk->content, (uint64_t)stat->st_size);
        return hash_file(walk, folder, name, stat, fault);
    }
    if (S_ISLNK(stat->st_mode)) {
        char target[PATH_MAX];
        ssize_t len = readlinkat(folder, name, target, sizeof target);
        if (len < 0)
            return broken(walk, fault);
        hash_text(walk->content, target, (size_t)len);
    }
    return 0;
}

/* ---- what sealing does to an entry ---- */

static int seal_entry(struct walk *walk, int folder, const char *name, const struct stat *stat,
                      struct fault *fault)
{
    mode_t type = stat->st_mode & S_IFMT;
    if (type != S_IFREG && type != S_IFDIR && type != S_IFLNK)
        return fault_set(fault, FAULT_ARTIFACT_INVALID,
                         "%.150s: neither a file nor a folder nor a link", buf_text(&walk->path));
    /* Owner first: changing it may clear mode bits, never set them. */
    if (fchownat(folder, name, walk->uid, walk->gid, AT_SYMLINK_NOFOLLOW) != 0)
        return broken(walk, fault);
    if (type == S_IFLNK)
        return 0;
    mode_t mode = type == S_IFDIR || (stat->st_mode & S_IXUSR) != 0 ? 0755 : 0644;
    return fchmodat(folder, name, mode, 0) == 0 ? 0 : broken(walk, fault);
}

/* ---- walking ---- */

static int count(struct walk *walk, const struct stat *stat, struct fault *fault)
{
    walk->entries++;
    walk->bytes += S_ISREG(stat->st_mode) ? (uint64_t)stat->st_size : 0;
    if (walk->entries > walk->max_entries || walk->bytes > walk->max_bytes)
        return fault_set(fault, FAULT_ARTIFACT_INVALID,
                         "%.100s: more entries or bytes than allowed", walk->root);
    return 0;
}

static int visit(struct walk *walk, int folder, const char *name, int depth, struct fault *fault)
{
    struct stat stat;
    if (buf_failed(&walk->path))
        return fault_set(fault, FAULT_INTERNAL, "%.100s: a path too long to walk", walk->root);
    if (fstatat(folder, name, &stat, AT_SYMLINK_NOFOLLOW) != 0)
        return broken(walk, fault);
    if (depth > 0 && count(walk, &stat, fault) != 0)
        return -1;
    if (walk->seal && seal_entry(walk, folder, name, &stat, fault) != 0)
        return -1;
    if (walk->stamp != NULL)
        hash_stamp(walk, &stat);
    if (walk->content != NULL && hash_content(walk, folder, name, &stat, fault) != 0)
        return -1;
    if (!S_ISDIR(stat.st_mode))
        return 0;
    if (depth == DEPTH_MAX)
        return fault_set(fault, walk->seal ? FAULT_ARTIFACT_INVALID : FAULT_INTERNAL,
                         "%.100s: too deep to walk", walk->root);
    AUTO_CLOSE int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return broken(walk, fault);
    return walk_folder(walk, TAKE_FD(fd), depth, fault);
}

struct names {
    char **list;
    size_t count, cap;
};

static void names_free(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->list[i]);
    free(names->list);
}

static int names_add(struct names *names, const char *name)
{
    if (names->count == names->cap) {
        size_t cap = names->cap == 0 ? 64 : names->cap * 2;
        char **list = cap > NAMES_MAX ? NULL : reallocarray(names->list, cap, sizeof *list);
        if (list == NULL)
            return -1;
        names->list = list;
        names->cap = cap;
    }
    names->list[names->count] = strdup(name);
    if (names->list[names->count] == NULL)
        return -1;
    names->count++;
    return 0;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void close_dir(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
}

/* Visits what is in the folder `fd` (taken over), in the order of the names' bytes. */
static int walk_folder(struct walk *walk, int fd, int depth, struct fault *fault)
{
    AUTO(close_dir) DIR *dir = fdopendir(fd);
    AUTO(names_free) struct names names = {0};
    if (dir == NULL) {
        (void)close(fd);
        return broken(walk, fault);
    }
    errno = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (names_add(&names, entry->d_name) != 0)
            return fault_set(fault, FAULT_INTERNAL, "%.100s: too many names in a folder",
                             walk->root);
    }
    if (errno != 0)
        return broken(walk, fault);
    if (names.count > 0)
        qsort(names.list, names.count, sizeof *names.list, by_bytes);
    size_t len = walk->path.len;
    for (size_t i = 0; i < names.count; i++) {
        buf_printf(&walk->path, "/%s", names.list[i]);
        if (visit(walk, fd, names.list[i], depth + 1, fault) != 0)
            return -1;
        walk->path.len = len;
        walk->path.data[len] = '\0';
    }
    return 0;
}

static int walk_root(struct walk *walk, const char *path, struct fault *fault)
{
    walk->root = path;
    walk->path = BUF(64 * 1024);
    buf_puts(&walk->path, "");
    int result = visit(walk, AT_FDCWD, path, 0, fault);
    buf_free(&walk->path);
    return result;
}

int tree_measure(const char *path, struct tree_sum *ret_sum, struct fault *fault)
{
    AUTO_DIGEST_STREAM struct digest_stream *content = digest_stream_new();
    AUTO_DIGEST_STREAM struct digest_stream *stamp = digest_stream_new();
    if (content == NULL || stamp == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    struct walk walk = {
        .content = content, .stamp = stamp, .max_entries = UINT64_MAX, .max_bytes = UINT64_MAX};
    if (walk_root(&walk, path, fault) != 0)
        return -1;
    *ret_sum = (struct tree_sum){
        .content = digest_stream_value(content),
        .stamp = digest_stream_value(stamp),
        .entries = walk.entries,
        .bytes = walk.bytes,
    };
    return 0;
}

int tree_stamp(const char *path, struct digest *ret_stamp, struct fault *fault)
{
    AUTO_DIGEST_STREAM struct digest_stream *stamp = digest_stream_new();
    if (stamp == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    struct walk walk = {.stamp = stamp, .max_entries = UINT64_MAX, .max_bytes = UINT64_MAX};
    if (walk_root(&walk, path, fault) != 0)
        return -1;
    *ret_stamp = digest_stream_value(stamp);
    return 0;
}

int tree_seal(const char *path, uid_t uid, gid_t gid, uint64_t max_entries, uint64_t max_bytes,
              struct fault *fault)
{
    struct walk walk = {
        .seal = true, .uid = uid, .gid = gid, .max_entries = max_entries, .max_bytes = max_bytes};
    return walk_root(&walk, path, fault);
}
