/* SPDX-License-Identifier: Apache-2.0 */
#include "sequencer/signer.h"

#include "base/file.h"

#include <inttypes.h>
#include <string.h>

#define KEY_FILE_MAX 1024
/* Entries read in one step: half a megabyte, some milliseconds. */
#define STEP_ENTRIES 16384

struct signer {
    struct note_signer *key;
    char *state_file;
    struct signer_state state; /* as the file has it */
    bool reading;              /* on the way from the state's tree to the target */
    struct ledger_head target;
    struct merkle_range range; /* how far it has come */
};

void signer_free(struct signer *signer)
{
    if (signer == NULL)
        return;
    note_signer_free(signer->key);
    free(signer->state_file);
    free(signer);
}

void signer_cleanup(struct signer **signer)
{
    signer_free(*signer);
}

static int key_read(const struct signer_config *config, struct note_signer **ret_key,
                    struct fault *fault)
{
    AUTO_BUF struct buf text = BUF(KEY_FILE_MAX);
    AUTO_NOTE_SIGNER struct note_signer *key = NULL;
    int status = file_read_secret(config->key_file, &text, fault);
    if (status == 0) {
        size_t len = text.len > 0 && text.data[text.len - 1] == '\n' ? text.len - 1 : text.len;
        status = note_signer_parse(buf_text(&text), len, &key, fault);
    }
    if (text.data != NULL)
        explicit_bzero(text.data, text.cap);
    if (status != 0)
        return -1;
    if (strcmp(note_signer_verifier(key)->name, config->origin) != 0)
        return fault_set(fault, FAULT_KEY_INVALID,
                         "the ledger key is of %s, but the log's origin is %s",
                         note_signer_verifier(key)->name, config->origin);
    *ret_key = TAKE(key);
    return 0;
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
    if (key_read(config, &signer->key, fault) != 0 || state_open(signer, pg, config, fault) != 0)
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

/* The batch row that ends where something was signed; its absence is a contradiction. */
static int signed_batch(struct pg *pg, uint64_t size, const struct digest *root, const char *what,
                        struct ledger_head *ret_head, struct fault *fault)
{
    struct fault inner;
    struct ledger_head head;
    if (ledger_head_read_at(pg, size, &head, &inner) != 0) {
        if (inner.code != FAULT_NOT_FOUND)
            return fault_set(fault, inner.code, "%s", inner.detail);
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "%s of size %" PRIu64 " has root %s, but no batch ends at that size", what,
                         size, digest_hex(root).text);
    }
    if (!digest_equal(&head.root, root))
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "%s of size %" PRIu64 " has root %s, but its batch has root %s", what,
                         size, digest_hex(root).text, digest_hex(&head.root).text);
    *ret_head = head;
    return 0;
}

/* What the tables say of the past must be what was signed. */
static int compare_past(const struct signer *signer, struct pg *pg, const struct ledger_head *head,
                        uint64_t published, struct fault *fault)
{
    uint64_t size = signer->state.range.size;
    struct digest root = merkle_range_root(&signer->state.range);
    struct ledger_head ignored;
    if (head->entries != head->size)
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "the last batch of the ledger ends at size %" PRIu64
                         ", but there are %" PRIu64 " entries",
                         head->size, head->entries);
    if (head->size < size)
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "the ledger was rolled back: a tree of size %" PRIu64
                         " and root %s was signed, the last batch ends at size %" PRIu64,
                         size, digest_hex(&root).text, head->size);
    if (head->size < published)
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "the ledger was rolled back: a checkpoint of size %" PRIu64
                         " is published, the last batch ends at size %" PRIu64,
                         published, head->size);
    return size == 0 ? 0 : signed_batch(pg, size, &root, "the tree signed last", &ignored, fault);
}

/* The newest checkpoint must be what its row says, and signed by this log's key. */
static int check_note(const struct signer *signer, uint64_t size, const struct digest *root,
                      const struct buf *note, struct fault *fault)
{
    struct checkpoint checkpoint;
    struct fault inner;
    if (checkpoint_open(buf_span(note), signer->state.origin, note_signer_verifier(signer->key), 1,
                        &checkpoint, &inner) != 0)
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "the newest checkpoint of size %" PRIu64 " is not this log's: %s", size,
                         inner.detail);
    if (checkpoint.size != size || !digest_equal(&checkpoint.root, root))
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "the newest checkpoint of size %" PRIu64 " has root %s, but what was "
                         "signed has size %" PRIu64 " and root %s",
                         size, digest_hex(root).text, checkpoint.size,
                         digest_hex(&checkpoint.root).text);
    return 0;
}

/* Chooses the tree to prove next, if there is news: a checkpoint that another signer has published
 * comes before the last batch, for it must be of the same tree; who does not lead goes no further.
 * The checkpoint is read before the head, which therefore can't be older. */
static int choose_target(struct signer *signer, struct pg *pg, bool leads, bool *ret_again,
                         struct signer_evidence *evidence, struct fault *fault)
{
    uint64_t size = signer->state.range.size, published = 0;
    struct digest published_root;
    struct ledger_head head, published_head;
    struct fault inner;
    AUTO_BUF struct buf note = BUF(NOTE_MAX);
    if (ledger_checkpoint_latest(pg, &published, &published_root, &note, &inner) != 0 &&
        inner.code != FAULT_NOT_FOUND)
        return fault_set(fault, inner.code, "%s", inner.detail);
    if (ledger_head_read(pg, &head, fault) != 0)
        return -1;
    evidence->found_size = head.size;
    evidence->found_root = head.root;
    if (compare_past(signer, pg, &head, published, fault) != 0)
        return -1;
    if (published > 0 && published >= size &&
        (signed_batch(pg, published, &published_root, "the newest checkpoint", &published_head,
                      fault) != 0 ||
         check_note(signer, published, &published_root, &note, fault) != 0))
        return -1;
    signer->target = published > size ? published_head : head;
    signer->range = signer->state.range;
    signer->reading = signer->target.size > size && (leads || published > size);
    /* What is signed but not published: a crash came in between. */
    *ret_again = leads && !signer->reading && published < size;
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
    const struct note_signer *keys[] = {signer->key};
    struct digest root = merkle_range_root(&signer->state.range);
    struct checkpoint checkpoint;
    AUTO_BUF struct buf note = BUF(NOTE_MAX);
    bool led;
    if (checkpoint_init(&checkpoint, signer->state.origin, signer->state.range.size, &root,
                        fault) != 0 ||
        checkpoint_sign(&checkpoint, keys, 1, &note, fault) != 0 ||
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
    if (lease == NULL) {
        *ret_step = SIGNER_FOLLOWED;
        return 0;
    }
    return publish(signer, pg, lease, ret_step, fault);
}

static int step(struct signer *signer, struct pg *pg, const struct ledger_lease *lease,
                enum signer_step *ret_step, struct signer_evidence *ret_evidence,
                struct fault *fault)
{
    struct digest root = merkle_range_root(&signer->state.range);
    struct signer_evidence evidence = {
        .signed_size = signer->state.range.size,
        .signed_root = root,
        .computed_size = signer->state.range.size,
        .computed_root = root,
    };
    struct fault inner;
    if (advance(signer, pg, lease, ret_step, &evidence, &inner) == 0)
        return 0;
    signer->reading = false;
    if (inner.code == FAULT_CONTENT_MISMATCH)
        *ret_evidence = evidence;
    return fault_set(fault, inner.code, "%s", inner.detail);
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
