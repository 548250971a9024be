/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/merkle.h"

#include <inttypes.h>
#include <string.h>

#define LEAF_PREFIX 0x00
#define NODE_PREFIX 0x01

struct digest merkle_leaf(const void *data, size_t len)
{
    static const uint8_t prefix = LEAF_PREFIX;
    AUTO_DIGEST_STREAM struct digest_stream *stream = digest_stream_new();
    if (stream == NULL)
        abort(); /* as base/digest.c does: no wrong hash may go on */
    digest_stream_update(stream, &prefix, 1);
    digest_stream_update(stream, data, len);
    return digest_stream_value(stream);
}

struct digest merkle_entry_leaf(const struct digest *entry)
{
    uint8_t input[1 + DIGEST_LEN] = {LEAF_PREFIX};
    memcpy(input + 1, entry->bytes, DIGEST_LEN);
    return digest_of(input, sizeof input);
}

struct digest merkle_node(const struct digest *left, const struct digest *right)
{
    uint8_t input[1 + 2 * DIGEST_LEN] = {NODE_PREFIX};
    memcpy(input + 1, left->bytes, DIGEST_LEN);
    memcpy(input + 1 + DIGEST_LEN, right->bytes, DIGEST_LEN);
    return digest_of(input, sizeof input);
}

struct digest merkle_empty_root(void)
{
    return digest_of(NULL, 0);
}

static unsigned bit_count(uint64_t value)
{
    return (unsigned)__builtin_popcountll(value);
}

/* The number of bits that value needs: 0 for 0. */
static unsigned bit_length(uint64_t value)
{
    return value == 0 ? 0 : 64 - (unsigned)__builtin_clzll(value);
}

size_t merkle_range_count(uint64_t size)
{
    return bit_count(size);
}

/* Each trailing one of the size is a perfect subtree as large as what comes from the right:
 * they join, as a binary counter carries. */
static void range_push(struct merkle_range *range, const struct digest *leaf)
{
    size_t count = bit_count(range->size);
    struct digest hash = *leaf;
    for (uint64_t size = range->size; (size & 1) != 0; size >>= 1)
        hash = merkle_node(&range->hashes[--count], &hash);
    range->hashes[count] = hash;
    range->size++;
}

int merkle_range_append(struct merkle_range *range, const struct digest *leaf, struct fault *fault)
{
    return merkle_range_append_many(range, leaf, 1, fault);
}

int merkle_range_append_many(struct merkle_range *range, const struct digest *leaves, size_t count,
                             struct fault *fault)
{
    if (range->size > MERKLE_SIZE_MAX || count > MERKLE_SIZE_MAX - range->size)
        return fault_set(fault, FAULT_TOO_LARGE,
                         "a tree of %" PRIu64 " leaves has no room for %zu more", range->size,
                         count);
    for (size_t i = 0; i < count; i++)
        range_push(range, &leaves[i]);
    return 0;
}

struct digest merkle_range_root(const struct merkle_range *range)
{
    size_t count = bit_count(range->size);
    if (count == 0)
        return merkle_empty_root();
    struct digest root = range->hashes[--count];
    while (count > 0)
        root = merkle_node(&range->hashes[--count], &root);
    return root;
}

void merkle_range_encode(const struct merkle_range *range, struct buf *buf)
{
    buf_append(buf, range->hashes, bit_count(range->size) * sizeof range->hashes[0]);
}

int merkle_range_decode(uint64_t size, struct span bytes, struct merkle_range *ret_range,
                        struct fault *fault)
{
    if (size > MERKLE_SIZE_MAX)
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "compact range: size %" PRIu64 " is over 2^63-1", size);
    size_t count = bit_count(size);
    if (bytes.len != count * DIGEST_LEN)
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "compact range: size %" PRIu64 " needs %zu hashes of %d bytes, found %zu "
                         "bytes",
                         size, count, DIGEST_LEN, bytes.len);
    *ret_range = (struct merkle_range){.size = size};
    if (count > 0)
        memcpy(ret_range->hashes, bytes.data, bytes.len);
    return 0;
}

/* Below the level where the paths of `index` and of the last leaf meet, every level has a
 * sibling; above it only those where the path is a right child: the rest is the border, which
 * has no sibling to its right. */
size_t merkle_inclusion_count(uint64_t index, uint64_t size)
{
    if (index >= size)
        return 0;
    unsigned inner = bit_length(index ^ (size - 1));
    unsigned border = inner == 64 ? 0 : bit_count(index >> inner);
    return inner + border;
}

