/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/libraries.h"

#include "base/buf.h"
#include "cli/elf.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define OBJECTS_MAX 4096
#define FOLDERS_MAX 8

/* A program, loader or library. */
struct object {
    char *path;     /* as it was opened: $ORIGIN is its folder */
    char *physical; /* what it is */
    struct elf *elf;
    const struct object *loader; /* whose need brought it; NULL for what was asked for */
};

struct libraries {
    struct layout *layout;
    struct object *objects[OBJECTS_MAX];
    size_t count;
    size_t done; /* objects whose needs have been met */
    uint16_t machine;
    char *folders[FOLDERS_MAX]; /* where the loader looks by itself */
    size_t folder_count;
};

int libraries_new(struct layout *layout, struct libraries **ret_libraries, struct fault *fault)
{
    struct libraries *libraries = calloc(1, sizeof *libraries);
    if (libraries == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    libraries->layout = layout;
    *ret_libraries = libraries;
    return 0;
}

static void object_free(struct object *object)
{
    if (object == NULL)
        return;
    free(object->path);
    free(object->physical);
    elf_free(object->elf);
    free(object);
}

static void object_cleanup(struct object **object)
{
    object_free(*object);
}

void libraries_free(struct libraries *libraries)
{
    if (libraries == NULL)
        return;
    for (size_t i = 0; i < libraries->count; i++)
        object_free(libraries->objects[i]);
    for (size_t i = 0; i < libraries->folder_count; i++)
        free(libraries->folders[i]);
    free(libraries);
}

void libraries_cleanup(struct libraries **libraries)
{
    libraries_free(*libraries);
}

static bool is_known(const struct libraries *libraries, const char *physical)
{
    for (size_t i = 0; i < libraries->count; i++)
        if (strcmp(libraries->objects[i]->physical, physical) == 0)
            return true;
    return false;
}

static int open_host(const struct libraries *libraries, const char *physical)
{
    AUTO_BUF struct buf host = BUF(2 * PATH_MAX);
    buf_printf(&host, "%s%s", layout_root(libraries->layout), physical);
    return open(buf_text(&host), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
}

/* Adds the file to the layout and, unless it is known, to the objects. */
static int add_object(struct libraries *libraries, const char *path, const struct object *loader,
                      struct fault *fault)
{
    AUTO(object_cleanup) struct object *object = calloc(1, sizeof *object);
    if (object == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    object->loader = loader;
    if (layout_add(libraries->layout, path, &object->physical, fault) != 0)
        return -1;
    if (is_known(libraries, object->physical))
        return 0;
    AUTO_CLOSE int fd = open_host(libraries, object->physical);
    if (fd < 0)
        return fault_errno(fault, "cannot open %s", path);
    if (elf_read(fd, path, &object->elf, fault) != 0)
        return -1;
    object->path = strdup(loader == NULL ? object->physical : path);
    if (object->path == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (libraries->count == OBJECTS_MAX)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "more than %d libraries", OBJECTS_MAX);
    libraries->objects[libraries->count++] = TAKE(object);
    return 0;
}

static int add_folder(struct libraries *libraries, const char *path, struct fault *fault)
{
    for (size_t i = 0; i < libraries->folder_count; i++)
        if (strcmp(libraries->folders[i], path) == 0)
            return 0;
    char *copy = strdup(path);
    if (copy == NULL || libraries->folder_count == FOLDERS_MAX) {
        free(copy);
        return fault_set(fault, FAULT_INTERNAL, "no room for the loader's folders");
    }
    libraries->folders[libraries->folder_count++] = copy;
    return 0;
}

/* The folders built into the loader: it lies in the first of them (/lib/x86_64-linux-gnu, or
 * /lib64), the same below /usr follows, then /lib and /usr/lib. */
static int find_folders(struct libraries *libraries, const char *loader, struct fault *fault)
{
    const char *slash = strrchr(loader, '/');
    const char *inner = strncmp(loader, "/usr/", 5) == 0 ? loader + 4 : loader;
    AUTO_BUF struct buf path = BUF(2 * PATH_MAX);
    buf_puts(&path, "/usr");
    if (slash > inner)
        buf_append(&path, inner, (size_t)(slash - inner));
    const char *usr = buf_text(&path);
    if (buf_failed(&path))
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "%s: too long", loader);
    if (usr[4] != '\0' &&
        (add_folder(libraries, usr + 4, fault) != 0 || add_folder(libraries, usr, fault) != 0))
        return -1;
    if (add_folder(libraries, "/lib", fault) != 0 || add_folder(libraries, "/usr/lib", fault) != 0)
        return -1;
    return 0;
}

/* True if there is a file for this machine's loader to take: an ELF of the right kind. */
static bool is_candidate(const struct libraries *libraries, const char *path)
{
    AUTO_LAYOUT struct layout *probe = NULL;
    AUTO_FREE char *physical = NULL;
    AUTO_ELF struct elf *elf = NULL;
    if (layout_new(layout_root(libraries->layout), &probe, NULL) != 0 ||
        layout_add(probe, path, &physical, NULL) != 0)
        return false;
    AUTO_CLOSE int fd = open_host(libraries, physical);
    return fd >= 0 && elf_is(fd) && elf_read(fd, path, &elf, NULL) == 0 &&
           elf->machine == libraries->machine;
}

/* One folder of a search path, with $ORIGIN replaced. A folder with another `$` is left out: the
 * archive has nothing there. */
static int expand_folder(struct span folder, const struct object *object, struct buf *ret_folder)
{
    static const char *const origins[] = {"$ORIGIN", "${ORIGIN}"};
    while (folder.len > 0) {
        size_t skip = 0;
        for (size_t i = 0; i < ARRAY_LEN(origins) && skip == 0; i++)
            if (folder.len >= strlen(origins[i]) &&
                memcmp(folder.data, origins[i], strlen(origins[i])) == 0)
                skip = strlen(origins[i]);
        if (skip > 0)
            buf_append(ret_folder, object->path,
                       (size_t)(strrchr(object->path, '/') - object->path));
        else if (folder.data[0] == '$')
            return -1;
        else
            buf_append(ret_folder, folder.data, 1);
        skip = skip == 0 ? 1 : skip;
        folder = span_of(folder.data + skip, folder.len - skip);
    }
    return buf_failed(ret_folder) ? -1 : 0;
}

static bool try_folder(const struct libraries *libraries, const char *folder, const char *name,
                       struct buf *ret_path)
{
    buf_reset(ret_path);
    buf_printf(ret_path, "%s/%s", folder, name);
    return !buf_failed(ret_path) && folder[0] == '/' && is_candidate(libraries, buf_text(ret_path));
}

/* Along a colon-separated path of this object. */
static bool try_path(const struct libraries *libraries, const char *path,
                     const struct object *object, const char *name, struct buf *ret_path)
{
    while (path != NULL && *path != '\0') {
        size_t len = strcspn(path, ":");
        AUTO_BUF struct buf folder = BUF(PATH_MAX);
        if (len > 0 && expand_folder(span_of(path, len), object, &folder) == 0 &&
            try_folder(libraries, buf_text(&folder), name, ret_path))
            return true;
        path += path[len] == ':' ? len + 1 : len;
    }
    return false;
}

/* ld.so(8): DT_RPATH of the object and of those that loaded it (unless the object has
 * DT_RUNPATH; of each only where it has none itself), DT_RUNPATH of the object alone, then the
 * loader's own folders. */
static bool find_library(const struct libraries *libraries, const struct object *object,
                         const char *name, struct buf *ret_path)
{
    if (object->elf->runpath == NULL)
        for (const struct object *at = object; at != NULL; at = at->loader)
            if (at->elf->runpath == NULL && try_path(libraries, at->elf->rpath, at, name, ret_path))
                return true;
    if (try_path(libraries, object->elf->runpath, object, name, ret_path))
        return true;
    for (size_t i = 0; i < libraries->folder_count; i++)
        if (try_folder(libraries, libraries->folders[i], name, ret_path))
            return true;
    return false;
}

/* The loader takes a library that is loaded for every need of the same name. */
static bool is_loaded(const struct libraries *libraries, const char *name)
{
    for (size_t i = 0; i < libraries->count; i++) {
        const struct object *object = libraries->objects[i];
        if (object->elf->soname != NULL && strcmp(object->elf->soname, name) == 0)
            return true;
        if (object->loader != NULL && strcmp(strrchr(object->path, '/') + 1, name) == 0)
            return true;
    }
    return false;
}

static int meet_need(struct libraries *libraries, const struct object *object, const char *name,
                     struct fault *fault)
{
    AUTO_BUF struct buf path = BUF(2 * PATH_MAX);
    if (strchr(name, '/') != NULL) {
        if (expand_folder(span_text(name), object, &path) != 0 || buf_text(&path)[0] != '/')
            return fault_set(fault, FAULT_ARTIFACT_INVALID, "%s needs %s, which is no full path",
                             object->path, name);
        return add_object(libraries, buf_text(&path), object, fault);
    }
    if (is_loaded(libraries, name))
        return 0;
    if (!find_library(libraries, object, name, &path))
        return fault_set(fault, FAULT_ARTIFACT_INVALID,
                         "%s needs %s, which is in none of the folders where its loader looks",
                         object->path, name);
    return add_object(libraries, buf_text(&path), object, fault);
}

static int meet_needs(struct libraries *libraries, struct fault *fault)
{
    while (libraries->done < libraries->count) {
        const struct object *object = libraries->objects[libraries->done++];
        for (size_t i = 0; i < object->elf->needed_count; i++)
            if (meet_need(libraries, object, object->elf->needed[i], fault) != 0)
                return -1;
    }
    return 0;
}

int libraries_add_program(struct libraries *libraries, const char *path, struct fault *fault)
{
    if (add_object(libraries, path, NULL, fault) != 0)
        return -1;
    const struct object *program = libraries->objects[libraries->count - 1];
    libraries->machine = program->elf->machine;
    if (program->elf->interpreter == NULL) {
        if (program->elf->needed_count > 0)
            return fault_set(fault, FAULT_ARTIFACT_INVALID, "%s: a library, not a program", path);
        return 0;
    }
    if (add_object(libraries, program->elf->interpreter, program, fault) != 0 ||
        find_folders(libraries, libraries->objects[libraries->count - 1]->physical, fault) != 0)
        return -1;
    return meet_needs(libraries, fault);
}

int libraries_add_rest(struct libraries *libraries, struct fault *fault)
{
    size_t count = layout_count(libraries->layout);
    AUTO_FREE const char **paths = calloc(count + 1, sizeof *paths);
    if (paths == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    for (size_t i = 0; i < count; i++) { /* entries stay where they are; their order does not */
        const struct layout_entry *entry = layout_at(libraries->layout, i);
        paths[i] = entry->kind == LAYOUT_FILE ? entry->path : NULL;
    }
    for (size_t i = 0; i < count; i++) {
        if (paths[i] == NULL || is_known(libraries, paths[i]))
            continue;
        AUTO_CLOSE int fd = open_host(libraries, paths[i]);
        AUTO_ELF struct elf *elf = NULL;
        if (fd < 0 || !elf_is(fd) || elf_read(fd, paths[i], &elf, NULL) != 0)
            continue; /* data */
        if (elf->machine != libraries->machine)
            continue;
        if (add_object(libraries, paths[i], NULL, fault) != 0 || meet_needs(libraries, fault) != 0)
            return -1;
    }
    return 0;
}
