/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ledger's tables, read: head, entries, tiles, checkpoints, places of events, and how the
 * ledger process fares. Whoever may write them does so through storage/ledger_lease.h and
 * storage/ledger_batch.h.
 *
 * Faults besides those of storage/pg.h: FAULT_CONTENT_MISMATCH where the rows contradict each
 * other (a gap, a frontier that is none): somebody has edited them. It is never the caller's
 * mistake: a handler answers it as an internal error.
 */
#pragma once

#include "ledger/note.h"
#include "ledger/proof.h"
#include "storage/pg.h"

/* The most entries one call of ledger_entries_read() reads. */
#define LEDGER_ENTRIES_MAX 65536
#define LEDGER_HOLDER_MAX 200
#define LEDGER_PROBLEM_MAX 500
/* Events that wait longer than this for their place or their checkpoint close admission. */
#define LEDGER_WAIT_MAX_MS 60000

/* The tree after a batch. The empty log has size 0, the empty tree's root and epoch 0. */
struct ledger_head {
    uint64_t size;
    uint64_t prev_size;
    int64_t epoch;
    struct digest root;
    struct merkle_range range; /* the row's frontier; its root need not be `root`: compare */
    uint64_t entries;          /* entry rows, by the greatest index: should be size */
};

/* The last batch, and the number of entries at the same moment. */
int ledger_head_read(struct pg *pg, struct ledger_head *ret_head, struct fault *fault) MUST_CHECK;
/* The batch that ended at this size (`entries` is left 0); FAULT_NOT_FOUND if none did: none ends
 * at 0. */
int ledger_head_read_at(struct pg *pg, uint64_t size, struct ledger_head *ret_head,
                        struct fault *fault) MUST_CHECK;

/* The batches that end in (from, to], in their order, at most `max`, into ret_heads (`entries` is
 * left 0). */
int ledger_heads_read(struct pg *pg, uint64_t from, uint64_t to, size_t max,
                      struct ledger_head *ret_heads, size_t *ret_count,
                      struct fault *fault) MUST_CHECK;

/* Are root and frontier of the head those of the tree that its entries make? FAULT_CONTENT_MISMATCH
 * says how they disagree. Pure. */
int ledger_head_check(const struct ledger_head *head, const struct merkle_range *computed,
                      struct fault *fault) MUST_CHECK;

/* Entries [from, to), at most LEDGER_ENTRIES_MAX, into ret_entries, which has room for them.
 * These are the entries themselves (SHA-256 of events), not their leaf hashes. */
int ledger_entries_read(struct pg *pg, uint64_t from, uint64_t to, struct digest *ret_entries,
                        struct fault *fault) MUST_CHECK;

/* The first tile->width hashes of a tile (not of an entry bundle): the stored row of a full one,
 * else from the entries or the tiles' roots below, by one short read. The caller has checked the
 * tile against a size with tile_width(). Recorded roots are believed: what is made of them is
 * proven against a checkpoint, here or by whoever gets it. */
int ledger_tile_read(struct pg *pg, const struct tile *tile, struct digest *ret_hashes,
                     struct fault *fault) MUST_CHECK;

/* The unfinished tiles of the tree of the first `size` entries (64 KiB). Made of hashes, not of
 * recorded roots, with which they are compared: up to 255 full tiles a level are read. */
int ledger_edge_read(struct pg *pg, uint64_t size, struct tile_edge *ret_edge,
                     struct fault *fault) MUST_CHECK;

/* The newest checkpoint; ret_note, which may be NULL, gets its signed note appended.
 * FAULT_NOT_FOUND before the first. */
int ledger_checkpoint_latest(struct pg *pg, uint64_t *ret_size, struct digest *ret_root,
                             struct buf *ret_note, struct fault *fault) MUST_CHECK;
/* Appends a note's text that a statement gave. */
int ledger_note_append(struct buf *ret_note, struct span note, struct fault *fault) MUST_CHECK;
/* The signed note of that size, appended. FAULT_NOT_FOUND if no tree of it was signed. */
int ledger_checkpoint_read_at(struct pg *pg, uint64_t size, struct buf *ret_note,
                              struct fault *fault) MUST_CHECK;
/* Publishes a checkpoint as the leader of this epoch. *ret_led is false, and nothing stored, if
 * another has taken over. One of the same size and root that is there already is success, of
 * another root FAULT_CONTENT_MISMATCH. For the ledger process only. */
int ledger_checkpoint_put(struct pg *pg, int64_t epoch, uint64_t size, const struct digest *root,
                          struct span note, bool *ret_led, struct fault *fault) MUST_CHECK;

/* The places of `count` events, at most 1024: *(ret_indexes + i) is the index of ids[i], or -1
 * while it has none. With a tenant, events of others have none either (those of the log itself are
 * nobody's other); NULL: of any. */
int ledger_places_read(struct pg *pg, const char *tenant, const struct uuid *ids, size_t count,
                       int64_t *ret_indexes, struct fault *fault) MUST_CHECK;

/* How the ledger process fares. Ages are in milliseconds by the database's clock; -1: nothing
 * waits. */
struct ledger_status {
    int64_t epoch;
    bool held;                            /* somebody holds the lease now */
    char holder[LEDGER_HOLDER_MAX + 1];   /* "" if nobody does */
    int64_t updated_ms;                   /* wall clock of its last sign of life */
    char problem[LEDGER_PROBLEM_MAX + 1]; /* why it has stopped; "" while it has not */
    int64_t pending_age_ms;               /* of the event that has waited longest for a place */
    int64_t unsigned_age_ms;              /* of the oldest batch that no checkpoint covers */
    uint64_t size;                        /* of the last batch */
    uint64_t checkpoint_size;
};
int ledger_status_read(struct pg *pg, struct ledger_status *ret_status,
                       struct fault *fault) MUST_CHECK;
/* May more events be admitted? FAULT_UNAVAILABLE with the reason if the ledger has stopped, or
 * events have waited for LEDGER_WAIT_MAX_MS. Pure. */
int ledger_status_check(const struct ledger_status *status, struct fault *fault) MUST_CHECK;
