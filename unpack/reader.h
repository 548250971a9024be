/* SPDX-License-Identifier: Apache-2.0 */
/* libarchive as this program uses it: tar (ustar, pax, GNU) and nothing else inside, what is
 * doubtful refused, and only what libarchive does in this process (elsewhere it would start an
 * external program). A refusal is FAULT_ARTIFACT_INVALID. */
#pragma once

#include "unpack/place.h"

#include <archive.h>
#include <archive_entry.h>

#define AUTO_READER AUTO(reader_free)

#define READER_BLOCK 65536 /* bytes read at a time */

/* A reader of tar, not opened yet; `packed`: gzip and zstd may be around it. */
int reader_new(bool packed, struct archive **ret_archive, struct fault *fault) MUST_CHECK;
void reader_free(struct archive **archive);

/* libarchive's own words, which may quote the archive; returns -1. */
int reader_refuse(struct archive *archive, struct fault *fault);

/* The next entry; NULL at the end. */
int reader_next(struct archive *archive, struct archive_entry **ret_entry,
                struct fault *fault) MUST_CHECK;

/* The entry's name as a cleaned path (place_clean()). */
int reader_path(struct archive_entry *entry, char *ret_path, struct fault *fault) MUST_CHECK;

/* Puts the entry at hand (a file, a folder or a link) at a cleaned path. Of its mode only the x
 * bit counts; owner, times and extended attributes are left behind. `linked` is the cleaned path
 * of what a hard link names, else NULL. */
int reader_place(struct archive *archive, struct archive_entry *entry, struct place *place,
                 const char *path, const char *linked, struct fault *fault) MUST_CHECK;
