/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folder in which a worker keeps ends that the database cannot take: a file each
 * (runner/end_file.h), named by its execution, durable before anybody relies on it, there until the
 * database has it. What a former incarnation left is found again.
 *
 * One thread puts, reads and removes; any may ask what is held.
 */
#pragma once

#include "runner/end_file.h"

#define SPOOL_MAX 512                         /* ends at once */
#define SPOOL_DISK_MARGIN ((int64_t)16 << 20) /* bytes that stay free on the disk */

struct spool;
#define AUTO_SPOOL AUTO(spool_cleanup)

/* Makes the folder, which nobody else may be able to enter (mode 0700, this user's); removes files
 * that were being written when a former process ended; finds the others, oldest executions first.
 * Of more than SPOOL_MAX the rest waits for another start. */
int spool_open(const char *folder, struct spool **ret_spool, struct fault *fault) MUST_CHECK;
void spool_free(struct spool *spool);
void spool_cleanup(struct spool **spool);

/* Durable, file and folder, when it returns 0. FAULT_UNAVAILABLE: it is full, or the disk. */
int spool_put(struct spool *spool, const struct ending *ending, struct fault *fault) MUST_CHECK;

/* Reads the nth, whose bytes are appended to the empty `bytes` (at most END_FILE_MAX).
 * FAULT_CONTENT_MISMATCH: it is not to be believed; FAULT_NOT_FOUND: it is gone; others may pass.
 */
int spool_get(struct spool *spool, size_t n, struct buf *bytes, struct end_file *ret_file,
              struct fault *fault) MUST_CHECK;
/* The nth's execution. */
struct uuid spool_id(struct spool *spool, size_t n);

/* The database has it. */
void spool_remove(struct spool *spool, const struct uuid *id);
/* It is held no more, and stays beside the others as `<id>.bad`, for people. */
int spool_set_aside(struct spool *spool, const struct uuid *id, struct fault *fault) MUST_CHECK;
/* The first becomes the last. */
void spool_rotate(struct spool *spool);

size_t spool_count(struct spool *spool);
bool spool_holds(struct spool *spool, const struct uuid *id);
