/* SPDX-License-Identifier: Apache-2.0 */
#include "unpack/place_internal.h"

#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define NAME_LEN_MAX 255
#define TARGET_MAX 4095

/* A folder that so far only stands in the path of others; explicit ones are 0755. */
#define IMPLICIT_MODE 0700

void place_tell(struct fault *fault, const char *path, const char *why)
{
    fault_write(fault, FAULT_ARTIFACT_INVALID, "%.150s: %s", path, why);
}

void place_tell_errno(struct fault *fault, const char *path)
{
    static const struct {
        int error;
        const char *why;
    } known[] = {
        {EEXIST, "named twice"},
        {ELOOP, "leads through a link"},
        {ENOTDIR, "leads through something that is not a folder"},
        {EXDEV, "leads out of the root"},
        {ENAMETOOLONG, "too long"},
        {EFBIG, "larger than allowed"},
        {EMLINK, "has too many links"},
    };
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (errno == known[i].error) {
            place_tell(fault, path, known[i].why);
            return;
        }
    }
    fault_write_errno(fault, "cannot write %.100s", path);
}

void place_begin(struct place *place, int root, int64_t max_bytes, int64_t max_entries)
{
    *place = (struct place){
        .root = root, .max_bytes = max_bytes, .max_entries = max_entries, .parent = -1};
}

void place_end(struct place *place)
{
    cleanup_close(&place->parent);
    place->parent = -1;
}

/* ---- names ---- */

static bool text_is_plain(const char *text)
{
    size_t len = strlen(text);
    return utf8_valid(text, len) && !text_has_control(text, len);
}

int place_clean(const char *name, char *ret_path, struct fault *fault)
{
    if (!text_is_plain(name))
        return fault_set(fault, FAULT_ARTIFACT_INVALID,
                         "a name with control characters, or that is not UTF-8");
    if (name[0] == '/')
        return place_refuse(fault, name, "an absolute path");
    char path[PLACE_PATH_MAX + 1] = "";
    size_t len = 0;
    int depth = 0;
    for (const char *at = name; *at != '\0';) {
        size_t part = strcspn(at, "/");
        if (part == 2 && memcmp(at, "..", 2) == 0)
            return place_refuse(fault, name, "climbs by ..");
        if (part > NAME_LEN_MAX || len + 1 + part > PLACE_PATH_MAX || depth == PLACE_DEPTH_MAX)
            return place_refuse(fault, name, "too long or too deep");
        if (part > 0 && !(part == 1 && *at == '.')) {
            if (len > 0)
                path[len++] = '/';
            memcpy(path + len, at, part);
            len += part;
            depth++;
        }
        at += part;
        at += strspn(at, "/");
    }
    path[len] = '\0';
    memcpy(ret_path, path, len + 1);
    return 0;
}

/* True if following a relative target from the link's folder would pass the root. */
static bool climbs_out(const char *path, const char *target)
{
    int depth = 0;
    for (const char *at = path; (at = strchr(at, '/')) != NULL; at++)
        depth++;
    for (const char *at = target; *at != '\0';) {
        size_t part = strcspn(at, "/");
        if (part == 2 && memcmp(at, "..", 2) == 0)
            depth--;
        else if (part > 0 && !(part == 1 && *at == '.'))
            depth++;
        if (depth < 0)
            return true;
        at += part;
        at += strspn(at, "/");
    }
    return false;
}

/* ---- below the root ---- */

int place_open(int folder, const char *path, uint64_t flags, uint64_t mode)
{
    struct open_how how = {
        .flags = flags | O_CLOEXEC,
        .mode = mode,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    return (int)syscall(SYS_openat2, folder, *path == '\0' ? "." : path, &how, sizeof how);
}

int place_count(struct place *place, struct fault *fault)
{
    if (place->entries >= place->max_entries)
        return fault_set(fault, FAULT_TOO_LARGE, "more than %lld entries",
                         (long long)place->max_entries);
    place->entries++;
    return 0;
}

/* Opens the folder `path`, making what of it is not there. */
static int open_folder(struct place *place, const char *path, struct fault *fault)
{
    AUTO_CLOSE int fd = place_open(place->root, path, O_RDONLY | O_DIRECTORY, 0);
    if (fd >= 0)
        return TAKE_FD(fd);
    if (errno != ENOENT)
        return place_refuse_errno(fault, path);
    char part[PLACE_PATH_MAX + 1];
    for (size_t len = 0; path[len] != '\0';) {
        len += 1 + strcspn(path + len + 1, "/");
        memcpy(part, path, len);
        part[len] = '\0';
        AUTO_CLOSE int there = place_open(place->root, part, O_PATH | O_DIRECTORY, 0);
        if (there >= 0)
            continue;
        if (errno != ENOENT)
            return place_refuse_errno(fault, path);
        if (place_count(place, fault) != 0)
            return -1;
        if (mkdirat(place->root, part, IMPLICIT_MODE) != 0)
            return place_refuse_errno(fault, path);
    }
    fd = place_open(place->root, path, O_RDONLY | O_DIRECTORY, 0);
    return fd < 0 ? place_refuse_errno(fault, path) : TAKE_FD(fd);
}

const char *place_split(const char *path, char *ret_folder)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - path);
    memcpy(ret_folder, path, len);
    ret_folder[len] = '\0';
    return slash == NULL ? path : slash + 1;
}

