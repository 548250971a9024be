/* SPDX-License-Identifier: Apache-2.0 */
#include "unpack/tarball.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>
#include <sys/stat.h>

#define READ_SIZE 65536

static void close_archive(struct archive **archive)
{
    if (*archive != NULL)
        (void)archive_read_free(*archive);
}

/* libarchive's message quotes the archive: it is cut and cleaned by whoever prints it. */
static int refuse_archive(struct archive *archive, struct fault *fault)
{
    const char *why = archive_error_string(archive);
    return fault_set(fault, FAULT_ARTIFACT_INVALID, "not a readable tar archive: %.150s",
                     why == NULL ? "unknown" : why);
}

static int unpack_file(struct archive *archive, struct archive_entry *entry, struct place *place,
                       const char *path, struct fault *fault)
{
    AUTO(place_file_discard) struct place_file file = {.fd = -1};
    if (!archive_entry_size_is_set(entry))
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "%.150s: a file without a size", path);
    if (place_file_begin(place, path, (archive_entry_perm(entry) & 0111) != 0,
                         archive_entry_size(entry), &file, fault) != 0)
        return -1;
    for (;;) {
        const void *data;
        size_t len;
        la_int64_t offset;
        int result = archive_read_data_block(archive, &data, &len, &offset);
        if (result == ARCHIVE_EOF)
            return place_file_end(&file, fault);
        if (result != ARCHIVE_OK)
            return refuse_archive(archive, fault);
        if (place_file_write(&file, offset, data, len, fault) != 0)
            return -1;
    }
}

static int unpack_hardlink(struct archive_entry *entry, struct place *place, const char *path,
                           struct fault *fault)
{
    char target[PLACE_PATH_MAX + 1];
    /* Some readers would write it over the file: two trees from one archive. */
    if (archive_entry_size(entry) > 0)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "%.150s: a hard link with content", path);
    if (place_clean(archive_entry_hardlink(entry), target, fault) != 0)
        return -1;
    return place_hardlink(place, path, target, fault);
}

static int unpack_symlink(struct archive_entry *entry, struct place *place, const char *path,
                          struct fault *fault)
{
    const char *target = archive_entry_symlink(entry);
    return place_symlink(place, path, target == NULL ? "" : target, fault);
}

static int unpack_entry(struct archive *archive, struct archive_entry *entry, struct place *place,
                        struct fault *fault)
{
    const char *name = archive_entry_pathname(entry);
    char path[PLACE_PATH_MAX + 1];
    if (name == NULL)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "a name that is not UTF-8");
    if (place_clean(name, path, fault) != 0)
        return -1;
    if ((archive_entry_perm(entry) & (S_ISUID | S_ISGID)) != 0)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "%.150s: a setuid or setgid bit", path);
    if (archive_entry_hardlink(entry) != NULL)
        return unpack_hardlink(entry, place, path, fault);
    switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
        return unpack_file(archive, entry, place, path, fault);
    case AE_IFDIR:
        return place_folder(place, path, fault);
    case AE_IFLNK:
        return unpack_symlink(entry, place, path, fault);
    default:
        return fault_set(fault, FAULT_ARTIFACT_INVALID,
                         "%.150s: a device, pipe or socket; expected files, folders and links",
                         path);
    }
}

static int unpack_all(struct archive *archive, struct place *place, struct fault *fault)
{
    for (;;) {
        struct archive_entry *entry;
        int result = archive_read_next_header(archive, &entry);
        if (result == ARCHIVE_EOF)
            break;
        if (result != ARCHIVE_OK) /* a warning too: what is doubtful is not run */
            return refuse_archive(archive, fault);
        if (unpack_entry(archive, entry, place, fault) != 0)
            return -1;
    }
    if (place->entries == 0)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "an archive with nothing in it");
    return 0;
}

/* Only what the contract names is enabled, and only what libarchive does in this process:
 * ARCHIVE_WARN would mean an external program. */
static struct archive *new_archive(void)
{
    struct archive *archive = archive_read_new();
    if (archive == NULL)
        return NULL;
    if (archive_read_support_format_tar(archive) == ARCHIVE_OK &&
        archive_read_support_filter_gzip(archive) == ARCHIVE_OK &&
        archive_read_support_filter_zstd(archive) == ARCHIVE_OK)
        return archive;
    (void)archive_read_free(archive);
    return NULL;
}

int tarball_unpack(int fd, struct place *place, struct fault *fault)
{
    AUTO(close_archive) struct archive *archive = new_archive();
    if (archive == NULL)
        return fault_set(fault, FAULT_INTERNAL, "libarchive cannot read tar, gzip and zstd");
    if (archive_read_open_fd(archive, fd, READ_SIZE) != ARCHIVE_OK)
        return refuse_archive(archive, fault);
    return unpack_all(archive, place, fault);
}

int tarball_unpack_bytes(const void *data, size_t len, struct place *place, struct fault *fault)
{
    AUTO(close_archive) struct archive *archive = new_archive();
    if (archive == NULL)
        return fault_set(fault, FAULT_INTERNAL, "libarchive cannot read tar, gzip and zstd");
    if (archive_read_open_memory(archive, data, len) != ARCHIVE_OK)
        return refuse_archive(archive, fault);
    return unpack_all(archive, place, fault);
}
