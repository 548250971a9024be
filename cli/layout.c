/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/layout.h"

#include "base/buf.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define LINKS_MAX 40
#define DEPTH_MAX 64

struct layout {
    char *root;
    struct layout_entry **entries; /* ordered by path */
    size_t count, cap;
    int64_t bytes;
};

int layout_new(const char *root, struct layout **ret_layout, struct fault *fault)
{
    struct layout *layout = calloc(1, sizeof *layout);
    if (layout != NULL)
        layout->root = strdup(root);
    if (layout == NULL || layout->root == NULL) {
        layout_free(layout);
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    }
    *ret_layout = layout;
    return 0;
}

static void entry_free(struct layout_entry *entry)
{
    if (entry == NULL)
        return;
    free(entry->path);
    free(entry->target);
    free(entry);
}

void layout_free(struct layout *layout)
{
    if (layout == NULL)
        return;
    for (size_t i = 0; i < layout->count; i++)
        entry_free(layout->entries[i]);
    free(layout->entries);
    free(layout->root);
    free(layout);
}

void layout_cleanup(struct layout **layout)
{
    layout_free(*layout);
}

const char *layout_root(const struct layout *layout)
{
    return layout->root;
}

size_t layout_count(const struct layout *layout)
{
    return layout->count;
}

const struct layout_entry *layout_at(const struct layout *layout, size_t n)
{
    return n < layout->count ? layout->entries[n] : NULL;
}

