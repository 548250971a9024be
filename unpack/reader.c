/* SPDX-License-Identifier: Apache-2.0 */
#include "unpack/reader.h"

void reader_free(struct archive **archive)
{
    if (*archive != NULL)
        (void)archive_read_free(*archive);
}

int reader_new(bool packed, struct archive **ret_archive, struct fault *fault)
{
    AUTO_READER struct archive *archive = archive_read_new();
    if (archive == NULL || archive_read_support_format_tar(archive) != ARCHIVE_OK ||
        (packed && (archive_read_support_filter_gzip(archive) != ARCHIVE_OK ||
                    archive_read_support_filter_zstd(archive) != ARCHIVE_OK)))
        return fault_set(fault, FAULT_INTERNAL, "libarchive cannot read tar, gzip and zstd");
    *ret_archive = TAKE(archive);
    return 0;
}

/* The message is cut and cleaned by whoever prints it. */
int reader_refuse(struct archive *archive, struct fault *fault)
{
    const char *why = archive_error_string(archive);
    return fault_set(fault, FAULT_ARTIFACT_INVALID, "not a readable tar archive: %.150s",
                     why == NULL ? "unknown" : why);
}

int reader_next(struct archive *archive, struct archive_entry **ret_entry, struct fault *fault)
{
    struct archive_entry *entry;
    int result = archive_read_next_header(archive, &entry);
    if (result != ARCHIVE_OK && result != ARCHIVE_EOF) /* a warning too */
        return reader_refuse(archive, fault);
    *ret_entry = result == ARCHIVE_EOF ? NULL : entry;
    return 0;
}

int reader_path(struct archive_entry *entry, char *ret_path, struct fault *fault)
{
    const char *name = archive_entry_pathname(entry);
    if (name == NULL)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "a name that is not UTF-8");
    return place_clean(name, ret_path, fault);
}

static int place_content(struct archive *archive, struct archive_entry *entry, struct place *place,
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
            return reader_refuse(archive, fault);
        if (place_file_write(&file, offset, data, len, fault) != 0)
            return -1;
    }
}

int reader_place(struct archive *archive, struct archive_entry *entry, struct place *place,
                 const char *path, const char *linked, struct fault *fault)
{
    /* Some readers would write its content over the file: two trees from one archive. */
    if (linked != NULL && archive_entry_size(entry) > 0)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "%.150s: a hard link with content", path);
    if (linked != NULL)
        return place_hardlink(place, path, linked, fault);
    const char *target = archive_entry_symlink(entry);
    switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
        return place_content(archive, entry, place, path, fault);
    case AE_IFDIR:
        return place_folder(place, path, fault);
    case AE_IFLNK:
        return place_symlink(place, path, target == NULL ? "" : target, fault);
    default:
        return fault_set(fault, FAULT_ARTIFACT_INVALID,
                         "%.150s: a device, pipe or socket; expected files, folders and links",
                         path);
    }
}
