/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Request targets (RFC 9112 section 3.2), strictly: characters RFC 3986 does not allow, a bad
 * percent escape, and escapes that hide NUL, control characters or invalid UTF-8 are
 * FAULT_MALFORMED_REQUEST. Nothing is normalised.
 */
#pragma once

#include "base/buf.h"
#include "base/fault.h"

/* Splits an origin-form or absolute-form target in path and query, both still encoded, the
 * query without its `?` and empty where there is none. Other forms match no path of ours:
 * they are a fault too. */
int url_split(struct span target, struct span *ret_path, struct span *ret_query,
              struct fault *fault) MUST_CHECK;

/* Writes the decoded text and a NUL to ret_text, which holds text.len + 1 bytes. In a query
 * `+` is a space. `what` begins the fault's sentence ("the path"). */
int url_decode(struct span text, bool plus_is_space, const char *what, char *ret_text,
               struct fault *fault) MUST_CHECK;

/* One name=value of a query, decoded. */
struct url_parameter {
    const char *name;
    const char *value; /* "" for a name alone */
};

/* Takes a query apart at `&`. The decoded text goes to `text`, which holds query.len + 2 bytes
 * and is pointed into by ret_parameters. More than `max` parameters, or one without a name,
 * is a fault. */
int url_query(struct span query, char *text, struct url_parameter *ret_parameters, size_t max,
              size_t *ret_count, struct fault *fault) MUST_CHECK;
