/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file.h"

#include "base/uuid.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define DEPTH_MAX 64 /* of folders that are open at once */

static int read_all(int fd, const char *path, struct buf *buf, struct fault *fault)
{
    for (;;) {
        size_t room = buf->max - buf->len;
        size_t want = room < 65536 ? room : 65536;
        if (want == 0) { /* full: only the end of the file may follow */
            char more;
            ssize_t n = read(fd, &more, 1);
            if (n < 0)
                return fault_errno(fault, "cannot read %s", path);
            if (n > 0)
                return fault_set(fault, FAULT_TOO_LARGE, "%s: larger than %zu bytes", path,
                                 buf->max);
            return 0;
        }
        void *place = buf_reserve(buf, want);
        if (place == NULL)
            return fault_set(fault, FAULT_INTERNAL, "out of memory");
        ssize_t n = read(fd, place, want);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fault_errno(fault, "cannot read %s", path);
        buf_commit(buf, (size_t)n);
        if (n == 0)
            return 0;
    }
}

static int open_regular(const char *path, struct stat *ret_stat, struct fault *fault)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return fault_set(fault, FAULT_NOT_FOUND, "%s: no such file", path);
    if (fd < 0 || fstat(fd, ret_stat) != 0)
        return fault_errno(fault, "cannot open %s", path);
    if (!S_ISREG(ret_stat->st_mode))
        return fault_set(fault, FAULT_INTERNAL, "%s: not a regular file", path);
    return TAKE_FD(fd);
}

int file_read(const char *path, struct buf *buf, struct fault *fault)
{
    struct stat stat;
    AUTO_CLOSE int fd = open_regular(path, &stat, fault);
    return fd < 0 ? -1 : read_all(fd, path, buf, fault);
}

static bool guarded(const struct stat *stat)
{
    return (stat->st_uid == 0 || stat->st_uid == geteuid()) && (stat->st_mode & 022) == 0;
}

int file_read_guarded(const char *path, struct buf *buf, struct fault *fault)
{
    struct stat file, folder;
    AUTO_CLOSE int fd = open_regular(path, &file, fault);
    if (fd < 0)
        return -1;
    AUTO_FREE char *real = realpath(path, NULL);
    char *slash = real == NULL ? NULL : strrchr(real, '/');
    if (slash == NULL)
        return fault_errno(fault, "cannot resolve %s", path);
    slash[slash == real ? 1 : 0] = '\0';
    if (stat(real, &folder) != 0)
        return fault_errno(fault, "cannot look at %s", real);
    if (!guarded(&file) || !guarded(&folder))
        return fault_set(fault, FAULT_INTERNAL, "%s: others can change it, or its folder", path);
    return read_all(fd, path, buf, fault);
}

int file_read_secret(const char *path, struct buf *buf, struct fault *fault)
{
    struct stat stat;
    AUTO_CLOSE int fd = open_regular(path, &stat, fault);
    if (fd < 0)
        return -1;
    if ((stat.st_mode & 077) != 0)
        return fault_set(fault, FAULT_INTERNAL,
                         "%s: holds a secret but its mode lets others in; expected 0600", path);
    if (stat.st_uid != geteuid() && stat.st_uid != 0)
        return fault_set(fault, FAULT_INTERNAL, "%s: holds a secret but belongs to another user",
                         path);
    return read_all(fd, path, buf, fault);
}

