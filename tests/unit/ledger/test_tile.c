/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/tile.h"

#include "tests/unit/ledger/reference.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void assert_digest(struct digest found, struct digest expected)
{
    assert_string_equal(digest_hex(&found).text, digest_hex(&expected).text);
}

static void paths_go_both_ways(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        struct tile tile;
    } cases[] = {
        {"0/000", {false, 0, 0, 256}},
        {"0/067", {false, 0, 67, 256}},
        {"0/999", {false, 0, 999, 256}},
        {"0/x001/000", {false, 0, 1000, 256}},
        {"2/x001/x234/067", {false, 2, 1234067, 256}},
        {"63/x001/x234/067.p/1", {false, 63, 1234067, 1}},
        {"1/000.p/255", {false, 1, 0, 255}},
        {"7/x009/x223/x372/x036/x854/x775/807", {false, 7, INT64_MAX, 256}},
        {"entries/000", {true, 0, 0, 256}},
        {"entries/x100/000.p/8", {true, 0, 100000, 8}},
        {"entries/x009/x223/x372/x036/x854/x775/807.p/255", {true, 0, INT64_MAX, 255}},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tile found;
        const struct tile *tile = &cases[i].tile;
        assert_int_equal(tile_parse(cases[i].text, strlen(cases[i].text), &found, NULL), 0);
        assert_int_equal(found.entries, tile->entries);
        assert_int_equal(found.level, tile->level);
        assert_int_equal(found.n, tile->n);
        assert_int_equal(found.width, tile->width);
        assert_string_equal(tile_format(tile).text, cases[i].text);
    }
}

static void other_paths_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "0",
        "0/",
        "/000",
        "0/0",
        "0/00",
        "0/0000",
        "0/x000",
        "0/x000/001", /* 001 has no group in front */
        "0/x00/001",
        "0/x0001/001",
        "0/001/001",
        "0/X001/001",
        "0/x001",
        "0/x001/",
        "0/x001//001",
        "0/x001/x001",
        "0/x001/001/",
        "0/000/",
        "0/000.p",
        "0/000.p/",
        "0/000.p/0",
        "0/000.p/256",
        "0/000.p/257",
        "0/000.p/01",
        "0/000.p/1000",
        "0/000.p/1/",
        "0/000.p/-1",
        "0/000.p/ 1",
        "0/000.P/1",
        "0/000 ",
        " 0/000",
        "00/000",
        "01/000",
        "64/000",
        "100/000",
        "-1/000",
        "0/-01",
        "0/+01",
        "0/0\n1",
        "0//000",
        "entries",
        "entries/",
        "Entries/000",
        "entries/0/000",
        "entries/000.p/256",
        "0/x009/x223/x372/x036/x854/x775/808",      /* 2^63 */
        "0/x018/x446/x744/x073/x709/x551/616",      /* 2^64 */
        "0/x001/x000/x000/x000/x000/x000/x000/000", /* 10^21 */
    };
    struct tile tile = {.n = 42};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct fault fault = {.code = FAULT_NONE};
        assert_int_equal(tile_parse(bad[i], strlen(bad[i]), &tile, &fault), -1);
        assert_int_equal(fault.code, FAULT_MALFORMED_REQUEST);
    }
    assert_int_equal(tile_parse("0/000\0", 6, &tile, NULL), -1);
    assert_int_equal(tile.n, 42);
}

/* The example of the specification: a tree of 70,000. */
static void widths_are_those_of_the_specification(void **state)
{
    (void)state;
    const uint64_t size = 70000;
    assert_int_equal(tile_full(0, size), 273);
    assert_int_equal(tile_full(1, size), 1);
    assert_int_equal(tile_full(2, size), 0);
    assert_int_equal(tile_width(0, 272, size), 256);
    assert_int_equal(tile_width(0, 273, size), 112);
    assert_int_equal(tile_width(0, 274, size), 0);
    assert_int_equal(tile_width(1, 0, size), 256);
    assert_int_equal(tile_width(1, 1, size), 17);
    assert_int_equal(tile_width(2, 0, size), 1);
    assert_int_equal(tile_width(2, 1, size), 0);
    assert_int_equal(tile_width(3, 0, size), 0);
    assert_int_equal(tile_width(0, 0, 256), 256);
    assert_int_equal(tile_width(0, 1, 256), 0);
    assert_int_equal(tile_width(1, 0, 256), 1);
    assert_int_equal(tile_width(0, 0, 0), 0);
}

