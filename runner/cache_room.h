/* SPDX-License-Identifier: Apache-2.0 */
/* How much room an artifact is given to unpack into. What it needs, nobody knows before: a guess
 * first, more where that has proved too little. Pure numbers; cache.c keeps the accounts. */
#pragma once

#include "runner/unpack.h"

#include <stdbool.h>
#include <stdint.h>

/* What an entry counts for besides its bytes: a block for each file, folder and link. */
#define CACHE_ENTRY_COST ((uint64_t)4096)

/* `unpack` with max_bytes and max_entries of attempt 0, 1... for an artifact of `packed` bytes:
 * four times those of the attempt before, at most what `unpack` says, and cut so that bytes and
 * entries together cost no more than `room`. */
struct unpack_config cache_room_scale(const struct unpack_config *unpack, uint64_t packed,
                                      int attempt, uint64_t room) MUST_CHECK;

/* True if what was too large for `tried` might be let through by `next`. */
bool cache_room_allows_more(const struct unpack_config *next, const struct unpack_config *tried);
