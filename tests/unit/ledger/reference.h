/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of ledger/ compare with: the recursive definitions of RFC 6962 section 2.1,
 * written down as they stand there, over OpenSSL alone. Slow, and nothing of ledger/ in it.
 */
#pragma once

#include "base/digest.h"

#include <openssl/sha.h>
#include <string.h>

static inline struct digest reference_sha256(const void *data, size_t len)
{
    struct digest digest;
    SHA256(data, len, digest.bytes);
    return digest;
}

static inline struct digest reference_leaf(const void *data, size_t len)
{
    uint8_t input[256] = {0x00};
    memcpy(input + 1, data, len);
    return reference_sha256(input, 1 + len);
}

/* Entry i of the tests' logs, and its leaf. */
static inline struct digest reference_entry(uint64_t i)
{
    return reference_sha256(&i, sizeof i);
}

static inline struct digest reference_entry_leaf(uint64_t i)
{
    struct digest entry = reference_entry(i);
    return reference_leaf(entry.bytes, sizeof entry.bytes);
}

static inline struct digest reference_node(struct digest left, struct digest right)
{
    uint8_t input[65] = {0x01};
    memcpy(input + 1, left.bytes, 32);
    memcpy(input + 33, right.bytes, 32);
    return reference_sha256(input, sizeof input);
}

static inline size_t reference_split(size_t n)
{
    size_t k = 1;
    while (k * 2 < n)
        k *= 2;
    return k;
}

/* MTH(D[n]) over leaf hashes. */
static inline struct digest reference_root(const struct digest *leaves, size_t n)
{
    if (n == 0)
        return reference_sha256("", 0);
    if (n == 1)
        return leaves[0];
    size_t k = reference_split(n);
    return reference_node(reference_root(leaves, k), reference_root(leaves + k, n - k));
}

/* PATH(m, D[n]); the number of hashes. */
static inline size_t reference_path(size_t m, const struct digest *leaves, size_t n,
                                    struct digest *ret_path)
{
    if (n == 1)
        return 0;
    size_t k = reference_split(n);
    size_t count = m < k ? reference_path(m, leaves, k, ret_path)
                         : reference_path(m - k, leaves + k, n - k, ret_path);
    ret_path[count] = m < k ? reference_root(leaves + k, n - k) : reference_root(leaves, k);
    return count + 1;
}

/* SUBPROOF(m, D[n], b); the number of hashes. */
static inline size_t reference_subproof(size_t m, const struct digest *leaves, size_t n, bool b,
                                        struct digest *ret_proof)
{
    if (m == n) {
        if (b)
            return 0;
        ret_proof[0] = reference_root(leaves, n);
        return 1;
    }
    size_t k = reference_split(n);
    size_t count = m <= k ? reference_subproof(m, leaves, k, b, ret_proof)
                          : reference_subproof(m - k, leaves + k, n - k, false, ret_proof);
    ret_proof[count] = m <= k ? reference_root(leaves + k, n - k) : reference_root(leaves, k);
    return count + 1;
}