static void widths_reach_to_the_largest_tree(void **state)
{
    (void)state;
    assert_int_equal(tile_full(6, INT64_MAX), 127);
    assert_int_equal(tile_full(7, INT64_MAX), 0);
    assert_int_equal(tile_width(7, 0, INT64_MAX), 127);
    assert_int_equal(tile_width(7, 1, INT64_MAX), 0);
    assert_int_equal(tile_width(8, 0, INT64_MAX), 0);
    assert_int_equal(tile_width(63, 0, UINT64_MAX), 0);
    assert_int_equal(tile_full(0, INT64_MAX), INT64_MAX / 256);
    assert_int_equal(tile_width(0, INT64_MAX / 256, INT64_MAX), 255);
    assert_int_equal(tile_width(0, UINT64_MAX, INT64_MAX), 0);
}

static void folds_are_subtree_roots(void **state)
{
    (void)state;
    struct digest hashes[TILE_WIDTH];
    for (size_t i = 0; i < TILE_WIDTH; i++)
        hashes[i] = reference_entry_leaf(i);
    for (unsigned height = 0; height <= TILE_HEIGHT; height++)
        assert_digest(tile_fold(hashes, height), reference_root(hashes, (size_t)1 << height));
}

static void tiles_have_exactly_their_bytes(void **state)
{
    (void)state;
    uint8_t bytes[257 * DIGEST_LEN];
    memset(bytes, 7, sizeof bytes);
    struct digest hashes[TILE_WIDTH];
    for (unsigned width = 0; width <= 257; width++)
        for (int off = -1; off <= 1; off++) {
            size_t len = (size_t)width * DIGEST_LEN;
            if (off < 0 && len == 0)
                continue;
            len = off < 0 ? len - 1 : len + (size_t)off;
            struct span span = span_of(bytes, len > sizeof bytes ? sizeof bytes : len);
            bool good = off == 0 && width >= 1 && width <= 256;
            assert_int_equal(tile_decode(span, width, hashes, NULL), good ? 0 : -1);
        }
    assert_int_equal(hashes[255].bytes[31], 7);
}

static void bundles_go_both_ways(void **state)
{
    (void)state;
    for (unsigned width = 1; width <= TILE_WIDTH; width += 51) {
        AUTO_BUF struct buf bytes = BUF(TILE_WIDTH * TILE_BUNDLE_ENTRY_LEN);
        for (unsigned i = 0; i < width; i++) {
            struct digest entry = reference_entry(i);
            tile_bundle_append(&bytes, &entry);
        }
        assert_false(buf_failed(&bytes));
        assert_memory_equal(bytes.data, "\x00\x20", 2);
        struct digest entries[TILE_WIDTH];
        assert_int_equal(tile_bundle_decode(buf_span(&bytes), width, entries, NULL), 0);
        for (unsigned i = 0; i < width; i++)
            assert_digest(entries[i], reference_entry(i));
    }
}

static void other_bundles_are_refused(void **state)
{
    (void)state;
    AUTO_BUF struct buf bytes = BUF(4096);
    struct digest entry = reference_entry(1);
    tile_bundle_append(&bytes, &entry);
    tile_bundle_append(&bytes, &entry);
    struct digest entries[TILE_WIDTH] = {entry};
    for (size_t len = 0; len <= bytes.len; len++)
        for (unsigned width = 0; width <= 3; width++) {
            struct fault fault = {.code = FAULT_NONE};
            bool good = width > 0 && width < 3 && len == (size_t)width * TILE_BUNDLE_ENTRY_LEN;
            assert_int_equal(
                tile_bundle_decode(span_of(bytes.data, len), width, entries, good ? NULL : &fault),
                good ? 0 : -1);
            assert_int_equal(fault.code, good ? FAULT_NONE : FAULT_MALFORMED_REQUEST);
        }
    /* Lengths that add up, but are not 32 each. */
    bytes.data[1] = 31;
    assert_int_equal(tile_bundle_decode(buf_span(&bytes), 2, entries, NULL), -1);
    bytes.data[1] = 32;
    bytes.data[TILE_BUNDLE_ENTRY_LEN] = 1;
    assert_int_equal(tile_bundle_decode(buf_span(&bytes), 2, entries, NULL), -1);
    assert_int_equal(
        tile_bundle_decode(span_of(bytes.data, TILE_BUNDLE_ENTRY_LEN), 1, entries, NULL), 0);
}

