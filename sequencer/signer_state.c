/* SPDX-License-Identifier: Apache-2.0 */
#include "sequencer/signer_state.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"

#include <errno.h>
#include <string.h>

#define STATE_BYTES_MAX 65536
#define STATE_VERSION 1

static int not_a_state(const char *path, const char *why, struct fault *fault)
{
    return fault_set(fault, FAULT_STATE_CONFLICT, "%s is not the signer's state: %s", path, why);
}

/* The fields as they stand, all borrowed from the object. */
struct state_fields {
    int64_t version;
    const char *origin;
    int64_t size;
    const char *root;
    json_t *frontier;
    json_t *previous; /* NULL: never reopened */
};

static int fields_read(const json_t *object, struct state_fields *ret_fields, struct fault *fault)
{
    struct state_fields fields = {0};
    const struct json_field table[] = {
        {"version", JSON_KIND_INTEGER, true, STATE_VERSION, STATE_VERSION, &fields.version},
        {"origin", JSON_KIND_STRING, true, 1, CHECKPOINT_ORIGIN_MAX, &fields.origin},
        {"size", JSON_KIND_INTEGER, true, 0, INT64_MAX, &fields.size},
        {"root", JSON_KIND_STRING, true, DIGEST_TEXT_LEN, DIGEST_TEXT_LEN, &fields.root},
        {"frontier", JSON_KIND_ARRAY, true, 0, MERKLE_RANGE_MAX, &fields.frontier},
        {"previous", JSON_KIND_OBJECT, false, 0, 0, &fields.previous},
    };
    if (json_read(object, "", table, ARRAY_LEN(table), true, FAULT_STATE_CONFLICT, fault) != 0)
        return -1;
    *ret_fields = fields;
    return 0;
}

static int frontier_read(const struct state_fields *fields, struct merkle_range *ret_range)
{
    struct merkle_range range = {.size = (uint64_t)fields->size};
    size_t count = json_array_size(fields->frontier);
    if (count != merkle_range_count(range.size))
        return -1;
    for (size_t i = 0; i < count; i++) {
        const json_t *hash = json_array_get(fields->frontier, i);
        if (!json_is_string(hash) ||
            digest_parse(json_string_value(hash), json_string_length(hash), &range.hashes[i]) != 0)
            return -1;
    }
    *ret_range = range;
    return 0;
}

int signer_state_read(const char *path, const char *origin, struct signer_state *ret_state,
                      struct fault *fault)
{
    AUTO_BUF struct buf bytes = BUF(STATE_BYTES_MAX);
    if (file_read(path, &bytes, fault) != 0)
        return -1;
    AUTO_JSON json_t *object = NULL;
    struct state_fields fields;
    struct fault inner;
    if (json_object_parse(buf_span(&bytes), FAULT_STATE_CONFLICT, "it", &object, &inner) != 0 ||
        fields_read(object, &fields, &inner) != 0)
        return not_a_state(path, inner.detail, fault);
    if (origin != NULL && strcmp(fields.origin, origin) != 0)
        return fault_set(fault, FAULT_STATE_CONFLICT,
                         "%s is the signer's state of the log %s, not of %s", path, fields.origin,
                         origin);
    struct signer_state state = {0};
    struct digest root;
    if (frontier_read(&fields, &state.range) != 0 ||
        digest_parse(fields.root, strlen(fields.root), &root) != 0)
        return not_a_state(path, "its frontier is not one of its size", fault);
    struct digest computed = merkle_range_root(&state.range);
    if (!digest_equal(&root, &computed))
        return not_a_state(path, "its root is not that of its frontier", fault);
    if (fields.previous != NULL &&
        signer_previous_read(fields.previous, &state.previous, &inner) != 0)
        return not_a_state(path, inner.detail, fault);
    (void)snprintf(state.origin, sizeof state.origin, "%s", fields.origin);
    *ret_state = state;
    return 0;
}

