/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/proof.h"

#include "tests/unit/ledger/reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define SIZE_EXHAUSTIVE 130
#define SIZE_LARGE 70000

/* A tree's hashes, level by level, and a source of tiles over them that checks how it is asked. */
struct tree {
    uint64_t size;
    struct digest *levels[TILE_LEVELS];
    uint64_t asked_size; /* the size that proofs are made for */
    unsigned asked[TILE_LEVELS];
    uint64_t asked_n[TILE_LEVELS][2];
};

static struct tree *tree_new(uint64_t size)
{
    struct tree *tree = calloc(1, sizeof *tree);
    assert_non_null(tree);
    tree->size = size;
    for (unsigned level = 0; level < TILE_LEVELS; level++) {
        uint64_t count = size >> (TILE_HEIGHT * level);
        tree->levels[level] = calloc(count + 1, sizeof(struct digest));
        assert_non_null(tree->levels[level]);
        for (uint64_t i = 0; i < count; i++)
            tree->levels[level][i] =
                level == 0 ? reference_entry_leaf(i)
                           : reference_root(tree->levels[level - 1] + i * TILE_WIDTH, TILE_WIDTH);
    }
    return tree;
}

static void tree_free(struct tree *tree)
{
    for (unsigned level = 0; level < TILE_LEVELS; level++)
        free(tree->levels[level]);
    free(tree);
}

static int tree_tile(void *context, const struct tile *tile, struct digest *ret_hashes,
                     struct fault *fault)
{
    (void)fault;
    struct tree *tree = context;
    assert_false(tile->entries);
    assert_in_range(tile->level, 0, TILE_LEVELS - 1);
    assert_in_range(tile->width, 1, TILE_WIDTH);
    assert_int_equal(tile->width, tile_width(tile->level, tile->n, tree->asked_size));
    /* Each tile once, two a level at the most. */
    unsigned asked = tree->asked[tile->level]++;
    assert_in_range(asked, 0, 1);
    tree->asked_n[tile->level][asked] = tile->n;
    assert_false(asked == 1 && tree->asked_n[tile->level][0] == tile->n);
    memcpy(ret_hashes, tree->levels[tile->level] + tile->n * TILE_WIDTH,
           tile->width * sizeof *ret_hashes);
    return 0;
}

static struct proof_source source_of(struct tree *tree, uint64_t size)
{
    tree->asked_size = size;
    memset(tree->asked, 0, sizeof tree->asked);
    return (struct proof_source){.tile = tree_tile, .context = tree};
}

static void assert_hashes(const struct merkle_proof *found, const struct digest *expected,
                          size_t count)
{
    assert_int_equal(found->count, count);
    for (size_t i = 0; i < count; i++)
        assert_memory_equal(found->hashes[i].bytes, expected[i].bytes, DIGEST_LEN);
}

static void inclusion_is_the_definition_for_every_index_and_size(void **state)
{
    (void)state;
    struct tree *tree = tree_new(SIZE_EXHAUSTIVE);
    for (uint64_t size = 1; size <= SIZE_EXHAUSTIVE; size++)
        for (uint64_t index = 0; index < size; index++) {
            struct proof_source source = source_of(tree, size);
            struct merkle_proof proof;
            struct digest expected[MERKLE_PROOF_MAX];
            assert_int_equal(proof_inclusion(&source, index, size, &proof, NULL), 0);
            assert_hashes(&proof, expected, reference_path(index, tree->levels[0], size, expected));
        }
    tree_free(tree);
}

static void consistency_is_the_definition_for_every_pair(void **state)
{
    (void)state;
    struct tree *tree = tree_new(SIZE_EXHAUSTIVE);
    for (uint64_t to = 0; to <= SIZE_EXHAUSTIVE; to++)
        for (uint64_t from = 0; from <= to; from++) {
            struct proof_source source = source_of(tree, to);
            struct merkle_proof proof;
            struct digest expected[MERKLE_PROOF_MAX];
            size_t count =
                from == 0 ? 0 : reference_subproof(from, tree->levels[0], to, true, expected);
            assert_int_equal(proof_consistency(&source, from, to, &proof, NULL), 0);
            assert_hashes(&proof, expected, count);
        }
    tree_free(tree);
}

/* Sizes and indexes around the edges of tiles of three levels. */
static const uint64_t large[] = {1,     2,     255,   256,   257,   511,   512,
                                 513,   4096,  32768, 65279, 65280, 65281, 65535,
                                 65536, 65537, 65792, 65793, 69888, 69999, 70000};

