/* SPDX-License-Identifier: Apache-2.0 */
/* ledger export: the log as files that prove themselves; and ledger checkpoint. */
#include "base/file.h"
#include "cli/commands.h"
#include "cli/ledger_files.h"
#include "cli/query.h"
#include "ledger/checkpoint.h"
#include "ledger/event.h"
#include "ledger/line.h"
#include "ledger/tile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#define LINES_PER_CALL 5000
#define EXPORT_ANSWER_MAX ((size_t)32 * 1024 * 1024)

static int fetch_text(struct client *client, const char *path, const char *accept, size_t max,
                      struct http_answer *ret_answer, struct fault *fault)
{
    struct http_request request = {
        .method = "GET", .path = path, .accept = accept, .answer_max = max};
    return client_call(client, &request, ret_answer, fault);
}

static int fetch_checkpoint(struct client *client, struct http_answer *ret_answer,
                            struct fault *fault)
{
    return fetch_text(client, "/v1/ledger/checkpoint", "text/plain", NOTE_MAX, ret_answer, fault);
}

/* What a note claims, unproven: how much there is to fetch. ledger verify believes it or not. */
static int read_size(const struct buf *note_bytes, uint64_t *ret_size, struct fault *fault)
{
    struct note note;
    struct checkpoint checkpoint;
    struct fault cause = {0};
    if (note_parse(buf_span(note_bytes), &note, &cause) != 0 ||
        checkpoint_parse(note.text, &checkpoint, &cause) != 0)
        return fault_set(fault, FAULT_INTERNAL, "the server's checkpoint: %s", cause.detail);
    *ret_size = checkpoint.size;
    return 0;
}

/* Writes the answer's lines, at most `left` of them. */
static int write_lines(FILE *file, const struct buf *body, uint64_t left, uint64_t *ret_count,
                       struct fault *fault)
{
    uint64_t count = 0;
    struct span rest = buf_span(body);
    while (rest.len > 0 && count < left) {
        const uint8_t *newline = memchr(rest.data, '\n', rest.len);
        if (newline == NULL)
            return fault_set(fault, FAULT_INTERNAL, "the server's export ends inside a line");
        size_t len = (size_t)(newline - rest.data) + 1;
        if (fwrite(rest.data, 1, len, file) != len)
            return fault_errno(fault, "cannot write the events");
        rest = span_of(rest.data + len, rest.len - len);
        count++;
    }
    *ret_count = count;
    return 0;
}

/* What is being exported. */
struct export
{
    struct client *client;
    uint64_t size;
    uint64_t expired; /* hashes in place of the tenant's own events, as the server says */
};

/* Of one answer. A gateway of before has no such header: nothing expires there. */
static int add_expired(struct export *export, const char *text, struct fault *fault)
{
    uint64_t count = 0;
    if (text[0] != '\0' && !line_number(span_text(text), &count))
        return fault_set(fault, FAULT_INTERNAL,
                         "the server's answer: Sallyport-Ledger-Expired: "
                         "expected a number");
    export->expired += count;
    return 0;
}

static int export_events(struct export *export, FILE *file, struct fault *fault)
{
    for (uint64_t at = 0; at < export->size;) {
        AUTO_BUF struct buf path = BUF(QUERY_PATH_MAX);
        AUTO_HTTP_ANSWER struct http_answer answer = {0};
        uint64_t count = 0, left = export->size - at;
        buf_puts(&path, "/v1/ledger/export");
        query_add_number(&path, "from", (int64_t)at);
        query_add_number(&path, "limit",
                         left < LINES_PER_CALL ? (int64_t)left : (int64_t)LINES_PER_CALL);
        if (fetch_text(export->client, buf_text(&path), "text/plain", EXPORT_ANSWER_MAX, &answer,
                       fault) != 0 ||
            write_lines(file, &answer.body, left, &count, fault) != 0 ||
            add_expired(export, answer.expired, fault) != 0)
            return -1;
        if (count == 0)
            return fault_set(fault, FAULT_INTERNAL,
                             "the server exports nothing from entry %" PRIu64
                             " on, but its checkpoint covers %" PRIu64,
                             at, export->size);
        at += count;
    }
    return 0;
}