static int json_write(const char *path, json_t *object, struct fault *fault)
{
    AUTO_BUF struct buf bytes = BUF(STATE_BYTES_MAX);
    json_append(&bytes, object);
    buf_puts(&bytes, "\n");
    if (buf_failed(&bytes))
        return fault_set(fault, FAULT_INTERNAL, "%s: its content does not fit", path);
    return file_replace(path, bytes.data, bytes.len, 0600, fault);
}

int signer_state_write(const char *path, const struct signer_state *state, struct fault *fault)
{
    AUTO_JSON json_t *frontier = json_array();
    for (size_t i = 0; i < merkle_range_count(state->range.size); i++)
        if (json_array_append_new(frontier,
                                  json_string(digest_format(&state->range.hashes[i]).text)) != 0)
            return fault_set(fault, FAULT_INTERNAL, "out of memory");
    struct digest root = merkle_range_root(&state->range);
    AUTO_JSON json_t *object = json_pack(
        "{s:i, s:s, s:I, s:s, s:O}", "version", STATE_VERSION, "origin", state->origin, "size",
        (json_int_t)state->range.size, "root", digest_format(&root).text, "frontier", frontier);
    if (object == NULL ||
        (state->previous.count > 0 &&
         json_object_set_new(object, "previous", signer_previous_json(&state->previous)) != 0))
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    return json_write(path, object, fault);
}

static char *evidence_path(const char *path, struct fault *fault)
{
    char *name = NULL;
    if (asprintf(&name, "%s.evidence", path) >= 0)
        return name;
    (void)fault_set(fault, FAULT_INTERNAL, "out of memory");
    return NULL;
}

/* A second name; an absent file has none. */
static int link_aside(const char *from, const char *to, struct fault *fault)
{
    if (link(from, to) == 0 || errno == ENOENT)
        return 0;
    return fault_errno(fault, "cannot put %s aside", from);
}

int signer_state_put_aside(const char *path, char **ret_aside, struct fault *fault)
{
    AUTO_FREE char *aside = NULL;
    struct time_text now = time_format(clock_wall_ms());
    AUTO_FREE char *evidence = evidence_path(path, fault);
    if (evidence == NULL || asprintf(&aside, "%s.%s", path, now.text) < 0)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    AUTO_FREE char *evidence_aside = evidence_path(aside, fault);
    if (evidence_aside == NULL || link_aside(path, aside, fault) != 0 ||
        link_aside(evidence, evidence_aside, fault) != 0)
        return -1;
    if (unlink(evidence) != 0 && errno != ENOENT)
        return fault_errno(fault, "cannot put %s aside", evidence);
    *ret_aside = TAKE(aside);
    return 0;
}

static json_t *tree_json(uint64_t size, const struct digest *root)
{
    return json_pack("{s:I, s:s}", "size", (json_int_t)size, "root", digest_format(root).text);
}

int signer_evidence_check(const char *path, struct fault *fault)
{
    AUTO_FREE char *name = evidence_path(path, fault);
    if (name == NULL)
        return -1;
    if (access(name, F_OK) != 0)
        return errno == ENOENT ? 0 : fault_errno(fault, "cannot look for %s", name);
    return fault_set(fault, FAULT_STATE_CONFLICT,
                     "%s says why the signer stopped: it signs again once that is explained and "
                     "the file put away",
                     name);
}

int signer_evidence_keep(const char *path, const char *origin,
                         const struct signer_evidence *evidence, struct fault *fault)
{
    AUTO_FREE char *name = evidence_path(path, fault);
    if (name == NULL)
        return -1;
    if (access(name, F_OK) == 0)
        return 0;
    struct time_text now = time_format(clock_wall_ms());
    AUTO_JSON json_t *object =
        json_pack("{s:i, s:s, s:s, s:s, s:o, s:o, s:o}", "version", STATE_VERSION, "time", now.text,
                  "origin", origin, "problem", evidence->problem, "signed",
                  tree_json(evidence->signed_size, &evidence->signed_root), "database",
                  tree_json(evidence->found_size, &evidence->found_root), "computed",
                  tree_json(evidence->computed_size, &evidence->computed_root));
    if (object == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    return json_write(name, object, fault);
}
