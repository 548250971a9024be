/* SPDX-License-Identifier: Apache-2.0 */
#include "sequencer/signer_link.h"

#include <string.h>

const char *signer_link_origin(const struct signer_link *link)
{
    return link->origins[link->origin_count - 1];
}

bool signer_link_has(const struct signer_link *link, const char *origin)
{
    for (size_t i = 0; i < link->origin_count; i++)
        if (strcmp(link->origins[i], origin) == 0)
            return true;
    return false;
}

static int wrong(struct fault *fault, const char *what)
{
    return fault_set(fault, FAULT_STATE_CONFLICT, "previous: %s", what);
}

static int origins_read(const json_t *array, struct signer_link *link, struct fault *fault)
{
    for (; link->origin_count < json_array_size(array); link->origin_count++) {
        const json_t *text = json_array_get(array, link->origin_count);
        if (!json_is_string(text) ||
            !note_name_valid(json_string_value(text), json_string_length(text)))
            return wrong(fault, "origins: expected names of logs");
        (void)snprintf(link->origins[link->origin_count], sizeof link->origins[0], "%s",
                       json_string_value(text));
    }
    return 0;
}

static int verifiers_read(const json_t *array, struct signer_link *link, struct fault *fault)
{
    for (; link->verifier_count < json_array_size(array); link->verifier_count++) {
        const json_t *text = json_array_get(array, link->verifier_count);
        struct note_verifier *verifier = &link->verifiers[link->verifier_count];
        if (!json_is_string(text) ||
            note_verifier_parse(json_string_value(text), json_string_length(text), verifier,
                                NULL) != 0 ||
            strcmp(verifier->name, signer_link_origin(link)) != 0)
            return wrong(fault, "vkeys: expected keys of the last of origins");
    }
    return 0;
}

int signer_link_read(const json_t *object, struct signer_link *ret_link, struct fault *fault)
{
    json_t *origins = NULL, *vkeys = NULL;
    int64_t size = 0;
    const char *root = NULL, *event_id = NULL;
    const struct json_field table[] = {
        {"origins", JSON_KIND_ARRAY, true, 1, SIGNER_ORIGINS_MAX, &origins},
        {"vkeys", JSON_KIND_ARRAY, true, 1, SIGNER_LINK_KEYS_MAX, &vkeys},
        {"size", JSON_KIND_INTEGER, true, 0, INT64_MAX, &size},
        {"root", JSON_KIND_STRING, true, DIGEST_TEXT_LEN, DIGEST_TEXT_LEN, &root},
        {"event_id", JSON_KIND_STRING, true, 1, 64, &event_id},
    };
    struct signer_link link = {0};
    if (json_read(object, "previous: ", table, ARRAY_LEN(table), true, FAULT_STATE_CONFLICT,
                  fault) != 0 ||
        origins_read(origins, &link, fault) != 0 || verifiers_read(vkeys, &link, fault) != 0)
        return -1;
    link.size = (uint64_t)size;
    if (digest_parse(root, strlen(root), &link.root) != 0)
        return wrong(fault, "root: expected a digest");
    if (uuid_parse(event_id, strlen(event_id), &link.event_id) != 0)
        return wrong(fault, "event_id: expected a UUID");
    *ret_link = link;
    return 0;
}

json_t *signer_link_json(const struct signer_link *link)
{
    AUTO_JSON json_t *origins = json_array(), *vkeys = json_array();
    for (size_t i = 0; i < link->origin_count; i++)
        if (json_array_append_new(origins, json_string(link->origins[i])) != 0)
            return NULL;
    for (size_t i = 0; i < link->verifier_count; i++) {
        AUTO_BUF struct buf text = BUF(NOTE_NAME_MAX + 128);
        note_verifier_format(&link->verifiers[i], &text);
        if (json_array_append_new(vkeys, json_string(buf_text(&text))) != 0)
            return NULL;
    }
    return json_pack("{s:O, s:O, s:I, s:s, s:s}", "origins", origins, "vkeys", vkeys, "size",
                     (json_int_t)link->size, "root", digest_format(&link->root).text, "event_id",
                     uuid_format(&link->event_id).text);
}
