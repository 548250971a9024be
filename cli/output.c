/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/output.h"

#include "cli/show.h"

#include <stdarg.h>
#include <string.h>

#define TEXT_MAX ((size_t)256 * 1024 * 1024)
#define COLUMNS_MAX 16
#define DIGEST_SHORT (7 + 12)

static const char *const mode_names[] = {
    [OUTPUT_TABLE] = "table", [OUTPUT_JSON] = "json", [OUTPUT_NDJSON] = "ndjson"};

int output_mode_parse(const char *name, enum output_mode *ret_mode)
{
    for (size_t i = 0; i < ARRAY_LEN(mode_names); i++)
        if (strcmp(name, mode_names[i]) == 0) {
            *ret_mode = (enum output_mode)i;
            return 0;
        }
    return -1;
}

struct output output_open(void)
{
    const char *no_color = getenv("NO_COLOR");
    const char *kind = getenv("TERM");
    bool terminal = isatty(STDOUT_FILENO) == 1;
    bool dumb = kind == NULL || *kind == '\0' || strcmp(kind, "dumb") == 0;
    return (struct output){.mode = OUTPUT_TABLE,
                           .out = stdout,
                           .terminal = terminal,
                           .color = terminal && !dumb && (no_color == NULL || *no_color == '\0')};
}

static int write_failed(struct fault *fault)
{
    return fault_errno(fault, "cannot write the output");
}

static int put(const struct output *output, const struct buf *text, struct fault *fault)
{
    if (buf_failed(text))
        return fault_set(fault, FAULT_TOO_LARGE, "the output: more than fits in memory");
    if (text->len > 0 && fwrite(text->data, 1, text->len, output->out) != text->len)
        return write_failed(fault);
    return 0;
}

int output_bytes(const struct output *output, struct span bytes, struct fault *fault)
{
    if (output->terminal) {
        AUTO_BUF struct buf text = BUF(TEXT_MAX);
        show_text(&text, bytes, SHOW_LINES);
        return put(output, &text, fault);
    }
    if (bytes.len > 0 && fwrite(bytes.data, 1, bytes.len, output->out) != bytes.len)
        return write_failed(fault);
    return 0;
}

int output_close(const struct output *output, struct fault *fault)
{
    return fflush(output->out) == 0 && ferror(output->out) == 0 ? 0 : write_failed(fault);
}

static int append_chunk(const char *chunk, size_t len, void *context)
{
    buf_append(context, chunk, len);
    return buf_failed(context) ? -1 : 0;
}

static int put_json(const struct output *output, const json_t *value, struct fault *fault)
{
    AUTO_BUF struct buf text = BUF(TEXT_MAX);
    size_t flags = output->mode == OUTPUT_JSON ? JSON_INDENT(2) : JSON_COMPACT;
    if (output->terminal)
        flags |= JSON_ENSURE_ASCII;
    if (json_dump_callback(value, append_chunk, &text, flags) != 0)
        text.failed = true;
    buf_puts(&text, "\n");
    return buf_failed(&text) ? put(output, &text, fault)
                             : output_bytes(output, buf_span(&text), fault);
}

static const json_t *member_of(const json_t *object, const char *path)
{
    const char *dot = strchr(path, '.');
    if (dot == NULL)
        return json_object_get(object, path);
    AUTO_FREE char *first = strndup(path, (size_t)(dot - path));
    return first == NULL ? NULL : member_of(json_object_get(object, first), dot + 1);
}

void output_cell(struct buf *buf, const json_t *value)
{
    if (value == NULL || json_is_null(value) ||
        (json_is_array(value) && json_array_size(value) == 0))
        buf_puts(buf, "-");
    else if (json_is_string(value))
        show_text(buf, span_of(json_string_value(value), json_string_length(value)), SHOW_LINE);
    else if (json_is_integer(value))
        buf_printf(buf, "%lld", (long long)json_integer_value(value));
    else if (json_is_boolean(value))
        buf_puts(buf, json_is_true(value) ? "yes" : "no");
    else if (json_is_array(value)) {
        for (size_t i = 0; i < json_array_size(value); i++) {
            buf_puts(buf, i == 0 ? "" : ",");
            output_cell(buf, json_array_get(value, i));
        }
    } else {
        AUTO_BUF struct buf text = BUF(TEXT_MAX);
        json_append(&text, value);
        buf->failed = buf->failed || buf_failed(&text);
        show_text(buf, buf_span(&text), SHOW_LINE);
    }
}

static void column_cell(struct buf *buf, const struct column *column, const json_t *object)
{
    const json_t *value = member_of(object, column->member);
    if (column->kind == COLUMN_DIGEST && json_string_length(value) > DIGEST_SHORT)
        show_text(buf, span_of(json_string_value(value), DIGEST_SHORT), SHOW_LINE);
    else
        output_cell(buf, value);
}

static const char *state_color(struct span state)
{
    static const struct {
        const char *state, *color;
    } colors[] = {{"succeeded", "\x1b[32m"}, {"approved", "\x1b[32m"}, {"queued", "\x1b[33m"},
                  {"running", "\x1b[33m"},   {"pending", "\x1b[33m"},  {"inspecting", "\x1b[33m"}};
    for (size_t i = 0; i < ARRAY_LEN(colors); i++)
        if (span_equal(state, span_text(colors[i].state)))
            return colors[i].color;
    return "\x1b[31m";
}

