/* SPDX-License-Identifier: Apache-2.0 */
#include "sequencer/signer.h"

#include "sequencer/key_file.h"
#include "sequencer/signer_past.h"
#include "storage/ledger_reopening.h"

#include <inttypes.h>
#include <string.h>

/* Entries read in one step: half a megabyte, some milliseconds. */
#define STEP_ENTRIES 16384

struct signer {
    struct note_signer *keys[SIGNER_KEYS_MAX];
    struct note_verifier verifiers[SIGNER_KEYS_MAX];
    size_t key_count;
    char *state_file;
    struct signer_state state; /* as the file has it */
    bool reading;              /* on the way from the state's tree to the target */
    struct ledger_head target;
    struct merkle_range range; /* how far it has come */
    bool silent; /* reopened, and the event that says so has no place yet: nothing is signed */
};

void signer_free(struct signer *signer)
{
    if (signer == NULL)
        return;
    for (size_t i = 0; i < signer->key_count; i++)
        note_signer_free(signer->keys[i]);
    free(signer->state_file);
    free(signer);
}

void signer_cleanup(struct signer **signer)
{
    signer_free(*signer);
}

static int key_add(struct signer *signer, const char *file, const char *origin, struct fault *fault)
{
    AUTO_NOTE_SIGNER struct note_signer *key = NULL;
    if (key_file_read(file, origin, &key, fault) != 0)
        return -1;
    const struct note_verifier *verifier = note_signer_verifier(key);
    if (signer->key_count > 0 && verifier->id == signer->verifiers[0].id)
        return fault_set(fault, FAULT_KEY_INVALID, "%s: this is the key %08" PRIx32 " once more",
                         file, verifier->id);
    signer->verifiers[signer->key_count] = *verifier;
    signer->keys[signer->key_count++] = TAKE(key);
    return 0;
}

static int keys_read(struct signer *signer, const struct signer_config *config, struct fault *fault)
{
    if (key_add(signer, config->key_file, config->origin, fault) != 0)
        return -1;
    if (config->next_key_file == NULL || config->next_key_file[0] == '\0')
        return 0;
    return key_add(signer, config->next_key_file, config->origin, fault);
}

static struct signer_past past_of(const struct signer *signer)
{
    return (struct signer_past){.state = &signer->state,
                                .verifiers = signer->verifiers,
                                .verifier_count = signer->key_count};
}

static int log_is_empty(struct pg *pg, bool *ret_empty, struct fault *fault)
{
    struct ledger_head head;
    uint64_t size;
    struct digest root;
    struct fault inner;
    if (ledger_head_read(pg, &head, fault) != 0)
        return -1;
    bool unsigned_yet = ledger_checkpoint_latest(pg, &size, &root, NULL, &inner) != 0;
    if (unsigned_yet && inner.code != FAULT_NOT_FOUND)
        return fault_set(fault, inner.code, "%s", inner.detail);
    *ret_empty = unsigned_yet && head.size == 0 && head.entries == 0;
    return 0;
}

/* Begins a memory where there is none. With init over a log that exists, the tree of size 0 makes
 * the signer read every entry of it before it signs anything. */
static int state_begin(struct signer *signer, struct pg *pg, const struct signer_config *config,
                       struct fault *fault)
{
    bool empty = false;
    if (log_is_empty(pg, &empty, fault) != 0)
        return -1;
    if (!empty && !config->init)
        return fault_set(fault, FAULT_STATE_CONFLICT,
                         "the log is not empty, but the signer's state %s is missing: bring it "
                         "back, or say --init if this signer has never signed it",
                         config->state_file);
    (void)snprintf(signer->state.origin, sizeof signer->state.origin, "%s", config->origin);
    return signer_state_write(config->state_file, &signer->state, fault);
}

static int state_open(struct signer *signer, struct pg *pg, const struct signer_config *config,
                      struct fault *fault)
{
    struct fault inner;
    if (signer_evidence_check(config->state_file, fault) != 0)
        return -1;
    if (signer_state_read(config->state_file, config->origin, &signer->state, &inner) != 0)
        return inner.code == FAULT_NOT_FOUND ? state_begin(signer, pg, config, fault)
                                             : fault_set(fault, inner.code, "%s", inner.detail);
    if (config->init)
        return fault_set(fault, FAULT_STATE_CONFLICT,
                         "--init would forget what %s says was signed: leave it out",
                         config->state_file);
    return 0;
}

