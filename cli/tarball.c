/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tarball.h"

#include "base/buf.h"
#include "base/file.h"
#include "base/text.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <locale.h>
#include <string.h>
#include <sys/stat.h>

#define ZSTD_LEVEL "9" /* part of the form: another level is another digest */

/* The file that the archive goes to. */
struct target {
    int fd;
    struct digest_stream *digest;
    int64_t size;
};

static la_ssize_t take_bytes(struct archive *archive, void *context, const void *data, size_t len)
{
    struct target *target = context;
    const char *at = data;
    for (size_t left = len; left > 0;) {
        ssize_t n = write(target->fd, at, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            archive_set_error(archive, errno, "cannot write");
            return -1;
        }
        at += n;
        left -= (size_t)n;
    }
    digest_stream_update(target->digest, data, len);
    target->size += (int64_t)len;
    return (la_ssize_t)len;
}

static int archive_fault(struct archive *archive, const char *path, struct fault *fault)
{
    const char *why = archive_error_string(archive);
    return fault_set(fault, FAULT_INTERNAL, "%s: cannot be archived: %s", path,
                     why == NULL ? "no reason given" : why);
}

static void free_archive(struct archive **archive)
{
    if (*archive != NULL)
        (void)archive_write_free(*archive);
}

static void free_entry(struct archive_entry **entry)
{
    archive_entry_free(*entry);
}

static int open_archive(struct target *target, struct archive **ret_archive, struct fault *fault)
{
    AUTO(free_archive) struct archive *archive = archive_write_new();
    if (archive == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (archive_write_set_format_pax_restricted(archive) != ARCHIVE_OK ||
        archive_write_add_filter_zstd(archive) != ARCHIVE_OK ||
        archive_write_set_filter_option(archive, "zstd", "compression-level", ZSTD_LEVEL) !=
            ARCHIVE_OK ||
        archive_write_set_bytes_in_last_block(archive, 1) != ARCHIVE_OK ||
        archive_write_open(archive, target, NULL, take_bytes, NULL) != ARCHIVE_OK)
        return archive_fault(archive, "the archive", fault);
    *ret_archive = TAKE(archive);
    return 0;
}

/* A file's bytes; it must still be what it was when the layout was made. */
static int copy_file(const struct layout *layout, const struct layout_entry *entry,
                     struct archive *archive, struct fault *fault)
{
    AUTO_BUF struct buf host = BUF(2 * PATH_MAX);
    AUTO_FREE char *chunk = malloc((size_t)256 * 1024);
    struct stat stat;
    buf_printf(&host, "%s%s", layout_root(layout), entry->path);
    AUTO_CLOSE int fd =
        open(buf_text(&host), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (chunk == NULL || fd < 0 || fstat(fd, &stat) != 0)
        return fault_errno(fault, "cannot open %s", entry->path);
    int64_t left = S_ISREG(stat.st_mode) ? stat.st_size : -1;
    while (left > 0 && left <= entry->size) {
        ssize_t n = read(fd, chunk, (size_t)256 * 1024);
        if (n < 0)
            return fault_errno(fault, "cannot read %s", entry->path);
        if (n == 0 || n > left)
            break;
        if (archive_write_data(archive, chunk, (size_t)n) != n)
            return archive_fault(archive, entry->path, fault);
        left -= n;
    }
    return left != 0 || stat.st_size != entry->size
               ? fault_set(fault, FAULT_INTERNAL, "%s changed while it was packed", entry->path)
               : 0;
}

/* What the gateway's unpacker takes. */
static bool name_is_plain(const char *name)
{
    size_t len = strlen(name);
    return utf8_valid(name, len) && !text_has_control(name, len);
}

static int add_entry(const struct layout *layout, const struct layout_entry *from,
                     struct archive *archive, struct fault *fault)
{
    static const unsigned types[] = {
        [LAYOUT_FOLDER] = AE_IFDIR, [LAYOUT_FILE] = AE_IFREG, [LAYOUT_LINK] = AE_IFLNK};
    AUTO(free_entry) struct archive_entry *entry = archive_entry_new();
    if (entry == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (!name_is_plain(from->path) || (from->kind == LAYOUT_LINK && !name_is_plain(from->target)))
        return fault_set(fault, FAULT_ARTIFACT_INVALID,
                         "%.150s: a name with control characters, or that is not UTF-8",
                         from->path);
    bool plain = from->kind == LAYOUT_FILE && !from->executable;
    archive_entry_set_pathname(entry, from->path + 1);
    archive_entry_set_filetype(entry, types[from->kind]);
    archive_entry_set_perm(entry, from->kind == LAYOUT_LINK ? 0777 : plain ? 0644 : 0755);
    archive_entry_set_uid(entry, 0);
    archive_entry_set_gid(entry, 0);
    archive_entry_set_mtime(entry, 0, 0);
    archive_entry_set_size(entry, from->size);
    if (from->kind == LAYOUT_LINK)
        archive_entry_set_symlink(entry, from->target);
    if (archive_write_header(archive, entry) != ARCHIVE_OK)
        return archive_fault(archive, from->path, fault);
    return from->kind == LAYOUT_FILE ? copy_file(layout, from, archive, fault) : 0;
}

static int add_entries(const struct layout *layout, struct archive *archive, struct fault *fault)
{
    for (size_t i = 0; i < layout_count(layout); i++)
        if (add_entry(layout, layout_at(layout, i), archive, fault) != 0)
            return -1;
    return archive_write_close(archive) == ARCHIVE_OK
               ? 0
               : archive_fault(archive, "the archive", fault);
}

/* libarchive takes names for text in the thread's locale: always the same one, whatever this
 * process was started in. */
static int write_archive(const struct layout *layout, struct target *target, struct fault *fault)
{
    AUTO(free_archive) struct archive *archive = NULL;
    if (open_archive(target, &archive, fault) != 0)
        return -1;
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (utf8 == (locale_t)0)
        return fault_set(fault, FAULT_INTERNAL, "the locale C.UTF-8 is missing");
    locale_t before = uselocale(utf8);
    int result = add_entries(layout, archive, fault);
    (void)uselocale(before);
    freelocale(utf8);
    return result;
}

int tarball_write(const struct layout *layout, const char *path, struct digest *ret_digest,
                  int64_t *ret_size, struct fault *fault)
{
    AUTO_DIGEST_STREAM struct digest_stream *digest = digest_stream_new();
    AUTO_FILE_DRAFT struct file_draft draft = {.fd = -1};
    if (digest == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (file_draft_open(path, &draft, fault) != 0)
        return -1;
    struct target target = {.fd = draft.fd, .digest = digest};
    if (write_archive(layout, &target, fault) != 0 ||
        file_draft_settle(&draft, path, 0644, fault) != 0)
        return -1;
    *ret_digest = digest_stream_value(digest);
    *ret_size = target.size;
    return 0;
}
