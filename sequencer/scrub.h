/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scrub: reads the whole log again and again, slowly, and compares all that says the same:
 * events' bytes, their hashes, entries, tiles, batches and checkpoints, up to the tree that this
 * process's own signer has proven last, of whose root no row can talk it out. Then it walks over
 * all events: each must have one place or wait for it.
 *
 * The signer looks at what is new and at what it builds on; the scrub finds what was changed since
 * and has not been looked at, before somebody asks for it. It reads through a connection of its
 * own, in steps of at most LEDGER_SCRUB_MAX entries, and holds no more of the log than a compact
 * range, the right edge's tiles and what a step reads (less than 1 MiB). It keeps nothing on disk:
 * a pass begins anew with the process. What an earlier one has seen would be the word of a file;
 * and passes come one after the other, so that nothing is lost but some time.
 */
#pragma once

#include "sequencer/signer_state.h"
#include "storage/pg.h"

struct scrub;
#define AUTO_SCRUB AUTO(scrub_cleanup)

/* `rate` is the most entries a second, at least 1. Events walked over count as much, a step cut
 * short by large events as a whole one. */
int scrub_new(int64_t rate, struct scrub **ret_scrub, struct fault *fault) MUST_CHECK;
void scrub_free(struct scrub *scrub);
void scrub_cleanup(struct scrub **scrub);

/* A tree that is proven: as far as a pass goes that begins with it. */
struct scrub_target {
    uint64_t size;
    struct digest root;
};

/* One bounded step. `newest` counts where it begins a pass; none begins over the empty tree.
 * *ret_wait_ms is how long to wait before the next, so that the rate is kept. A failure changes
 * nothing: the next step is the same again. FAULT_CONTENT_MISMATCH is a difference, its sentence
 * naming what differs from what; *ret_evidence is then set (and only then) but for its problem and
 * what was signed, and the pass is over. */
int scrub_step(struct scrub *scrub, struct pg *pg, const struct scrub_target *newest,
               int *ret_wait_ms, struct signer_evidence *ret_evidence,
               struct fault *fault) MUST_CHECK;

struct scrub_status {
    uint64_t entries;     /* compared, since it was made */
    uint64_t passes;      /* whole ones */
    uint64_t differences; /* found */
    uint64_t position;    /* entries of this pass that have been compared */
    int64_t last_pass_ms; /* wall clock of the end of the last whole pass; 0: none yet */
};
struct scrub_status scrub_status(const struct scrub *scrub);
