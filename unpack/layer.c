/* SPDX-License-Identifier: Apache-2.0 */
#include "unpack/layer.h"

#include "unpack/reader.h"
#include "unpack/whiteout.h"

#include <errno.h>
#include <string.h>

/* An entry, understood. */
struct change {
    struct archive *archive;
    struct archive_entry *entry;
    enum whiteout whiteout;
    char path[PLACE_PATH_MAX + 1];   /* placed or taken away; through no link */
    bool skipped;                    /* a device that the sandbox has of its own */
    bool hard;                       /* a hard link, to: */
    char linked[PLACE_PATH_MAX + 1]; /* through no link */
};

typedef int layer_each(const struct change *change, struct place *place, struct fault *fault);

/* ---- reading ---- */

/* Layers made by some builders have absolute names; all are of the root. */
static const char *below_root(const char *name)
{
    return name + strspn(name, "/");
}

/* Character devices below dev/ are what images bring from the host they were made on; the sandbox
 * mounts its own /dev over them. */
static bool is_spare_device(struct archive_entry *entry, const char *path)
{
    return archive_entry_filetype(entry) == AE_IFCHR && strncmp(path, "dev/", 4) == 0;
}

static int read_change(struct archive *archive, struct archive_entry *entry,
                       const struct place *place, struct change *ret_change, struct fault *fault)
{
    struct change *change = ret_change;
    char path[PLACE_PATH_MAX + 1], target[PLACE_PATH_MAX + 1];
    const char *name = archive_entry_pathname(entry), *linked = archive_entry_hardlink(entry);
    if (name == NULL)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "a name that is not UTF-8");
    if (place_clean(below_root(name), path, fault) != 0 ||
        whiteout_parse(path, &change->whiteout, target, fault) != 0)
        return -1;
    change->archive = archive;
    change->entry = entry;
    change->hard = linked != NULL;
    if (change->whiteout != WHITEOUT_NONE &&
        (change->hard || archive_entry_filetype(entry) != AE_IFREG ||
         archive_entry_size(entry) != 0))
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "%.150s: expected an empty file", path);
    change->skipped = !change->hard && is_spare_device(entry, path);
    if (place_resolve(place, target, change->whiteout == WHITEOUT_ALL, change->path, fault) != 0)
        return -1;
    if (linked == NULL)
        return 0;
    return place_clean(below_root(linked), path, fault) != 0 ||
                   place_resolve(place, path, false, change->linked, fault) != 0
               ? -1
               : 0;
}

/* libarchive reads tar from what the stream gives; the stream's fault says more than its own. */
struct feed {
    struct stream *stream;
    struct fault fault;
};

static la_ssize_t read_stream(struct archive *archive, void *context, const void **ret_block)
{
    struct feed *feed = context;
    struct span bytes;
    if (stream_next(feed->stream, &bytes, &feed->fault) != 0) {
        archive_set_error(archive, EIO, "cannot be unpacked");
        return -1;
    }
    *ret_block = bytes.data;
    return (la_ssize_t)bytes.len;
}

static int each_entry(struct archive *archive, struct place *place, layer_each *each,
                      struct fault *fault)
{
    for (;;) {
        struct change change = {0};
        struct archive_entry *entry;
        if (reader_next(archive, &entry, fault) != 0)
            return -1;
        if (entry == NULL)
            return 0;
        if (read_change(archive, entry, place, &change, fault) != 0 ||
            (!change.skipped && each(&change, place, fault) != 0))
            return -1;
    }
}

/* One reading of the layer, to its last byte. */
static int walk(const struct spool *spool, const struct layer *layer, struct place *place,
                int64_t max, layer_each *each, int64_t *ret_bytes, struct fault *fault)
{
    struct digest found;
    AUTO_STREAM struct stream *stream = NULL;
    AUTO_READER struct archive *archive = NULL;
    if (stream_open(spool, layer->blob, layer->packing, max, &stream, fault) != 0 ||
        reader_new(false, &archive, fault) != 0)
        return -1;
    struct feed feed = {.stream = stream};
    int result = archive_read_open(archive, &feed, NULL, read_stream, NULL) == ARCHIVE_OK
                     ? each_entry(archive, place, each, fault)
                     : reader_refuse(archive, fault);
    if (feed.fault.code != FAULT_NONE)
        return fault_set(fault, feed.fault.code, "%s", feed.fault.detail);
    if (result != 0 || stream_end(stream, &found, ret_bytes, fault) != 0)
        return -1;
    return digest_equal(&found, &layer->diff_id)
               ? 0
               : fault_set(fault, FAULT_ARTIFACT_INVALID,
                           "%.100s: unpacked, it does not have the digest of the image's diff_ids",
                           layer->blob->name);
}

/* ---- applying ---- */

static bool is_folder(const struct change *change)
{
    return !change->hard && archive_entry_filetype(change->entry) == AE_IFDIR;
}

/* Takes away what the change hides or replaces. A folder stays where there is one. */
static int clear(const struct change *change, struct place *place, struct fault *fault)
{
    struct stat there;
    switch (change->whiteout) {
    case WHITEOUT_ALL:
        return place_empty(place, change->path, fault);
    case WHITEOUT_ONE:
        return place_remove(place, change->path, fault);
    case WHITEOUT_NONE:
        break;
    }
    if (place_look(place, change->path, &there, fault) != 0)
        return -1;
    bool stays = there.st_mode == 0 || (S_ISDIR(there.st_mode) && is_folder(change));
    return stays ? 0 : place_remove(place, change->path, fault);
}

static int fill(const struct change *change, struct place *place, struct fault *fault)
{
    struct stat there;
    if (change->whiteout != WHITEOUT_NONE)
        return 0;
    if (is_folder(change)) {
        if (place_look(place, change->path, &there, fault) != 0)
            return -1;
        if (S_ISDIR(there.st_mode)) /* of a lower layer, or on the way to another entry */
            return 0;
    }
    return reader_place(change->archive, change->entry, place, change->path,
                        change->hard ? change->linked : NULL, fault);
}

int layer_apply(const struct spool *spool, const struct layer *layer, struct place *place,
                int64_t *budget, struct fault *fault)
{
    int64_t bytes;
    if (walk(spool, layer, place, *budget, clear, &bytes, fault) != 0 ||
        walk(spool, layer, place, *budget, fill, &bytes, fault) != 0)
        return -1;
    *budget -= bytes;
    return 0;
}
