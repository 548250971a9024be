/* SPDX-License-Identifier: Apache-2.0 */
/* /v1/ledger: the read path of the log (C2SP tlog-tiles) and exports. */
#include "handlers/gateway.h"
#include "handlers/handlers.h"
#include "handlers/ledger_fault.h"
#include "handlers/media.h"
#include "storage/ledger_events.h"

#include <inttypes.h>
#include <string.h>

#define NOTE_TEXT_MAX 65536
#define EXPORT_LINES_MAX 5000
#define EXPORT_LINES_DEFAULT 1000

/* Where anybody may ask, so may caches on the way; else an answer is for its caller alone. */
static bool is_public(const struct request *request)
{
    return gateway_of(request)->strangers != NULL;
}

enum answer handle_ledger_checkpoint(struct request *request)
{
    struct fault fault;
    uint64_t size;
    struct digest root;
    AUTO_BUF struct buf note = BUF(NOTE_TEXT_MAX);
    if (request_check_query(request, NULL, NULL, &fault) != 0 ||
        ledger_checkpoint_latest(pg_of(request), &size, &root, &note, &fault) != 0)
        return reply_ledger_fault(request, &fault);
    if (is_public(request))
        reply_header(request, "Cache-Control", "public, max-age=1");
    return reply_buf(request, 200, "text/plain; charset=utf-8", &note);
}

/* The tile that the path names: its segments put together again. */
static int read_tile(const struct request *request, struct tile *ret_tile, struct fault *fault)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    const char *level = request_path_value(request, "level");
    AUTO_BUF struct buf path = BUF(256);
    buf_puts(&path, level == NULL ? "entries" : level);
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const char *segment = request_path_value(request, names[i]);
        if (segment != NULL)
            buf_printf(&path, "/%s", segment);
    }
    if (buf_failed(&path) || tile_parse(buf_text(&path), path.len, ret_tile, fault) != 0)
        return fault_set(fault, FAULT_NOT_FOUND, "no such tile");
    return 0;
}

/* The same, where the signed tree has so much of it. */
static int read_signed_tile(struct request *request, struct tile *ret_tile, struct fault *fault)
{
    struct tile tile;
    uint64_t size;
    struct digest root;
    if (request_check_query(request, NULL, NULL, fault) != 0 ||
        read_tile(request, &tile, fault) != 0 ||
        ledger_checkpoint_latest(pg_of(request), &size, &root, NULL, fault) != 0)
        return -1;
    if (tile.width > tile_width(tile.level, tile.n, size))
        return fault_set(fault, FAULT_NOT_FOUND,
                         "no such tile; the signed tree has %" PRIu64 " entries", size);
    *ret_tile = tile;
    return 0;
}

/* What a tile has it keeps, a partial one too: its name says how much of it is meant. */
static enum answer reply_tile(struct request *request, struct buf *bytes)
{
    reply_header(request, "Cache-Control",
                 is_public(request) ? "public, max-age=31536000, immutable"
                                    : "max-age=31536000, immutable");
    return reply_buf(request, 200, "application/octet-stream", bytes);
}

enum answer handle_ledger_tile(struct request *request)
{
    struct fault fault;
    struct tile tile;
    struct digest hashes[TILE_WIDTH];
    AUTO_BUF struct buf bytes = BUF(sizeof hashes);
    if (read_signed_tile(request, &tile, &fault) != 0 ||
        ledger_tile_read(pg_of(request), &tile, hashes, &fault) != 0)
        return reply_ledger_fault(request, &fault);
    buf_append(&bytes, hashes, tile.width * sizeof hashes[0]);
    return reply_tile(request, &bytes);
}

enum answer handle_ledger_entries(struct request *request)
{
    struct fault fault;
    struct tile tile;
    struct digest entries[TILE_WIDTH];
    AUTO_BUF struct buf bundle = BUF(TILE_WIDTH * TILE_BUNDLE_ENTRY_LEN);
    if (read_signed_tile(request, &tile, &fault) != 0 ||
        ledger_entries_read(pg_of(request), tile.n * TILE_WIDTH, tile.n * TILE_WIDTH + tile.width,
                            entries, &fault) != 0)
        return reply_ledger_fault(request, &fault);
    for (unsigned i = 0; i < tile.width; i++)
        tile_bundle_append(&bundle, &entries[i]);
    return reply_tile(request, &bundle);
}

/* Lines being put together, and how many of them are hashes because an own event has expired. */
struct export_page {
    struct buf *text;
    uint64_t expired;
};

static int export_take(void *context, const struct ledger_event *event, struct fault *fault)
{
    struct export_page *page = context;
    if (event->body.data != NULL)
        buf_append(page->text, event->body.data, event->body.len);
    else
        buf_puts(page->text, digest_format(&event->hash).text);
    buf_puts(page->text, "\n");
    page->expired += event->expired;
    return buf_failed(page->text) ? fault_set(fault, FAULT_INTERNAL, "out of memory") : 0;
}

static void export_header(struct request *request, const char *name, uint64_t value)
{
    char text[32];
    (void)snprintf(text, sizeof text, "%" PRIu64, value);
    reply_header(request, name, text);
}

enum answer handle_ledger_export(struct request *request)
{
    static const char *const known[] = {"from", "limit", NULL};
    struct fault fault;
    int64_t from, limit;
    uint64_t size, next;
    struct digest root;
    AUTO_BUF struct buf text = BUF(LEDGER_EVENTS_BYTES_MAX + EVENT_MAX + EXPORT_LINES_MAX * 80);
    const char *tenants[] = {caller_of(request)->tenant_id, NULL};
    if (request_check_query(request, known, NULL, &fault) != 0 ||
        query_int(request, "from", 0, INT64_MAX, 0, &from, &fault) != 0 ||
        query_int(request, "limit", 1, EXPORT_LINES_MAX, EXPORT_LINES_DEFAULT, &limit, &fault) !=
            0 ||
        ledger_checkpoint_latest(pg_of(request), &size, &root, NULL, &fault) != 0)
        return reply_ledger_fault(request, &fault);
    uint64_t first = (uint64_t)from;
    uint64_t end = size - first > (uint64_t)limit ? first + (uint64_t)limit : size;
    struct export_page page = {.text = &text};
    if (first < size && ledger_export_read(pg_of(request), tenants, first, end, export_take, &page,
                                           &next, &fault) != 0)
        return reply_ledger_fault(request, &fault);
    export_header(request, "Sallyport-Ledger-Size", size);
    export_header(request, "Sallyport-Ledger-Expired", page.expired);
    return reply_buf(request, 200, "text/plain; charset=utf-8", &text);
}
