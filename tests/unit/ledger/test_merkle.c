/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/merkle.h"

#include "base/encode.h"
#include "tests/unit/ledger/reference.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define SIZE_EXHAUSTIVE 130

static struct digest of_hex(const char *hex)
{
    struct digest digest;
    assert_int_equal(digest_parse_any(hex, strlen(hex), &digest), 0);
    return digest;
}

static void assert_digest(struct digest found, struct digest expected)
{
    assert_string_equal(digest_hex(&found).text, digest_hex(&expected).text);
}

/* The eight leaves that Certificate Transparency's own tests use. */
static struct digest classic_leaf(size_t i)
{
    static const char *const inputs[] = {"",
                                         "00",
                                         "10",
                                         "2021",
                                         "3031",
                                         "40414243",
                                         "5051525354555657",
                                         "606162636465666768696a6b6c6d6e6f"};
    uint8_t bytes[16];
    size_t len = strlen(inputs[i]) / 2;
    assert_int_equal(hex_decode(inputs[i], 2 * len, bytes, len), 0);
    return merkle_leaf(bytes, len);
}

static struct merkle_proof proof_of(size_t count, const char *const *hex)
{
    struct merkle_proof proof = {.count = count};
    for (size_t i = 0; i < count; i++)
        proof.hashes[i] = of_hex(hex[i]);
    return proof;
}

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

