/* SPDX-License-Identifier: Apache-2.0 */
#include "sequencer/scrub.h"

#include "base/clock.h"
#include "storage/ledger_scrub.h"

#include <inttypes.h>

/* Between two passes, and where there is nothing to look at: a short log is not read all the time.
 */
#define PAUSE_MS 1000

enum phase { SCRUB_IDLE, SCRUB_ENTRIES, SCRUB_EVENTS };

/* How far a pass has come. A step works on a copy, which becomes the place if all went well. */
struct place {
    struct merkle_range range;
    struct tile_edge edge;
    uint64_t batch_end; /* where the last batch that was passed ends */
};

struct scrub {
    int64_t rate;
    uint64_t session; /* of the connection that has its settings */
    enum phase phase;
    struct scrub_target target;
    struct place place, next;
    struct ledger_walk walk;
    struct scrub_status status;
    /* What one step reads. */
    struct digest entries[LEDGER_SCRUB_MAX];
    struct ledger_head batches[LEDGER_SCRUB_MAX];
    struct ledger_mark checkpoints[LEDGER_SCRUB_MAX];
};

int scrub_new(int64_t rate, struct scrub **ret_scrub, struct fault *fault)
{
    if (rate < 1)
        return fault_set(fault, FAULT_INTERNAL, "scrub: a rate of %" PRId64, rate);
    struct scrub *scrub = calloc(1, sizeof *scrub);
    if (scrub == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    scrub->rate = rate;
    *ret_scrub = scrub;
    return 0;
}

void scrub_free(struct scrub *scrub)
{
    free(scrub);
}

void scrub_cleanup(struct scrub **scrub)
{
    scrub_free(*scrub);
}

struct scrub_status scrub_status(const struct scrub *scrub)
{
    return scrub->status;
}

static int compare_tile(void *pg, const struct tile *tile, const struct digest *hashes,
                        const struct digest *root, struct fault *fault)
{
    return ledger_scrub_tile(pg, tile, hashes, root, fault);
}

static int compare_batch(struct place *place, const struct ledger_head *batch, struct fault *fault)
{
    if (batch->prev_size != place->batch_end)
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "the batch of size %" PRIu64 " follows on size %" PRIu64
                         ", but the batch before it ends at size %" PRIu64,
                         batch->size, batch->prev_size, place->batch_end);
    if (ledger_head_check(batch, &place->range, fault) != 0)
        return -1;
    place->batch_end = batch->size;
    return 0;
}

static int compare_checkpoint(const struct place *place, const struct ledger_mark *checkpoint,
                              struct fault *fault)
{
    struct digest root = merkle_range_root(&place->range);
    if (digest_equal(&root, &checkpoint->root))
        return 0;
    return fault_set(fault, FAULT_CONTENT_MISMATCH,
                     "the checkpoint of size %" PRIu64 " has root %s, but its entries make root %s",
                     checkpoint->size, digest_hex(&checkpoint->root).text, digest_hex(&root).text);
}

/* The next entries, and all that is said of the trees between them. */
static int compare_entries(struct scrub *scrub, struct pg *pg, size_t *ret_count,
                           struct fault *fault)
{
    struct place *place = &scrub->next;
    uint64_t from = place->range.size;
    size_t count, batches, checkpoints, batch = 0, checkpoint = 0;
    if (ledger_scrub_entries(pg, from, scrub->target.size, scrub->entries, &count, fault) != 0 ||
        ledger_heads_read(pg, from, from + count, LEDGER_SCRUB_MAX, scrub->batches, &batches,
                          fault) != 0 ||
        ledger_scrub_checkpoints(pg, from, from + count, scrub->checkpoints, &checkpoints, fault) !=
            0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        struct digest leaf = merkle_entry_leaf(&scrub->entries[i]);
        if (merkle_range_append(&place->range, &leaf, fault) != 0 ||
            tile_edge_append(&place->edge, &leaf, compare_tile, pg, fault) != 0)
            return -1;
        uint64_t size = place->range.size;
        if (batch < batches && scrub->batches[batch].size == size &&
            compare_batch(place, &scrub->batches[batch++], fault) != 0)
            return -1;
        if (checkpoint < checkpoints && scrub->checkpoints[checkpoint].size == size &&
            compare_checkpoint(place, &scrub->checkpoints[checkpoint++], fault) != 0)
            return -1;
    }
    *ret_count = count;
    return 0;
}

