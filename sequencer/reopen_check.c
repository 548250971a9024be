/* SPDX-License-Identifier: Apache-2.0 */
#include "sequencer/reopen_check.h"

#include <inttypes.h>
#include <string.h>

#define STEP_ENTRIES 16384

struct walk {
    struct pg *pg;
    const struct reopen_check *check;
    struct merkle_range range;
    struct tile_edge *edge; /* 64 KiB */
    uint64_t mark;          /* where the next subtrees of what was signed end */
};

/* The recorded tile must be what the entries make. */
static int compare_tile(void *context, const struct tile *tile, const struct digest *hashes,
                        const struct digest *root, struct fault *fault)
{
    const struct walk *walk = context;
    struct digest recorded[TILE_WIDTH];
    (void)root;
    if (ledger_tile_read(walk->pg, tile, recorded, fault) != 0)
        return -1;
    if (memcmp(recorded, hashes, sizeof recorded) != 0)
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "tile %" PRIu64 " of level %u is not what its entries make", tile->n,
                         tile->level);
    return 0;
}

/* The sizes at which the trees of a frontier end: 256, 288, 292 for one of 292 leaves. A tree that
 * begins like the signed one has the same subtrees there, though it is shorter in the end. */
static uint64_t next_mark(uint64_t signed_size, uint64_t from)
{
    uint64_t rest = signed_size - from;
    if (rest == 0)
        return UINT64_MAX;
    return from + ((uint64_t)1 << (63 - __builtin_clzll(rest)));
}

static int compare_signed(struct walk *walk, struct fault *fault)
{
    const struct signer_state *state = walk->check->state;
    if (state == NULL || walk->range.size != walk->mark)
        return 0;
    if (memcmp(walk->range.hashes, state->range.hashes,
               merkle_range_count(walk->range.size) * sizeof walk->range.hashes[0]) != 0)
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "the first %" PRIu64 " entries are not those that were signed: this is no "
                         "older state of that log",
                         walk->range.size);
    walk->mark = next_mark(state->range.size, walk->mark);
    return 0;
}

static int compare_published(const struct walk *walk, struct fault *fault)
{
    const struct checkpoint *published = walk->check->published;
    if (published == NULL || walk->range.size != published->size)
        return 0;
    struct digest root = merkle_range_root(&walk->range);
    if (digest_equal(&root, &published->root))
        return 0;
    return fault_set(fault, FAULT_CONTENT_MISMATCH,
                     "the checkpoint of size %" PRIu64 " has root %s, but the entries make root %s",
                     published->size, digest_hex(&published->root).text, digest_hex(&root).text);
}

static int walk_entry(struct walk *walk, const struct digest *entry, struct fault *fault)
{
    struct digest leaf = merkle_entry_leaf(entry);
    if (merkle_range_append(&walk->range, &leaf, fault) != 0 ||
        tile_edge_append(walk->edge, &leaf, compare_tile, walk, fault) != 0 ||
        compare_signed(walk, fault) != 0)
        return -1;
    return compare_published(walk, fault);
}

static int walk_step(struct walk *walk, struct digest *entries, struct fault *fault)
{
    uint64_t from = walk->range.size, to = walk->check->size;
    if (to - from > STEP_ENTRIES)
        to = from + STEP_ENTRIES;
    if (ledger_entries_read(walk->pg, from, to, entries, fault) != 0)
        return -1;
    for (uint64_t i = 0; i < to - from; i++)
        if (walk_entry(walk, &entries[i], fault) != 0)
            return -1;
    return 0;
}

/* The batch row at the end. */
static int compare_head(const struct walk *walk, struct fault *fault)
{
    struct ledger_head head;
    struct fault inner;
    if (walk->check->size == 0)
        return 0;
    if (ledger_head_read_at(walk->pg, walk->check->size, &head, &inner) != 0)
        return fault_set(fault, inner.code == FAULT_NOT_FOUND ? FAULT_CONTENT_MISMATCH : inner.code,
                         "%s", inner.detail);
    return ledger_head_check(&head, &walk->range, fault);
}

int reopen_check(struct pg *pg, const struct reopen_check *check, reopen_tick *tick, void *context,
                 struct merkle_range *ret_range, struct fault *fault)
{
    AUTO_FREE struct tile_edge *edge = calloc(1, sizeof *edge);
    AUTO_FREE struct digest *entries = calloc(STEP_ENTRIES, sizeof *entries);
    struct walk walk = {.pg = pg, .check = check, .edge = edge};
    if (edge == NULL || entries == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    walk.mark = check->state == NULL ? UINT64_MAX : next_mark(check->state->range.size, 0);
    while (walk.range.size < check->size)
        if (walk_step(&walk, entries, fault) != 0 || tick(context, fault) != 0)
            return -1;
    if (compare_head(&walk, fault) != 0)
        return -1;
    *ret_range = walk.range;
    return 0;
}
