/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/descriptor.h"

#include "base/text.h"
#include "trust/env.h"
#include "trust/manifest_parts.h"

#include <string.h>

#define ARGUMENT_MAX 4096 /* bytes of one element of entrypoint */
#define NAME_CHARACTERS TEXT_ALNUM "._+-"
#define VERSION_CHARACTERS NAME_CHARACTERS "~:"

static const char *const kind_names[] = {
    [ARTIFACT_BINARY] = "binary", [ARTIFACT_ROOTFS] = "rootfs", [ARTIFACT_OCI] = "oci"};

/* The public face first, so that one pointer serves for both. All strings of a descriptor
 * stand one after the other in text. */
struct descriptor_store {
    struct descriptor descriptor;
    const char *entrypoint[DESCRIPTOR_ENTRYPOINT_MAX];
    const char *env_allowed[DESCRIPTOR_ENV_MAX];
    char text[];
};

const char *artifact_kind_name(enum artifact_kind kind)
{
    return (unsigned)kind < ARRAY_LEN(kind_names) ? kind_names[kind] : "";
}

int artifact_kind_parse(const char *name, enum artifact_kind *ret_kind)
{
    for (size_t i = 0; i < ARRAY_LEN(kind_names); i++)
        if (strcmp(name, kind_names[i]) == 0) {
            *ret_kind = (enum artifact_kind)i;
            return 0;
        }
    return -1;
}

static int invalid(struct fault *fault, const char *field, const char *expected)
{
    return fault_set(fault, FAULT_ARTIFACT_INVALID, "%s: expected %s", field, expected);
}

static bool label_valid(const char *text, const char *allowed)
{
    return text != NULL && text_in_set(text, strlen(text), 1, 128, allowed) &&
           strchr(TEXT_ALNUM, text[0]) != NULL;
}

static int check_entrypoint(const struct descriptor *fields, struct fault *fault)
{
    if (fields->entrypoint_count > DESCRIPTOR_ENTRYPOINT_MAX)
        return invalid(fault, "entrypoint", "at most 16 elements");
    if (fields->entrypoint_count == 0)
        return fields->kind == ARTIFACT_ROOTFS
                   ? invalid(fault, "entrypoint", "at least one element for a rootfs")
                   : 0;
    for (size_t i = 0; i < fields->entrypoint_count; i++) {
        const char *argument = fields->entrypoint[i];
        size_t len = argument == NULL ? 0 : strnlen(argument, ARGUMENT_MAX + 1);
        if (argument == NULL || len > ARGUMENT_MAX || !utf8_valid(argument, len))
            return fault_set(fault, FAULT_ARTIFACT_INVALID,
                             "entrypoint[%zu]: expected UTF-8 text of at most %d bytes", i,
                             ARGUMENT_MAX);
    }
    const char *program = fields->entrypoint[0];
    if (program[0] != '/' || program[1] == '\0' || text_has_control(program, strlen(program)))
        return invalid(fault, "entrypoint[0]", "an absolute path without control characters");
    return 0;
}

static int check_env(const struct descriptor *fields, struct fault *fault)
{
    if (fields->env_allowed_count > DESCRIPTOR_ENV_MAX)
        return invalid(fault, "env_allowed", "at most 32 names");
    for (size_t i = 0; i < fields->env_allowed_count; i++) {
        const char *name = fields->env_allowed[i];
        if (name == NULL || !env_name_valid(name))
            return invalid(fault, "env_allowed",
                           "names of 1 to 64 of A-Z 0-9 _, the first no digit");
        if (env_name_forbidden(name))
            return fault_set(fault, FAULT_ARTIFACT_INVALID, "env_allowed: %s can never be allowed",
                             name);
        for (size_t k = 0; k < i; k++)
            if (strcmp(fields->env_allowed[k], name) == 0)
                return fault_set(fault, FAULT_ARTIFACT_INVALID, "env_allowed: %s is there twice",
                                 name);
    }
    return 0;
}

static int check_limits(const struct descriptor *fields, struct fault *fault)
{
    struct manifest_limits limits = fields->limits;
    struct json_field limit[LIMIT_COUNT];
    limit_fields(&limits, limit);
    for (size_t i = 0; i < LIMIT_COUNT; i++) {
        int64_t value = *(const int64_t *)limit[i].ret;
        if (value != 0 && (value < limit[i].min || value > limit[i].max))
            return fault_set(fault, FAULT_ARTIFACT_INVALID, "limits.%s: expected %lld to %lld",
                             limit[i].name, (long long)limit[i].min, (long long)limit[i].max);
    }
    return 0;
}

