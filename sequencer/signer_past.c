/* SPDX-License-Identifier: Apache-2.0 */
#include "sequencer/signer_past.h"

#include "sequencer/key_trace.h"
#include "storage/ledger_reopening.h"

#include <inttypes.h>
#include <string.h>

void signer_newest_cleanup(struct signer_newest *newest)
{
    buf_free(&newest->note);
}

int signer_past_newest(struct pg *pg, struct signer_newest *ret_newest, struct fault *fault)
{
    AUTO_SIGNER_NEWEST struct signer_newest newest = {.note = BUF(NOTE_MAX)};
    struct fault inner;
    if (ledger_checkpoint_latest(pg, &newest.size, &newest.root, &newest.note, &inner) != 0 &&
        inner.code != FAULT_NOT_FOUND)
        return fault_set(fault, inner.code, "%s", inner.detail);
    *ret_newest = newest;
    newest.note = (struct buf){0};
    return 0;
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

int signer_past_batch(struct pg *pg, const struct signer_newest *newest,
                      struct ledger_head *ret_head, struct fault *fault)
{
    return signed_batch(pg, newest->size, &newest->root, "the newest checkpoint", ret_head, fault);
}

int signer_past_compare(const struct signer_past *past, struct pg *pg,
                        const struct ledger_head *head, uint64_t published, struct fault *fault)
{
    uint64_t size = past->state->range.size;
    struct digest root = merkle_range_root(&past->state->range);
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

/* Of this log, or of what it was before. */
static int open_note(const struct signer_past *past, const struct signer_newest *newest,
                     struct checkpoint *ret_checkpoint, struct fault *fault)
{
    struct span note = buf_span(&newest->note);
    if (signer_previous_covers(&past->state->previous, newest->size))
        return signer_previous_open(&past->state->previous, note, ret_checkpoint, fault);
    return checkpoint_open(note, past->state->origin, past->verifiers, past->verifier_count,
                           ret_checkpoint, fault);
}

/* Which of the keys that this log has had signed it? False if none. The keys are in the database,
 * which whoever forges a checkpoint may hold: this explains a refusal, and allows nothing. */
static bool signed_by_another(const struct signer_past *past, struct pg *pg,
                              const struct signer_newest *newest, char ret_id[9])
{
    AUTO_FREE struct ledger_keys_known *known = calloc(1, sizeof *known);
    if (known == NULL || ledger_keys_read(pg, past->state->origin, known, NULL) != 0)
        return false;
    for (size_t i = 0; i < known->count; i++) {
        struct note_verifier verifier;
        struct checkpoint checkpoint;
        if (note_verifier_parse(known->keys[i].vkey, strlen(known->keys[i].vkey), &verifier,
                                NULL) == 0 &&
            checkpoint_open(buf_span(&newest->note), past->state->origin, &verifier, 1, &checkpoint,
                            NULL) == 0) {
            (void)snprintf(ret_id, 9, "%08" PRIx32, verifier.id);
            return true;
        }
    }
    return false;
}

#define WHAT_TO_DO                                                                                 \
    "run with ledger-key the old key and ledger-next-key the new one until a checkpoint bears "    \
    "both"

int signer_past_note(const struct signer_past *past, struct pg *pg,
                     const struct signer_newest *newest, struct fault *fault)
{
    struct checkpoint checkpoint;
    struct fault inner;
    char id[9];
    if (open_note(past, newest, &checkpoint, &inner) != 0) {
        if (signed_by_another(past, pg, newest, id))
            return fault_set(fault, FAULT_KEY_INVALID,
                             "the newest checkpoint, of size %" PRIu64 ", is signed by key %s, "
                             "which this process does not have: " WHAT_TO_DO,
                             newest->size, id);
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "the newest checkpoint of size %" PRIu64 " is not this log's: %s",
                         newest->size, inner.detail);
    }
    if (checkpoint.size != newest->size || !digest_equal(&checkpoint.root, &newest->root))
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "the newest checkpoint of size %" PRIu64 " has root %s, but what was "
                         "signed has size %" PRIu64 " and root %s",
                         newest->size, digest_hex(&newest->root).text, checkpoint.size,
                         digest_hex(&checkpoint.root).text);
    return 0;
}

static bool bears(const struct note *note, const struct note_verifier *verifiers, size_t count)
{
    for (size_t i = 0; i < note->signature_count; i++)
        for (size_t k = 0; k < count; k++)
            if (note->signatures[i].id == verifiers[k].id &&
                span_equal(note->signatures[i].name, span_text(verifiers[k].name)))
                return true;
    return false;
}

static int retired_check(const struct signer_past *past, struct pg *pg, struct fault *fault)
{
    AUTO_FREE struct ledger_keys_known *known = calloc(1, sizeof *known);
    if (known == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (ledger_keys_read(pg, past->state->origin, known, fault) != 0)
        return -1;
    for (size_t k = 0; k < past->verifier_count; k++)
        if (key_trace_check(known, &past->verifiers[k], fault) != 0)
            return -1;
    return 0;
}

int signer_past_keys(const struct signer_past *past, struct pg *pg, struct fault *fault)
{
    struct note note;
    AUTO_SIGNER_NEWEST struct signer_newest newest = {.size = 0};
    if (ledger_reopening_check(pg, past->state->origin, fault) != 0 ||
        retired_check(past, pg, fault) != 0 || signer_past_newest(pg, &newest, fault) != 0)
        return -1;
    /* What is no note at all is a contradiction, which the first step finds and keeps. */
    bool ours = newest.note.len == 0 || note_parse(buf_span(&newest.note), &note, NULL) != 0 ||
                bears(&note, past->verifiers, past->verifier_count) ||
                signer_previous_covers(&past->state->previous, newest.size);
    return ours ? 0
                : fault_set(fault, FAULT_KEY_INVALID,
                            "the newest checkpoint, of size %" PRIu64 ", bears no signature of "
                            "this process's keys: " WHAT_TO_DO,
                            newest.size);
}
