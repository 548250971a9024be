/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/proof.h"

#include <inttypes.h>

/* A tile of the tree, kept for the length of one proof. */
struct held_tile {
    bool present;
    uint64_t n;
    struct digest hashes[TILE_WIDTH];
};

/* A proof follows one path from the root down. Where the path leaves the right edge, the rest of
 * the edge is asked for at once, in the last tile of each level below; from there on only the
 * path's own tiles are. So one place a level is enough to ask for each tile once. */
struct prover {
    const struct proof_source *source;
    uint64_t size;
    struct held_tile held[TILE_LEVELS];
};

/* 64 KiB, much for a stack. */
static struct prover *prover_new(const struct proof_source *source, uint64_t size)
{
    struct prover *prover = calloc(1, sizeof *prover);
    if (prover == NULL)
        return NULL;
    prover->source = source;
    prover->size = size;
    return prover;
}

static int no_memory(struct fault *fault)
{
    return fault_set(fault, FAULT_INTERNAL, "proof: no memory");
}

static int size_check(const struct proof_source *source, uint64_t size, struct fault *fault)
{
    if (size > MERKLE_SIZE_MAX)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "proof: size %" PRIu64 " is over 2^63-1",
                         size);
    if (source->range != NULL && source->range->size != size)
        return fault_set(fault, FAULT_INTERNAL,
                         "proof: the range of a tree of %" PRIu64 ", not of %" PRIu64,
                         source->range->size, size);
    return 0;
}

static int prover_tile(struct prover *prover, unsigned level, uint64_t n,
                       const struct digest **ret_hashes, struct fault *fault)
{
    struct held_tile *held = &prover->held[level];
    if (!held->present || held->n != n) {
        struct tile tile = {.level = level, .n = n, .width = tile_width(level, n, prover->size)};
        held->present = false;
        if (prover->source->tile(prover->source->context, &tile, held->hashes, fault) != 0)
            return -1;
        held->present = true;
        held->n = n;
    }
    *ret_hashes = held->hashes;
    return 0;
}

/* The tree's own perfect subtrees are those of its size's bits: the one of 2^height leaves begins
 * where the greater ones end, and stands behind them in the range. */
static bool range_node(const struct merkle_range *range, unsigned height, uint64_t start,
                       struct digest *ret_hash)
{
    if (range == NULL || (range->size >> height & 1) == 0 ||
        start != range->size >> height >> 1 << height << 1)
        return false;
    *ret_hash = range->hashes[merkle_range_count(range->size >> height >> 1)];
    return true;
}

/* The root of the 2^height leaves from `start`, a multiple of that. */
static int prover_node(struct prover *prover, unsigned height, uint64_t start,
                       struct digest *ret_hash, struct fault *fault)
{
    unsigned level = height / TILE_HEIGHT;
    uint64_t first = start >> (TILE_HEIGHT * level);
    const struct digest *hashes;
    if (range_node(prover->source->range, height, start, ret_hash))
        return 0;
    if (prover_tile(prover, level, first / TILE_WIDTH, &hashes, fault) != 0)
        return -1;
    *ret_hash = tile_fold(hashes + first % TILE_WIDTH, height % TILE_HEIGHT);
    return 0;
}

/* The perfect subtrees that make up [start, end), largest first, where start is a multiple of
 * the largest. There is one for each bit of end - start. */
static int prover_cover(struct prover *prover, uint64_t start, uint64_t end,
                        struct digest *ret_hashes, size_t *ret_count, struct fault *fault)
{
    size_t count = 0;
    while (start < end) {
        unsigned height = 63 - (unsigned)__builtin_clzll(end - start);
        if (prover_node(prover, height, start, &ret_hashes[count++], fault) != 0)
            return -1;
        start += (uint64_t)1 << height;
    }
    *ret_count = count;
    return 0;
}

/* MTH(D[start:end]) of RFC 6962. */
static int prover_hash(struct prover *prover, uint64_t start, uint64_t end, struct digest *ret_hash,
                       struct fault *fault)
{
    struct digest cover[MERKLE_RANGE_MAX];
    size_t count;
    if (prover_cover(prover, start, end, cover, &count, fault) != 0)
        return -1;
    struct digest hash = cover[--count];
    while (count > 0)
        hash = merkle_node(&cover[--count], &hash);
    *ret_hash = hash;
    return 0;
}

