/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include "base/text.h"

#include <inttypes.h>
#include <string.h>

#define JSON_DEPTH_MAX 64
#define JCS_MEMBERS_MAX 32

struct json_size json_measure(struct span bytes)
{
    struct json_size size = {0};
    size_t depth = 0;
    bool string = false;
    for (size_t i = 0; i < bytes.len; i++) {
        uint8_t c = bytes.data[i];
        if (string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                string = false;
        } else if (c == '"') {
            string = true;
        } else if (c == '{' || c == '[') {
            size.containers++;
            if (++depth > size.depth)
                size.depth = depth;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        } else if (c == ',') {
            size.commas++;
        }
    }
    return size;
}

static int parse(struct span bytes, enum fault_code code, const char *what, bool array,
                 json_t **ret_value, struct fault *fault)
{
    const char *expected = array ? "a JSON array" : "a JSON object";
    if (bytes.len == 0)
        return fault_set(fault, code, "%s: expected %s, found nothing", what, expected);
    if (memchr(bytes.data, '\0', bytes.len) != NULL)
        return fault_set(fault, code, "%s: a NUL byte is not JSON", what);
    if (json_measure(bytes).depth > JSON_DEPTH_MAX) /* jansson's recursion stays shallow */
        return fault_set(fault, code, "%s: nested deeper than %d", what, JSON_DEPTH_MAX);
    json_error_t error;
    AUTO_JSON json_t *value =
        json_loadb((const char *)bytes.data, bytes.len, JSON_REJECT_DUPLICATES, &error);
    if (value == NULL)
        return fault_set(fault, code, "%s: not strict JSON at byte %d: %s", what, error.position,
                         json_error_code(&error) == json_error_duplicate_key
                             ? "duplicate member"
                             : "syntax, UTF-8 or number out of range");
    if (array ? !json_is_array(value) : !json_is_object(value))
        return fault_set(fault, code, "%s: expected %s", what, expected);
    *ret_value = TAKE(value);
    return 0;
}

int json_object_parse(struct span bytes, enum fault_code code, const char *what,
                      json_t **ret_object, struct fault *fault)
{
    return parse(bytes, code, what, false, ret_object, fault);
}

int json_array_parse(struct span bytes, enum fault_code code, const char *what, json_t **ret_array,
                     struct fault *fault)
{
    return parse(bytes, code, what, true, ret_array, fault);
}

static int append_chunk(const char *chunk, size_t len, void *context)
{
    struct buf *buf = context;
    buf_append(buf, chunk, len);
    return buf_failed(buf) ? -1 : 0;
}

void json_append(struct buf *buf, const json_t *value)
{
    if (json_dump_callback(value, append_chunk, buf, JSON_COMPACT) != 0)
        buf->failed = true;
}

static const char *const kind_names[] = {
    [JSON_KIND_STRING] = "a string",    [JSON_KIND_INTEGER] = "an integer",
    [JSON_KIND_BOOL] = "true or false", [JSON_KIND_OBJECT] = "an object",
    [JSON_KIND_ARRAY] = "an array",
};

static bool kind_is(const json_t *value, enum json_kind kind)
{
    switch (kind) {
    case JSON_KIND_STRING:
        return json_is_string(value);
    case JSON_KIND_INTEGER:
        return json_is_integer(value);
    case JSON_KIND_BOOL:
        return json_is_boolean(value);
    case JSON_KIND_OBJECT:
        return json_is_object(value);
    case JSON_KIND_ARRAY:
        return json_is_array(value);
    }
    return false;
}

/* What min and max bound, by kind. */
static int64_t size_of(const json_t *value, enum json_kind kind)
{
    switch (kind) {
    case JSON_KIND_STRING:
        return (int64_t)json_string_length(value);
    case JSON_KIND_INTEGER:
        return json_integer_value(value);
    case JSON_KIND_ARRAY:
        return (int64_t)json_array_size(value);
    case JSON_KIND_BOOL:
    case JSON_KIND_OBJECT:
        break;
    }
    return 0;
}

