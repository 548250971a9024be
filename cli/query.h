/* SPDX-License-Identifier: Apache-2.0 */
/* Paths and their queries, percent-encoded (RFC 3986). */
#pragma once

#include "base/buf.h"

/* The longest path with its query that the client sends. */
#define QUERY_PATH_MAX ((size_t)96 * 1024)

/* Appends text with all but unreserved characters encoded: one segment, whatever is in it. */
void query_escape(struct buf *path, const char *text);

/* Appends `?name=value` or `&name=value`, whichever it takes; nothing where value is NULL. */
void query_add(struct buf *path, const char *name, const char *value);
void query_add_number(struct buf *path, const char *name, int64_t value);
