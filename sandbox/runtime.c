/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>

#define PIECE (64u << 10)
#define HUGE_PAGE (2u << 20)

static int open_program(const char *path, struct stat *ret_stat, struct fault *fault)
{
    AUTO_CLOSE int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, ret_stat) != 0 || !S_ISREG(ret_stat->st_mode))
        return fault_set(fault, FAULT_UNAVAILABLE, "no sandbox runtime at %s", path);
    if (ret_stat->st_size > (off_t)RUNTIME_SIZE_MAX)
        return fault_set(fault, FAULT_UNAVAILABLE, "%s is larger than a sandbox runtime may be",
                         path);
    return TAKE_FD(fd);
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* Half of one runtime and half of another is neither. */
static int check_unchanged(int fd, const struct stat *before, off_t copied, struct fault *fault)
{
    struct stat now;
    if (fstat(fd, &now) != 0)
        return fault_errno(fault, "cannot look at the sandbox runtime");
    return copied == before->st_size && now.st_size == before->st_size &&
                   same_time(now.st_mtim, before->st_mtim) &&
                   same_time(now.st_ctim, before->st_ctim)
               ? 0
               : fault_set(fault, FAULT_UNAVAILABLE,
                           "the sandbox runtime was changed while it was read");
}

/* A file system in memory, with room for one file of this size; the descriptor is all that holds
 * it. Where the kernel has no huge pages it does not know the word. */
static int make_filesystem(off_t size, struct fault *fault)
{
    char room[24];
    (void)snprintf(room, sizeof room, "%lld",
                   (long long)((size / HUGE_PAGE + 2) * (off_t)HUGE_PAGE));
    AUTO_CLOSE int context = fsopen("tmpfs", FSOPEN_CLOEXEC);
    if (context >= 0)
        (void)fsconfig(context, FSCONFIG_SET_STRING, "huge", "always", 0);
    AUTO_CLOSE int mount = -1;
    if (context < 0 || fsconfig(context, FSCONFIG_SET_STRING, "size", room, 0) != 0 ||
        fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) != 0 ||
        (mount = fsmount(context, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)) < 0)
        return fault_errno(fault, "cannot make a file system for the sandbox runtime");
    return TAKE_FD(mount);
}

/* To its end, but no more than there was room made for: it may be growing. */
static int copy_hashed(int from, int to, off_t size, off_t *ret_copied, struct digest *ret_sha256,
                       struct fault *fault)
{
    AUTO_DIGEST_STREAM struct digest_stream *hash = digest_stream_new();
    AUTO_FREE uint8_t *bytes = malloc(PIECE);
    if (hash == NULL || bytes == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    *ret_copied = 0;
    for (ssize_t n = 1; n > 0 && *ret_copied <= size; *ret_copied += n) {
        n = read(from, bytes, PIECE);
        if (n < 0)
            return fault_errno(fault, "cannot read the sandbox runtime");
        errno = ENOSPC; /* of a write that is short */
        if (write(to, bytes, (size_t)n) != n)
            return fault_errno(fault, "cannot copy the sandbox runtime");
        digest_stream_update(hash, bytes, (size_t)n);
    }
    *ret_sha256 = digest_stream_value(hash);
    return 0;
}

/* Nobody holds it open for writing by now, or this fails. */
static int seal(int mount, struct fault *fault)
{
    struct mount_attr attributes = {.attr_set = MOUNT_ATTR_RDONLY};
    return mount_setattr(mount, "", AT_EMPTY_PATH, &attributes, sizeof attributes) == 0
               ? 0
               : fault_errno(fault, "cannot make the copy of the sandbox runtime read-only");
}

static int copy_into(int mount, int from, const struct stat *before, struct digest *ret_sha256,
                     struct fault *fault)
{
    off_t copied;
    AUTO_CLOSE int to = openat(mount, RUNTIME_NAME, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0555);
    if (to < 0)
        return fault_errno(fault, "cannot make a copy of the sandbox runtime");
    if (copy_hashed(from, to, before->st_size, &copied, ret_sha256, fault) != 0)
        return -1;
    return check_unchanged(from, before, copied, fault);
}

int runtime_copy(const char *path, int *ret_fd, struct digest *ret_sha256, struct fault *fault)
{
    struct stat before;
    AUTO_CLOSE int from = open_program(path, &before, fault);
    if (from < 0)
        return -1;
    AUTO_CLOSE int mount = make_filesystem(before.st_size, fault);
    if (mount < 0 || copy_into(mount, from, &before, ret_sha256, fault) != 0 ||
        seal(mount, fault) != 0)
        return -1;
    *ret_fd = openat(mount, RUNTIME_NAME, O_RDONLY | O_CLOEXEC);
    return *ret_fd >= 0 ? 0 : fault_errno(fault, "cannot open the copy of the sandbox runtime");
}
