/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Proofs made from tiles (RFC 6962 sections 2.1.1 and 2.1.2). The tiles come from the
 * caller, who may keep them in a database, in files or behind HTTP; each is asked for once
 * a proof, two a level at the most: the path's and the right edge's.
 */
#pragma once

#include "ledger/tile.h"

/* Where tiles come from. `tile` stores exactly tile->width hashes (never of an entry bundle)
 * at ret_hashes, which has room for TILE_WIDTH; where the tile at hand has grown since, its
 * first tile->width. Fails as it likes; the failure is passed on. */
struct proof_source {
    int (*tile)(void *context, const struct tile *tile, struct digest *ret_hashes,
                struct fault *fault);
    void *context;
};

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