/* Where path is, or belongs. */
static size_t find_place(const struct layout *layout, const char *path, bool *ret_there)
{
    size_t low = 0, high = layout->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(layout->entries[middle]->path, path);
        if (order == 0) {
            *ret_there = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_there = false;
    return low;
}

static int grow(struct layout *layout, struct fault *fault)
{
    if (layout->count == LAYOUT_ENTRIES_MAX)
        return fault_set(fault, FAULT_TOO_LARGE, "more than %d files", LAYOUT_ENTRIES_MAX);
    if (layout->count < layout->cap)
        return 0;
    size_t cap = layout->cap == 0 ? 64 : layout->cap * 2;
    struct layout_entry **entries = realloc(layout->entries, cap * sizeof *entries);
    if (entries == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    layout->entries = entries;
    layout->cap = cap;
    return 0;
}

/* Adds an entry unless its path is there. `target` is copied. */
static int add_entry(struct layout *layout, enum layout_kind kind, const char *path,
                     const char *target, const struct stat *stat, struct fault *fault)
{
    bool there;
    size_t place = find_place(layout, path, &there);
    if (there)
        return 0;
    int64_t size = kind == LAYOUT_FILE ? stat->st_size : 0;
    if (size > LAYOUT_BYTES_MAX - layout->bytes)
        return fault_set(fault, FAULT_TOO_LARGE, "more than 2 GiB of files");
    if (grow(layout, fault) != 0)
        return -1;
    struct layout_entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    *entry = (struct layout_entry){.kind = kind,
                                   .path = strdup(path),
                                   .target = target == NULL ? NULL : strdup(target),
                                   .executable = (stat->st_mode & 0111) != 0,
                                   .size = size};
    if (entry->path == NULL || (target != NULL && entry->target == NULL)) {
        entry_free(entry);
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    }
    memmove(&layout->entries[place + 1], &layout->entries[place],
            (layout->count - place) * sizeof *layout->entries);
    layout->entries[place] = entry;
    layout->count++;
    layout->bytes += size;
    return 0;
}

/* A link's text as it must be from its own folder (physical): an absolute one becomes `../..` and
 * the rest, so that the tree means the same wherever it is unpacked. */
static int relative_target(const char *folder, const char *target, struct buf *ret_target,
                           struct fault *fault)
{
    if (target[0] == '/') {
        for (const char *at = folder; *at != '\0'; at++)
            if (*at == '/' && at[1] != '\0')
                buf_puts(ret_target, "../");
        while (*target == '/')
            target++;
        if (*target == '\0')
            buf_puts(ret_target, ".");
    }
    buf_puts(ret_target, target);
    return buf_failed(ret_target)
               ? fault_set(fault, FAULT_ARTIFACT_INVALID, "%s: a link too long", folder)
               : 0;
}

/* A path that is being resolved: `done` is physical, `rest` is what is left of it. */
struct walk {
    struct layout *layout;
    const char *wanted;
    struct buf done, rest;
    int links;
};

/* Cuts the first part off the rest; false at its end. */
static bool take_part(struct walk *walk, struct buf *ret_part)
{
    const char *text = buf_text(&walk->rest);
    size_t skip = strspn(text, "/");
    size_t len = strcspn(text + skip, "/");
    buf_reset(ret_part);
    buf_append(ret_part, text + skip, len);
    struct buf rest = BUF(walk->rest.max);
    buf_puts(&rest, text + skip + len);
    buf_free(&walk->rest);
    walk->rest = rest;
    return len > 0;
}

static void drop_last(struct buf *path)
{
    while (path->len > 0 && path->data[path->len - 1] != '/')
        path->len--;
    if (path->len > 0)
        path->len--;
    if (path->data != NULL)
        path->data[path->len] = '\0';
}

static int follow_link(struct walk *walk, const char *folder, const char *path,
                       const struct stat *stat, struct fault *fault)
{
    AUTO_BUF struct buf host = BUF(2 * PATH_MAX), target = BUF(2 * PATH_MAX),
                        rest = BUF(4 * PATH_MAX);
    char text[PATH_MAX];
    buf_printf(&host, "%s%s", walk->layout->root, path);
    ssize_t len = readlink(buf_text(&host), text, sizeof text - 1);
    if (len <= 0)
        return fault_errno(fault, "cannot read the link %s", path);
    text[len] = '\0';
    if (++walk->links > LINKS_MAX)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "%s: too many links", walk->wanted);
    if (relative_target(folder, text, &target, fault) != 0 ||
        add_entry(walk->layout, LAYOUT_LINK, path, buf_text(&target), stat, fault) != 0)
        return -1;
    buf_printf(&rest, "%s/%s", text, buf_text(&walk->rest));
    buf_reset(&walk->rest);
    buf_puts(&walk->rest, buf_text(&rest));
    if (text[0] == '/')
        buf_reset(&walk->done);
    return buf_failed(&rest) || buf_failed(&walk->rest)
               ? fault_set(fault, FAULT_ARTIFACT_INVALID, "%s: too long", walk->wanted)
               : 0;
}

/* Takes one part further. ret_kind is that of what `done` names then. */
static int step(struct walk *walk, const char *part, enum layout_kind *ret_kind,
                struct fault *fault)
{
    if (strcmp(part, ".") == 0)
        return 0;
    if (strcmp(part, "..") == 0) {
        drop_last(&walk->done);
        *ret_kind = LAYOUT_FOLDER;
        return 0;
    }
    AUTO_BUF struct buf path = BUF(PATH_MAX), host = BUF(2 * PATH_MAX);
    struct stat stat;
    buf_printf(&path, "%s/%s", buf_text(&walk->done), part);
    buf_printf(&host, "%s%s", walk->layout->root, buf_text(&path));
    if (buf_failed(&path) || buf_failed(&host))
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "%s: too long", walk->wanted);
    if (lstat(buf_text(&host), &stat) != 0)
        return errno == ENOENT || errno == ENOTDIR
                   ? fault_set(fault, FAULT_NOT_FOUND, "%s: not there", walk->wanted)
                   : fault_errno(fault, "cannot look at %s", buf_text(&path));
    if (S_ISLNK(stat.st_mode))
        return follow_link(walk, buf_text(&walk->done), buf_text(&path), &stat, fault);
    if (!S_ISDIR(stat.st_mode) && !S_ISREG(stat.st_mode))
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "%s: neither a file nor a folder",
                         buf_text(&path));
    *ret_kind = S_ISDIR(stat.st_mode) ? LAYOUT_FOLDER : LAYOUT_FILE;
    buf_reset(&walk->done);
    buf_puts(&walk->done, buf_text(&path));
    return add_entry(walk->layout, *ret_kind, buf_text(&path), NULL, &stat, fault);
}