/* What the log has recorded, from its entry bundles. */
static int export_entries(struct export *export, FILE *file, struct fault *fault)
{
    for (uint64_t n = 0; n * TILE_WIDTH < export->size; n++) {
        struct tile tile = {.entries = true, .n = n, .width = tile_width(0, n, export->size)};
        struct digest entries[TILE_WIDTH];
        struct fault cause = {0};
        AUTO_BUF struct buf path = BUF(QUERY_PATH_MAX);
        AUTO_HTTP_ANSWER struct http_answer answer = {0};
        buf_printf(&path, "/v1/ledger/tile/%s", tile_format(&tile).text);
        if (fetch_text(export->client, buf_text(&path), "application/octet-stream",
                       (size_t)TILE_WIDTH * TILE_BUNDLE_ENTRY_LEN, &answer, fault) != 0)
            return -1;
        if (tile_bundle_decode(buf_span(&answer.body), tile.width, entries, &cause) != 0)
            return fault_set(fault, FAULT_INTERNAL, "entry bundle %" PRIu64 ": %s", n,
                             cause.detail);
        for (unsigned i = 0; i < tile.width; i++)
            if (fprintf(file, "%s\n", digest_hex(&entries[i]).text) < 0)
                return fault_errno(fault, "cannot write the entries");
    }
    return 0;
}

typedef int export_part(struct export *export, FILE *file, struct fault *fault);

static int write_whole(struct export *export, const char *temporary, const char *path,
                       export_part *part, struct fault *fault)
{
    AUTO_FILE FILE *file = fopen(temporary, "we");
    if (file == NULL)
        return fault_errno(fault, "cannot write %s", temporary);
    if (part(export, file, fault) != 0)
        return -1;
    if (fflush(file) != 0 || ferror(file) != 0 || fsync(fileno(file)) != 0 ||
        rename(temporary, path) != 0)
        return fault_errno(fault, "cannot write %s", path);
    return 0;
}

/* One file of the export, in place only when it is whole. */
static int write_part(struct export *export, const char *folder, const char *name,
                      export_part *part, struct fault *fault)
{
    AUTO_BUF struct buf path = BUF(4096), temporary = BUF(4096);
    buf_printf(&path, "%s/%s", folder, name);
    buf_printf(&temporary, "%s/%s.part", folder, name);
    if (buf_failed(&path) || buf_failed(&temporary))
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "%.80s...: too long", folder);
    if (write_whole(export, buf_text(&temporary), buf_text(&path), part, fault) == 0)
        return 0;
    (void)unlink(buf_text(&temporary));
    return -1;
}

/* A checkpoint beside the files of another would look like a broken log: it goes first, and
 * comes last. */
static int clear_checkpoint(const char *path, struct fault *fault)
{
    return unlink(path) == 0 || errno == ENOENT ? 0 : fault_errno(fault, "cannot replace %s", path);
}

int ledger_export(struct client *client, const struct args *args, struct fault *fault)
{
    const char *folder = args->operands[0];
    struct export export = {.client = client};
    AUTO_HTTP_ANSWER struct http_answer answer = {0};
    AUTO_BUF struct buf path = BUF(4096);
    buf_printf(&path, "%s/" LEDGER_FILE_CHECKPOINT, folder);
    if (buf_failed(&path))
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "%.80s...: too long", folder);
    if (fetch_checkpoint(client, &answer, fault) != 0 ||
        read_size(&answer.body, &export.size, fault) != 0 || dir_make(folder, 0755, fault) != 0 ||
        clear_checkpoint(buf_text(&path), fault) != 0 ||
        write_part(&export, folder, LEDGER_FILE_EVENTS, export_events, fault) != 0 ||
        write_part(&export, folder, LEDGER_FILE_ENTRIES, export_entries, fault) != 0 ||
        file_replace(buf_text(&path), answer.body.data, answer.body.len, 0644, fault) != 0)
        return -1;
    AUTO_JSON json_t *made =
        json_pack("{s:s, s:I, s:I}", "folder", folder, "entries", (json_int_t) export.size,
                  "expired", (json_int_t) export.expired);
    if (made == NULL)
        return fault_set(fault, FAULT_INTERNAL, "%s: not a name that JSON can hold", folder);
    return output_record(&client->output, NULL, 0, made, fault);
}

int ledger_checkpoint(struct client *client, const struct args *args, struct fault *fault)
{
    (void)args;
    AUTO_HTTP_ANSWER struct http_answer answer = {0};
    if (fetch_checkpoint(client, &answer, fault) != 0)
        return -1;
    return output_bytes(&client->output, buf_span(&answer.body), fault);
}