static int write_all(int fd, const void *data, size_t len)
{
    const char *at = data;
    while (len > 0) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

static int sync_folder_of(const char *path)
{
    AUTO_FREE char *copy = strdup(path);
    if (copy == NULL)
        return -1;
    char *slash = strrchr(copy, '/');
    if (slash != NULL)
        slash[slash == copy ? 1 : 0] = '\0';
    AUTO_CLOSE int fd = open(slash == NULL ? "." : copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -1 : fsync(fd);
}

int file_draft_open(const char *path, struct file_draft *ret_draft, struct fault *fault)
{
    AUTO_FREE char *temporary = NULL;
    if (asprintf(&temporary, "%s.XXXXXX", path) < 0) {
        temporary = NULL;
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    }
    int fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return fault_errno(fault, "cannot create a file beside %s", path);
    *ret_draft = (struct file_draft){fd, TAKE(temporary)};
    return 0;
}

int file_draft_write(struct file_draft *draft, const void *data, size_t len, struct fault *fault)
{
    return write_all(draft->fd, data, len) == 0
               ? 0
               : fault_errno(fault, "cannot write %s", draft->temporary);
}

int file_draft_settle(struct file_draft *draft, const char *path, mode_t mode, struct fault *fault)
{
    if (fchmod(draft->fd, mode) != 0 || fsync(draft->fd) != 0 ||
        rename(draft->temporary, path) != 0)
        return fault_errno(fault, "cannot write %s", path);
    free(TAKE(draft->temporary));
    if (sync_folder_of(path) != 0)
        return fault_errno(fault, "cannot sync the folder of %s", path);
    return 0;
}

void file_draft_drop(struct file_draft *draft)
{
    if (draft->temporary != NULL)
        (void)unlink(draft->temporary);
    free(TAKE(draft->temporary));
    if (draft->fd >= 0)
        (void)close(TAKE_FD(draft->fd));
}

int file_replace(const char *path, const void *data, size_t len, mode_t mode, struct fault *fault)
{
    AUTO_FILE_DRAFT struct file_draft draft = {.fd = -1};
    if (file_draft_open(path, &draft, fault) != 0 ||
        file_draft_write(&draft, data, len, fault) != 0)
        return -1;
    return file_draft_settle(&draft, path, mode, fault);
}

int dir_make(const char *path, mode_t mode, struct fault *fault)
{
    AUTO_FREE char *copy = strdup(path);
    if (copy == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    for (char *at = copy + 1; *copy != '\0'; at++) {
        if (*at != '/' && *at != '\0')
            continue;
        char kept = *at;
        *at = '\0';
        if (mkdir(copy, mode) != 0 && errno != EEXIST)
            return fault_errno(fault, "cannot make folder %s", copy);
        *at = kept;
        if (kept == '\0')
            break;
    }
    struct stat there;
    if (stat(path, &there) != 0)
        return fault_errno(fault, "cannot look at %s", path);
    if (!S_ISDIR(there.st_mode)) /* what mkdir() took for a folder that exists */
        return fault_set(fault, FAULT_INTERNAL, "%s: not a folder", path);
    return 0;
}

static void close_dir(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
}

struct removal {
    int top; /* the folder that goes */
    dev_t device;
    unsigned lifted;
};

static int remove_inside(struct removal *removal, int fd, int depth);

/* Moves a folder that lies too deep to just below the top, under a name that is free there. */
static int lift(struct removal *removal, int fd, const char *name)
{
    char place[32];
    do {
        (void)snprintf(place, sizeof place, "lifted-%u", removal->lifted++);
        if (renameat2(fd, name, removal->top, place, RENAME_NOREPLACE) == 0)
            return 0;
    } while (errno == EEXIST && removal->lifted != 0);
    return -1;
}

/* A folder that can be listed and emptied, or -1. */
static int open_inner(const struct removal *removal, int fd, const char *name)
{
    int child = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (child < 0 && errno == EACCES && fchmodat(fd, name, 0700, 0) == 0)
        child = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat stat;
    if (child < 0)
        return -1;
    int status = fstat(child, &stat);
    bool elsewhere = status == 0 && stat.st_dev != removal->device;
    if (status == 0 && !elsewhere && fchmod(child, 0700) == 0)
        return child;
    int error = elsewhere ? EXDEV : errno;
    (void)close(child);
    errno = error;
    return -1;
}

static int remove_folder(struct removal *removal, int fd, const char *name, int depth)
{
    AUTO_CLOSE int child = open_inner(removal, fd, name);
    if (child < 0)
        return -1;
    if (depth == DEPTH_MAX)
        return lift(removal, fd, name);
    if (remove_inside(removal, TAKE_FD(child), depth + 1) != 0)
        return -1;
    return unlinkat(fd, name, AT_REMOVEDIR);
}

/* Removes what is in the folder `fd` (taken over). */
static int remove_inside(struct removal *removal, int fd, int depth)
{
    AUTO(close_dir) DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        (void)close(fd);
        return -1;
    }
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            unlinkat(fd, entry->d_name, 0) == 0)
            continue;
        if ((errno != EISDIR && errno != EPERM) ||
            remove_folder(removal, fd, entry->d_name, depth) != 0)
            return -1;
    }
    return 0;
}

int dir_remove(const char *path, struct fault *fault)
{
    struct stat stat;
    if (lstat(path, &stat) != 0)
        return errno == ENOENT ? 0 : fault_errno(fault, "cannot look at %s", path);
    if (!S_ISDIR(stat.st_mode))
        return unlink(path) == 0 ? 0 : fault_errno(fault, "cannot remove %s", path);
    (void)chmod(path, 0700);
    AUTO_CLOSE int top = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (top < 0)
        return fault_errno(fault, "cannot open folder %s", path);
    struct removal removal = {.top = top, .device = stat.st_dev};
    for (unsigned before = 1; before != removal.lifted;) {
        before = removal.lifted;
        int fd = openat(top, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || remove_inside(&removal, fd, 0) != 0)
            return fault_errno(fault, "cannot remove folder %s", path);
    }
    return rmdir(path) == 0 ? 0 : fault_errno(fault, "cannot remove folder %s", path);
}
