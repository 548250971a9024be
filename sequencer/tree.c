/* SPDX-License-Identifier: Apache-2.0 */
#include "sequencer/tree.h"

#include <inttypes.h>
#include <string.h>

/* All of [0, size) lies in the last tile of each level, which is what the edge holds. */
static int edge_tile(void *context, const struct tile *tile, struct digest *ret_hashes,
                     struct fault *fault)
{
    const struct tile_edge *edge = context;
    (void)fault;
    memcpy(ret_hashes, edge->hashes[tile->level], tile->width * sizeof ret_hashes[0]);
    return 0;
}

int tree_load(struct tree *tree, struct pg *pg, struct ledger_head *ret_found,
              struct merkle_range *ret_computed, struct fault *fault)
{
    struct ledger_head head;
    tree->loaded = false;
    if (ledger_head_read(pg, &head, fault) != 0)
        return -1;
    *ret_found = head;
    if (head.entries != head.size)
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "the last batch of the ledger ends at size %" PRIu64
                         ", but there are %" PRIu64 " entries",
                         head.size, head.entries);
    if (ledger_edge_read(pg, head.size, &tree->edge, fault) != 0)
        return -1;
    const struct proof_source source = {.tile = edge_tile, .context = &tree->edge};
    if (proof_range(&source, head.size, &tree->range, fault) != 0)
        return -1;
    *ret_computed = tree->range;
    if (ledger_head_check(&head, &tree->range, fault) != 0)
        return -1;
    tree->root = head.root;
    tree->loaded = true;
    return 0;
}

int tree_commit(struct tree *tree, struct ledger_batch *batch, struct fault *fault)
{
    const struct digest *entries = ledger_batch_entries(batch);
    /* Only a commit whose answer has come makes it true. */
    tree->loaded = false;
    for (size_t i = 0; i < ledger_batch_count(batch); i++) {
        struct digest leaf = merkle_entry_leaf(&entries[i]);
        if (merkle_range_append(&tree->range, &leaf, fault) != 0 ||
            tile_edge_append(&tree->edge, &leaf, ledger_batch_tile, batch, fault) != 0)
            return -1;
    }
    if (ledger_batch_commit(batch, &tree->range, fault) != 0)
        return -1;
    tree->root = merkle_range_root(&tree->range);
    tree->loaded = true;
    return 0;
}

bool tree_is(const struct tree *tree, const struct merkle_range *range)
{
    return range->size == tree->range.size &&
           memcmp(range->hashes, tree->range.hashes,
                  merkle_range_count(range->size) * sizeof range->hashes[0]) == 0;
}
