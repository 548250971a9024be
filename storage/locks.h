/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The locks that make a revocation final (DESIGN section 7): accept and start take them shared and
 * read the state in a later statement; a revocation takes its own exclusively. Advisory, and gone
 * with the transaction.
 */
#pragma once

#include "storage/pg.h"

int64_t lock_of_artifact(const char *tenant, const struct digest *sha256);
int64_t lock_of_key(const char *tenant, const char *kid);
int64_t lock_of_api_key(const char *api_key_id);

/* A step of pg's transaction: takes all of them shared, in ascending order (sorted here). */
int locks_share(struct pg *pg, int64_t *keys, size_t count, struct fault *fault) MUST_CHECK;
/* The same, to be the first of several steps; array and params, empty ones, are to live until then.
 */
struct pg_call locks_share_call(int64_t *keys, size_t count, struct pg_array *array,
                                struct pg_params *params);
/* Takes `key` exclusively: waits for every accept or start that read under it. And `shared` (NULL:
 * none), in that same order. */
int locks_exclude(struct pg *pg, int64_t key, const int64_t *shared,
                  struct fault *fault) MUST_CHECK;
