/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writes below one root folder and nowhere else. Names come from strangers: each is
 * checked as text first, then resolved by the kernel beneath the root without following any
 * link (openat2), and nothing that exists is ever written over: what a later layer of an image
 * replaces is removed first.
 *
 * What an archive may not do is FAULT_ARTIFACT_INVALID with the reason, more than there is room for
 * FAULT_TOO_LARGE; what this host cannot do (disk full) is FAULT_INTERNAL.
 */
#pragma once

#include "base/buf.h"
#include "base/fault.h"

#include <sys/stat.h>

#define PLACE_PATH_MAX 1024 /* bytes of a path below the root */
#define PLACE_DEPTH_MAX 64  /* components of it */

struct place {
    int root;            /* the folder, not owned */
    int64_t max_bytes;   /* of all files together, by logical size */
    int64_t max_entries; /* files, folders, links and removals together */
    int64_t bytes, entries;
    int parent; /* the folder of the last entry, kept open: the next is often there too */
    char parent_path[PLACE_PATH_MAX + 1];
};

/* A file being written. */
struct place_file {
    int fd;
    int64_t size; /* what was declared */
};

void place_begin(struct place *place, int root, int64_t max_bytes, int64_t max_entries);
void place_end(struct place *place);

/* The path as components joined by one '/', "" for the root itself. Refuses absolute paths,
 * "..", control characters, what is not UTF-8, and what is too long or too deep. ret_path has
 * PLACE_PATH_MAX + 1 bytes. */
int place_clean(const char *name, char *ret_path, struct fault *fault) MUST_CHECK;

/* All paths below are cleaned ones. A folder may be named after files in it were. */
int place_folder(struct place *place, const char *path, struct fault *fault) MUST_CHECK;
int place_file_begin(struct place *place, const char *path, bool executable, int64_t size,
                     struct place_file *ret_file, struct fault *fault) MUST_CHECK;
/* Bytes at an offset; what is between stays a hole. */
int place_file_write(struct place_file *file, int64_t offset, const void *data, size_t len,
                     struct fault *fault) MUST_CHECK;
/* Gives it its size and closes it. */
int place_file_end(struct place_file *file, struct fault *fault) MUST_CHECK;
void place_file_discard(struct place_file *file);

/* A file to work in, on the root's file system but without a name in it. Before anything is
 * placed. */
int place_nameless(const struct place *place, int *ret_fd, struct fault *fault) MUST_CHECK;

/* A symbolic link. An absolute target is one inside the root (that is what / will be); a
 * relative one may not climb above it. */
int place_symlink(struct place *place, const char *path, const char *target,
                  struct fault *fault) MUST_CHECK;
/* A second name for a file that was placed before. */
int place_hardlink(struct place *place, const char *path, const char *target,
                   struct fault *fault) MUST_CHECK;

/* ---- place_look.c ---- */

/* What is at the path, itself where it is a link; st_mode is 0 where there is nothing. */
int place_look(const struct place *place, const char *path, struct stat *ret_stat,
               struct fault *fault) MUST_CHECK;
/* The same place by a path that leads through no link: links on the way are followed as if the
 * root were "/", so that none leads out; what is not there stays as it is named. `last` says
 * whether a link at the very end is followed too. ret_path has PLACE_PATH_MAX + 1 bytes and may
 * not be path. */
int place_resolve(const struct place *place, const char *path, bool last, char *ret_path,
                  struct fault *fault) MUST_CHECK;
/* Appends a regular file's content, links followed so; FAULT_NOT_FOUND where there is no such
 * file. What does not fit into buf is FAULT_ARTIFACT_INVALID. */
int place_read(const struct place *place, const char *path, struct buf *buf,
               struct fault *fault) MUST_CHECK;

/* ---- place_remove.c ---- */

/* Removes what is at the path, with all that is in it; nothing there is fine. */
int place_remove(struct place *place, const char *path, struct fault *fault) MUST_CHECK;
/* Removes what is in the folder, and not the folder; no folder there is fine. */
int place_empty(struct place *place, const char *path, struct fault *fault) MUST_CHECK;
