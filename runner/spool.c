/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/spool.h"

#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define DRAFT_SUFFIX_LEN 7 /* ".XXXXXX" (base/file.h) */

struct spool {
    char *folder;
    pthread_mutex_t lock; /* over what follows */
    size_t count;
    struct uuid ids[SPOOL_MAX];
};

/* ---- the list ---- */

/* With the lock held: its place, or count. */
static size_t place_of(const struct spool *spool, const struct uuid *id)
{
    size_t n = 0;
    while (n < spool->count && !uuid_equal(&spool->ids[n], id))
        n++;
    return n;
}

static void list_add(struct spool *spool, const struct uuid *id)
{
    (void)pthread_mutex_lock(&spool->lock);
    if (place_of(spool, id) == spool->count && spool->count < SPOOL_MAX)
        spool->ids[spool->count++] = *id;
    (void)pthread_mutex_unlock(&spool->lock);
}

static void list_remove(struct spool *spool, const struct uuid *id)
{
    (void)pthread_mutex_lock(&spool->lock);
    size_t n = place_of(spool, id);
    if (n < spool->count) {
        spool->count--;
        memmove(&spool->ids[n], &spool->ids[n + 1], (spool->count - n) * sizeof *spool->ids);
    }
    (void)pthread_mutex_unlock(&spool->lock);
}

void spool_rotate(struct spool *spool)
{
    (void)pthread_mutex_lock(&spool->lock);
    if (spool->count > 1) {
        struct uuid first = spool->ids[0];
        memmove(&spool->ids[0], &spool->ids[1], (spool->count - 1) * sizeof *spool->ids);
        spool->ids[spool->count - 1] = first;
    }
    (void)pthread_mutex_unlock(&spool->lock);
}

size_t spool_count(struct spool *spool)
{
    (void)pthread_mutex_lock(&spool->lock);
    size_t count = spool->count;
    (void)pthread_mutex_unlock(&spool->lock);
    return count;
}

bool spool_holds(struct spool *spool, const struct uuid *id)
{
    (void)pthread_mutex_lock(&spool->lock);
    bool holds = place_of(spool, id) < spool->count;
    (void)pthread_mutex_unlock(&spool->lock);
    return holds;
}

struct uuid spool_id(struct spool *spool, size_t n)
{
    struct uuid id = {{0}};
    (void)pthread_mutex_lock(&spool->lock);
    if (n < spool->count)
        id = spool->ids[n];
    (void)pthread_mutex_unlock(&spool->lock);
    return id;
}

/* ---- the files ---- */

static char *path_of(const struct spool *spool, const struct uuid *id, const char *suffix)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s%s", spool->folder, uuid_format(id).text, suffix) < 0)
        return NULL;
    return path;
}

static int no_memory(struct fault *fault)
{
    return fault_set(fault, FAULT_INTERNAL, "out of memory");
}

static int check_disk(const struct spool *spool, size_t len, struct fault *fault)
{
    struct statvfs disk;
    if (statvfs(spool->folder, &disk) != 0)
        return fault_errno(fault, "cannot look at the disk of %s", spool->folder);
    int64_t room = (int64_t)disk.f_bavail * (int64_t)disk.f_frsize;
    if (room < (int64_t)len + SPOOL_DISK_MARGIN)
        return fault_set(fault, FAULT_UNAVAILABLE, "%s: the disk has %lld bytes left",
                         spool->folder, (long long)room);
    return 0;
}

int spool_put(struct spool *spool, const struct ending *ending, struct fault *fault)
{
    AUTO_BUF struct buf bytes = BUF(END_FILE_MAX);
    AUTO_FREE char *path = path_of(spool, &ending->claim.execution_id, "");
    if (path == NULL)
        return no_memory(fault);
    if (spool_count(spool) >= SPOOL_MAX)
        return fault_set(fault, FAULT_UNAVAILABLE, "%d ends are kept already", SPOOL_MAX);
    end_file_write(&bytes, ending);
    if (buf_failed(&bytes))
        return fault_set(fault, FAULT_TOO_LARGE, "an end does not fit into %zu bytes",
                         END_FILE_MAX);
    if (check_disk(spool, bytes.len, fault) != 0 ||
        file_replace(path, bytes.data, bytes.len, 0600, fault) != 0)
        return -1;
    list_add(spool, &ending->claim.execution_id);
    return 0;
}

