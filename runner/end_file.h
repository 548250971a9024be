/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One end as a file, for as long as the database cannot take it: everything queue_finish() needs.
 *
 *   16 bytes  "sallyport-end 01"
 *   fields    in one order, each 4 bytes of length, highest first, and so many bytes; a length of
 *             2^32 - 1 is a null. Texts end with a NUL, numbers are 8 bytes, highest first.
 *   32 bytes  SHA-256 of all before
 *
 * What is read comes from a disk: a file that is torn, altered, too long or odd in any way is
 * refused whole.
 */
#pragma once

#include "storage/queue.h"

#define END_FILE_STREAM_MAX ((size_t)16 * 1024 * 1024)
#define END_FILE_MAX (2 * END_FILE_STREAM_MAX + EVENT_MAX + (size_t)64 * 1024)

/* Appends the file of an ending; buf is failed where it does not fit. */
void end_file_write(struct buf *buf, const struct ending *ending);

/* What a file says; borrowed from its bytes. Not to be copied: the ending points to the event. */
struct end_file {
    struct ending ending;
    struct event event;
};

/* FAULT_CONTENT_MISMATCH for whatever end_file_write() has not written so. */
int end_file_read(struct span file, struct end_file *ret_file, struct fault *fault) MUST_CHECK;
