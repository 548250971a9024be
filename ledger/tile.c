/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/tile.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define ENTRIES "entries/"
#define PARTIAL ".p/"

static int malformed(struct fault *fault)
{
    return fault_set(fault, FAULT_MALFORMED_REQUEST,
                     "tile: expected <level 0-63>/<index> or entries/<index>, the index in groups "
                     "of three digits (x001/067), with .p/<width 1-255> where partial");
}

static bool take_prefix(struct span *rest, const char *prefix)
{
    size_t len = strlen(prefix);
    if (rest->len < len || memcmp(rest->data, prefix, len) != 0)
        return false;
    rest->data += len;
    rest->len -= len;
    return true;
}

/* A decimal of one to three digits without leading zeros. */
static bool take_small(struct span *rest, unsigned *ret_value)
{
    unsigned value = 0;
    size_t digits = 0;
    while (digits < rest->len && digits < 3 && rest->data[digits] >= '0' &&
           rest->data[digits] <= '9')
        value = value * 10 + (rest->data[digits++] - '0');
    if (digits == 0 || (digits > 1 && rest->data[0] == '0'))
        return false;
    rest->data += digits;
    rest->len -= digits;
    *ret_value = value;
    return true;
}

/* Exactly three digits. */
static bool take_group(struct span *rest, unsigned *ret_value)
{
    if (rest->len < 3)
        return false;
    unsigned value = 0;
    for (size_t i = 0; i < 3; i++) {
        if (rest->data[i] < '0' || rest->data[i] > '9')
            return false;
        value = value * 10 + (rest->data[i] - '0');
    }
    rest->data += 3;
    rest->len -= 3;
    *ret_value = value;
    return true;
}

/* `x001/x234/067`: every group but the last is marked, and the first of several is not zero. */
static bool take_index(struct span *rest, uint64_t *ret_index)
{
    uint64_t index = 0;
    for (bool first = true;; first = false) {
        bool more = take_prefix(rest, "x");
        unsigned group;
        if (!take_group(rest, &group) || (more && !take_prefix(rest, "/")))
            return false;
        if (more && first && group == 0)
            return false;
        if (index > (MERKLE_SIZE_MAX - group) / 1000)
            return false;
        index = index * 1000 + group;
        if (!more) {
            *ret_index = index;
            return true;
        }
    }
}

int tile_parse(const char *text, size_t len, struct tile *ret_tile, struct fault *fault)
{
    struct span rest = span_of(text, len);
    struct tile tile = {.width = TILE_WIDTH};
    tile.entries = take_prefix(&rest, ENTRIES);
    if (!tile.entries && (!take_small(&rest, &tile.level) || tile.level > TILE_LEVEL_MAX ||
                          !take_prefix(&rest, "/")))
        return malformed(fault);
    if (!take_index(&rest, &tile.n))
        return malformed(fault);
    if (take_prefix(&rest, PARTIAL) &&
        (!take_small(&rest, &tile.width) || tile.width == 0 || tile.width >= TILE_WIDTH))
        return malformed(fault);
    if (rest.len != 0)
        return malformed(fault);
    *ret_tile = tile;
    return 0;
}

struct tile_path tile_format(const struct tile *tile)
{
    struct tile_path path;
    char index[7 * 5 + 1];
    size_t at = sizeof index - 1;
    index[at] = '\0';
    /* from the last group to the first; 2^63 has seven */
    for (uint64_t n = tile->n, groups = 0; groups == 0 || n > 0; n /= 1000, groups++) {
        char group[8];
        int len =
            snprintf(group, sizeof group, groups == 0 ? "%03u" : "x%03u/", (unsigned)(n % 1000));
        at -= (size_t)len;
        memcpy(index + at, group, (size_t)len);
    }
    char level[16] = ENTRIES;
    if (!tile->entries)
        (void)snprintf(level, sizeof level, "%u/", tile->level % (TILE_LEVEL_MAX + 1));
    char partial[8] = "";
    if (tile->width < TILE_WIDTH)
        (void)snprintf(partial, sizeof partial, PARTIAL "%u", tile->width % TILE_WIDTH);
    (void)snprintf(path.text, sizeof path.text, "%s%s%s", level, index + at, partial);
    return path;
}

