/* SPDX-License-Identifier: Apache-2.0 */
/* A small signed log of a test's own: its events, checkpoints, receipts and consistency proofs,
 * made from the whole tree in memory. */
#pragma once

#include "base/encode.h"
#include "ledger/proof.h"
#include "ledger/receipt.h"
#include "tests/unit/cli/fixture.h"

#define LOG_ORIGIN "ledger.test/cli"
#define LOG_EVENTS 200 /* one tile: all leaves are at hand */

struct test_log {
    char events[LOG_EVENTS][160];
    struct digest entries[LOG_EVENTS], leaves[LOG_EVENTS];
    struct note_signer *signer;
};

static inline struct note_signer *log_signer(uint8_t seed_byte)
{
    uint8_t seed[NOTE_SEED_LEN];
    struct note_signer *signer = NULL;
    memset(seed, seed_byte, sizeof seed);
    assert_int_equal(note_signer_new(LOG_ORIGIN, seed, &signer, NULL), 0);
    return signer;
}

static inline struct test_log *log_new(void)
{
    struct test_log *log = calloc(1, sizeof *log);
    assert_non_null(log);
    for (size_t i = 0; i < LOG_EVENTS; i++) {
        (void)snprintf(log->events[i], sizeof log->events[i],
                       "{\"specversion\":\"1.0\",\"id\":\"01985f2e-5c10-7b11-9d6e-2f3a44d0c%03zx\","
                       "\"type\":\"test\"}",
                       i);
        log->entries[i] = digest_of(log->events[i], strlen(log->events[i]));
        log->leaves[i] = merkle_entry_leaf(&log->entries[i]);
    }
    log->signer = log_signer(1);
    return log;
}

static inline void log_free(struct test_log **log)
{
    if (*log != NULL)
        note_signer_free((*log)->signer);
    free(*log);
}
#define AUTO_LOG AUTO(log_free)

static inline int log_tile(void *context, const struct tile *tile, struct digest *ret_hashes,
                           struct fault *fault)
{
    const struct test_log *log = context;
    (void)fault;
    assert_true(tile->level == 0 && tile->n == 0);
    memcpy(ret_hashes, log->leaves, tile->width * sizeof ret_hashes[0]);
    return 0;
}

static inline void log_checkpoint(struct test_log *log, uint64_t size,
                                  const struct note_signer *signer, struct buf *ret_note)
{
    struct merkle_range range = {0};
    struct checkpoint checkpoint;
    assert_int_equal(merkle_range_append_many(&range, log->leaves, size, NULL), 0);
    struct digest root = merkle_range_root(&range);
    assert_int_equal(checkpoint_init(&checkpoint, LOG_ORIGIN, size, &root, NULL), 0);
    assert_int_equal(checkpoint_sign(&checkpoint, &signer, 1, ret_note, NULL), 0);
}

static inline void log_receipt(struct test_log *log, uint64_t index, uint64_t size,
                               struct buf *ret_text)
{
    const struct proof_source source = {.tile = log_tile, .context = log};
    struct merkle_proof proof;
    AUTO_BUF struct buf note = BUF(NOTE_MAX);
    log_checkpoint(log, size, log->signer, &note);
    assert_int_equal(proof_inclusion(&source, index, size, &proof, NULL), 0);
    assert_int_equal(receipt_format(index, &proof, buf_span(&note), ret_text, NULL), 0);
}

/* As GET /v1/ledger/proof answers. */
static inline void log_consistency(struct test_log *log, uint64_t from, uint64_t to,
                                   struct buf *ret_text)
{
    const struct proof_source source = {.tile = log_tile, .context = log};
    struct merkle_proof proof;
    assert_int_equal(proof_consistency(&source, from, to, &proof, NULL), 0);
    buf_printf(ret_text, "{\"from\":%d,\"to\":%d,\"hashes\":[", (int)from, (int)to);
    for (size_t i = 0; i < proof.count; i++) {
        buf_puts(ret_text, i == 0 ? "\"" : ",\"");
        base64_encode(ret_text, proof.hashes[i].bytes, DIGEST_LEN);
        buf_puts(ret_text, "\"");
    }
    buf_puts(ret_text, "],\"checkpoint\":null}");
}

static inline const char *log_vkey(const struct fixture *fixture, const char *name,
                                   const struct note_signer *signer)
{
    AUTO_BUF struct buf vkey = BUF(1024);
    note_verifier_format(note_signer_verifier(signer), &vkey);
    buf_puts(&vkey, "\n");
    return fixture_file(fixture, name, vkey.data, vkey.len, 0644);
}
