/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/ledger.h"

#include <inttypes.h>
#include <string.h>

static int head_from_row(const PGresult *rows, int row, struct ledger_head *ret_head,
                         struct fault *fault)
{
    struct ledger_head head = {
        .size = (uint64_t)pg_get_int(rows, row, 0),
        .prev_size = (uint64_t)pg_get_int(rows, row, 1),
        .epoch = pg_get_int(rows, row, 2),
        .root = pg_get_digest(rows, row, 3),
    };
    struct fault inner;
    if (merkle_range_decode(head.size, pg_get_bytes(rows, row, 4), &head.range, &inner) != 0)
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "the batch of size %" PRIu64 " has no valid frontier (%s)", head.size,
                         inner.detail);
    *ret_head = head;
    return 0;
}

int ledger_head_read(struct pg *pg, struct ledger_head *ret_head, struct fault *fault)
{
    /* One statement, one snapshot: head and entries are compared. */
    static const struct pg_statement read = {
        "ledger_head_read",
        "SELECT b.size, b.prev_size, b.epoch, b.root, b.frontier, "
        "coalesce((SELECT idx + 1 FROM ledger_entry ORDER BY idx DESC LIMIT 1), 0) "
        "FROM (VALUES (1)) one LEFT JOIN LATERAL "
        "(SELECT * FROM ledger_batch ORDER BY size DESC LIMIT 1) b ON true"};
    AUTO_PGRESULT PGresult *row = NULL;
    if (pg_query(pg, NULL, &read, NULL, &row, fault) != 0)
        return -1;
    struct ledger_head head = {.root = merkle_empty_root()};
    if (!pg_is_null(row, 0, 0) && head_from_row(row, 0, &head, fault) != 0)
        return -1;
    head.entries = (uint64_t)pg_get_int(row, 0, 5);
    *ret_head = head;
    return 0;
}

int ledger_head_read_at(struct pg *pg, uint64_t size, struct ledger_head *ret_head,
                        struct fault *fault)
{
    static const struct pg_statement read = {
        "ledger_head_read_at",
        "SELECT size, prev_size, epoch, root, frontier FROM ledger_batch WHERE size = $1"};
    struct pg_params params = {0};
    pg_int8(&params, (int64_t)size);
    AUTO_PGRESULT PGresult *row = NULL;
    if (pg_query(pg, NULL, &read, &params, &row, fault) != 0)
        return -1;
    if (PQntuples(row) == 0)
        return fault_set(fault, FAULT_NOT_FOUND, "no batch of the ledger ends at size %" PRIu64,
                         size);
    return head_from_row(row, 0, ret_head, fault);
}

int ledger_heads_read(struct pg *pg, uint64_t from, uint64_t to, size_t max,
                      struct ledger_head *ret_heads, size_t *ret_count, struct fault *fault)
{
    static const struct pg_statement read = {
        "ledger_heads_read", "SELECT size, prev_size, epoch, root, frontier FROM ledger_batch "
                             "WHERE size > $1 AND size <= $2 ORDER BY size LIMIT $3"};
    struct pg_params params = {0};
    pg_int8(&params, (int64_t)from);
    pg_int8(&params, (int64_t)to);
    pg_int8(&params, (int64_t)max);
    AUTO_PGRESULT PGresult *rows = NULL;
    if (pg_query(pg, NULL, &read, &params, &rows, fault) != 0)
        return -1;
    for (int row = 0; row < PQntuples(rows); row++)
        if (head_from_row(rows, row, &ret_heads[row], fault) != 0)
            return -1;
    *ret_count = (size_t)PQntuples(rows);
    return 0;
}

int ledger_head_check(const struct ledger_head *head, const struct merkle_range *computed,
                      struct fault *fault)
{
    struct digest root = merkle_range_root(computed);
    if (head->size != computed->size || !digest_equal(&root, &head->root))
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "the batch of size %" PRIu64 " has root %s, but its entries make root %s",
                         head->size, digest_hex(&head->root).text, digest_hex(&root).text);
    if (memcmp(head->range.hashes, computed->hashes,
               merkle_range_count(head->size) * sizeof computed->hashes[0]) != 0)
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "the batch of size %" PRIu64
                         " has a frontier that its entries do not make",
                         head->size);
    return 0;
}