int merkle_inclusion_verify(uint64_t index, uint64_t size, const struct digest *leaf,
                            const struct merkle_proof *proof, const struct digest *root,
                            struct fault *fault)
{
    if (size > MERKLE_SIZE_MAX || index >= size)
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "inclusion: no leaf %" PRIu64 " in a tree of %" PRIu64, index, size);
    if (proof->count != merkle_inclusion_count(index, size))
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "inclusion: leaf %" PRIu64 " of %" PRIu64 " needs %zu hashes, found %zu",
                         index, size, merkle_inclusion_count(index, size), proof->count);
    uint64_t fn = index;
    uint64_t sn = size - 1;
    struct digest hash = *leaf;
    for (size_t i = 0; i < proof->count && sn != 0; i++) {
        if ((fn & 1) != 0 || fn == sn) {
            hash = merkle_node(&proof->hashes[i], &hash);
            while ((fn & 1) == 0 && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            hash = merkle_node(&hash, &proof->hashes[i]);
        }
        fn >>= 1;
        sn >>= 1;
    }
    if (sn != 0 || !digest_equal(&hash, root))
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "inclusion: the path of leaf %" PRIu64 " does not lead to the root of the "
                         "tree of %" PRIu64,
                         index, size);
    return 0;
}

/* RFC 9162 section 2.1.4.2, steps 2 to 7, for 0 < old_size < new_size. The two roots that the
 * path leads to; false if its length is wrong. */
static bool consistency_roots(uint64_t old_size, const struct digest *old_root, uint64_t new_size,
                              const struct merkle_proof *proof, struct digest *ret_old,
                              struct digest *ret_new)
{
    uint64_t fn = old_size - 1;
    uint64_t sn = new_size - 1;
    while ((fn & 1) != 0) {
        fn >>= 1;
        sn >>= 1;
    }
    /* Where the old tree is perfect its root is in the new one and left out of the proof. */
    bool perfect = (old_size & (old_size - 1)) == 0;
    if (proof->count == 0 || proof->count > MERKLE_PROOF_MAX)
        return false;
    struct digest fr = perfect ? *old_root : proof->hashes[0];
    struct digest sr = fr;
    for (size_t i = perfect ? 0 : 1; i < proof->count; i++) {
        const struct digest *hash = &proof->hashes[i];
        if (sn == 0)
            return false;
        if ((fn & 1) != 0 || fn == sn) {
            fr = merkle_node(hash, &fr);
            sr = merkle_node(hash, &sr);
            while ((fn & 1) == 0 && fn != 0) {
                fn >>= 1;
                sn >>= 1;
            }
        } else {
            sr = merkle_node(&sr, hash);
        }
        fn >>= 1;
        sn >>= 1;
    }
    *ret_old = fr;
    *ret_new = sr;
    return sn == 0;
}

/* Where nothing lies between the two trees, no hash may be there either. */
static int consistency_trivial(uint64_t old_size, const struct digest *old_root, uint64_t new_size,
                               const struct digest *new_root, const struct merkle_proof *proof,
                               struct fault *fault)
{
    if (proof->count != 0)
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "consistency: from %" PRIu64 " to %" PRIu64 " no hashes are needed, "
                         "found %zu",
                         old_size, new_size, proof->count);
    struct digest empty = merkle_empty_root();
    if (old_size == 0 && !digest_equal(old_root, &empty))
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "consistency: size 0 with a root that is not the empty tree's");
    if (old_size == new_size && !digest_equal(old_root, new_root))
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "consistency: two different roots of size %" PRIu64, old_size);
    return 0;
}

int merkle_consistency_verify(uint64_t old_size, const struct digest *old_root, uint64_t new_size,
                              const struct digest *new_root, const struct merkle_proof *proof,
                              struct fault *fault)
{
    if (new_size > MERKLE_SIZE_MAX || old_size > new_size)
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "consistency: a tree of %" PRIu64 " can't come after one of %" PRIu64,
                         new_size, old_size);
    if (old_size == 0 || old_size == new_size)
        return consistency_trivial(old_size, old_root, new_size, new_root, proof, fault);
    struct digest from;
    struct digest to;
    if (!consistency_roots(old_size, old_root, new_size, proof, &from, &to))
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "consistency: %zu hashes are not what a proof from %" PRIu64 " to %" PRIu64
                         " has",
                         proof->count, old_size, new_size);
    if (!digest_equal(&from, old_root))
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "consistency: the proof does not lead to the root of the tree of %" PRIu64,
                         old_size);
    if (!digest_equal(&to, new_root))
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "consistency: the proof does not lead to the root of the tree of %" PRIu64,
                         new_size);
    return 0;
}
