/* SPDX-License-Identifier: Apache-2.0 */
#include "unpack/place_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#define LINKS_MAX 40 /* the kernel's own maximum */

int place_look(const struct place *place, const char *path, struct stat *ret_stat,
               struct fault *fault)
{
    AUTO_CLOSE int fd = place_open(place->root, path, O_PATH | O_NOFOLLOW, 0);
    if (fd < 0 && errno != ENOENT && errno != ENOTDIR)
        return place_refuse_errno(fault, path);
    struct stat stat = {0};
    if (fd >= 0 && fstat(fd, &stat) != 0)
        return fault_errno(fault, "cannot look at %.100s", path);
    *ret_stat = stat;
    return 0;
}

/* ---- following links ---- */

/* A path on its way through links: `done` leads through none, `left` is still to be walked. */
struct walk {
    char done[PLACE_PATH_MAX + 1];
    char left[PATH_MAX + PLACE_PATH_MAX + 2];
    int links;
};

static void walk_up(struct walk *walk)
{
    char *slash = strrchr(walk->done, '/');
    walk->done[slash == NULL ? 0 : slash - walk->done] = '\0';
}

static int walk_down(struct walk *walk, const char *name, size_t len, struct fault *fault)
{
    size_t at = strlen(walk->done);
    int depth = at > 0;
    for (size_t i = 0; i < at; i++)
        depth += walk->done[i] == '/';
    if (at + 1 + len > PLACE_PATH_MAX || depth >= PLACE_DEPTH_MAX)
        return place_refuse(fault, walk->done, "too long or too deep behind links");
    if (at > 0)
        walk->done[at++] = '/';
    memcpy(walk->done + at, name, len);
    walk->done[at + len] = '\0';
    return 0;
}

/* `done` is a link: its target takes its place, before what is left. */
static int walk_link(const struct place *place, struct walk *walk, struct fault *fault)
{
    char target[PATH_MAX];
    size_t left = strlen(walk->left) + 1;
    AUTO_CLOSE int fd = place_open(place->root, walk->done, O_PATH | O_NOFOLLOW, 0);
    ssize_t len = fd < 0 ? -1 : readlinkat(fd, "", target, sizeof target);
    if (len < 0)
        return fault_errno(fault, "cannot read the link %.100s", walk->done);
    if (++walk->links > LINKS_MAX)
        return place_refuse(fault, walk->done, "a link that leads through too many others");
    if ((size_t)len + 1 + left > sizeof walk->left)
        return place_refuse(fault, walk->done, "too long behind links");
    memmove(walk->left + len + 1, walk->left, left);
    memcpy(walk->left, target, (size_t)len);
    walk->left[len] = '/';
    if (target[0] == '/')
        walk->done[0] = '\0';
    else
        walk_up(walk);
    return 0;
}

/* One component from `left` to `done`. */
static int walk_step(const struct place *place, struct walk *walk, bool last, struct fault *fault)
{
    char name[PLACE_PATH_MAX + 1];
    char *at = walk->left + strspn(walk->left, "/");
    size_t len = strcspn(at, "/");
    if (len > PLACE_PATH_MAX)
        return place_refuse(fault, walk->done, "too long behind links");
    memcpy(name, at, len);
    name[len] = '\0';
    at += len;
    at += strspn(at, "/");
    memmove(walk->left, at, strlen(at) + 1);
    if (len == 0 || strcmp(name, ".") == 0)
        return 0;
    if (strcmp(name, "..") == 0) {
        walk_up(walk);
        return 0;
    }
    struct stat stat;
    if (walk_down(walk, name, len, fault) != 0)
        return -1;
    if (*walk->left == '\0' && !last)
        return 0;
    if (place_look(place, walk->done, &stat, fault) != 0)
        return -1;
    return S_ISLNK(stat.st_mode) ? walk_link(place, walk, fault) : 0;
}

/* True if no link is on the way, as far as there is a way. */
static bool leads_straight(const struct place *place, const char *path, bool last)
{
    char folder[PLACE_PATH_MAX + 1];
    (void)place_split(path, folder);
    if (!last && place->parent >= 0 && strcmp(folder, place->parent_path) == 0)
        return true;
    AUTO_CLOSE int fd = place_open(place->root, last ? path : folder, O_PATH, 0);
    return fd >= 0 || errno == ENOENT || errno == ENOTDIR;
}

int place_resolve(const struct place *place, const char *path, bool last, char *ret_path,
                  struct fault *fault)
{
    struct walk walk = {0};
    (void)snprintf(walk.left, sizeof walk.left, "%s", path);
    if (leads_straight(place, path, last)) {
        memcpy(ret_path, path, strlen(path) + 1);
        return 0;
    }
    while (*walk.left != '\0') {
        if (walk_step(place, &walk, last, fault) != 0)
            return -1;
    }
    memcpy(ret_path, walk.done, strlen(walk.done) + 1);
    return 0;
}

int place_read(const struct place *place, const char *path, struct buf *buf, struct fault *fault)
{
    char straight[PLACE_PATH_MAX + 1];
    struct stat stat;
    if (place_resolve(place, path, true, straight, fault) != 0 ||
        place_look(place, straight, &stat, fault) != 0)
        return -1;
    if (!S_ISREG(stat.st_mode))
        return fault_set(fault, FAULT_NOT_FOUND, "no file %.150s", path);
    AUTO_CLOSE int fd = place_open(place->root, straight, O_RDONLY | O_NOFOLLOW, 0);
    char *room = buf_reserve(buf, (size_t)stat.st_size);
    if (fd < 0)
        return place_refuse_errno(fault, path);
    if (room == NULL)
        return place_refuse(fault, path, "too large to be read");
    for (int64_t at = 0; at < stat.st_size;) {
        ssize_t n = pread(fd, room + at, (size_t)(stat.st_size - at), at);
        if (n <= 0)
            return fault_errno(fault, "cannot read %.100s", path);
        at += n;
    }
    buf_commit(buf, (size_t)stat.st_size);
    return 0;
}