/* The largest power of two below n, n > 1: where RFC 6962 splits n leaves. */
static uint64_t split_of(uint64_t n)
{
    return (uint64_t)1 << (63 - __builtin_clzll(n - 1));
}

/* Both proofs are found from the root down and read from the leaf up. */
static void proof_reverse(struct merkle_proof *proof)
{
    for (size_t i = 0; i < proof->count / 2; i++) {
        struct digest swap = proof->hashes[i];
        proof->hashes[i] = proof->hashes[proof->count - 1 - i];
        proof->hashes[proof->count - 1 - i] = swap;
    }
}

/* The highest bit in which the two differ is set in the size: up to there they are in the same
 * greater subtrees, and the leaf is in the one of that bit. */
unsigned proof_subtree(uint64_t index, uint64_t size, uint64_t *ret_start)
{
    unsigned height = 63 - (unsigned)__builtin_clzll(index ^ size);
    *ret_start = index >> height << height;
    return height;
}

int proof_inclusion(const struct proof_source *source, uint64_t index, uint64_t size,
                    struct merkle_proof *ret_proof, struct fault *fault)
{
    if (size_check(source, size, fault) != 0)
        return -1;
    if (index >= size)
        return fault_set(fault, FAULT_NOT_FOUND, "no entry %" PRIu64 " in a tree of %" PRIu64,
                         index, size);
    AUTO_FREE struct prover *prover = prover_new(source, size);
    if (prover == NULL)
        return no_memory(fault);
    struct merkle_proof proof = {.count = 0};
    for (uint64_t start = 0, end = size; end - start > 1;) {
        uint64_t middle = start + split_of(end - start);
        bool left = index < middle;
        if (prover_hash(prover, left ? middle : start, left ? end : middle,
                        &proof.hashes[proof.count++], fault) != 0)
            return -1;
        if (left)
            end = middle;
        else
            start = middle;
    }
    proof_reverse(&proof);
    *ret_proof = proof;
    return 0;
}

/* SUBPROOF of RFC 6962 section 2.1.2: down to the subtree that ends where the old tree ends. */
static int consistency_collect(struct prover *prover, uint64_t old_size, struct merkle_proof *proof,
                               struct fault *fault)
{
    uint64_t start = 0;
    uint64_t end = prover->size;
    while (end != old_size) {
        uint64_t middle = start + split_of(end - start);
        bool left = old_size <= middle;
        if (prover_hash(prover, left ? middle : start, left ? end : middle,
                        &proof->hashes[proof->count++], fault) != 0)
            return -1;
        if (left)
            end = middle;
        else
            start = middle;
    }
    if (start == 0)
        return 0; /* the old tree is this subtree, whose root the verifier has */
    return prover_hash(prover, start, end, &proof->hashes[proof->count++], fault);
}

int proof_consistency(const struct proof_source *source, uint64_t old_size, uint64_t new_size,
                      struct merkle_proof *ret_proof, struct fault *fault)
{
    if (size_check(source, new_size, fault) != 0)
        return -1;
    if (old_size > new_size)
        return fault_set(fault, FAULT_NOT_FOUND, "no tree of %" PRIu64 " within one of %" PRIu64,
                         old_size, new_size);
    struct merkle_proof proof = {.count = 0};
    if (old_size > 0 && old_size < new_size) {
        AUTO_FREE struct prover *prover = prover_new(source, new_size);
        if (prover == NULL)
            return no_memory(fault);
        if (consistency_collect(prover, old_size, &proof, fault) != 0)
            return -1;
        proof_reverse(&proof);
    }
    *ret_proof = proof;
    return 0;
}

int proof_range(const struct proof_source *source, uint64_t size, struct merkle_range *ret_range,
                struct fault *fault)
{
    if (size_check(source, size, fault) != 0)
        return -1;
    struct merkle_range range = {.size = size};
    if (size > 0) {
        AUTO_FREE struct prover *prover = prover_new(source, size);
        if (prover == NULL)
            return no_memory(fault);
        size_t count;
        if (prover_cover(prover, 0, size, range.hashes, &count, fault) != 0)
            return -1;
    }
    *ret_range = range;
    return 0;
}
