/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger's arithmetic on one thread: appending, proving and verifying in a log of 1,048,576
 * entries, signing and opening its checkpoint, and the whole of an offline audit over events
 * of 1.5 KiB, beside the bare SHA-256 calls that each amounts to.
 */
#include "ledger/audit.h"
#include "ledger/proof.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define ENTRIES ((uint64_t)1 << 20)
#define EVENT_LEN 1536
#define AUDIT_LINES 200000
#define PROOFS 20000
#define NOTES 5000

static double seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void report(const char *what, uint64_t count, double since)
{
    double took = seconds() - since;
    printf("%-36s %10.0f/s  %8.2f us each\n", what, (double)count / took,
           took * 1e6 / (double)count);
}

static void must(int status, const struct fault *fault)
{
    if (status == 0)
        return;
    (void)fprintf(stderr, "bench: %s\n", fault->detail);
    exit(1);
}

static struct digest entry_of(uint64_t i)
{
    return digest_of(&i, sizeof i);
}

/* All full tiles of the log, as the database has them, and the unfinished ones. */
struct log {
    struct tile_edge edge;
    struct digest *levels[TILE_LEVELS];
};

static int log_keep(void *context, const struct tile *tile, const struct digest *hashes,
                    const struct digest *root, struct fault *fault)
{
    (void)root;
    (void)fault;
    struct log *log = context;
    memcpy(log->levels[tile->level] + tile->n * TILE_WIDTH, hashes, TILE_WIDTH * sizeof *hashes);
    return 0;
}

static int log_tile(void *context, const struct tile *tile, struct digest *ret_hashes,
                    struct fault *fault)
{
    (void)fault;
    struct log *log = context;
    const struct digest *hashes = tile->n < tile_full(tile->level, log->edge.size)
                                      ? log->levels[tile->level] + tile->n * TILE_WIDTH
                                      : log->edge.hashes[tile->level];
    memcpy(ret_hashes, hashes, tile->width * sizeof *hashes);
    return 0;
}

static struct log *log_fill(void)
{
    struct fault fault;
    struct log *log = calloc(1, sizeof *log);
    for (unsigned level = 0; log != NULL && level < TILE_LEVELS; level++) {
        log->levels[level] = calloc((ENTRIES >> (TILE_HEIGHT * level)) + 1, sizeof(struct digest));
        if (log->levels[level] == NULL)
            exit(1);
    }
    if (log == NULL)
        exit(1);
    double since = seconds();
    for (uint64_t i = 0; i < ENTRIES; i++) {
        struct digest entry = entry_of(i);
        struct digest leaf = merkle_entry_leaf(&entry);
        must(tile_edge_append(&log->edge, &leaf, log_keep, log, &fault), &fault);
    }
    report("append to tiles (entry, leaf, nodes)", ENTRIES, since);
    return log;
}

static void log_free(struct log *log)
{
    for (unsigned level = 0; level < TILE_LEVELS; level++)
        free(log->levels[level]);
    free(log);
}

static void bench_hash(void)
{
    uint8_t bytes[65] = {0};
    double since = seconds();
    for (uint64_t i = 0; i < ENTRIES; i++)
        bytes[0] = digest_of(bytes, sizeof bytes).bytes[0];
    report("bare SHA-256 of 65 bytes", ENTRIES, since);
}

static void bench_range(void)
{
    struct fault fault;
    struct merkle_range range = {.size = 0};
    struct digest leaf = entry_of(0);
    double since = seconds();
    for (uint64_t i = 0; i < ENTRIES; i++)
        must(merkle_range_append(&range, &leaf, &fault), &fault);
    report("append to a compact range (nodes)", ENTRIES, since);
}

static void bench_proofs(struct log *log)
{
    struct fault fault;
    struct proof_source source = {.tile = log_tile, .context = log};
    struct merkle_range range;
    must(proof_range(&source, ENTRIES, &range, &fault), &fault);
    struct digest root = merkle_range_root(&range);
    struct merkle_proof proof;
    double since = seconds();
    for (uint64_t i = 0; i < PROOFS; i++)
        must(proof_inclusion(&source, i * 7919 % ENTRIES, ENTRIES, &proof, &fault), &fault);
    report("make an inclusion proof", PROOFS, since);
    must(proof_inclusion(&source, 12345, ENTRIES, &proof, &fault), &fault);
    struct digest entry = entry_of(12345);
    struct digest leaf = merkle_entry_leaf(&entry);
    since = seconds();
    for (uint64_t i = 0; i < PROOFS; i++)
        must(merkle_inclusion_verify(12345, ENTRIES, &leaf, &proof, &root, &fault), &fault);
    report("verify an inclusion proof", PROOFS, since);
    since = seconds();
    for (uint64_t i = 0; i < PROOFS; i++)
        must(proof_consistency(&source, 1 + i * 7919 % ENTRIES, ENTRIES, &proof, &fault), &fault);
    report("make a consistency proof", PROOFS, since);
}

static void bench_checkpoint(void)
{
    static const uint8_t seed[NOTE_SEED_LEN] = {1};
    struct fault fault;
    AUTO_NOTE_SIGNER struct note_signer *signer = NULL;
    must(note_signer_new("example.org/bench", seed, &signer, &fault), &fault);
    const struct note_signer *signers[] = {signer};
    struct digest root = entry_of(1);
    struct checkpoint checkpoint;
    must(checkpoint_init(&checkpoint, "example.org/bench", ENTRIES, &root, &fault), &fault);
    AUTO_BUF struct buf note = BUF(NOTE_MAX);
    double since = seconds();
    for (uint64_t i = 0; i < NOTES; i++) {
        buf_reset(&note);
        must(checkpoint_sign(&checkpoint, signers, 1, &note, &fault), &fault);
    }
    report("sign a checkpoint", NOTES, since);
    since = seconds();
    for (uint64_t i = 0; i < NOTES; i++)
        must(checkpoint_open(buf_span(&note), "example.org/bench", note_signer_verifier(signer), 1,
                             &checkpoint, &fault),
             &fault);
    report("open a checkpoint", NOTES, since);
}

static void bench_audit(void)
{
    struct fault fault;
    char line[EVENT_LEN];
    memset(line, 'x', sizeof line);
    line[0] = '{';
    line[sizeof line - 1] = '}';
    double since = seconds();
    for (uint64_t i = 0; i < AUDIT_LINES; i++)
        line[1] = (char)digest_of(line, sizeof line).bytes[0];
    report("bare SHA-256 of 1,536 bytes", AUDIT_LINES, since);
    AUTO_AUDIT struct audit *audit = NULL;
    must(audit_new(&audit, &fault), &fault);
    since = seconds();
    for (uint64_t i = 0; i < AUDIT_LINES; i++) {
        memcpy(line + 1, &i, sizeof i);
        must(audit_line(audit, span_of(line, sizeof line), NULL, &fault), &fault);
    }
    report("audit a line of 1,536 bytes", AUDIT_LINES, since);
    struct digest_text hash = digest_format(&(struct digest){.bytes = {1}});
    since = seconds();
    for (uint64_t i = 0; i < AUDIT_LINES; i++)
        must(audit_line(audit, span_text(hash.text), NULL, &fault), &fault);
    report("audit a line sha256:<hex>", AUDIT_LINES, since);
}

int main(void)
{
    bench_hash();
    bench_range();
    struct log *log = log_fill();
    bench_proofs(log);
    log_free(log);
    bench_checkpoint();
    bench_audit();
    return 0;
}
