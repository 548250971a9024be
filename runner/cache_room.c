/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/cache_room.h"

/* The first guess: four times what is packed and a little, an entry for each 8 KiB of that. */
#define GUESS_LEAST ((uint64_t)4 << 20)
#define GUESS_ENTRY 8192

/* `start` times four for each attempt, at most `max`. */
static uint64_t grown(uint64_t start, int attempt, uint64_t max)
{
    for (int i = 0; i < attempt && start < max; i++)
        start = start > max / 4 ? max : start * 4;
    return start < max ? start : max;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

struct unpack_config cache_room_scale(const struct unpack_config *unpack, uint64_t packed,
                                      int attempt, uint64_t room)
{
    uint64_t guess = 4 * packed + GUESS_LEAST;
    uint64_t bytes = grown(guess, attempt, (uint64_t)unpack->max_bytes);
    uint64_t entries = grown(guess / GUESS_ENTRY, attempt, (uint64_t)unpack->max_entries);
    if (bytes + entries * CACHE_ENTRY_COST > room) {
        entries = least(entries, room / 2 / CACHE_ENTRY_COST);
        bytes = least(bytes, room - entries * CACHE_ENTRY_COST);
    }
    struct unpack_config config = *unpack;
    config.max_bytes = (int64_t)bytes;
    config.max_entries = (int64_t)entries;
    return config;
}

bool cache_room_allows_more(const struct unpack_config *next, const struct unpack_config *tried)
{
    bool less = next->max_bytes < tried->max_bytes || next->max_entries < tried->max_entries;
    bool more = next->max_bytes > tried->max_bytes || next->max_entries > tried->max_entries;
    return more && !less && next->max_bytes > 0 && next->max_entries > 0;
}