/* One cell, filled up to its width unless it is the last, in its colour. */
static void put_cell(struct buf *text, struct span cell, size_t width, bool last, const char *color)
{
    buf_puts(text, color);
    buf_append(text, cell.data, cell.len);
    buf_puts(text, *color == '\0' ? "" : "\x1b[0m");
    if (!last)
        buf_printf(text, "%*s", (int)(width - show_width(cell) + 2), "");
}

static void measure(const struct column *columns, size_t count, const json_t *items,
                    size_t ret_widths[COLUMNS_MAX])
{
    for (size_t c = 0; c < count; c++) {
        ret_widths[c] = strlen(columns[c].title);
        for (size_t i = 0; i < json_array_size(items); i++) {
            AUTO_BUF struct buf cell = BUF(TEXT_MAX);
            column_cell(&cell, &columns[c], json_array_get(items, i));
            size_t width = show_width(buf_span(&cell));
            ret_widths[c] = width > ret_widths[c] ? width : ret_widths[c];
        }
    }
}

static void write_table(const struct output *output, const struct column *columns, size_t count,
                        const json_t *items, struct buf *text)
{
    size_t widths[COLUMNS_MAX];
    measure(columns, count, items, widths);
    for (size_t c = 0; c < count; c++)
        put_cell(text, span_text(columns[c].title), widths[c], c + 1 == count,
                 output->color ? "\x1b[1m" : "");
    buf_puts(text, "\n");
    for (size_t i = 0; i < json_array_size(items); i++) {
        for (size_t c = 0; c < count; c++) {
            AUTO_BUF struct buf cell = BUF(TEXT_MAX);
            column_cell(&cell, &columns[c], json_array_get(items, i));
            bool colored = output->color && columns[c].kind == COLUMN_STATE;
            put_cell(text, buf_span(&cell), widths[c], c + 1 == count,
                     colored ? state_color(buf_span(&cell)) : "");
        }
        buf_puts(text, "\n");
    }
}

int output_items(const struct output *output, const struct column *columns, size_t count,
                 const json_t *items, const char *next, struct fault *fault)
{
    if (output->mode == OUTPUT_JSON) {
        AUTO_JSON json_t *list = json_pack("{s:O, s:s?}", "items", items, "next", next);
        if (list == NULL)
            return fault_set(fault, FAULT_INTERNAL, "out of memory");
        return put_json(output, list, fault);
    }
    if (output->mode == OUTPUT_NDJSON) {
        for (size_t i = 0; i < json_array_size(items); i++)
            if (put_json(output, json_array_get(items, i), fault) != 0)
                return -1;
        return 0;
    }
    AUTO_BUF struct buf text = BUF(TEXT_MAX);
    write_table(output, columns, count < COLUMNS_MAX ? count : COLUMNS_MAX, items, &text);
    if (put(output, &text, fault) != 0)
        return -1;
    if (next != NULL)
        output_note("there are more: --after %s", next);
    return 0;
}

static void put_line(struct buf *text, const char *title, size_t width, const struct buf *cell)
{
    buf_printf(text, "%-*s  ", (int)width, title);
    buf_append(text, cell->data, cell->len);
    buf_puts(text, "\n");
}

static void write_members(const json_t *object, struct buf *text)
{
    size_t width = 0;
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)object, name, value) width =
        strlen(name) > width ? strlen(name) : width;
    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        AUTO_BUF struct buf title = BUF(TEXT_MAX), cell = BUF(TEXT_MAX);
        show_text(&title, span_text(name), SHOW_LINE);
        output_cell(&cell, value);
        put_line(text, buf_text(&title), width, &cell);
    }
}

int output_record(const struct output *output, const struct column *columns, size_t count,
                  const json_t *object, struct fault *fault)
{
    if (output->mode != OUTPUT_TABLE)
        return put_json(output, object, fault);
    AUTO_BUF struct buf text = BUF(TEXT_MAX);
    size_t width = 0;
    for (size_t c = 0; c < count; c++)
        width = strlen(columns[c].title) > width ? strlen(columns[c].title) : width;
    for (size_t c = 0; c < count; c++) {
        AUTO_BUF struct buf cell = BUF(TEXT_MAX);
        output_cell(&cell, member_of(object, columns[c].member));
        put_line(&text, columns[c].title, width, &cell);
    }
    if (count == 0)
        write_members(object, &text);
    return put(output, &text, fault);
}

void output_note(const char *format, ...)
{
    AUTO_FREE char *line = NULL;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&line, format, arguments) < 0)
        line = NULL;
    va_end(arguments);
    if (line == NULL)
        return;
    AUTO_BUF struct buf text = BUF(TEXT_MAX);
    buf_puts(&text, "sallyport: ");
    show_text(&text, span_text(line), SHOW_LINE);
    buf_puts(&text, "\n");
    (void)fwrite(buf_text(&text), 1, text.len, stderr);
}