uint64_t tile_full(unsigned level, uint64_t size)
{
    return level < TILE_LEVELS - 1 ? size >> (TILE_HEIGHT * (level + 1)) : 0;
}

unsigned tile_width(unsigned level, uint64_t n, uint64_t size)
{
    if (level >= TILE_LEVELS)
        return 0;
    uint64_t full = tile_full(level, size);
    if (n != full)
        return n < full ? TILE_WIDTH : 0;
    return (unsigned)((size >> (TILE_HEIGHT * level)) % TILE_WIDTH);
}

struct digest tile_fold(const struct digest *hashes, unsigned height)
{
    if (height == 0)
        return hashes[0];
    struct digest level[TILE_WIDTH / 2];
    size_t count = (size_t)1 << (height - 1);
    for (size_t i = 0; i < count; i++)
        level[i] = merkle_node(&hashes[2 * i], &hashes[2 * i + 1]);
    while (count > 1) {
        count /= 2;
        for (size_t i = 0; i < count; i++)
            level[i] = merkle_node(&level[2 * i], &level[2 * i + 1]);
    }
    return level[0];
}

int tile_decode(struct span bytes, unsigned width, struct digest *ret_hashes, struct fault *fault)
{
    if (width < 1 || width > TILE_WIDTH || bytes.len != (size_t)width * DIGEST_LEN)
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "tile: expected %u hashes of %d bytes, found %zu bytes", width, DIGEST_LEN,
                         bytes.len);
    memcpy(ret_hashes, bytes.data, bytes.len);
    return 0;
}

void tile_bundle_append(struct buf *buf, const struct digest *entry)
{
    uint8_t bytes[TILE_BUNDLE_ENTRY_LEN] = {DIGEST_LEN >> 8, DIGEST_LEN & 0xff};
    memcpy(bytes + 2, entry->bytes, DIGEST_LEN);
    buf_append(buf, bytes, sizeof bytes);
}

int tile_bundle_decode(struct span bytes, unsigned width, struct digest *ret_entries,
                       struct fault *fault)
{
    if (width < 1 || width > TILE_WIDTH || bytes.len != (size_t)width * TILE_BUNDLE_ENTRY_LEN)
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "entry bundle: expected %u entries of %d bytes, found %zu bytes", width,
                         TILE_BUNDLE_ENTRY_LEN, bytes.len);
    for (unsigned i = 0; i < width; i++) {
        const uint8_t *entry = bytes.data + (size_t)i * TILE_BUNDLE_ENTRY_LEN;
        if ((entry[0] << 8 | entry[1]) != DIGEST_LEN)
            return fault_set(fault, FAULT_MALFORMED_REQUEST,
                             "entry bundle: entry %u is not %d bytes long", i, DIGEST_LEN);
    }
    for (unsigned i = 0; i < width; i++)
        memcpy(ret_entries[i].bytes, bytes.data + (size_t)i * TILE_BUNDLE_ENTRY_LEN + 2,
               DIGEST_LEN);
    return 0;
}

unsigned tile_edge_width(const struct tile_edge *edge, unsigned level)
{
    return level < TILE_LEVELS ? (unsigned)(edge->size >> (TILE_HEIGHT * level)) % TILE_WIDTH : 0;
}

int tile_edge_append(struct tile_edge *edge, const struct digest *leaf, tile_full_fn *full,
                     void *context, struct fault *fault)
{
    if (edge->size >= MERKLE_SIZE_MAX)
        return fault_set(fault, FAULT_TOO_LARGE, "a tree has no room for more than 2^63-1 leaves");
    struct digest hash = *leaf;
    for (unsigned level = 0; level < TILE_LEVELS; level++) {
        unsigned width = tile_edge_width(edge, level);
        edge->hashes[level][width] = hash;
        if (width + 1 < TILE_WIDTH)
            break;
        struct tile tile = {.level = level, .n = tile_full(level, edge->size), .width = TILE_WIDTH};
        hash = tile_fold(edge->hashes[level], TILE_HEIGHT);
        if (full(context, &tile, edge->hashes[level], &hash, fault) != 0)
            return -1;
    }
    edge->size++;
    return 0;
}