int spool_get(struct spool *spool, size_t n, struct buf *bytes, struct end_file *ret_file,
              struct fault *fault)
{
    struct uuid id = spool_id(spool, n);
    AUTO_FREE char *path = path_of(spool, &id, "");
    struct end_file file;
    if (path == NULL)
        return no_memory(fault);
    if (file_read(path, bytes, fault) != 0)
        return fault->code == FAULT_TOO_LARGE
                   ? fault_set(fault, FAULT_CONTENT_MISMATCH, "a kept end is too large")
                   : -1;
    if (end_file_read(buf_span(bytes), &file, fault) != 0)
        return -1;
    if (!uuid_equal(&file.ending.claim.execution_id, &id))
        return fault_set(fault, FAULT_CONTENT_MISMATCH, "a kept end has another's name");
    *ret_file = file;
    ret_file->ending.event = &ret_file->event;
    return 0;
}

void spool_remove(struct spool *spool, const struct uuid *id)
{
    AUTO_FREE char *path = path_of(spool, id, "");
    if (path != NULL)
        (void)unlink(path); /* if it stays, it is found to be stored at the next start */
    list_remove(spool, id);
}

int spool_set_aside(struct spool *spool, const struct uuid *id, struct fault *fault)
{
    AUTO_FREE char *path = path_of(spool, id, "");
    AUTO_FREE char *aside = path_of(spool, id, ".bad");
    list_remove(spool, id);
    if (path == NULL || aside == NULL)
        return no_memory(fault);
    return rename(path, aside) == 0 ? 0 : fault_errno(fault, "cannot rename %s", path);
}

/* ---- opening ---- */

static int make_folder(const char *folder, struct fault *fault)
{
    struct stat stat;
    if (dir_make(folder, 0700, fault) != 0)
        return -1;
    if (lstat(folder, &stat) != 0)
        return fault_errno(fault, "cannot look at %s", folder);
    if (!S_ISDIR(stat.st_mode) || stat.st_uid != geteuid() || (stat.st_mode & 077) != 0)
        return fault_set(fault, FAULT_INTERNAL,
                         "%s: expected a folder of this user that nobody else may enter (0700)",
                         folder);
    return 0;
}

/* A draft that nobody will finish: `<uuid>.XXXXXX`, but not `<uuid>.bad`. */
static bool is_draft(const char *name)
{
    struct uuid id;
    return strlen(name) == UUID_TEXT_LEN + DRAFT_SUFFIX_LEN && name[UUID_TEXT_LEN] == '.' &&
           uuid_parse(name, UUID_TEXT_LEN, &id) == 0;
}

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct uuid));
}

/* Keeps the SPOOL_MAX oldest: ids begin with the time of their submission. */
static void found(struct spool *spool, const struct uuid *id)
{
    if (spool->count < SPOOL_MAX) {
        spool->ids[spool->count++] = *id;
        return;
    }
    size_t newest = 0;
    for (size_t n = 1; n < spool->count; n++)
        if (compare_ids(&spool->ids[n], &spool->ids[newest]) > 0)
            newest = n;
    if (compare_ids(id, &spool->ids[newest]) < 0)
        spool->ids[newest] = *id;
}

static void close_dir(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
}

static int find_files(struct spool *spool, struct fault *fault)
{
    AUTO(close_dir) DIR *dir = opendir(spool->folder);
    if (dir == NULL)
        return fault_errno(fault, "cannot open %s", spool->folder);
    errno = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL; errno = 0) {
        struct uuid id;
        if (is_draft(entry->d_name))
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
        else if (uuid_parse(entry->d_name, strlen(entry->d_name), &id) == 0)
            found(spool, &id);
    }
    if (errno != 0)
        return fault_errno(fault, "cannot list %s", spool->folder);
    qsort(spool->ids, spool->count, sizeof *spool->ids, compare_ids);
    return 0;
}

int spool_open(const char *folder, struct spool **ret_spool, struct fault *fault)
{
    if (make_folder(folder, fault) != 0)
        return -1;
    AUTO_SPOOL struct spool *spool = calloc(1, sizeof *spool);
    if (spool == NULL)
        return no_memory(fault);
    (void)pthread_mutex_init(&spool->lock, NULL);
    spool->folder = strdup(folder);
    if (spool->folder == NULL)
        return no_memory(fault);
    if (find_files(spool, fault) != 0)
        return -1;
    *ret_spool = TAKE(spool);
    return 0;
}

void spool_free(struct spool *spool)
{
    if (spool == NULL)
        return;
    (void)pthread_mutex_destroy(&spool->lock);
    free(spool->folder);
    free(spool);
}

void spool_cleanup(struct spool **spool)
{
    spool_free(*spool);
}