static int check_fields(const struct descriptor *fields, struct fault *fault)
{
    if ((unsigned)fields->kind >= ARRAY_LEN(kind_names))
        return invalid(fault, "kind", "binary, rootfs or oci");
    if (!label_valid(fields->name, NAME_CHARACTERS))
        return invalid(fault, "name",
                       "1 to 128 of A-Z a-z 0-9 . _ + -, the first a letter or digit");
    if (!label_valid(fields->version, VERSION_CHARACTERS))
        return invalid(fault, "version",
                       "1 to 128 of A-Z a-z 0-9 . _ + - ~ :, the first a letter or digit");
    if (check_entrypoint(fields, fault) != 0 || check_env(fields, fault) != 0)
        return -1;
    return check_limits(fields, fault);
}

static const char *copy_text(const char *text, char **at)
{
    size_t len = strlen(text) + 1;
    char *copy = memcpy(*at, text, len);
    *at += len;
    return copy;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static struct descriptor *copy_fields(const struct descriptor *fields)
{
    size_t bytes = strlen(fields->name) + strlen(fields->version) + 2;
    for (size_t i = 0; i < fields->entrypoint_count; i++)
        bytes += strlen(fields->entrypoint[i]) + 1;
    for (size_t i = 0; i < fields->env_allowed_count; i++)
        bytes += strlen(fields->env_allowed[i]) + 1;
    struct descriptor_store *store = calloc(1, sizeof *store + bytes);
    if (store == NULL)
        return NULL;
    char *at = store->text;
    struct descriptor *copy = &store->descriptor;
    *copy = *fields;
    copy->name = copy_text(fields->name, &at);
    copy->version = copy_text(fields->version, &at);
    for (size_t i = 0; i < fields->entrypoint_count; i++)
        store->entrypoint[i] = copy_text(fields->entrypoint[i], &at);
    for (size_t i = 0; i < fields->env_allowed_count; i++)
        store->env_allowed[i] = copy_text(fields->env_allowed[i], &at);
    qsort(store->env_allowed, copy->env_allowed_count, sizeof store->env_allowed[0], compare_names);
    copy->entrypoint = store->entrypoint;
    copy->env_allowed = store->env_allowed;
    return copy;
}

static json_t *json_strings(const char *const *strings, size_t count)
{
    AUTO_JSON json_t *array = json_array();
    for (size_t i = 0; i < count; i++)
        if (json_array_append_new(array, json_string(strings[i])) != 0)
            return NULL;
    return TAKE(array);
}

/* A limit that is not set is left out. */
static json_t *json_limits(const struct manifest_limits *limits)
{
    struct manifest_limits copy = *limits;
    struct json_field limit[LIMIT_COUNT];
    limit_fields(&copy, limit);
    AUTO_JSON json_t *object = json_object();
    for (size_t i = 0; i < LIMIT_COUNT; i++) {
        int64_t value = *(const int64_t *)limit[i].ret;
        if (value != 0 && json_object_set_new(object, limit[i].name, json_integer(value)) != 0)
            return NULL;
    }
    return TAKE(object);
}

static int write_json(const struct descriptor *descriptor, struct buf *ret_json,
                      struct fault *fault)
{
    AUTO_JSON json_t *object = json_pack(
        "{s:s, s:o, s:o, s:o, s:s, s:s}", "kind", kind_names[descriptor->kind], "entrypoint",
        json_strings(descriptor->entrypoint, descriptor->entrypoint_count), "env_allowed",
        json_strings(descriptor->env_allowed, descriptor->env_allowed_count), "limits",
        json_limits(&descriptor->limits), "name", descriptor->name, "version", descriptor->version);
    if (object == NULL)
        return fault_set(fault, FAULT_INTERNAL, "descriptor: no memory");
    json_append(ret_json, object);
    if (buf_failed(ret_json))
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "descriptor: expected at most %d bytes",
                         DESCRIPTOR_JSON_MAX);
    return 0;
}

int descriptor_new(const struct descriptor *fields, struct descriptor **ret_descriptor,
                   struct buf *ret_json, struct fault *fault)
{
    if (check_fields(fields, fault) != 0)
        return -1;
    AUTO_DESCRIPTOR struct descriptor *descriptor = copy_fields(fields);
    if (descriptor == NULL)
        return fault_set(fault, FAULT_INTERNAL, "descriptor: no memory");
    AUTO_BUF struct buf json = BUF(DESCRIPTOR_JSON_MAX);
    if (write_json(descriptor, &json, fault) != 0)
        return -1;
    buf_append(ret_json, json.data, json.len);
    if (buf_failed(ret_json))
        return fault_set(fault, FAULT_INTERNAL, "descriptor: no room for its JSON");
    *ret_descriptor = TAKE(descriptor);
    return 0;
}

static int read_strings(const json_t *array, const char *field, size_t max, const char **ret_texts,
                        struct fault *fault)
{
    if (json_array_size(array) > max)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "%s: more than %zu elements", field, max);
    for (size_t i = 0; i < json_array_size(array); i++) {
        ret_texts[i] = json_string_value(json_array_get(array, i));
        if (ret_texts[i] == NULL)
            return fault_set(fault, FAULT_ARTIFACT_INVALID, "%s[%zu]: expected a string", field, i);
    }
    return 0;
}

