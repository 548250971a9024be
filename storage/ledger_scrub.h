/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a scrub compares, read in bounded pieces (migrations/: ledger_scrub(), event_places()): the
 * database hashes the bodies again, the ledger's role sees hashes only. Faults as in
 * storage/ledger.h: FAULT_CONTENT_MISMATCH says which rows contradict each other.
 */
#pragma once

#include "storage/ledger.h"

/* The most entries, events, batches or checkpoints of one call: a full tile's worth. */
#define LEDGER_SCRUB_MAX TILE_WIDTH

/* Settings of a scrub's session, once a connection (pg_session()). */
int ledger_scrub_session(struct pg *pg, struct fault *fault) MUST_CHECK;

/* Entries from `from` on, below `to` (which is greater), at most LEDGER_SCRUB_MAX and at least one:
 * fewer where their bodies are large. Each is given back once it was seen to be the hash recorded
 * with its event, and that the hash of the event's bytes (of one that has expired only the former),
 * both of one tenant. */
int ledger_scrub_entries(struct pg *pg, uint64_t from, uint64_t to, struct digest *ret_entries,
                         size_t *ret_count, struct fault *fault) MUST_CHECK;

/* A full tile's row must have these hashes, and this root where it records one. */
int ledger_scrub_tile(struct pg *pg, const struct tile *tile, const struct digest *hashes,
                      const struct digest *root, struct fault *fault) MUST_CHECK;

/* A published checkpoint: what its row says. */
struct ledger_mark {
    uint64_t size;
    struct digest root;
};

/* The checkpoints of sizes in (from, to], in their order, at most LEDGER_SCRUB_MAX. Each row has
 * been compared with the text of its note; whose signature that is the signer asks, not this. */
int ledger_scrub_checkpoints(struct pg *pg, uint64_t from, uint64_t to,
                             struct ledger_mark *ret_marks, size_t *ret_count,
                             struct fault *fault) MUST_CHECK;

/* A walk over all events by their ids. */
struct ledger_walk {
    bool begun;
    struct uuid after, upto;
};

/* Begins one that ends with the greatest id there is now, however many come meanwhile. */
int ledger_walk_begin(struct pg *pg, struct ledger_walk *ret_walk, struct fault *fault) MUST_CHECK;
/* The next events, at most LEDGER_SCRUB_MAX: each must have one place, or wait for it. The walk is
 * at its end where *ret_seen is 0. */
int ledger_walk_on(struct pg *pg, struct ledger_walk *walk, size_t *ret_seen,
                   struct fault *fault) MUST_CHECK;