static int resolve(struct walk *walk, enum layout_kind *ret_kind, struct fault *fault)
{
    AUTO_BUF struct buf part = BUF(PATH_MAX);
    enum layout_kind kind = LAYOUT_FOLDER;
    while (take_part(walk, &part)) {
        if (buf_failed(&part) || buf_failed(&walk->rest))
            return fault_set(fault, FAULT_ARTIFACT_INVALID, "%s: too long", walk->wanted);
        if (kind != LAYOUT_FOLDER)
            return fault_set(fault, FAULT_NOT_FOUND, "%s: not there", walk->wanted);
        if (step(walk, buf_text(&part), &kind, fault) != 0)
            return -1;
    }
    *ret_kind = kind;
    return 0;
}

/* layout_add(), and what kind of thing it was. */
static int add_path(struct layout *layout, const char *path, char **ret_physical,
                    enum layout_kind *ret_kind, struct fault *fault)
{
    struct walk walk = {.layout = layout, .wanted = path};
    walk.done = BUF(PATH_MAX);
    walk.rest = BUF(4 * PATH_MAX);
    buf_puts(&walk.rest, path);
    int result = path[0] != '/'
                     ? fault_set(fault, FAULT_MALFORMED_REQUEST, "%s: not an absolute path", path)
                     : resolve(&walk, ret_kind, fault);
    if (result == 0 && ret_physical != NULL) {
        *ret_physical = buf_take(&walk.done, NULL);
        if (*ret_physical == NULL)
            result = fault_set(fault, FAULT_INTERNAL, "out of memory");
    }
    buf_free(&walk.done);
    buf_free(&walk.rest);
    return result;
}

int layout_add(struct layout *layout, const char *path, char **ret_physical, struct fault *fault)
{
    enum layout_kind kind = LAYOUT_FOLDER;
    return add_path(layout, path, ret_physical, &kind, fault);
}

static void close_dir(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
}

static bool is_link(const struct layout *layout, const char *path)
{
    AUTO_BUF struct buf host = BUF(2 * PATH_MAX);
    struct stat stat;
    buf_printf(&host, "%s%s", layout->root, path);
    return lstat(buf_text(&host), &stat) == 0 && S_ISLNK(stat.st_mode);
}

/* A link inside a tree is added with what it names, but not followed into a folder (it may lead
 * back up), and one that leads nowhere stays such a link. */
static int add_link(struct layout *layout, const char *path, struct fault *fault)
{
    struct fault cause = {0};
    enum layout_kind kind = LAYOUT_FOLDER;
    if (add_path(layout, path, NULL, &kind, &cause) == 0 || cause.code == FAULT_NOT_FOUND)
        return 0;
    return fault_set(fault, cause.code, "%s", cause.detail);
}

static int add_below(struct layout *layout, const char *path, int depth, struct fault *fault)
{
    AUTO_FREE char *physical = NULL;
    enum layout_kind kind = LAYOUT_FOLDER;
    if (add_path(layout, path, &physical, &kind, fault) != 0)
        return -1;
    if (kind != LAYOUT_FOLDER)
        return 0;
    if (depth > DEPTH_MAX)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "%s: too deep", path);
    AUTO_BUF struct buf host = BUF(2 * PATH_MAX);
    buf_printf(&host, "%s%s", layout->root, physical);
    AUTO(close_dir) DIR *dir = opendir(buf_text(&host));
    if (dir == NULL)
        return fault_errno(fault, "cannot open folder %s", path);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        AUTO_BUF struct buf child = BUF(PATH_MAX);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        buf_printf(&child, "%s/%s", physical, entry->d_name);
        if (buf_failed(&child))
            return fault_set(fault, FAULT_ARTIFACT_INVALID, "%s: a path too long", path);
        int added = is_link(layout, buf_text(&child))
                        ? add_link(layout, buf_text(&child), fault)
                        : add_below(layout, buf_text(&child), depth + 1, fault);
        if (added != 0)
            return -1;
    }
    return 0;
}

int layout_add_tree(struct layout *layout, const char *path, struct fault *fault)
{
    return add_below(layout, path, 0, fault);
}
