/* SPDX-License-Identifier: Apache-2.0 */
/* Proofs: all that hold in trees of up to 130 leaves, and what is refused. */
#include "ledger/merkle.h"

#include "tests/unit/ledger/reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define SIZE_EXHAUSTIVE 130

static struct digest leaves[SIZE_EXHAUSTIVE];
static struct digest roots[SIZE_EXHAUSTIVE + 1];

static int set_up(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZE_EXHAUSTIVE; i++)
        leaves[i] = reference_entry_leaf(i);
    for (size_t n = 0; n <= SIZE_EXHAUSTIVE; n++)
        roots[n] = reference_root(leaves, n);
    return 0;
}

static void inclusion_holds_for_every_index_and_size(void **state)
{
    (void)state;
    for (size_t size = 1; size <= SIZE_EXHAUSTIVE; size++)
        for (size_t index = 0; index < size; index++) {
            struct merkle_proof proof;
            proof.count = reference_path(index, leaves, size, proof.hashes);
            assert_int_equal(merkle_inclusion_count(index, size), proof.count);
            assert_int_equal(
                merkle_inclusion_verify(index, size, &leaves[index], &proof, &roots[size], NULL),
                0);
        }
}

static void consistency_holds_for_every_pair(void **state)
{
    (void)state;
    for (size_t to = 0; to <= SIZE_EXHAUSTIVE; to++)
        for (size_t from = 0; from <= to; from++) {
            struct merkle_proof proof = {.count = 0};
            if (from > 0)
                proof.count = reference_subproof(from, leaves, to, true, proof.hashes);
            assert_int_equal(
                merkle_consistency_verify(from, &roots[from], to, &roots[to], &proof, NULL), 0);
        }
}

static void refused_inclusion(uint64_t index, uint64_t size, const struct digest *leaf,
                              const struct merkle_proof *proof, const struct digest *root)
{
    struct fault fault = {.code = FAULT_NONE};
    assert_int_equal(merkle_inclusion_verify(index, size, leaf, proof, root, &fault), -1);
    assert_int_equal(fault.code, FAULT_CONTENT_MISMATCH);
}

static void refused_consistency(uint64_t from, const struct digest *from_root, uint64_t to,
                                const struct digest *to_root, const struct merkle_proof *proof)
{
    struct fault fault = {.code = FAULT_NONE};
    assert_int_equal(merkle_consistency_verify(from, from_root, to, to_root, proof, &fault), -1);
    assert_int_equal(fault.code, FAULT_CONTENT_MISMATCH);
}

/* Every bit of every hash, a hash taken from each place, one put in at each place, and two
 * neighbours exchanged. */
typedef void mutation_fn(const struct merkle_proof *mutant, void *context);

static void each_mutation(const struct merkle_proof *proof, mutation_fn *refused, void *context)
{
    for (size_t i = 0; i < proof->count; i++)
        for (size_t bit = 0; bit < 256; bit++) {
            struct merkle_proof mutant = *proof;
            mutant.hashes[i].bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
            refused(&mutant, context);
        }
    for (size_t at = 0; at < proof->count; at++) {
        struct merkle_proof mutant = *proof;
        mutant.count--;
        memmove(&mutant.hashes[at], &mutant.hashes[at + 1],
                (proof->count - at - 1) * sizeof mutant.hashes[0]);
        refused(&mutant, context);
    }
    for (size_t at = 0; at <= proof->count; at++) {
        struct merkle_proof mutant = *proof;
        mutant.count++;
        memmove(&mutant.hashes[at + 1], &mutant.hashes[at],
                (proof->count - at) * sizeof mutant.hashes[0]);
        mutant.hashes[at] = leaves[at];
        refused(&mutant, context);
    }
    for (size_t at = 0; at + 1 < proof->count; at++) {
        struct merkle_proof mutant = *proof;
        mutant.hashes[at] = proof->hashes[at + 1];
        mutant.hashes[at + 1] = proof->hashes[at];
        refused(&mutant, context);
    }
}

struct place {
    size_t a, b;
};

static void inclusion_mutant(const struct merkle_proof *mutant, void *context)
{
    const struct place *place = context;
    refused_inclusion(place->a, place->b, &leaves[place->a], mutant, &roots[place->b]);
}

static void inclusion_refuses_every_mutation(void **state)
{
    (void)state;
    for (size_t size = 1; size <= 20; size++)
        for (size_t index = 0; index < size; index++) {
            struct merkle_proof proof;
            proof.count = reference_path(index, leaves, size, proof.hashes);
            struct place place = {index, size};
            each_mutation(&proof, inclusion_mutant, &place);
            for (size_t other = 0; other < size + 5; other++)
                if (other != index)
                    refused_inclusion(other, size, &leaves[index], &proof, &roots[size]);
            for (size_t other = 0; other <= 20; other++) {
                if (other != size)
                    refused_inclusion(index, size, &leaves[index], &proof, &roots[other]);
                if (other != index)
                    refused_inclusion(index, size, &leaves[other], &proof, &roots[size]);
            }
        }
}

static void consistency_mutant(const struct merkle_proof *mutant, void *context)
{
    const struct place *place = context;
    refused_consistency(place->a, &roots[place->a], place->b, &roots[place->b], mutant);
}

static void consistency_refuses_every_mutation(void **state)
{
    (void)state;
    for (size_t to = 1; to <= 17; to++)
        for (size_t from = 1; from <= to; from++) {
            struct merkle_proof proof;
            proof.count = reference_subproof(from, leaves, to, true, proof.hashes);
            struct place place = {from, to};
            each_mutation(&proof, consistency_mutant, &place);
            for (size_t other = 0; other <= 20; other++) {
                if (other != from)
                    refused_consistency(from, &roots[other], to, &roots[to], &proof);
                if (other != to)
                    refused_consistency(from, &roots[from], to, &roots[other], &proof);
            }
        }
}

