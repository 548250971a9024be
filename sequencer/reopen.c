/* SPDX-License-Identifier: Apache-2.0 */
#include "sequencer/reopen.h"

#include "base/clock.h"
#include "base/text.h"
#include "sequencer/key_file.h"
#include "sequencer/reopen_check.h"
#include "storage/ledger_reopening.h"

#include <inttypes.h>
#include <string.h>

struct reopen {
    const struct reopen_config *config;
    struct pg *pg;
    struct ledger_lease lease; /* epoch 0: not taken */
    struct note_signer *key;
    bool has_state;
    struct signer_state state; /* the old log's */
    struct buf note;           /* of the newest checkpoint */
    bool published;
    struct checkpoint checkpoint; /* that, if `published` */
    struct merkle_range kept;
};

static void reopen_done(struct reopen *reopen)
{
    struct fault fault;
    if (reopen->pg != NULL && ledger_lease_release(reopen->pg, &reopen->lease, &fault) != 0)
        reopen->lease.epoch = 0; /* it runs out by itself */
    pg_free(reopen->pg);
    note_signer_free(reopen->key);
    buf_free(&reopen->note);
}
#define AUTO_REOPEN AUTO(reopen_done)

static const char *previous_origin(const struct reopen *reopen)
{
    return reopen->config->previous[0].name;
}

static int config_check(const struct reopen_config *config, struct fault *fault)
{
    size_t len = strnlen(config->reason, REOPEN_REASON_MAX + 1);
    if (len < 1 || len > REOPEN_REASON_MAX || !utf8_valid(config->reason, len) ||
        text_has_control(config->reason, len))
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "reason: expected one line of 1 to %d bytes", REOPEN_REASON_MAX);
    if (config->previous_count < 1 || config->previous_count > SIGNER_KEYS_MAX)
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "ledger-previous-vkey: expected 1 to %d verifier keys", SIGNER_KEYS_MAX);
    for (size_t i = 1; i < config->previous_count; i++)
        if (strcmp(config->previous[i].name, config->previous[0].name) != 0)
            return fault_set(fault, FAULT_MALFORMED_REQUEST,
                             "ledger-previous-vkey: expected keys of one log");
    if (!note_name_valid(config->origin, strlen(config->origin)))
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "ledger-origin: cannot be a key's name");
    if (strcmp(config->origin, config->previous[0].name) == 0)
        return fault_set(fault, FAULT_STATE_CONFLICT,
                         "ledger-origin: the log that is left is %.80s: under that name two logs "
                         "would be signed, a new one needs another",
                         config->origin);
    return 0;
}

/* What was signed last, by this host's word. */
static int state_read(struct reopen *reopen, struct fault *fault)
{
    const struct reopen_config *config = reopen->config;
    struct signer_state *state = &reopen->state;
    struct fault inner;
    if (signer_state_read(config->state_file, NULL, state, &inner) != 0) {
        if (inner.code != FAULT_NOT_FOUND)
            return fault_set(fault, inner.code, "%s", inner.detail);
        if (!config->state_lost)
            return fault_set(fault, FAULT_STATE_CONFLICT,
                             "the signer's state %s is missing: bring it back, for it says what "
                             "was signed last, or say --state-lost if it is gone for good",
                             config->state_file);
        return 0;
    }
    if (config->state_lost)
        return fault_set(fault, FAULT_STATE_CONFLICT, "state-lost: but there is %s",
                         config->state_file);
    if (strcmp(state->origin, config->origin) == 0 ||
        signer_previous_has(&state->previous, config->origin))
        return fault_set(fault, FAULT_STATE_CONFLICT,
                         "by %s the log is or was %.80s: a name is used once", config->state_file,
                         config->origin);
    if (strcmp(state->origin, previous_origin(reopen)) != 0)
        return fault_set(fault, FAULT_STATE_CONFLICT,
                         "%s is the signer's state of the log %.80s, not of %.80s",
                         config->state_file, state->origin, previous_origin(reopen));
    if (state->previous.count == SIGNER_PREVIOUS_MAX)
        return fault_set(fault, FAULT_STATE_CONFLICT, "the log has been reopened %d times",
                         SIGNER_PREVIOUS_MAX);
    reopen->has_state = true;
    return 0;
}

static int lease_take(struct reopen *reopen, struct fault *fault)
{
    struct uuid id = uuid_v7();
    reopen->lease.duration_ms = reopen->config->lease_ms;
    (void)snprintf(reopen->lease.holder, sizeof reopen->lease.holder, "%.100s/reopen/%s",
                   reopen->config->node, uuid_format(&id).text);
    if (ledger_lease_acquire(reopen->pg, &reopen->lease, fault) != 0)
        return -1;
    if (reopen->lease.epoch != 0)
        return 0;
    return fault_set(fault, FAULT_UNAVAILABLE,
                     "a ledger process leads, or its lease has not run out yet: stop all of them, "
                     "then try again");
}