/* Opens the folder an entry is in (kept in place->parent) and finds its last component. */
static int enter(struct place *place, const char *path, const char **ret_name, struct fault *fault)
{
    char folder[PLACE_PATH_MAX + 1];
    *ret_name = place_split(path, folder);
    if (place->parent >= 0 && strcmp(place->parent_path, folder) == 0)
        return 0;
    place_end(place);
    memcpy(place->parent_path, folder, sizeof folder);
    place->parent = open_folder(place, place->parent_path, fault);
    return place->parent < 0 ? -1 : 0;
}

int place_folder(struct place *place, const char *path, struct fault *fault)
{
    if (*path == '\0')
        return 0;
    const char *name;
    if (enter(place, path, &name, fault) != 0)
        return -1;
    if (mkdirat(place->parent, name, 0755) == 0)
        return place_count(place, fault);
    if (errno != EEXIST)
        return place_refuse_errno(fault, path);
    struct stat stat;
    AUTO_CLOSE int fd = place_open(place->parent, name, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0 || fstat(fd, &stat) != 0)
        return place_refuse(fault, path, "named twice");
    if ((stat.st_mode & 07777) != IMPLICIT_MODE)
        return place_refuse(fault, path, "named twice");
    return fchmod(fd, 0755) == 0 ? 0 : place_refuse_errno(fault, path);
}

int place_file_begin(struct place *place, const char *path, bool executable, int64_t size,
                     struct place_file *ret_file, struct fault *fault)
{
    if (*path == '\0')
        return place_refuse(fault, ".", "the root has to be a folder");
    if (size < 0 || size > place->max_bytes - place->bytes)
        return fault_set(fault, FAULT_TOO_LARGE, "unpacks to more than %lld bytes",
                         (long long)place->max_bytes);
    const char *name;
    if (place_count(place, fault) != 0 || enter(place, path, &name, fault) != 0)
        return -1;
    int fd = place_open(place->parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW,
                        executable ? 0755 : 0644);
    if (fd < 0)
        return place_refuse_errno(fault, path);
    place->bytes += size;
    *ret_file = (struct place_file){.fd = fd, .size = size};
    return 0;
}

int place_file_write(struct place_file *file, int64_t offset, const void *data, size_t len,
                     struct fault *fault)
{
    if (offset < 0 || (uint64_t)len > (uint64_t)file->size || offset > file->size - (int64_t)len)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "a file with more data than its size");
    const char *at = data;
    while (len > 0) {
        ssize_t n = pwrite(file->fd, at, len, offset);
        if (n < 0)
            return place_refuse_errno(fault, "a file");
        at += n;
        offset += n;
        len -= (size_t)n;
    }
    return 0;
}

int place_file_end(struct place_file *file, struct fault *fault)
{
    int result = ftruncate(file->fd, file->size) == 0 ? 0 : place_refuse_errno(fault, "a file");
    place_file_discard(file);
    return result;
}

void place_file_discard(struct place_file *file)
{
    cleanup_close(&file->fd);
    file->fd = -1;
}

int place_nameless(const struct place *place, int *ret_fd, struct fault *fault)
{
    static const char name[] = "nameless";
    AUTO_CLOSE int fd = place_open(place->root, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
    if (fd < 0 || unlinkat(place->root, name, 0) != 0)
        return fault_errno(fault, "cannot make a file to work in");
    *ret_fd = TAKE_FD(fd);
    return 0;
}

int place_symlink(struct place *place, const char *path, const char *target, struct fault *fault)
{
    if (*path == '\0')
        return place_refuse(fault, ".", "the root has to be a folder");
    if (*target == '\0' || strlen(target) > TARGET_MAX || !text_is_plain(target))
        return place_refuse(fault, path, "a link with an unusable target");
    if (*target != '/' && climbs_out(path, target))
        return place_refuse(fault, path, "a link that leaves the root");
    const char *name;
    if (place_count(place, fault) != 0 || enter(place, path, &name, fault) != 0)
        return -1;
    return symlinkat(target, place->parent, name) == 0 ? 0 : place_refuse_errno(fault, path);
}

int place_hardlink(struct place *place, const char *path, const char *target, struct fault *fault)
{
    if (*path == '\0')
        return place_refuse(fault, ".", "the root has to be a folder");
    AUTO_CLOSE int fd = place_open(place->root, target, O_PATH | O_NOFOLLOW, 0);
    struct stat stat;
    if (fd < 0 && errno == ENOENT)
        return place_refuse(fault, path, "a hard link to what is not in the archive before it");
    if (fd < 0)
        return place_refuse_errno(fault, path);
    if (fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode))
        return place_refuse(fault, path, "a hard link to what is not a file");
    const char *name;
    if (place_count(place, fault) != 0 || enter(place, path, &name, fault) != 0)
        return -1;
    /* No other process writes here and no component is a link: this is what was opened. */
    return linkat(place->root, target, place->parent, name, 0) == 0
               ? 0
               : place_refuse_errno(fault, path);
}
