/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The Merkle tree of RFC 6962 section 2.1 over SHA-256: hashes, the compact range that an
 * append-only store keeps, and strict verification of proofs (RFC 9162, 2.1.3.2 and
 * 2.1.4.2). Sizes and indexes are u64 but a tree holds fewer than 2^63 leaves, so that
 * they fit a PostgreSQL bigint; nothing here overflows on any input.
 */
#pragma once

#include "base/digest.h"
#include "base/fault.h"

#define MERKLE_SIZE_MAX ((uint64_t)INT64_MAX)
/* One hash for each bit of a size. */
#define MERKLE_RANGE_MAX 63
/* RFC 6962 section 2.1.2: a consistency proof has at most ceil(log2(n)) + 1 hashes. */
#define MERKLE_PROOF_MAX 64

/* The perfect subtrees that cover the first `size` leaves, the largest (leftmost) first.
 * Their number is popcount(size). All zero is the empty range. */
struct merkle_range {
    uint64_t size;
    struct digest hashes[MERKLE_RANGE_MAX];
};

/* An inclusion or consistency proof in the order of RFC 6962, leaf side first. */
struct merkle_proof {
    size_t count;
    struct digest hashes[MERKLE_PROOF_MAX];
};

/* SHA-256(0x00 || data). */
struct digest merkle_leaf(const void *data, size_t len);
/* The leaf hash of one of our entries, which are always the 32 bytes SHA-256(event bytes). */
struct digest merkle_entry_leaf(const struct digest *entry);
/* SHA-256(0x01 || left || right). */
struct digest merkle_node(const struct digest *left, const struct digest *right);
/* SHA-256(""), the root of the tree without leaves. */
struct digest merkle_empty_root(void);

/* The number of hashes that cover a tree of that size. */
size_t merkle_range_count(uint64_t size);

/* Adds leaf hashes at the right. FAULT_TOO_LARGE, with the range untouched, where it would
 * pass MERKLE_SIZE_MAX. */
int merkle_range_append(struct merkle_range *range, const struct digest *leaf,
                        struct fault *fault) MUST_CHECK;
int merkle_range_append_many(struct merkle_range *range, const struct digest *leaves, size_t count,
                             struct fault *fault) MUST_CHECK;

/* The root of the tree of range->size leaves. */
struct digest merkle_range_root(const struct merkle_range *range);

/* The stored form of a range: its hashes one after another, merkle_range_count(size) * 32
 * bytes, nothing else. Decoding refuses any other length and sizes over MERKLE_SIZE_MAX
 * (FAULT_MALFORMED_REQUEST). */
void merkle_range_encode(const struct merkle_range *range, struct buf *buf);
int merkle_range_decode(uint64_t size, struct span bytes, struct merkle_range *ret_range,
                        struct fault *fault) MUST_CHECK;

/* The number of hashes of the inclusion proof of `index` in a tree of `size` leaves; 0 where
 * index >= size. */
size_t merkle_inclusion_count(uint64_t index, uint64_t size);

/* RFC 9162 section 2.1.3.2: does the proof show that `leaf` (a leaf hash) is at `index` under
 * `root`? FAULT_CONTENT_MISMATCH where not: index not below size, size 0 or over
 * MERKLE_SIZE_MAX, a hash too few or too many, another root. */
int merkle_inclusion_verify(uint64_t index, uint64_t size, const struct digest *leaf,
                            const struct merkle_proof *proof, const struct digest *root,
                            struct fault *fault) MUST_CHECK;

/* RFC 9162 section 2.1.4.2: does the proof show that the tree `new_root` begins with the tree
 * `old_root`? Equal sizes need equal roots and no hashes; old size 0 needs the empty tree's
 * root and no hashes (every tree begins with the empty one). FAULT_CONTENT_MISMATCH where not. */
int merkle_consistency_verify(uint64_t old_size, const struct digest *old_root, uint64_t new_size,
                              const struct digest *new_root, const struct merkle_proof *proof,
                              struct fault *fault) MUST_CHECK;