/* The fields point into object and into the two arrays. */
static int read_fields(const json_t *object, struct descriptor *ret_fields,
                       const char *entrypoint[DESCRIPTOR_ENTRYPOINT_MAX],
                       const char *env_allowed[DESCRIPTOR_ENV_MAX], struct fault *fault)
{
    const char *kind = NULL;
    const json_t *arguments = NULL, *names = NULL, *limits = NULL;
    const struct json_field fields[] = {
        {"kind", JSON_KIND_STRING, true, 0, 0, &kind},
        {"entrypoint", JSON_KIND_ARRAY, true, 0, 0, &arguments},
        {"env_allowed", JSON_KIND_ARRAY, true, 0, 0, &names},
        {"limits", JSON_KIND_OBJECT, true, 0, 0, &limits},
        {"name", JSON_KIND_STRING, true, 0, 0, &ret_fields->name},
        {"version", JSON_KIND_STRING, true, 0, 0, &ret_fields->version},
    };
    struct json_field limit[LIMIT_COUNT];
    limit_fields(&ret_fields->limits, limit);
    if (json_read(object, "", fields, ARRAY_LEN(fields), true, FAULT_ARTIFACT_INVALID, fault) !=
            0 ||
        json_read(limits, "limits.", limit, LIMIT_COUNT, true, FAULT_ARTIFACT_INVALID, fault) != 0)
        return -1;
    if (artifact_kind_parse(kind, &ret_fields->kind) != 0)
        return invalid(fault, "kind", "binary, rootfs or oci");
    if (read_strings(arguments, "entrypoint", DESCRIPTOR_ENTRYPOINT_MAX, entrypoint, fault) != 0 ||
        read_strings(names, "env_allowed", DESCRIPTOR_ENV_MAX, env_allowed, fault) != 0)
        return -1;
    ret_fields->entrypoint = entrypoint;
    ret_fields->entrypoint_count = json_array_size(arguments);
    ret_fields->env_allowed = env_allowed;
    ret_fields->env_allowed_count = json_array_size(names);
    return 0;
}

int descriptor_parse(struct span json, struct descriptor **ret_descriptor, struct fault *fault)
{
    if (json.len > DESCRIPTOR_JSON_MAX)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "descriptor: longer than %d bytes",
                         DESCRIPTOR_JSON_MAX);
    AUTO_JSON json_t *object = NULL;
    struct descriptor fields = {0};
    const char *entrypoint[DESCRIPTOR_ENTRYPOINT_MAX] = {NULL};
    const char *env_allowed[DESCRIPTOR_ENV_MAX] = {NULL};
    AUTO_DESCRIPTOR struct descriptor *descriptor = NULL;
    AUTO_BUF struct buf again = BUF(DESCRIPTOR_JSON_MAX);
    if (json_object_parse(json, FAULT_ARTIFACT_INVALID, "descriptor", &object, fault) != 0 ||
        read_fields(object, &fields, entrypoint, env_allowed, fault) != 0 ||
        descriptor_new(&fields, &descriptor, &again, fault) != 0)
        return -1;
    /* Its digest is over exact bytes, so a descriptor has one form only. */
    if (!span_equal(json, buf_span(&again)))
        return invalid(fault, "descriptor", "its compact form with members in their order");
    *ret_descriptor = TAKE(descriptor);
    return 0;
}

struct digest descriptor_digest(const struct digest *artifact, struct span json)
{
    struct digest_stream *stream = digest_stream_new();
    if (stream == NULL)
        abort(); /* no memory: a wrong digest must not go on */
    struct digest_text hex = digest_hex(artifact);
    digest_stream_update(stream, "sallyport-descriptor-v1\n", 24);
    digest_stream_update(stream, hex.text, strlen(hex.text));
    digest_stream_update(stream, "\n", 1);
    digest_stream_update(stream, json.data, json.len);
    struct digest digest = digest_stream_value(stream);
    digest_stream_free(stream);
    return digest;
}

int descriptor_check_env(const struct descriptor *descriptor, const struct manifest *manifest,
                         struct fault *fault)
{
    for (size_t i = 0; i < manifest->env_count; i++) {
        const char *name = manifest->env[i].name;
        if (env_name_forbidden(name) ||
            bsearch(&name, descriptor->env_allowed, descriptor->env_allowed_count, sizeof name,
                    compare_names) == NULL)
            return fault_set(fault, FAULT_MANIFEST_INVALID,
                             "parameters.env.%s: is not allowed for this artifact", name);
    }
    return 0;
}

void descriptor_free(struct descriptor *descriptor)
{
    free(descriptor);
}

void descriptor_cleanup(struct descriptor **descriptor)
{
    descriptor_free(*descriptor);
}
