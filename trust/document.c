/* SPDX-License-Identifier: Apache-2.0 */
#include "trust/document.h"

#include "base/clock.h"
#include "base/text.h"

#include <string.h>

int document_parse(struct span bytes, const char *what, json_t **ret_object, struct fault *fault)
{
    if (bytes.len > DOCUMENT_MAX)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "%s: larger than %u bytes", what,
                         DOCUMENT_MAX);
    struct json_size size = json_measure(bytes);
    if (size.containers > DOCUMENT_CONTAINERS_MAX || size.commas > DOCUMENT_COMMAS_MAX)
        return fault_set(fault, FAULT_ARTIFACT_INVALID,
                         "%s: more than %u objects and arrays, or %u commas", what,
                         DOCUMENT_CONTAINERS_MAX, DOCUMENT_COMMAS_MAX);
    return json_object_parse(bytes, FAULT_ARTIFACT_INVALID, what, ret_object, fault);
}

int document_member(const json_t *object, const char *prefix, const char *name, enum json_kind kind,
                    bool required, json_t **ret_value, struct fault *fault)
{
    const char *text = NULL;
    int64_t number = 0;
    bool truth = false;
    json_t *value = json_object_get(object, name), *container = NULL;
    struct json_field field = {name, kind, required, 0, 0, &container};
    if (kind == JSON_KIND_STRING)
        field.ret = (void *)&text;
    else if (kind == JSON_KIND_INTEGER)
        field.ret = &number;
    else if (kind == JSON_KIND_BOOL)
        field.ret = &truth;
    if (json_is_null(value) && !required)
        value = NULL;
    else if (json_read(object, prefix, &field, 1, false, FAULT_ARTIFACT_INVALID, fault) != 0)
        return -1;
    *ret_value = value;
    return 0;
}

int document_text(const json_t *object, const char *prefix, const char *name, bool required,
                  char *ret_text, struct fault *fault)
{
    json_t *value;
    if (document_member(object, prefix, name, JSON_KIND_STRING, required, &value, fault) != 0)
        return -1;
    size_t len = json_string_length(value);
    if (required && len == 0)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "%s%s: expected some text", prefix, name);
    len = len == 0 ? 0 : utf8_cut(json_string_value(value), len, DOCUMENT_TEXT_MAX);
    if (len > 0)
        memcpy(ret_text, json_string_value(value), len);
    ret_text[len] = '\0';
    return 0;
}

int document_time(const json_t *object, const char *prefix, const char *name, bool required,
                  int64_t *ret_ms, struct fault *fault)
{
    json_t *value;
    int64_t ms = INT64_MIN;
    if (document_member(object, prefix, name, JSON_KIND_STRING, required, &value, fault) != 0)
        return -1;
    size_t len = json_string_length(value);
    if ((required || len > 0) && (len == 0 || time_parse(json_string_value(value), len, &ms) != 0))
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "%s%s: expected an RFC 3339 date-time",
                         prefix, name);
    *ret_ms = ms;
    return 0;
}

json_t *document_text_json(const char *text)
{
    return text[0] == '\0' ? json_null() : json_string(text);
}

json_t *document_time_json(int64_t ms)
{
    return ms == INT64_MIN ? json_null() : json_string(time_format(ms).text);
}