int signer_open(struct pg *pg, const struct signer_config *config, struct signer **ret_signer,
                struct fault *fault)
{
    AUTO_SIGNER struct signer *signer = calloc(1, sizeof *signer);
    if (signer == NULL || (signer->state_file = strdup(config->state_file)) == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (!note_name_valid(config->origin, strlen(config->origin)))
        return fault_set(fault, FAULT_KEY_INVALID, "the log's origin cannot be a key's name");
    if (keys_read(signer, config, fault) != 0 || state_open(signer, pg, config, fault) != 0)
        return -1;
    const struct signer_past past = past_of(signer);
    if (signer_past_keys(&past, pg, fault) != 0)
        return -1;
    *ret_signer = TAKE(signer);
    return 0;
}

const struct merkle_range *signer_signed(const struct signer *signer)
{
    return &signer->state.range;
}

void signer_reset(struct signer *signer)
{
    signer->reading = false;
}

const struct note_verifier *signer_verifiers(const struct signer *signer, size_t *ret_count)
{
    *ret_count = signer->key_count;
    return signer->verifiers;
}

/* A reopened log signs nothing before the event that says so has its place: its first checkpoint
 * covers it, and no size is signed under both names. */
static int be_silent(struct signer *signer, struct pg *pg, uint64_t published,
                     const struct ledger_head *head, struct fault *fault)
{
    const struct signer_previous *previous = &signer->state.previous;
    int64_t place = -1;
    bool begun = previous->count == 0 || !signer_previous_covers(previous, published);
    if (!begun && ledger_places_read(pg, NULL, &previous->event_id, 1, &place, fault) != 0)
        return -1;
    signer->silent = !begun && (place < 0 || (uint64_t)place >= head->size);
    return 0;
}

/* Chooses the tree to prove next, if there is news: a checkpoint that another signer has published
 * comes before the last batch, for it must be of the same tree; who does not lead goes no further.
 * The checkpoint is read before the head, which therefore can't be older. */
static int choose_target(struct signer *signer, struct pg *pg, bool leads, bool *ret_again,
                         struct signer_evidence *evidence, struct fault *fault)
{
    const struct signer_past past = past_of(signer);
    uint64_t size = signer->state.range.size;
    struct ledger_head head, published_head;
    AUTO_SIGNER_NEWEST struct signer_newest newest = {.size = 0};
    if (signer_past_newest(pg, &newest, fault) != 0 || ledger_head_read(pg, &head, fault) != 0)
        return -1;
    evidence->found_size = head.size;
    evidence->found_root = head.root;
    if (signer_past_compare(&past, pg, &head, newest.size, fault) != 0)
        return -1;
    if (newest.size > 0 && newest.size >= size &&
        (signer_past_batch(pg, &newest, &published_head, fault) != 0 ||
         signer_past_note(&past, pg, &newest, fault) != 0))
        return -1;
    signer->target = newest.size > size ? published_head : head;
    if (be_silent(signer, pg, newest.size, &signer->target, fault) != 0)
        return -1;
    signer->range = signer->state.range;
    signer->reading = signer->target.size > size && (leads || newest.size > size);
    /* What is signed but not published: a crash came in between. */
    *ret_again = leads && !signer->reading && !signer->silent && newest.size < size;
    return 0;
}

static int read_entries(struct signer *signer, struct pg *pg, struct fault *fault)
{
    uint64_t from = signer->range.size, to = signer->target.size;
    if (to - from > STEP_ENTRIES)
        to = from + STEP_ENTRIES;
    AUTO_FREE struct digest *entries = calloc(STEP_ENTRIES, sizeof *entries);
    if (entries == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (ledger_entries_read(pg, from, to, entries, fault) != 0)
        return -1;
    for (uint64_t i = 0; i < to - from; i++) {
        struct digest leaf = merkle_entry_leaf(&entries[i]);
        if (merkle_range_append(&signer->range, &leaf, fault) != 0)
            return -1;
    }
    return 0;
}

static int compare_target(const struct signer *signer, struct signer_evidence *evidence,
                          struct fault *fault)
{
    const struct ledger_head *target = &signer->target;
    evidence->found_size = target->size;
    evidence->found_root = target->root;
    evidence->computed_size = signer->range.size;
    evidence->computed_root = merkle_range_root(&signer->range);
    return ledger_head_check(target, &signer->range, fault);
}

static int publish(struct signer *signer, struct pg *pg, const struct ledger_lease *lease,
                   enum signer_step *ret_step, struct fault *fault)
{
    const struct note_signer *const *keys = (const struct note_signer *const *)signer->keys;
    struct digest root = merkle_range_root(&signer->state.range);
    struct checkpoint checkpoint;
    AUTO_BUF struct buf note = BUF(NOTE_MAX);
    bool led;
    if (checkpoint_init(&checkpoint, signer->state.origin, signer->state.range.size, &root,
                        fault) != 0 ||
        checkpoint_sign(&checkpoint, keys, signer->key_count, &note, fault) != 0 ||
        ledger_checkpoint_put(pg, lease->epoch, signer->state.range.size, &root, buf_span(&note),
                              &led, fault) != 0)
        return -1;
    *ret_step = led ? SIGNER_PUBLISHED : SIGNER_LEASE_LOST;
    return 0;
}

/* `lease` is NULL for one who does not lead. */
static int advance(struct signer *signer, struct pg *pg, const struct ledger_lease *lease,
                   enum signer_step *ret_step, struct signer_evidence *evidence,
                   struct fault *fault)
{
    bool again = false;
    if (!signer->reading && choose_target(signer, pg, lease != NULL, &again, evidence, fault) != 0)
        return -1;
    if (again)
        return publish(signer, pg, lease, ret_step, fault);
    if (!signer->reading) {
        *ret_step = SIGNER_IDLE;
        return 0;
    }
    if (read_entries(signer, pg, fault) != 0)
        return -1;
    if (signer->range.size < signer->target.size) {
        *ret_step = SIGNER_READING;
        return 0;
    }
    if (compare_target(signer, evidence, fault) != 0)
        return -1;
    /* On disk before a signature over it exists: whatever happens next, no other tree of this
     * size, and no smaller one, will be signed. */
    struct signer_state next = signer->state;
    next.range = signer->range;
    if (signer_state_write(signer->state_file, &next, fault) != 0)
        return -1;
    signer->state = next;
    signer->reading = false;
    if (lease == NULL || signer->silent) {
        *ret_step = SIGNER_FOLLOWED;
        return 0;
    }
    return publish(signer, pg, lease, ret_step, fault);
}

static struct signer_evidence evidence_begin(const struct signer *signer)
{
    struct digest root = merkle_range_root(&signer->state.range);
    return (struct signer_evidence){
        .signed_size = signer->state.range.size,
        .signed_root = root,
        .computed_size = signer->state.range.size,
        .computed_root = root,
    };
}

/* Passes a failure on, with the evidence if it is a contradiction. To one who missed that the log
 * was reopened it looks like one, too: it is not his to stop the new log. */
static int disagree(const struct signer *signer, struct pg *pg, const struct fault *inner,
                    const struct signer_evidence *evidence, struct signer_evidence *ret_evidence,
                    struct fault *fault)
{
    struct fault left;
    if (inner->code == FAULT_CONTENT_MISMATCH &&
        ledger_reopening_check(pg, signer->state.origin, &left) != 0)
        return fault_set(fault, left.code, "%s", left.detail);
    if (inner->code == FAULT_CONTENT_MISMATCH)
        *ret_evidence = *evidence;
    return fault_set(fault, inner->code, "%s", inner->detail);
}

int signer_check(struct signer *signer, struct pg *pg, struct signer_evidence *ret_evidence,
                 struct fault *fault)
{
    struct signer_evidence evidence = evidence_begin(signer);
    struct fault inner;
    bool again;
    int status = choose_target(signer, pg, false, &again, &evidence, &inner);
    signer->reading = false;
    return status == 0 ? 0 : disagree(signer, pg, &inner, &evidence, ret_evidence, fault);
}

static int step(struct signer *signer, struct pg *pg, const struct ledger_lease *lease,
                enum signer_step *ret_step, struct signer_evidence *ret_evidence,
                struct fault *fault)
{
    struct signer_evidence evidence = evidence_begin(signer);
    struct fault inner;
    if (advance(signer, pg, lease, ret_step, &evidence, &inner) == 0)
        return 0;
    signer->reading = false;
    return disagree(signer, pg, &inner, &evidence, ret_evidence, fault);
}

int signer_advance(struct signer *signer, struct pg *pg, const struct ledger_lease *lease,
                   enum signer_step *ret_step, struct signer_evidence *ret_evidence,
                   struct fault *fault)
{
    return step(signer, pg, lease, ret_step, ret_evidence, fault);
}

int signer_follow(struct signer *signer, struct pg *pg, enum signer_step *ret_step,
                  struct signer_evidence *ret_evidence, struct fault *fault)
{
    return step(signer, pg, NULL, ret_step, ret_evidence, fault);
}
