/* SPDX-License-Identifier: Apache-2.0 */
#include "sequencer/signer_previous.h"

#include <inttypes.h>
#include <string.h>

const struct signer_log *signer_previous_latest(const struct signer_previous *previous)
{
    return &previous->logs[previous->count - 1];
}

static const struct signer_log *find(const struct signer_previous *previous, const char *origin)
{
    for (size_t i = 0; i < previous->count; i++)
        if (strcmp(previous->logs[i].origin, origin) == 0)
            return &previous->logs[i];
    return NULL;
}

bool signer_previous_has(const struct signer_previous *previous, const char *origin)
{
    return find(previous, origin) != NULL;
}

bool signer_previous_covers(const struct signer_previous *previous, uint64_t size)
{
    return previous->count > 0 && size <= signer_previous_latest(previous)->size;
}

int signer_previous_open(const struct signer_previous *previous, struct span note_bytes,
                         struct checkpoint *ret_checkpoint, struct fault *fault)
{
    struct note note;
    struct checkpoint checkpoint;
    if (note_parse(note_bytes, &note, fault) != 0 ||
        checkpoint_parse(note.text, &checkpoint, fault) != 0)
        return -1;
    const struct signer_log *log = find(previous, checkpoint.origin);
    if (log == NULL)
        return fault_set(fault, FAULT_CONTENT_MISMATCH, "the log was never %.80s",
                         checkpoint.origin);
    if (checkpoint.size > log->size)
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "of the log %.80s only the first %" PRIu64 " entries were kept",
                         log->origin, log->size);
    return checkpoint_open(note_bytes, log->origin, log->verifiers, log->verifier_count,
                           ret_checkpoint, fault);
}

static int wrong(struct fault *fault, const char *what)
{
    return fault_set(fault, FAULT_STATE_CONFLICT, "previous: %s", what);
}

static int vkeys_read(const json_t *array, struct signer_log *log, struct fault *fault)
{
    for (; log->verifier_count < json_array_size(array); log->verifier_count++) {
        const json_t *text = json_array_get(array, log->verifier_count);
        struct note_verifier *verifier = &log->verifiers[log->verifier_count];
        if (!json_is_string(text) ||
            note_verifier_parse(json_string_value(text), json_string_length(text), verifier,
                                NULL) != 0 ||
            strcmp(verifier->name, log->origin) != 0)
            return wrong(fault, "vkeys: expected keys of their log");
    }
    return 0;
}

static int log_read(const json_t *object, struct signer_log *ret_log, struct fault *fault)
{
    const char *origin = NULL;
    json_t *vkeys = NULL;
    int64_t size = 0;
    const struct json_field table[] = {
        {"origin", JSON_KIND_STRING, true, 1, CHECKPOINT_ORIGIN_MAX, &origin},
        {"vkeys", JSON_KIND_ARRAY, true, 1, SIGNER_KEYS_MAX, &vkeys},
        {"size", JSON_KIND_INTEGER, true, 0, INT64_MAX, &size},
    };
    struct signer_log log = {.size = 0};
    if (!json_is_object(object))
        return wrong(fault, "logs: expected objects");
    if (json_read(object, "previous: logs: ", table, ARRAY_LEN(table), true, FAULT_STATE_CONFLICT,
                  fault) != 0)
        return -1;
    (void)snprintf(log.origin, sizeof log.origin, "%s", origin);
    log.size = (uint64_t)size;
    if (vkeys_read(vkeys, &log, fault) != 0)
        return -1;
    *ret_log = log;
    return 0;
}

int signer_previous_read(const json_t *object, struct signer_previous *ret_previous,
                         struct fault *fault)
{
    json_t *logs = NULL;
    const char *root = NULL, *event_id = NULL;
    const struct json_field table[] = {
        {"logs", JSON_KIND_ARRAY, true, 1, SIGNER_PREVIOUS_MAX, &logs},
        {"root", JSON_KIND_STRING, true, DIGEST_TEXT_LEN, DIGEST_TEXT_LEN, &root},
        {"event_id", JSON_KIND_STRING, true, 1, 64, &event_id},
    };
    struct signer_previous previous = {.count = 0};
    if (json_read(object, "previous: ", table, ARRAY_LEN(table), true, FAULT_STATE_CONFLICT,
                  fault) != 0)
        return -1;
    for (; previous.count < json_array_size(logs); previous.count++)
        if (log_read(json_array_get(logs, previous.count), &previous.logs[previous.count], fault) !=
            0)
            return -1;
    if (digest_parse(root, strlen(root), &previous.root) != 0)
        return wrong(fault, "root: expected a digest");
    if (uuid_parse(event_id, strlen(event_id), &previous.event_id) != 0)
        return wrong(fault, "event_id: expected a UUID");
    *ret_previous = previous;
    return 0;
}

json_t *signer_vkeys_json(const struct note_verifier *verifiers, size_t count)
{
    AUTO_JSON json_t *vkeys = json_array();
    for (size_t i = 0; i < count; i++) {
        AUTO_BUF struct buf text = BUF(NOTE_NAME_MAX + 128);
        note_verifier_format(&verifiers[i], &text);
        if (json_array_append_new(vkeys, json_string(buf_text(&text))) != 0)
            return NULL;
    }
    return TAKE(vkeys);
}

json_t *signer_previous_json(const struct signer_previous *previous)
{
    AUTO_JSON json_t *logs = json_array();
    for (size_t i = 0; i < previous->count; i++) {
        const struct signer_log *log = &previous->logs[i];
        json_t *object = json_pack("{s:s, s:o, s:I}", "origin", log->origin, "vkeys",
                                   signer_vkeys_json(log->verifiers, log->verifier_count), "size",
                                   (json_int_t)log->size);
        if (json_array_append_new(logs, object) != 0)
            return NULL;
    }
    return json_pack("{s:O, s:s, s:s}", "logs", logs, "root", digest_format(&previous->root).text,
                     "event_id", uuid_format(&previous->event_id).text);
}
