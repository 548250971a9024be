/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The members of an image archive, by name. An archive may come packed and its members in any
 * order, so their bytes are copied once, hashed while they pass, into a file that has no name:
 * what was hashed is what is read later, and memory does not grow with the image.
 */
#pragma once

#include "base/digest.h"
#include "unpack/place.h"

struct spool;
#define AUTO_SPOOL AUTO(spool_cleanup)

#define SPOOL_MEMBERS_MAX 4096

struct spool_member {
    const char *name; /* cleaned */
    int64_t offset, size;
    struct digest sha256;
};

/* Reads a tar, plain, gzip or zstd. The file is made in the place's root, whose max_bytes
 * bounds the members together; nothing of it is left in the root. */
int spool_fill(int archive_fd, const struct place *place, struct spool **ret_spool,
               struct fault *fault) MUST_CHECK;
void spool_cleanup(struct spool **spool);

/* The member of that name, or of the one that a link of that name points at; NULL if there is
 * none. Borrowed. */
const struct spool_member *spool_find(const struct spool *spool, const char *name);

/* At most len bytes from a place in the member; 0 at its end, -1 with errno. */
ssize_t spool_read(const struct spool *spool, const struct spool_member *member, int64_t at,
                   void *data, size_t len);

/* The whole of a member that fits into buf; else FAULT_ARTIFACT_INVALID. */
int spool_load(const struct spool *spool, const struct spool_member *member, struct buf *buf,
               struct fault *fault) MUST_CHECK;
