/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON over jansson: strict parsing, declared fields, compact exact bytes, and the part
 * of RFC 8785 (JCS) that objects of strings need.
 */
#pragma once

#include "base/buf.h"
#include "base/fault.h"

/* What a text would cost as a tree, seen in one pass outside its strings: nesting, objects and
 * arrays, commas. Counts of a text that is not JSON mean nothing. */
struct json_size {
    size_t depth, containers, commas;
};
struct json_size json_measure(struct span bytes);

/* Parses exactly these bytes as one JSON object: no duplicate member at any depth, no NUL,
 * valid UTF-8, nothing after it but white space, nesting at most 64 deep (checked before
 * jansson sees it). `what` begins the fault's sentence ("the manifest"). The caller owns the
 * result. */
int json_object_parse(struct span bytes, enum fault_code code, const char *what,
                      json_t **ret_object, struct fault *fault) MUST_CHECK;

/* The same for an array. */
int json_array_parse(struct span bytes, enum fault_code code, const char *what, json_t **ret_array,
                     struct fault *fault) MUST_CHECK;

/* Appends the compact form (jansson JSON_COMPACT, members in insertion order). Marks buf
 * failed where it does not fit. */
void json_append(struct buf *buf, const json_t *value);

enum json_kind {
    JSON_KIND_STRING,
    JSON_KIND_INTEGER,
    JSON_KIND_BOOL,
    JSON_KIND_OBJECT,
    JSON_KIND_ARRAY
};

/* One declared member. ret points to const char * (string, borrowed from the object),
 * int64_t, bool, or json_t * (object, array; borrowed). min and max bound the bytes of a
 * string, the value of an integer, the number of elements of an array (both 0: any). */
struct json_field {
    const char *name;
    enum json_kind kind;
    bool required;
    int64_t min, max;
    void *ret;
};

/* Reads the declared members; an absent optional one leaves its ret untouched. With
 * closed set an undeclared member is a fault. The fault names the member, after `prefix`. */
int json_read(const json_t *object, const char *prefix, const struct json_field *fields,
              size_t field_count, bool closed, enum fault_code code,
              struct fault *fault) MUST_CHECK;

/* One member of jcs_object(). */
struct jcs_member {
    const char *name;  /* ASCII */
    const char *value; /* valid UTF-8 */
};

/* Appends the RFC 8785 form of an object whose values are all strings. At most 32 members. */
void jcs_object(struct buf *buf, const struct jcs_member *members, size_t count);