static void proofs_hold_across_levels_of_tiles(void **state)
{
    (void)state;
    struct tree *tree = tree_new(SIZE_LARGE);
    struct digest roots[ARRAY_LEN(large)];
    for (size_t i = 0; i < ARRAY_LEN(large); i++) {
        struct digest root = roots[i] = reference_root(tree->levels[0], large[i]);
        struct proof_source source = source_of(tree, large[i]);
        struct merkle_range range;
        assert_int_equal(proof_range(&source, large[i], &range, NULL), 0);
        assert_int_equal(range.size, large[i]);
        struct digest found = merkle_range_root(&range);
        assert_memory_equal(found.bytes, root.bytes, DIGEST_LEN);
        for (size_t k = 0; k < ARRAY_LEN(large) && large[k] <= large[i]; k++) {
            struct merkle_proof proof;
            uint64_t index = large[k] - 1;
            source = source_of(tree, large[i]);
            assert_int_equal(proof_inclusion(&source, index, large[i], &proof, NULL), 0);
            assert_int_equal(merkle_inclusion_verify(index, large[i], &tree->levels[0][index],
                                                     &proof, &root, NULL),
                             0);
            source = source_of(tree, large[i]);
            assert_int_equal(proof_consistency(&source, large[k], large[i], &proof, NULL), 0);
            assert_int_equal(
                merkle_consistency_verify(large[k], &roots[k], large[i], &root, &proof, NULL), 0);
        }
    }
    tree_free(tree);
}

/* A source that has only what proof_subtree() says: within it, of each tile, the path's own; all
 * else is poisoned. */
struct below {
    struct tree *tree;
    uint64_t index, start;
    unsigned height;
};

static int below_tile(void *context, const struct tile *tile, struct digest *ret_hashes,
                      struct fault *fault)
{
    const struct below *below = context;
    unsigned shift = TILE_HEIGHT * tile->level;
    uint64_t first = tile->n * TILE_WIDTH;
    assert_true(shift < below->height);
    assert_int_equal(tile->n, below->index >> shift >> TILE_HEIGHT);
    assert_int_equal(tree_tile(below->tree, tile, ret_hashes, fault), 0);
    for (uint64_t i = 0; i < tile->width; i++)
        if ((first + i) << shift < below->start ||
            (first + i) << shift >= below->start + ((uint64_t)1 << below->height))
            memset(&ret_hashes[i], 0xee, sizeof ret_hashes[i]);
    return 0;
}

static void with_a_range_only_the_subtree_of_the_leaf_is_read(void **state)
{
    (void)state;
    struct tree *tree = tree_new(SIZE_LARGE);
    for (size_t i = 0; i < ARRAY_LEN(large); i++) {
        struct merkle_range range;
        struct merkle_proof plain, proof;
        struct below below = {.tree = tree};
        struct proof_source source = source_of(tree, large[i]);
        assert_int_equal(proof_range(&source, large[i], &range, NULL), 0);
        struct proof_source ranged = {.tile = below_tile, .context = &below, .range = &range};
        for (size_t k = 0; k < ARRAY_LEN(large) && large[k] <= large[i]; k++) {
            below.index = large[k] - 1;
            below.height = proof_subtree(below.index, large[i], &below.start);
            assert_in_range(below.index, below.start,
                            below.start + ((uint64_t)1 << below.height) - 1);
            source = source_of(tree, large[i]);
            assert_int_equal(proof_inclusion(&source, below.index, large[i], &plain, NULL), 0);
            (void)source_of(tree, large[i]);
            assert_int_equal(proof_inclusion(&ranged, below.index, large[i], &proof, NULL), 0);
            assert_hashes(&proof, plain.hashes, plain.count);
            source = source_of(tree, large[i]);
            assert_int_equal(proof_consistency(&source, large[k], large[i], &plain, NULL), 0);
            (void)source_of(tree, large[i]);
            assert_int_equal(proof_consistency(&ranged, large[k], large[i], &proof, NULL), 0);
            assert_hashes(&proof, plain.hashes, plain.count);
        }
    }
    tree_free(tree);
}

static void a_range_of_another_size_is_refused(void **state)
{
    (void)state;
    struct merkle_range range = {.size = 3};
    struct merkle_proof proof;
    struct fault fault = {0};
    struct proof_source source = {.tile = below_tile, .range = &range};
    assert_int_equal(proof_inclusion(&source, 0, 4, &proof, &fault), -1);
    assert_int_equal(fault.code, FAULT_INTERNAL);
}

/* All leaves alike: one hash a height, so a tree of any size is at hand. */
static int alike_tile(void *context, const struct tile *tile, struct digest *ret_hashes,
                      struct fault *fault)
{
    (void)fault;
    const struct digest *at_height = context;
    for (unsigned i = 0; i < tile->width; i++)
        ret_hashes[i] = at_height[TILE_HEIGHT * tile->level];
    return 0;
}

