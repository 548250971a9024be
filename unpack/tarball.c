/* SPDX-License-Identifier: Apache-2.0 */
#include "unpack/tarball.h"

#include "unpack/reader.h"

static int unpack_entry(struct archive *archive, struct archive_entry *entry, struct place *place,
                        struct fault *fault)
{
    char path[PLACE_PATH_MAX + 1], linked[PLACE_PATH_MAX + 1];
    const char *hardlink = archive_entry_hardlink(entry);
    if (reader_path(entry, path, fault) != 0)
        return -1;
    if ((archive_entry_perm(entry) & (S_ISUID | S_ISGID)) != 0)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "%.150s: a setuid or setgid bit", path);
    if (hardlink != NULL && place_clean(hardlink, linked, fault) != 0)
        return -1;
    return reader_place(archive, entry, place, path, hardlink == NULL ? NULL : linked, fault);
}

static int unpack_all(struct archive *archive, struct place *place, struct fault *fault)
{
    for (;;) {
        struct archive_entry *entry;
        if (reader_next(archive, &entry, fault) != 0)
            return -1;
        if (entry == NULL)
            break;
        if (unpack_entry(archive, entry, place, fault) != 0)
            return -1;
    }
    if (place->entries == 0)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "an archive with nothing in it");
    return 0;
}

int tarball_unpack(int fd, struct place *place, struct fault *fault)
{
    AUTO_READER struct archive *archive = NULL;
    if (reader_new(true, &archive, fault) != 0)
        return -1;
    if (archive_read_open_fd(archive, fd, READER_BLOCK) != ARCHIVE_OK)
        return reader_refuse(archive, fault);
    return unpack_all(archive, place, fault);
}

int tarball_unpack_bytes(const void *data, size_t len, struct place *place, struct fault *fault)
{
    AUTO_READER struct archive *archive = NULL;
    if (reader_new(true, &archive, fault) != 0)
        return -1;
    if (archive_read_open_memory(archive, data, len) != ARCHIVE_OK)
        return reader_refuse(archive, fault);
    return unpack_all(archive, place, fault);
}
