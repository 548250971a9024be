/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command says: data on stdout as a table, JSON or NDJSON; notes on stderr. Whatever
 * came from elsewhere passes through cli/show.h before it reaches a terminal.
 */
#pragma once

#include "base/fault.h"
#include "base/json.h"

enum output_mode { OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_NDJSON };

struct output {
    enum output_mode mode;
    FILE *out;
    bool terminal; /* out is one */
    bool color;    /* a terminal that wants colours (NO_COLOR is not set) */
};

enum column_kind {
    COLUMN_TEXT,
    COLUMN_STATE, /* coloured by how good it is */
    COLUMN_DIGEST /* shortened: the whole is in the other modes and in records */
};

/* A column of a table, or a line of a record. */
struct column {
    const char *title;
    const char *member; /* of the object; `a.b` is b of a */
    enum column_kind kind;
};

/* "table", "json", "ndjson"; -1 otherwise. */
int output_mode_parse(const char *name, enum output_mode *ret_mode) MUST_CHECK;

/* stdout, as the environment has it. */
struct output output_open(void);

/* A list: table rows, `{"items":[...],"next":...}`, or one item a line. `next` is the cursor of
 * what was not fetched, NULL for none. */
int output_items(const struct output *output, const struct column *columns, size_t count,
                 const json_t *items, const char *next, struct fault *fault) MUST_CHECK;

/* One object: a line for each column (for each member where count is 0), or JSON. */
int output_record(const struct output *output, const struct column *columns, size_t count,
                  const json_t *object, struct fault *fault) MUST_CHECK;

/* Bytes as they are, but neutralised where they go to a terminal. */
int output_bytes(const struct output *output, struct span bytes, struct fault *fault) MUST_CHECK;

/* Everything written has arrived. */
int output_close(const struct output *output, struct fault *fault) MUST_CHECK;

/* Appends a JSON value as one cell of text: strings bare, null and empty lists
 * as "-", lists with commas. */
void output_cell(struct buf *buf, const json_t *value);

/* One line on stderr, neutralised. */
void output_note(const char *format, ...) PRINTF_LIKE(1, 2);