static void field_store(const struct json_field *field, json_t *value)
{
    switch (field->kind) {
    case JSON_KIND_STRING:
        *(const char **)field->ret = json_string_value(value);
        break;
    case JSON_KIND_INTEGER:
        *(int64_t *)field->ret = json_integer_value(value);
        break;
    case JSON_KIND_BOOL:
        *(bool *)field->ret = json_is_true(value);
        break;
    case JSON_KIND_OBJECT:
    case JSON_KIND_ARRAY:
        *(json_t **)field->ret = value;
        break;
    }
}

static int field_check(const char *prefix, const struct json_field *field, const json_t *value,
                       enum fault_code code, struct fault *fault)
{
    static const char *const units[] = {[JSON_KIND_STRING] = " bytes",
                                        [JSON_KIND_INTEGER] = "",
                                        [JSON_KIND_BOOL] = "",
                                        [JSON_KIND_OBJECT] = "",
                                        [JSON_KIND_ARRAY] = " elements"};
    if (!kind_is(value, field->kind))
        return fault_set(fault, code, "%s%s: expected %s", prefix, field->name,
                         kind_names[field->kind]);
    int64_t size = size_of(value, field->kind);
    if ((field->min != 0 || field->max != 0) && (size < field->min || size > field->max))
        return fault_set(fault, code, "%s%s: expected %s of %" PRId64 " to %" PRId64 "%s", prefix,
                         field->name, kind_names[field->kind], field->min, field->max,
                         units[field->kind]);
    return 0;
}

static bool is_declared(const char *name, const struct json_field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, fields[i].name) == 0)
            return true;
    return false;
}

static int check_closed(const json_t *object, const char *prefix, const struct json_field *fields,
                        size_t field_count, enum fault_code code, struct fault *fault)
{
    for (void *iter = json_object_iter((json_t *)(uintptr_t)object); iter != NULL;
         iter = json_object_iter_next((json_t *)(uintptr_t)object, iter)) {
        const char *name = json_object_iter_key(iter);
        if (!is_declared(name, fields, field_count))
            return fault_set(fault, code, "%s%.64s: not a member known here", prefix, name);
    }
    return 0;
}

int json_read(const json_t *object, const char *prefix, const struct json_field *fields,
              size_t field_count, bool closed, enum fault_code code, struct fault *fault)
{
    for (size_t i = 0; i < field_count; i++) {
        const json_t *value = json_object_get(object, fields[i].name);
        if (value == NULL && fields[i].required)
            return fault_set(fault, code, "%s%s: required, expected %s", prefix, fields[i].name,
                             kind_names[fields[i].kind]);
        if (value != NULL && field_check(prefix, &fields[i], value, code, fault) != 0)
            return -1;
    }
    if (closed && check_closed(object, prefix, fields, field_count, code, fault) != 0)
        return -1;
    for (size_t i = 0; i < field_count; i++) {
        json_t *value = json_object_get(object, fields[i].name);
        if (value != NULL)
            field_store(&fields[i], value);
    }
    return 0;
}

/* RFC 8785 3.2.2.2: the short escapes, other control characters as lower-case \u00xx, the
 * rest as it is. */
static void jcs_string(struct buf *buf, const char *text)
{
    buf_puts(buf, "\"");
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        const char *escapes = "\b\t\n\f\r\"\\";
        const char *names = "btnfr\"\\";
        const char *found = strchr(escapes, c);
        if (found != NULL)
            buf_printf(buf, "\\%c", names[found - escapes]);
        else if (c < 0x20)
            buf_printf(buf, "\\u%04x", c);
        else
            buf_append(buf, text, 1);
    }
    buf_puts(buf, "\"");
}

void jcs_object(struct buf *buf, const struct jcs_member *members, size_t count)
{
    const struct jcs_member *sorted[JCS_MEMBERS_MAX];
    if (count > JCS_MEMBERS_MAX) {
        buf->failed = true;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        size_t at = i;
        for (; at > 0 && strcmp(sorted[at - 1]->name, members[i].name) > 0; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = &members[i];
    }
    buf_puts(buf, "{");
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_puts(buf, ",");
        jcs_string(buf, sorted[i]->name);
        buf_puts(buf, ":");
        jcs_string(buf, sorted[i]->value);
    }
    buf_puts(buf, "}");
}