static void hashes_have_the_known_values(void **state)
{
    (void)state;
    assert_digest(merkle_empty_root(),
                  of_hex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
    assert_digest(merkle_leaf(NULL, 0),
                  of_hex("6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"));
    assert_digest(merkle_leaf("L123456", 7),
                  of_hex("395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56"));
    struct digest left = classic_leaf(0);
    struct digest right = classic_leaf(1);
    assert_digest(merkle_node(&left, &right),
                  of_hex("fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"));
}

static void entry_leaf_is_the_leaf_of_32_bytes(void **state)
{
    (void)state;
    struct digest entry = reference_entry(7);
    assert_digest(merkle_entry_leaf(&entry), reference_entry_leaf(7));
    assert_digest(merkle_entry_leaf(&entry), merkle_leaf(entry.bytes, DIGEST_LEN));
}

static void leaf_is_no_node(void **state)
{
    (void)state;
    struct digest a = classic_leaf(3);
    struct digest b = classic_leaf(4);
    uint8_t both[64];
    memcpy(both, a.bytes, 32);
    memcpy(both + 32, b.bytes, 32);
    struct digest leaf = merkle_leaf(both, sizeof both);
    struct digest node = merkle_node(&a, &b);
    assert_false(digest_equal(&leaf, &node));
}

static void roots_of_the_classic_leaves(void **state)
{
    (void)state;
    static const char *const expected[] = {
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
    struct merkle_range range = {.size = 0};
    for (size_t n = 0;; n++) {
        assert_digest(merkle_range_root(&range), of_hex(expected[n]));
        if (n == 8)
            break;
        struct digest leaf = classic_leaf(n);
        assert_int_equal(merkle_range_append(&range, &leaf, NULL), 0);
    }
}

static void inclusion_proofs_of_the_classic_leaves(void **state)
{
    (void)state;
    static const struct {
        uint64_t index, size;
        size_t count;
        const char *hashes[3];
        const char *root;
    } cases[] = {
        {0, 1, 0, {NULL}, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
        {0,
         8,
         3,
         {"96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
          "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
          "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"},
         "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"},
        {5,
         8,
         3,
         {"bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
          "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
          "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"},
         "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"},
        {2,
         3,
         1,
         {"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"},
         "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"},
        {1,
         5,
         3,
         {"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
          "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
          "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"},
         "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct merkle_proof proof = proof_of(cases[i].count, cases[i].hashes);
        struct digest leaf = classic_leaf((size_t)cases[i].index);
        struct digest root = of_hex(cases[i].root);
        assert_int_equal(
            merkle_inclusion_verify(cases[i].index, cases[i].size, &leaf, &proof, &root, NULL), 0);
    }
}

static void consistency_proofs_of_the_classic_leaves(void **state)
{
    (void)state;
    static const struct {
        uint64_t from, to;
        size_t count;
        const char *hashes[3];
    } cases[] = {
        {1,
         8,
         3,
         {"96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
          "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
          "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"}},
        {6,
         8,
         3,
         {"0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
          "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
          "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"}},
        {2,
         5,
         2,
         {"5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
          "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"}},
        {6,
         7,
         3,
         {"0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
          "b08693ec2e721597130641e8211e7eedccb4c26413963eee6c1e2ed16ffb1a5f",
          "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"}},
    };
    struct digest classic[8];
    for (size_t i = 0; i < 8; i++)
        classic[i] = classic_leaf(i);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct merkle_proof proof = proof_of(cases[i].count, cases[i].hashes);
        struct digest from = reference_root(classic, (size_t)cases[i].from);
        struct digest to = reference_root(classic, (size_t)cases[i].to);
        assert_int_equal(
            merkle_consistency_verify(cases[i].from, &from, cases[i].to, &to, &proof, NULL), 0);
    }
}

static void range_agrees_with_the_definition_at_every_size(void **state)
{
    (void)state;
    struct merkle_range one = {.size = 0};
    for (size_t n = 0; n <= SIZE_EXHAUSTIVE; n++) {
        assert_int_equal(one.size, n);
        assert_digest(merkle_range_root(&one), roots[n]);
        struct merkle_range many = {.size = 0};
        assert_int_equal(merkle_range_append_many(&many, leaves, n / 3, NULL), 0);
        assert_int_equal(merkle_range_append_many(&many, leaves + n / 3, n - n / 3, NULL), 0);
        assert_digest(merkle_range_root(&many), roots[n]);
        if (n < SIZE_EXHAUSTIVE)
            assert_int_equal(merkle_range_append(&one, &leaves[n], NULL), 0);
    }
}

static void range_goes_through_bytes_and_on(void **state)
{
    (void)state;
    for (size_t n = 0; n < SIZE_EXHAUSTIVE; n++) {
        struct merkle_range range = {.size = 0};
        assert_int_equal(merkle_range_append_many(&range, leaves, n, NULL), 0);
        AUTO_BUF struct buf bytes = BUF(4096);
        merkle_range_encode(&range, &bytes);
        assert_int_equal(bytes.len, merkle_range_count(n) * DIGEST_LEN);
        struct merkle_range again;
        assert_int_equal(merkle_range_decode(n, buf_span(&bytes), &again, NULL), 0);
        assert_int_equal(merkle_range_append(&again, &leaves[n], NULL), 0);
        assert_digest(merkle_range_root(&again), roots[n + 1]);
    }
}

static void range_of_another_length_is_refused(void **state)
{
    (void)state;
    static const uint8_t bytes[64 * DIGEST_LEN] = {1};
    struct merkle_range range = {.size = 42};
    for (size_t size = 0; size < 64; size++)
        for (size_t len = 0; len <= 8 * DIGEST_LEN; len++) {
            struct fault fault = {.code = FAULT_NONE};
            bool fits = len == merkle_range_count(size) * DIGEST_LEN;
            range.size = 42;
            assert_int_equal(
                merkle_range_decode(size, span_of(bytes, len), &range, fits ? NULL : &fault),
                fits ? 0 : -1);
            assert_int_equal(fault.code, fits ? FAULT_NONE : FAULT_MALFORMED_REQUEST);
            assert_int_equal(range.size, fits ? size : 42);
        }
    assert_int_equal(merkle_range_decode(UINT64_MAX, span_of(bytes, sizeof bytes), &range, NULL),
                     -1);
    assert_int_equal(merkle_range_decode(MERKLE_SIZE_MAX + 1, span_of(bytes, 32), &range, NULL),
                     -1);
    assert_int_equal(
        merkle_range_decode(MERKLE_SIZE_MAX, span_of(bytes, sizeof bytes - 32), &range, NULL), 0);
}

static void range_is_full_at_its_maximum(void **state)
{
    (void)state;
    struct merkle_range range = {.size = MERKLE_SIZE_MAX - 1};
    struct fault fault = {.code = FAULT_NONE};
    assert_int_equal(merkle_range_append_many(&range, leaves, 2, &fault), -1);
    assert_int_equal(fault.code, FAULT_TOO_LARGE);
    assert_int_equal(range.size, MERKLE_SIZE_MAX - 1);
    assert_int_equal(merkle_range_append(&range, leaves, NULL), 0);
    assert_int_equal(range.size, MERKLE_SIZE_MAX);
    assert_int_equal(merkle_range_append(&range, leaves, NULL), -1);
    range.size = UINT64_MAX;
    assert_int_equal(merkle_range_append(&range, leaves, NULL), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_have_the_known_values),
        cmocka_unit_test(entry_leaf_is_the_leaf_of_32_bytes),
        cmocka_unit_test(leaf_is_no_node),
        cmocka_unit_test(roots_of_the_classic_leaves),
        cmocka_unit_test(inclusion_proofs_of_the_classic_leaves),
        cmocka_unit_test(consistency_proofs_of_the_classic_leaves),
        cmocka_unit_test(range_agrees_with_the_definition_at_every_size),
        cmocka_unit_test(range_goes_through_bytes_and_on),
        cmocka_unit_test(range_of_another_length_is_refused),
        cmocka_unit_test(range_is_full_at_its_maximum),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