int ledger_entries_read(struct pg *pg, uint64_t from, uint64_t to, struct digest *ret_entries,
                        struct fault *fault)
{
    static const struct pg_statement read = {
        "ledger_entries_read",
        "SELECT idx, hash FROM ledger_entry WHERE idx >= $1 AND idx < $2 ORDER BY idx"};
    if (from > to || to > MERKLE_SIZE_MAX || to - from > LEDGER_ENTRIES_MAX)
        return fault_set(fault, FAULT_INTERNAL, "ledger: %" PRIu64 " to %" PRIu64 " is no range",
                         from, to);
    struct pg_params params = {0};
    pg_int8(&params, (int64_t)from);
    pg_int8(&params, (int64_t)to);
    AUTO_PGRESULT PGresult *rows = NULL;
    if (pg_query(pg, NULL, &read, &params, &rows, fault) != 0)
        return -1;
    uint64_t count = (uint64_t)PQntuples(rows);
    for (uint64_t i = 0; i < to - from; i++)
        if (i >= count || (uint64_t)pg_get_int(rows, (int)i, 0) != from + i ||
            PQgetlength(rows, (int)i, 1) != DIGEST_LEN)
            return fault_set(fault, FAULT_CONTENT_MISMATCH,
                             "entry %" PRIu64 " of the ledger is missing", from + i);
    for (uint64_t i = 0; i < count; i++)
        ret_entries[i] = pg_get_digest(rows, (int)i, 1);
    return 0;
}

int ledger_note_append(struct buf *ret_note, struct span note, struct fault *fault)
{
    buf_append(ret_note, note.data, note.len);
    return buf_failed(ret_note) ? fault_set(fault, FAULT_INTERNAL,
                                            "a checkpoint of %zu bytes does not fit", note.len)
                                : 0;
}

int ledger_checkpoint_latest(struct pg *pg, uint64_t *ret_size, struct digest *ret_root,
                             struct buf *ret_note, struct fault *fault)
{
    static const struct pg_statement read = {
        "ledger_checkpoint_latest",
        "SELECT size, root, note FROM ledger_checkpoint ORDER BY size DESC LIMIT 1"};
    AUTO_PGRESULT PGresult *row = NULL;
    if (pg_query(pg, NULL, &read, NULL, &row, fault) != 0)
        return -1;
    if (PQntuples(row) == 0)
        return fault_set(fault, FAULT_NOT_FOUND, "the ledger has no checkpoint yet");
    if (ret_note != NULL && ledger_note_append(ret_note, pg_get_bytes(row, 0, 2), fault) != 0)
        return -1;
    *ret_size = (uint64_t)pg_get_int(row, 0, 0);
    *ret_root = pg_get_digest(row, 0, 1);
    return 0;
}

int ledger_checkpoint_read_at(struct pg *pg, uint64_t size, struct buf *ret_note,
                              struct fault *fault)
{
    static const struct pg_statement read = {"ledger_checkpoint_read_at",
                                             "SELECT note FROM ledger_checkpoint WHERE size = $1"};
    struct pg_params params = {0};
    pg_int8(&params, (int64_t)size);
    AUTO_PGRESULT PGresult *row = NULL;
    if (pg_query(pg, NULL, &read, &params, &row, fault) != 0)
        return -1;
    if (PQntuples(row) == 0)
        return fault_set(fault, FAULT_NOT_FOUND, "no checkpoint of size %" PRIu64 " was signed",
                         size);
    return ledger_note_append(ret_note, pg_get_bytes(row, 0, 0), fault);
}

/* Nothing was inserted: either another leads, or there is one of that size. */
static int checkpoint_compare(struct pg *pg, uint64_t size, const struct digest *root,
                              bool *ret_led, struct fault *fault)
{
    static const struct pg_statement read = {"ledger_checkpoint_compare",
                                             "SELECT root FROM ledger_checkpoint WHERE size = $1"};
    struct pg_params params = {0};
    pg_int8(&params, (int64_t)size);
    AUTO_PGRESULT PGresult *row = NULL;
    if (pg_query(pg, NULL, &read, &params, &row, fault) != 0)
        return -1;
    if (PQntuples(row) == 0) {
        *ret_led = false;
        return 0;
    }
    struct digest there = pg_get_digest(row, 0, 0);
    if (!digest_equal(&there, root))
        return fault_set(fault, FAULT_CONTENT_MISMATCH,
                         "a checkpoint of size %" PRIu64 " is published with root %s, not %s", size,
                         digest_hex(&there).text, digest_hex(root).text);
    *ret_led = true;
    return 0;
}

int ledger_checkpoint_put(struct pg *pg, int64_t epoch, uint64_t size, const struct digest *root,
                          struct span note, bool *ret_led, struct fault *fault)
{
    static const struct pg_statement put = {
        "ledger_checkpoint_put",
        "INSERT INTO ledger_checkpoint (size, root, note) "
        "SELECT $1, $2, $3 FROM (SELECT FROM ledger_lease WHERE epoch = $4 FOR SHARE) leader "
        "ON CONFLICT (size) DO NOTHING"};
    AUTO_BUF struct buf text = BUF(NOTE_MAX);
    buf_append(&text, note.data, note.len);
    if (buf_failed(&text))
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    struct pg_params params = {0};
    pg_int8(&params, (int64_t)size);
    pg_digest(&params, root);
    pg_text(&params, buf_text(&text));
    pg_int8(&params, epoch);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query(pg, NULL, &put, &params, &result, fault) != 0)
        return -1;
    if (pg_affected(result) != 1)
        return checkpoint_compare(pg, size, root, ret_led, fault);
    *ret_led = true;
    return 0;
}

