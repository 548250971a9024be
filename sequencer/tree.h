/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The leader's tree in memory: its right edge (the tiles not yet full) and its compact range.
 * Rebuilt from the tables at every take-over and after every failure, never trusted beyond.
 */
#pragma once

#include "storage/ledger_batch.h"

struct tree {
    bool loaded;
    struct digest root; /* of the last batch that is known to be committed */
    struct merkle_range range;
    struct tile_edge edge; /* 64 KiB: not for a stack */
};

/* Rebuilds it from entries and tiles, and compares with the head row. FAULT_CONTENT_MISMATCH says
 * what disagrees: another number of entries, another root, another frontier; *ret_found and
 * *ret_computed are then set as far as they are known. */
int tree_load(struct tree *tree, struct pg *pg, struct ledger_head *ret_found,
              struct merkle_range *ret_computed, struct fault *fault) MUST_CHECK;

/* Appends the batch's entries, gives it the tiles they fill, and commits it. After a failure the
 * tree is no longer loaded. */
int tree_commit(struct tree *tree, struct ledger_batch *batch, struct fault *fault) MUST_CHECK;

/* Is it this very tree, subtree by subtree? */
bool tree_is(const struct tree *tree, const struct merkle_range *range);
