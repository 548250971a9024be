/* SPDX-License-Identifier: Apache-2.0 */
#include "unpack/place_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define NAMES_SIZE 16384

/* The path of a folder that is being emptied, from the one it began with to the one at hand. */
struct descent {
    char path[PLACE_PATH_MAX + 1];
    size_t begin; /* length of the first */
};

static int descend(struct descent *descent, const char *name, struct fault *fault)
{
    size_t at = strlen(descent->path), len = strlen(name);
    if (at + 1 + len > PLACE_PATH_MAX)
        return fault_set(fault, FAULT_INTERNAL, "a path longer than any that was placed");
    if (at > 0)
        descent->path[at++] = '/';
    memcpy(descent->path + at, name, len + 1);
    return 0;
}

/* The folder at hand is empty: away with it, and back to the one it was in. */
static int ascend(const struct place *place, struct descent *descent, struct fault *fault)
{
    char folder[PLACE_PATH_MAX + 1];
    const char *name = place_split(descent->path, folder);
    AUTO_CLOSE int fd = place_open(place->root, folder, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0 || unlinkat(fd, name, AT_REMOVEDIR) != 0)
        return fault_errno(fault, "cannot remove %.100s", descent->path);
    memcpy(descent->path, folder, sizeof folder);
    return 0;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Removes what can be at once. *ret_any: there was something; descent then is in the first folder
 * met, if one was. */
static int sweep(const struct place *place, struct descent *descent, bool *ret_any,
                 struct fault *fault)
{
    _Alignas(struct dirent64) char names[NAMES_SIZE];
    AUTO_CLOSE int fd = place_open(place->root, descent->path, O_RDONLY | O_DIRECTORY, 0);
    ssize_t len = fd < 0 ? -1 : getdents64(fd, names, sizeof names);
    if (len < 0)
        return fault_errno(fault, "cannot list %.100s", descent->path);
    *ret_any = false;
    for (ssize_t at = 0; at < len;) {
        const struct dirent64 *entry = (const struct dirent64 *)(const void *)(names + at);
        at += entry->d_reclen;
        if (is_dots(entry->d_name))
            continue;
        *ret_any = true;
        if (unlinkat(fd, entry->d_name, 0) == 0)
            continue;
        if (errno == EISDIR || errno == EPERM)
            return descend(descent, entry->d_name, fault);
        return fault_errno(fault, "cannot remove what is in %.100s", descent->path);
    }
    return 0;
}

/* By path and without recursion: neither depth nor descriptors grow with what a layer makes. */
static int empty(const struct place *place, const char *path, struct fault *fault)
{
    struct descent descent = {.begin = strlen(path)};
    memcpy(descent.path, path, descent.begin + 1);
    for (;;) {
        bool any;
        if (sweep(place, &descent, &any, fault) != 0)
            return -1;
        if (any)
            continue;
        if (strlen(descent.path) == descent.begin)
            return 0;
        if (ascend(place, &descent, fault) != 0)
            return -1;
    }
}

int place_empty(struct place *place, const char *path, struct fault *fault)
{
    struct stat stat;
    place_end(place); /* the folder it keeps open may be one of those that go */
    if (place_count(place, fault) != 0 || place_look(place, path, &stat, fault) != 0)
        return -1;
    return S_ISDIR(stat.st_mode) ? empty(place, path, fault) : 0;
}

int place_remove(struct place *place, const char *path, struct fault *fault)
{
    char folder[PLACE_PATH_MAX + 1];
    struct stat stat;
    if (*path == '\0')
        return place_refuse(fault, ".", "the root cannot be removed");
    place_end(place);
    if (place_count(place, fault) != 0 || place_look(place, path, &stat, fault) != 0)
        return -1;
    if (stat.st_mode == 0)
        return 0;
    bool is_folder = S_ISDIR(stat.st_mode);
    if (is_folder && empty(place, path, fault) != 0)
        return -1;
    const char *name = place_split(path, folder);
    AUTO_CLOSE int fd = place_open(place->root, folder, O_RDONLY | O_DIRECTORY, 0);
    return fd >= 0 && unlinkat(fd, name, is_folder ? AT_REMOVEDIR : 0) == 0
               ? 0
               : place_refuse_errno(fault, path);
}