int ledger_places_read(struct pg *pg, const char *tenant, const struct uuid *ids, size_t count,
                       int64_t *ret_indexes, struct fault *fault)
{
    static const struct pg_statement read = {
        "ledger_places_read", "SELECT u.n, e.idx FROM unnest($1::uuid[]) WITH ORDINALITY u(id, n) "
                              "JOIN ledger_entry e ON e.event_id = u.id WHERE $2::text IS NULL OR "
                              "e.tenant_id IN ($2, '')"};
    if (count > 1024)
        return fault_set(fault, FAULT_INTERNAL, "ledger: places of %zu events at once", count);
    AUTO_PG_ARRAY struct pg_array array = pg_array_new(PG_ARRAY_UUID);
    for (size_t i = 0; i < count; i++)
        pg_array_uuid(&array, &ids[i]);
    struct pg_params params = {0};
    pg_array_bind(&params, &array);
    pg_text(&params, tenant);
    AUTO_PGRESULT PGresult *rows = NULL;
    if (pg_query_as(pg, tenant, &read, &params, &rows, fault) != 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        ret_indexes[i] = -1;
    for (int row = 0; row < PQntuples(rows); row++)
        ret_indexes[pg_get_int(rows, row, 0) - 1] = pg_get_int(rows, row, 1);
    return 0;
}

static void copy_text(char *to, size_t room, const char *from)
{
    (void)snprintf(to, room, "%s", from);
}

static int64_t age_of(const PGresult *row, int column)
{
    if (pg_is_null(row, 0, column))
        return -1;
    int64_t age = pg_get_int(row, 0, column);
    return age < 0 ? 0 : age;
}

int ledger_status_read(struct pg *pg, struct ledger_status *ret_status, struct fault *fault)
{
    /* The first pending row by seq stands for the oldest: there is no index by time, and the two
     * differ by no more than a transaction's length. */
    static const struct pg_statement read = {
        "ledger_status_read",
        "WITH head AS (SELECT coalesce(max(size), 0) AS size FROM ledger_batch), "
        "signed AS (SELECT coalesce(max(size), 0) AS size FROM ledger_checkpoint) "
        "SELECT l.epoch, l.holder IS NOT NULL AND l.expires_at > clock_timestamp(), "
        "coalesce(l.holder, ''), l.updated_at, coalesce(l.problem, ''), "
        "(SELECT (extract(epoch FROM clock_timestamp() - queued_at) * 1000)::bigint "
        "FROM event_pending ORDER BY seq LIMIT 1), "
        "(SELECT (extract(epoch FROM clock_timestamp() - b.created_at) * 1000)::bigint "
        "FROM ledger_batch b WHERE b.size > signed.size ORDER BY b.size LIMIT 1), "
        "head.size, signed.size FROM ledger_lease l, head, signed"};
    AUTO_PGRESULT PGresult *row = NULL;
    if (pg_query(pg, NULL, &read, NULL, &row, fault) != 0)
        return -1;
    if (PQntuples(row) != 1)
        return fault_set(fault, FAULT_CONTENT_MISMATCH, "the ledger's lease row is missing");
    struct ledger_status status = {
        .epoch = pg_get_int(row, 0, 0),
        .held = pg_get_bool(row, 0, 1),
        .updated_ms = pg_get_time(row, 0, 3),
        .pending_age_ms = age_of(row, 5),
        .unsigned_age_ms = age_of(row, 6),
        .size = (uint64_t)pg_get_int(row, 0, 7),
        .checkpoint_size = (uint64_t)pg_get_int(row, 0, 8),
    };
    copy_text(status.holder, sizeof status.holder, status.held ? pg_get_text(row, 0, 2) : "");
    copy_text(status.problem, sizeof status.problem, pg_get_text(row, 0, 4));
    *ret_status = status;
    return 0;
}

int ledger_status_check(const struct ledger_status *status, struct fault *fault)
{
    if (status->problem[0] != '\0')
        return fault_set(fault, FAULT_UNAVAILABLE, "the ledger has stopped: %s", status->problem);
    if (status->pending_age_ms >= LEDGER_WAIT_MAX_MS)
        return fault_set(fault, FAULT_UNAVAILABLE,
                         "events have waited %" PRId64 " s for their place in the ledger",
                         status->pending_age_ms / 1000);
    if (status->unsigned_age_ms >= LEDGER_WAIT_MAX_MS)
        return fault_set(fault, FAULT_UNAVAILABLE,
                         "the ledger has not been signed for %" PRId64 " s",
                         status->unsigned_age_ms / 1000);
    return 0;
}