static void the_edges_of_consistency(void **state)
{
    (void)state;
    struct merkle_proof none = {.count = 0};
    struct merkle_proof spare = {.count = 1, .hashes = {leaves[0]}};
    refused_consistency(0, &roots[1], 5, &roots[5], &none);
    refused_consistency(0, &roots[0], 5, &roots[5], &spare);
    refused_consistency(5, &roots[5], 5, &roots[5], &spare);
    refused_consistency(5, &roots[5], 5, &roots[6], &none);
    refused_consistency(5, &roots[5], 6, &roots[6], &none);
    refused_consistency(6, &roots[6], 5, &roots[5], &none);
    refused_consistency(UINT64_MAX, &roots[5], UINT64_MAX, &roots[5], &none);
    refused_consistency(1, &roots[1], MERKLE_SIZE_MAX + 1, &roots[5], &spare);
}

/* Where the roots are right for the hashes, but the sizes are not those of such a proof. */
static void consistency_of_other_sizes_is_refused(void **state)
{
    (void)state;
    /* From 2 to 4, said to lead to 5: the proof ends too early. */
    struct merkle_proof proof;
    proof.count = reference_subproof(2, leaves, 4, true, proof.hashes);
    refused_consistency(2, &roots[2], 5, &roots[4], &proof);
    /* From 3 to 4, with a hash above the root of the tree of 4: it goes on too long. */
    proof.count = reference_subproof(3, leaves, 4, true, proof.hashes);
    proof.hashes[proof.count++] = leaves[9];
    struct digest from = reference_node(leaves[9], roots[3]);
    struct digest to = reference_node(leaves[9], roots[4]);
    refused_consistency(3, &from, 4, &to, &proof);
}

/* Numbers at and past the edge of what fits, with as many hashes as could be held. */
static void huge_numbers_are_refused(void **state)
{
    (void)state;
    static const uint64_t numbers[] = {0,
                                       1,
                                       1U << 31,
                                       (uint64_t)1 << 62,
                                       INT64_MAX - 1,
                                       INT64_MAX,
                                       (uint64_t)1 << 63,
                                       UINT64_MAX - 1,
                                       UINT64_MAX};
    struct merkle_proof proof = {.count = 0};
    for (size_t i = 0; i < MERKLE_PROOF_MAX; i++)
        proof.hashes[i] = leaves[i];
    for (size_t a = 0; a < ARRAY_LEN(numbers); a++)
        for (size_t b = 0; b < ARRAY_LEN(numbers); b++)
            for (proof.count = 1; proof.count <= MERKLE_PROOF_MAX; proof.count++) {
                refused_inclusion(numbers[a], numbers[b], &leaves[99], &proof, &roots[9]);
                refused_consistency(numbers[a], &roots[9], numbers[b], &roots[9], &proof);
            }
}

/* A tree of any size whose leaves are all alike has one hash a height, so that proofs in the
 * largest trees can be written down. */
static void the_largest_tree_verifies(void **state)
{
    (void)state;
    struct digest at_height[64];
    at_height[0] = leaves[0];
    for (size_t h = 1; h < 64; h++)
        at_height[h] = reference_node(at_height[h - 1], at_height[h - 1]);
    struct merkle_range range = {.size = MERKLE_SIZE_MAX};
    for (size_t i = 0; i < MERKLE_RANGE_MAX; i++)
        range.hashes[i] = at_height[62 - i];
    struct digest root = merkle_range_root(&range);
    /* The last leaf: each larger subtree to its left, from the leaf up. */
    struct merkle_proof last = {.count = 62};
    for (size_t i = 0; i < 62; i++)
        last.hashes[i] = at_height[i + 1];
    assert_int_equal(merkle_inclusion_count(MERKLE_SIZE_MAX - 1, MERKLE_SIZE_MAX), 62);
    assert_int_equal(merkle_inclusion_verify(MERKLE_SIZE_MAX - 1, MERKLE_SIZE_MAX, &leaves[0],
                                             &last, &root, NULL),
                     0);
    refused_inclusion(MERKLE_SIZE_MAX - 2, MERKLE_SIZE_MAX, &leaves[0], &last, &root);
    /* The first leaf: 62 siblings within the first 2^62, then all the rest. */
    struct merkle_proof first = {.count = 63};
    for (size_t i = 0; i < 62; i++)
        first.hashes[i] = at_height[i];
    struct merkle_range rest = {.size = MERKLE_SIZE_MAX - ((uint64_t)1 << 62)};
    for (size_t i = 0; i < 62; i++)
        rest.hashes[i] = at_height[61 - i];
    first.hashes[62] = merkle_range_root(&rest);
    assert_int_equal(merkle_inclusion_verify(0, MERKLE_SIZE_MAX, &leaves[0], &first, &root, NULL),
                     0);
    first.hashes[62].bytes[0] ^= 1;
    refused_inclusion(0, MERKLE_SIZE_MAX, &leaves[0], &first, &root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inclusion_holds_for_every_index_and_size),
        cmocka_unit_test(consistency_holds_for_every_pair),
        cmocka_unit_test(inclusion_refuses_every_mutation),
        cmocka_unit_test(consistency_refuses_every_mutation),
        cmocka_unit_test(the_edges_of_consistency),
        cmocka_unit_test(consistency_of_other_sizes_is_refused),
        cmocka_unit_test(huge_numbers_are_refused),
        cmocka_unit_test(the_largest_tree_verifies),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