static int lease_keep(void *context, struct fault *fault)
{
    struct reopen *reopen = context;
    char problem[LEDGER_PROBLEM_MAX + 1];
    if (reopen->lease.epoch == 0)
        return 0; /* reopened before: nothing is to be written to the database */
    if (ledger_lease_renew(reopen->pg, &reopen->lease, problem, fault) != 0)
        return -1;
    return reopen->lease.epoch != 0
               ? 0
               : fault_set(fault, FAULT_UNAVAILABLE, "another has taken the ledger's lease over");
}

/* The newest checkpoint, if it is of what is kept: signed by the log that is left, or by one before
 * it, where the backup is of that time. */
static int published_read(struct reopen *reopen, uint64_t kept, struct fault *fault)
{
    const struct reopen_config *config = reopen->config;
    const struct signer_previous *before = &reopen->state.previous;
    struct fault inner;
    uint64_t size;
    struct digest root;
    if (ledger_checkpoint_latest(reopen->pg, &size, &root, &reopen->note, &inner) != 0)
        return inner.code == FAULT_NOT_FOUND ? 0 : fault_set(fault, inner.code, "%s", inner.detail);
    if (size > kept && reopen->lease.epoch == 0)
        return 0; /* the new log's: its own standby proves it when it starts */
    struct span note = buf_span(&reopen->note);
    int status = signer_previous_covers(before, size)
                     ? signer_previous_open(before, note, &reopen->checkpoint, &inner)
                     : checkpoint_open(note, previous_origin(reopen), config->previous,
                                       config->previous_count, &reopen->checkpoint, &inner);
    if (status != 0)
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "the newest checkpoint, of size %" PRIu64 ", is not of %.80s: %s", size,
                         previous_origin(reopen), inner.detail);
    if (reopen->checkpoint.size != size || !digest_equal(&reopen->checkpoint.root, &root) ||
        size > kept)
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "the newest checkpoint has size %" PRIu64 ", its row says %" PRIu64
                         ", and the last batch ends at %" PRIu64,
                         reopen->checkpoint.size, size, kept);
    reopen->published = true;
    return 0;
}

static int kept_check(struct reopen *reopen, uint64_t size, struct fault *fault)
{
    if (published_read(reopen, size, fault) != 0)
        return -1;
    const struct reopen_check check = {.size = size,
                                       .state = reopen->has_state ? &reopen->state : NULL,
                                       .published = reopen->published ? &reopen->checkpoint : NULL};
    return reopen_check(reopen->pg, &check, lease_keep, reopen, &reopen->kept, fault);
}

static json_t *tree_json(uint64_t size, const struct digest *root)
{
    return json_pack("{s:I, s:s}", "size", (json_int_t)size, "root", digest_format(root).text);
}

static json_t *signed_json(const struct reopen *reopen)
{
    if (!reopen->has_state)
        return json_null();
    struct digest root = merkle_range_root(&reopen->state.range);
    return tree_json(reopen->state.range.size, &root);
}

/* What the new log says first. */
static int event_of(const struct reopen *reopen, const char *problem, struct event **ret_event,
                    struct fault *fault)
{
    const struct reopen_config *config = reopen->config;
    struct digest root = merkle_range_root(&reopen->kept);
    AUTO_BUF struct buf vkey = BUF(NOTE_NAME_MAX + 128);
    note_verifier_format(note_signer_verifier(reopen->key), &vkey);
    AUTO_JSON json_t *data = json_pack(
        "{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:s?, s:s?}", "reason", config->reason, "origin",
        config->origin, "vkey", buf_text(&vkey), "previous_origin", previous_origin(reopen),
        "previous_vkeys", signer_vkeys_json(config->previous, config->previous_count), "kept",
        tree_json(reopen->kept.size, &root), "signed", signed_json(reopen), "previous_checkpoint",
        reopen->published ? buf_text(&reopen->note) : NULL, "problem",
        problem[0] == '\0' ? NULL : problem);
    const struct event_head head = {.id = uuid_v7(),
                                    .type = EVENT_LEDGER_REOPENED,
                                    .node = config->node,
                                    .subject = config->origin,
                                    .time_ms = clock_wall_ms()};
    if (data == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    return event_build(&head, data, ret_event, fault);
}

/* The log goes on under its new name: for all, at once. */
static int log_reopen(struct reopen *reopen, struct uuid *ret_event_id, struct fault *fault)
{
    struct ledger_status status;
    struct ledger_reopening row = {.size = reopen->kept.size,
                                   .root = merkle_range_root(&reopen->kept)};
    AUTO_EVENT struct event *event = NULL;
    bool led;
    if (ledger_status_read(reopen->pg, &status, fault) != 0 ||
        event_of(reopen, status.problem, &event, fault) != 0)
        return -1;
    (void)snprintf(row.origin, sizeof row.origin, "%s", reopen->config->origin);
    (void)snprintf(row.previous_origin, sizeof row.previous_origin, "%s", previous_origin(reopen));
    row.event_id = event->id;
    if (ledger_reopening_commit(reopen->pg, &reopen->lease, &row, event, &led, fault) != 0)
        return -1;
    if (!led)
        return fault_set(fault, FAULT_UNAVAILABLE, "the ledger was led by another meanwhile");
    reopen->lease.epoch = 0;
    *ret_event_id = event->id;
    return 0;
}

/* The first: nobody else has reopened the log. */
static int reopen_first(struct reopen *reopen, struct uuid *ret_event_id, struct fault *fault)
{
    struct ledger_head head;
    if (lease_take(reopen, fault) != 0 || ledger_head_read(reopen->pg, &head, fault) != 0)
        return -1;
    if (head.entries != head.size)
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "the last batch of the ledger ends at size %" PRIu64
                         ", but there are %" PRIu64 " entries",
                         head.size, head.entries);
    if (kept_check(reopen, head.size, fault) != 0)
        return -1;
    if (reopen->has_state && reopen->state.range.size <= head.size)
        return fault_set(fault, FAULT_STATE_CONFLICT,
                         "the database has all that was signed, %" PRIu64 " entries: there is "
                         "nothing to reopen, start the ledger process as it was",
                         reopen->state.range.size);
    return log_reopen(reopen, ret_event_id, fault);
}