/* What the edge hands out, in order; compared with the definition. */
struct collected {
    size_t count;
    struct tile tiles[600];
    struct digest roots[600];
};

static int collect(void *context, const struct tile *tile, const struct digest *hashes,
                   const struct digest *root, struct fault *fault)
{
    (void)fault;
    struct collected *collected = context;
    assert_true(collected->count < ARRAY_LEN(collected->tiles));
    collected->tiles[collected->count] = *tile;
    struct digest folded = tile_fold(hashes, TILE_HEIGHT);
    assert_digest(*root, folded);
    collected->roots[collected->count++] = folded;
    return 0;
}

static void the_edge_hands_out_each_tile_as_it_fills(void **state)
{
    (void)state;
    const uint64_t size = 70000;
    AUTO_FREE struct tile_edge *edge = calloc(1, sizeof *edge);
    AUTO_FREE struct collected *collected = calloc(1, sizeof *collected);
    AUTO_FREE struct digest *leaves = calloc(size, sizeof *leaves);
    if (edge == NULL || collected == NULL || leaves == NULL) {
        fail_msg("out of memory");
        return;
    }
    for (uint64_t i = 0; i < size; i++) {
        leaves[i] = reference_entry_leaf(i);
        size_t before = collected->count;
        assert_int_equal(tile_edge_append(edge, &leaves[i], collect, collected, NULL), 0);
        size_t expected = 0;
        for (unsigned level = 0; level < TILE_LEVELS; level++)
            expected += tile_full(level, i + 1) - tile_full(level, i);
        assert_int_equal(collected->count - before, expected);
    }
    assert_int_equal(edge->size, size);
    assert_int_equal(collected->count, 274);
    for (size_t i = 0; i < collected->count; i++) {
        const struct tile *tile = &collected->tiles[i];
        uint64_t span = (uint64_t)1 << (TILE_HEIGHT * (tile->level + 1));
        assert_int_equal(tile->width, TILE_WIDTH);
        assert_digest(collected->roots[i], reference_root(leaves + tile->n * span, span));
    }
    assert_int_equal(collected->tiles[255].level, 0);
    assert_int_equal(collected->tiles[255].n, 255);
    assert_int_equal(collected->tiles[256].level, 1);
    assert_int_equal(collected->tiles[256].n, 0);
    for (unsigned level = 0; level < TILE_LEVELS; level++)
        assert_int_equal(tile_edge_width(edge, level),
                         tile_width(level, tile_full(level, size), size));
    assert_digest(edge->hashes[0][111], leaves[size - 1]);
    assert_digest(edge->hashes[1][16], reference_root(leaves + 272 * 256, 256));
    assert_digest(edge->hashes[2][0], reference_root(leaves, 65536));
}

static int refuse(void *context, const struct tile *tile, const struct digest *hashes,
                  const struct digest *root, struct fault *fault)
{
    (void)context;
    (void)tile;
    (void)hashes;
    (void)root;
    return fault_set(fault, FAULT_UNAVAILABLE, "no");
}

static void a_failure_of_the_taker_is_passed_on(void **state)
{
    (void)state;
    AUTO_FREE struct tile_edge *edge = calloc(1, sizeof *edge);
    struct digest leaf = reference_entry_leaf(0);
    struct fault fault = {.code = FAULT_NONE};
    for (int i = 0; i < 255; i++)
        assert_int_equal(tile_edge_append(edge, &leaf, refuse, NULL, NULL), 0);
    assert_int_equal(tile_edge_append(edge, &leaf, refuse, NULL, &fault), -1);
    assert_int_equal(fault.code, FAULT_UNAVAILABLE);
    edge->size = MERKLE_SIZE_MAX;
    assert_int_equal(tile_edge_append(edge, &leaf, refuse, NULL, &fault), -1);
    assert_int_equal(fault.code, FAULT_TOO_LARGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_go_both_ways),
        cmocka_unit_test(other_paths_are_refused),
        cmocka_unit_test(widths_are_those_of_the_specification),
        cmocka_unit_test(widths_reach_to_the_largest_tree),
        cmocka_unit_test(folds_are_subtree_roots),
        cmocka_unit_test(tiles_have_exactly_their_bytes),
        cmocka_unit_test(bundles_go_both_ways),
        cmocka_unit_test(other_bundles_are_refused),
        cmocka_unit_test(the_edge_hands_out_each_tile_as_it_fills),
        cmocka_unit_test(a_failure_of_the_taker_is_passed_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
