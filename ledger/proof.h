/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proofs made from tiles (RFC 6962 sections 2.1.1 and 2.1.2). The tiles come from the
 * caller, who may keep them in a database, in files or behind HTTP; each is asked for once
 * a proof, two a level at the most: the path's and the right edge's. Who has the tree's
 * compact range is not asked for the edge, and of the path only for what lies below the
 * perfect subtree that the leaf is in: proof_subtree() says which, before anything is read.
 */
#pragma once

#include "ledger/tile.h"

/* Where tiles come from. `tile` stores exactly tile->width hashes (never of an entry bundle)
 * at ret_hashes, which has room for TILE_WIDTH; where the tile at hand has grown since, its
 * first tile->width. Fails as it likes; the failure is passed on.
 * `range`, or NULL: the compact range of the tree that proofs are made for, of its size. No tile is
 * then asked for on account of the right edge; of a tile that is asked for, only the hashes within
 * the leaf's perfect subtree are used. */
struct proof_source {
    int (*tile)(void *context, const struct tile *tile, struct digest *ret_hashes,
                struct fault *fault);
    void *context;
    const struct merkle_range *range;
};

/* The perfect subtree of the tree of `size` leaves that holds leaf `index`, below size: 2^height
 * leaves from *ret_start. */
unsigned proof_subtree(uint64_t index, uint64_t size, uint64_t *ret_start);

/* That the leaf at `index` is in the tree of `size` leaves. FAULT_NOT_FOUND if index >= size,
 * FAULT_MALFORMED_REQUEST if size is over MERKLE_SIZE_MAX. */
int proof_inclusion(const struct proof_source *source, uint64_t index, uint64_t size,
                    struct merkle_proof *ret_proof, struct fault *fault) MUST_CHECK;

/* That the tree of new_size leaves begins with that of old_size; empty where old_size is 0 or
 * new_size. FAULT_NOT_FOUND if old_size > new_size. */
int proof_consistency(const struct proof_source *source, uint64_t old_size, uint64_t new_size,
                      struct merkle_proof *ret_proof, struct fault *fault) MUST_CHECK;

/* The compact range (and so the root) of the first `size` leaves. */
int proof_range(const struct proof_source *source, uint64_t size, struct merkle_range *ret_range,
                struct fault *fault) MUST_CHECK;