/* Those after him: only their own state is of the old log still. */
static int reopen_later(struct reopen *reopen, const struct ledger_reopening *row,
                        struct fault *fault)
{
    if (strcmp(row->previous_origin, previous_origin(reopen)) != 0)
        return fault_set(fault, FAULT_STATE_CONFLICT,
                         "the log %.80s was reopened of %.80s, not of %.80s", row->origin,
                         row->previous_origin, previous_origin(reopen));
    if (kept_check(reopen, row->size, fault) != 0)
        return -1;
    struct digest root = merkle_range_root(&reopen->kept);
    return digest_equal(&root, &row->root)
               ? 0
               : fault_set(fault, FAULT_CONTENT_MISMATCH,
                           "what was kept has root %s, but its entries make root %s",
                           digest_hex(&row->root).text, digest_hex(&root).text);
}

/* The old log joins those before it. */
static void log_leave(const struct reopen *reopen, const struct uuid *event_id,
                      struct signer_previous *previous)
{
    const struct reopen_config *config = reopen->config;
    struct signer_log *log = &previous->logs[previous->count++];
    *log = (struct signer_log){.verifier_count = config->previous_count, .size = reopen->kept.size};
    (void)snprintf(log->origin, sizeof log->origin, "%s", previous_origin(reopen));
    memcpy(log->verifiers, config->previous, config->previous_count * sizeof log->verifiers[0]);
    previous->root = merkle_range_root(&reopen->kept);
    previous->event_id = *event_id;
}

static int state_turn(const struct reopen *reopen, const struct uuid *event_id, char **ret_aside,
                      struct fault *fault)
{
    const char *state_file = reopen->config->state_file;
    struct signer_state state = {.range = reopen->kept, .previous = reopen->state.previous};
    AUTO_FREE char *aside = NULL;
    (void)snprintf(state.origin, sizeof state.origin, "%s", reopen->config->origin);
    log_leave(reopen, event_id, &state.previous);
    if (signer_state_put_aside(state_file, &aside, fault) != 0 ||
        signer_state_write(state_file, &state, fault) != 0)
        return -1;
    if (reopen->has_state)
        *ret_aside = TAKE(aside);
    return 0;
}

int reopen_run(const struct reopen_config *config, struct reopen_report *ret_report,
               struct fault *fault)
{
    AUTO_REOPEN struct reopen reopen = {.config = config, .note = BUF(NOTE_MAX)};
    struct ledger_reopening row;
    struct fault inner;
    if (config_check(config, fault) != 0 ||
        key_file_read(config->key_file, config->origin, &reopen.key, fault) != 0 ||
        state_read(&reopen, fault) != 0 ||
        pg_open(config->conninfo, "ledger", &reopen.pg, fault) != 0)
        return -1;
    bool later = ledger_reopening_read(reopen.pg, config->origin, &row, &inner) == 0;
    if (!later && inner.code != FAULT_NOT_FOUND)
        return fault_set(fault, inner.code, "%s", inner.detail);
    struct reopen_report report = {.reopened = !later, .signed_size = reopen.state.range.size};
    if ((later ? reopen_later(&reopen, &row, fault)
               : reopen_first(&reopen, &row.event_id, fault)) != 0 ||
        state_turn(&reopen, &row.event_id, &report.aside, fault) != 0)
        return -1;
    report.kept = reopen.kept.size;
    *ret_report = report;
    return 0;
}