/* What was proven has a batch that ends there, and this root. */
static int compare_target(const struct scrub *scrub, struct fault *fault)
{
    const struct place *place = &scrub->next;
    struct digest root = merkle_range_root(&place->range);
    if (!digest_equal(&root, &scrub->target.root))
        return fault_set(
            fault, FAULT_CONTENT_MISMATCH,
            "the tree of size %" PRIu64 " was signed with root %s, but its entries make root %s",
            scrub->target.size, digest_hex(&scrub->target.root).text, digest_hex(&root).text);
    if (place->batch_end != scrub->target.size)
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "the tree of size %" PRIu64
                         " was signed, but the last batch up to it ends at size %" PRIu64,
                         scrub->target.size, place->batch_end);
    return 0;
}

static void begin(struct scrub *scrub, const struct scrub_target *newest)
{
    scrub->target = *newest;
    scrub->place = (struct place){0};
    scrub->status.position = 0;
    scrub->phase = newest->size > 0 ? SCRUB_ENTRIES : SCRUB_IDLE;
}

/* What counts for the rate: a step that comes short of what it may read has met large events, and
 * has cost as much. */
static int step_entries(struct scrub *scrub, struct pg *pg, size_t *ret_weight, struct fault *fault)
{
    size_t count;
    scrub->next = scrub->place;
    if (compare_entries(scrub, pg, &count, fault) != 0)
        return -1;
    bool all = scrub->next.range.size == scrub->target.size;
    if (all &&
        (compare_target(scrub, fault) != 0 || ledger_walk_begin(pg, &scrub->walk, fault) != 0))
        return -1;
    if (all)
        scrub->phase = SCRUB_EVENTS;
    scrub->place = scrub->next;
    scrub->status.position = scrub->place.range.size;
    scrub->status.entries += count;
    *ret_weight = all ? count : LEDGER_SCRUB_MAX;
    return 0;
}

static int step_events(struct scrub *scrub, struct pg *pg, size_t *ret_weight, struct fault *fault)
{
    if (ledger_walk_on(pg, &scrub->walk, ret_weight, fault) != 0)
        return -1;
    if (*ret_weight > 0)
        return 0;
    scrub->phase = SCRUB_IDLE;
    scrub->status.passes++;
    scrub->status.last_pass_ms = clock_wall_ms();
    return 0;
}

static int step(struct scrub *scrub, struct pg *pg, const struct scrub_target *newest,
                size_t *ret_weight, struct fault *fault)
{
    if (scrub->session != pg_session(pg) && ledger_scrub_session(pg, fault) != 0)
        return -1;
    scrub->session = pg_session(pg);
    if (scrub->phase == SCRUB_IDLE)
        begin(scrub, newest);
    *ret_weight = 0;
    switch (scrub->phase) {
    case SCRUB_IDLE:
        return 0;
    case SCRUB_ENTRIES:
        return step_entries(scrub, pg, ret_weight, fault);
    case SCRUB_EVENTS:
        return step_events(scrub, pg, ret_weight, fault);
    }
    return 0;
}

/* The tree that was to be found, and how far the entries have led. */
static struct signer_evidence evidence_of(const struct scrub *scrub)
{
    return (struct signer_evidence){
        .found_size = scrub->target.size,
        .found_root = scrub->target.root,
        .computed_size = scrub->place.range.size,
        .computed_root = merkle_range_root(&scrub->place.range),
    };
}

int scrub_step(struct scrub *scrub, struct pg *pg, const struct scrub_target *newest,
               int *ret_wait_ms, struct signer_evidence *ret_evidence, struct fault *fault)
{
    size_t weight;
    struct fault inner;
    if (step(scrub, pg, newest, &weight, &inner) == 0) {
        int64_t wait_ms = (int64_t)weight * 1000 / scrub->rate;
        *ret_wait_ms = scrub->phase == SCRUB_IDLE ? PAUSE_MS : (int)wait_ms;
        return 0;
    }
    if (inner.code == FAULT_CONTENT_MISMATCH) {
        *ret_evidence = evidence_of(scrub);
        scrub->status.differences++;
        scrub->phase = SCRUB_IDLE;
    }
    return fault_set(fault, inner.code, "%s", inner.detail);
}
