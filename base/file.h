/* SPDX-License-Identifier: Apache-2.0 */
/* Whole small files, durable replacement, and folders. All descriptors are O_CLOEXEC. */
#pragma once

#include "base/buf.h"
#include "base/fault.h"

#include <sys/types.h>

/* Appends a regular file's bytes; FAULT_NOT_FOUND if absent, FAULT_TOO_LARGE past buf->max. */
int file_read(const char *path, struct buf *buf, struct fault *fault) MUST_CHECK;

/* file_read() of a secret: refuses a file that others than its owner (this process's user or
 * root) can read or write. */
int file_read_secret(const char *path, struct buf *buf, struct fault *fault) MUST_CHECK;

/* file_read() of what decides about trust: refuses a file, or a folder it lies in, that others than
 * root or this process's user can change. */
int file_read_guarded(const char *path, struct buf *buf, struct fault *fault) MUST_CHECK;

/* Replaces path durably: temporary file beside it, fsync, rename, fsync of the folder. */
int file_replace(const char *path, const void *data, size_t len, mode_t mode,
                 struct fault *fault) MUST_CHECK;

/* A file written piece by piece beside the one it will replace. */
struct file_draft {
    int fd;
    char *temporary;
};
#define AUTO_FILE_DRAFT AUTO(file_draft_drop)
int file_draft_open(const char *path, struct file_draft *ret_draft, struct fault *fault) MUST_CHECK;
int file_draft_write(struct file_draft *draft, const void *data, size_t len,
                     struct fault *fault) MUST_CHECK;
/* It is whole: replaces path durably, as file_replace() does. */
int file_draft_settle(struct file_draft *draft, const char *path, mode_t mode,
                      struct fault *fault) MUST_CHECK;
/* Closes it, and removes it unless it was settled; {.fd = -1} is none. */
void file_draft_drop(struct file_draft *draft);

/* mkdir -p with the mode for the folders it makes. */
int dir_make(const char *path, mode_t mode, struct fault *fault) MUST_CHECK;

/* rm -rf that follows no link, stays on path's file system and goes down to any depth. An absent
 * path is success. */
int dir_remove(const char *path, struct fault *fault) MUST_CHECK;