static void proofs_reach_to_the_largest_tree(void **state)
{
    (void)state;
    struct digest at_height[64] = {reference_entry_leaf(0)};
    for (size_t h = 1; h < 64; h++)
        at_height[h] = reference_node(at_height[h - 1], at_height[h - 1]);
    struct proof_source source = {.tile = alike_tile, .context = at_height};
    static const uint64_t sizes[] = {
        (uint64_t)1 << 40, ((uint64_t)1 << 56) + 1, ((uint64_t)1 << 62) - 1,
        (uint64_t)1 << 62, ((uint64_t)1 << 62) + 1, INT64_MAX - 1,
        INT64_MAX};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        uint64_t size = sizes[i];
        struct merkle_range range;
        assert_int_equal(proof_range(&source, size, &range, NULL), 0);
        struct digest root = merkle_range_root(&range);
        const uint64_t indexes[] = {0, 1, 12345, size / 3, size / 2, size - 2, size - 1};
        for (size_t k = 0; k < ARRAY_LEN(indexes); k++) {
            struct merkle_proof proof;
            assert_int_equal(proof_inclusion(&source, indexes[k], size, &proof, NULL), 0);
            assert_int_equal(
                merkle_inclusion_verify(indexes[k], size, &at_height[0], &proof, &root, NULL), 0);
            struct merkle_range old;
            assert_int_equal(proof_range(&source, indexes[k] + 1, &old, NULL), 0);
            struct digest old_root = merkle_range_root(&old);
            assert_int_equal(proof_consistency(&source, indexes[k] + 1, size, &proof, NULL), 0);
            assert_int_equal(
                merkle_consistency_verify(indexes[k] + 1, &old_root, size, &root, &proof, NULL), 0);
        }
    }
}

static int failing_tile(void *context, const struct tile *tile, struct digest *ret_hashes,
                        struct fault *fault)
{
    (void)context;
    (void)tile;
    (void)ret_hashes;
    return fault_set(fault, FAULT_UNAVAILABLE, "no tiles today");
}

static void a_failing_source_fails_the_proof(void **state)
{
    (void)state;
    struct proof_source source = {.tile = failing_tile};
    struct merkle_proof proof = {.count = 42};
    struct merkle_range range = {.size = 42};
    struct fault fault = {.code = FAULT_NONE};
    assert_int_equal(proof_inclusion(&source, 3, 10, &proof, &fault), -1);
    assert_int_equal(fault.code, FAULT_UNAVAILABLE);
    assert_int_equal(proof_consistency(&source, 3, 10, &proof, NULL), -1);
    assert_int_equal(proof_range(&source, 10, &range, NULL), -1);
    assert_int_equal(proof.count, 42);
    assert_int_equal(range.size, 42);
}

static void what_is_not_there_has_no_proof(void **state)
{
    (void)state;
    struct proof_source source = {.tile = failing_tile};
    struct merkle_proof proof;
    struct merkle_range range;
    struct fault fault = {.code = FAULT_NONE};
    assert_int_equal(proof_inclusion(&source, 0, 0, &proof, &fault), -1);
    assert_int_equal(fault.code, FAULT_NOT_FOUND);
    assert_int_equal(proof_inclusion(&source, 10, 10, &proof, &fault), -1);
    assert_int_equal(fault.code, FAULT_NOT_FOUND);
    assert_int_equal(proof_inclusion(&source, UINT64_MAX, 10, &proof, &fault), -1);
    assert_int_equal(fault.code, FAULT_NOT_FOUND);
    assert_int_equal(proof_consistency(&source, 11, 10, &proof, &fault), -1);
    assert_int_equal(fault.code, FAULT_NOT_FOUND);
    assert_int_equal(proof_inclusion(&source, 1, (uint64_t)1 << 63, &proof, &fault), -1);
    assert_int_equal(fault.code, FAULT_MALFORMED_REQUEST);
    assert_int_equal(proof_consistency(&source, 1, UINT64_MAX, &proof, &fault), -1);
    assert_int_equal(fault.code, FAULT_MALFORMED_REQUEST);
    assert_int_equal(proof_range(&source, UINT64_MAX, &range, &fault), -1);
    assert_int_equal(fault.code, FAULT_MALFORMED_REQUEST);
    /* Nothing to ask the source for. */
    assert_int_equal(proof_range(&source, 0, &range, NULL), 0);
    assert_int_equal(proof_inclusion(&source, 0, 1, &proof, NULL), 0);
    assert_int_equal(proof.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inclusion_is_the_definition_for_every_index_and_size),
        cmocka_unit_test(consistency_is_the_definition_for_every_pair),
        cmocka_unit_test(proofs_hold_across_levels_of_tiles),
        cmocka_unit_test(with_a_range_only_the_subtree_of_the_leaf_is_read),
        cmocka_unit_test(a_range_of_another_size_is_refused),
        cmocka_unit_test(proofs_reach_to_the_largest_tree),
        cmocka_unit_test(a_failing_source_fails_the_proof),
        cmocka_unit_test(what_is_not_there_has_no_proof),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
