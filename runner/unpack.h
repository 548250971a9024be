/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Artifact bytes to a root folder, in a confined child (the program sallyport-unpack: own
 * uid, own namespaces, chroot, seccomp, rlimits). This side trusts the child with nothing:
 * it walks the result, takes ownership and checks that only files, folders and links with
 * plain modes are there.
 */
#pragma once

#include "base/fault.h"
#include "runner/tree.h"
#include "trust/descriptor.h" /* enum artifact_kind */
#include "trust/image.h"

/* Where ARTIFACT_BINARY's one file is put. */
#define ARTIFACT_BINARY_PATH "/bin/tool"

/* Settings; unpack_config_defaults() first, then change. Text is borrowed. */
struct unpack_config {
    const char *program;  /* sallyport-unpack; NULL: beside our own executable */
    uid_t uid;            /* of the child, used by nothing else: 65533 */
    gid_t gid;            /* 65533 */
    int64_t max_bytes;    /* unpacked, counted by logical size: 8 GiB */
    int64_t max_entries;  /* 250,000 */
    int64_t cpu_seconds;  /* 120 */
    int64_t wall_ms;      /* 300,000 */
    int64_t memory_bytes; /* address space: 512 MiB */
};

/* Entries that unpacking adds to the archive's own: the mount points, where they are missing. */
#define UNPACK_ENTRIES_ADDED 7

struct unpack_config unpack_config_defaults(void);

/* Unpacks an artifact of kind binary or rootfs (a readable, seekable descriptor, read from its
 * start) into the folder `target`, which must exist and be empty. On success everything in it is
 * owned by this process's user, folders 0755, files 0755 or 0644, and the mount points of the
 * sandbox exist. FAULT_ARTIFACT_INVALID with the reason for an archive that is refused,
 * FAULT_TOO_LARGE for one that passes max_bytes or max_entries (the folder's content is then
 * garbage to be removed by the caller), FAULT_INTERNAL otherwise.
 * cancel_fd readable ends it (FAULT_SHUTTING_DOWN); -1 none. *ret_sum is of the finished tree. */
int unpack_archive(const struct unpack_config *config, enum artifact_kind kind, int archive_fd,
                   const char *target, int cancel_fd, struct tree_sum *ret_sum,
                   struct fault *fault) MUST_CHECK;

/* The same of kind oci. What the child says of how the image is started is believed as far as
 * image_parse() allows; *ret_image is owned by the caller. */
int unpack_image(const struct unpack_config *config, int archive_fd, const char *target,
                 int cancel_fd, struct tree_sum *ret_sum, struct image **ret_image,
                 struct fault *fault) MUST_CHECK;
