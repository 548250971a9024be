/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/outputs.h"

/* Bytes after which another statement begins. */
#define STATEMENT_BYTES ((size_t)8 * 1024 * 1024)

int outputs_write_live(struct pg *pg, const struct output_chunk *chunks, size_t count,
                       bool *ret_stored, struct fault *fault)
{
    /* The queue row is locked against its end, so that nothing comes after that; one that is being
     * ended is passed over. */
    static const struct pg_statement insert = {
        "outputs_write_live",
        "WITH held AS ("
        "  SELECT c.k, q.execution_id, c.stream, c.n, q.tenant_id, c.data"
        "    FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[], $5::bigint[],"
        "                $6::bytea[]) WITH ORDINALITY c(execution_id, worker_id, fence, stream, n,"
        "                                               data, k)"
        "    JOIN execution_queue q ON q.execution_id = c.execution_id"
        "         AND q.worker_id = c.worker_id AND q.fence = c.fence"
        "    JOIN execution_active a ON a.execution_id = q.execution_id AND a.state = 'running'"
        "     FOR KEY SHARE OF q SKIP LOCKED"
        "), written AS ("
        "  INSERT INTO execution_output (execution_id, stream, n, tenant_id, data)"
        "  SELECT execution_id, stream, n::integer, tenant_id, data FROM held"
        "      ON CONFLICT DO NOTHING"
        ") SELECT k FROM held"};
    AUTO_PG_ARRAY struct pg_array ids = pg_array_new(PG_ARRAY_UUID);
    AUTO_PG_ARRAY struct pg_array workers = pg_array_new(PG_ARRAY_UUID);
    AUTO_PG_ARRAY struct pg_array fences = pg_array_new(PG_ARRAY_INT8);
    AUTO_PG_ARRAY struct pg_array streams = pg_array_new(PG_ARRAY_TEXT);
    AUTO_PG_ARRAY struct pg_array places = pg_array_new(PG_ARRAY_INT8);
    AUTO_PG_ARRAY struct pg_array data = pg_array_new(PG_ARRAY_BYTEA);
    for (size_t i = 0; i < count; i++) {
        pg_array_uuid(&ids, &chunks[i].claim.execution_id);
        pg_array_uuid(&workers, &chunks[i].claim.worker_id);
        pg_array_int(&fences, chunks[i].claim.fence);
        pg_array_text(&streams, chunks[i].stream);
        pg_array_int(&places, chunks[i].at);
        pg_array_bytes(&data, chunks[i].data);
    }
    struct pg_params params = {0};
    pg_array_bind(&params, &ids);
    pg_array_bind(&params, &workers);
    pg_array_bind(&params, &fences);
    pg_array_bind(&params, &streams);
    pg_array_bind(&params, &places);
    pg_array_bind(&params, &data);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query_as(pg, NULL, &insert, &params, &result, fault) != 0)
        return -1;
    for (size_t i = 0; i < count; i++)
        ret_stored[i] = false;
    for (int row = 0; row < PQntuples(result); row++)
        ret_stored[pg_get_int(result, row, 0) - 1] = true;
    return 0;
}

/* How much of `data` is stored already. Its queue row is gone in this transaction: who wrote it has
 * committed, and nobody writes any more. */
static int live_part(struct pg *tx, const struct claim *claim, const char *stream, struct span data,
                     size_t *ret_len, struct fault *fault)
{
    static const struct pg_statement read = {
        "outputs_live_part", "SELECT coalesce(sum(octet_length(data)), 0)::bigint,"
                             " sha256(coalesce(string_agg(data, '' ORDER BY n), ''))"
                             " FROM execution_output WHERE execution_id = $1 AND stream = $2"};
    struct pg_params params = {0};
    pg_uuid(&params, &claim->execution_id);
    pg_text(&params, stream);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_step(tx, &read, &params, &result, fault) != 0)
        return -1;
    size_t len = (size_t)pg_get_int(result, 0, 0);
    struct digest stored = pg_get_digest(result, 0, 1);
    struct digest ours = digest_of(data.data, len <= data.len ? len : data.len);
    if (len > data.len || !digest_equal(&stored, &ours))
        return fault_set(fault, FAULT_INTERNAL, "the stored %s is not how the run's begins",
                         stream);
    *ret_len = len;
    return 0;
}

struct output_rows output_rows_new(void)
{
    return (struct output_rows){.ids = pg_array_new(PG_ARRAY_UUID),
                                .streams = pg_array_new(PG_ARRAY_TEXT),
                                .places = pg_array_new(PG_ARRAY_INT8),
                                .tenants = pg_array_new(PG_ARRAY_TEXT),
                                .data = pg_array_new(PG_ARRAY_BYTEA)};
}

void output_rows_bind(struct pg_params *params, struct output_rows *rows)
{
    pg_array_bind(params, &rows->ids);
    pg_array_bind(params, &rows->streams);
    pg_array_bind(params, &rows->places);
    pg_array_bind(params, &rows->tenants);
    pg_array_bind(params, &rows->data);
}

void output_rows_free(struct output_rows *rows)
{
    pg_array_free(&rows->ids);
    pg_array_free(&rows->streams);
    pg_array_free(&rows->places);
    pg_array_free(&rows->tenants);
    pg_array_free(&rows->data);
}

static int output_rows_flush(struct pg *tx, struct output_rows *rows, struct fault *fault)
{
    static const struct pg_statement insert = {
        "outputs_write_ends",
        "INSERT INTO execution_output (execution_id, stream, n, tenant_id, data)"
        " SELECT execution_id, stream, n::integer, tenant_id, data"
        "   FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::bytea[])"
        "     AS u(execution_id, stream, n, tenant_id, data)"};
    if (rows->bytes == 0)
        return 0;
    struct pg_params params = {0};
    output_rows_bind(&params, rows);
    if (pg_step(tx, &insert, &params, NULL, fault) != 0)
        return -1;
    output_rows_free(rows);
    *rows = output_rows_new();
    return 0;
}

/* The chunk at `at`; its length. */
static size_t output_rows_add(struct output_rows *rows, const struct ending *ending,
                              const char *stream, struct span data, size_t at)
{
    size_t len = data.len - at < OUTPUT_CHUNK_MAX ? data.len - at : OUTPUT_CHUNK_MAX;
    pg_array_uuid(&rows->ids, &ending->claim.execution_id);
    pg_array_text(&rows->streams, stream);
    pg_array_int(&rows->places, (int64_t)at);
    pg_array_text(&rows->tenants, ending->tenant_id);
    pg_array_bytes(&rows->data, span_of(data.data + at, len));
    rows->bytes += len;
    return len;
}

bool output_rows_fill(struct output_rows *rows, struct ending *const *endings, size_t count)
{
    size_t bytes = 0;
    bool live = false;
    for (size_t i = 0; i < count; i++) {
        bytes += endings[i]->stdout_stored.len + endings[i]->stderr_stored.len;
        live |= endings[i]->live;
    }
    if (live || bytes > STATEMENT_BYTES)
        return false;
    for (size_t i = 0; i < count; i++) {
        struct span out = endings[i]->stdout_stored, err = endings[i]->stderr_stored;
        for (size_t at = 0; at < out.len;)
            at += output_rows_add(rows, endings[i], "stdout", out, at);
        for (size_t at = 0; at < err.len;)
            at += output_rows_add(rows, endings[i], "stderr", err, at);
    }
    return true;
}

static int write_stream(struct pg *tx, struct output_rows *rows, const struct ending *ending,
                        const char *stream, struct span data, struct fault *fault)
{
    size_t at = 0;
    if (ending->live && live_part(tx, &ending->claim, stream, data, &at, fault) != 0)
        return -1;
    while (at < data.len) {
        if (rows->bytes + OUTPUT_CHUNK_MAX > STATEMENT_BYTES &&
            output_rows_flush(tx, rows, fault) != 0)
            return -1;
        at += output_rows_add(rows, ending, stream, data, at);
    }
    return 0;
}

int outputs_write_ends(struct pg *tx, struct ending *const *endings, size_t count,
                       struct fault *fault)
{
    AUTO_OUTPUT_ROWS struct output_rows rows = output_rows_new();
    for (size_t i = 0; i < count; i++)
        if (write_stream(tx, &rows, endings[i], "stdout", endings[i]->stdout_stored, fault) != 0 ||
            write_stream(tx, &rows, endings[i], "stderr", endings[i]->stderr_stored, fault) != 0)
            return -1;
    return output_rows_flush(tx, &rows, fault);
}

int outputs_read(struct pg *pg, const char *tenant, const struct uuid *id, const char *stream,
                 int64_t offset, int32_t max, struct buf *ret_bytes, struct fault *fault)
{
    static const struct pg_statement read = {
        "outputs_read",
        "SELECT substring(o.data FROM greatest($4 - o.n, 0)::integer + 1 FOR $5)"
        "  FROM execution_output o WHERE o.execution_id = $1 AND o.stream = $2 AND o.tenant_id = $3"
        "   AND o.n < $4 + $5"
        "   AND o.n >= coalesce((SELECT max(b.n) FROM execution_output b WHERE b.execution_id = $1"
        "                         AND b.stream = $2 AND b.tenant_id = $3 AND b.n <= $4), 0)"
        " ORDER BY o.n"};
    struct pg_params params = {0};
    pg_uuid(&params, id);
    pg_text(&params, stream);
    pg_text(&params, tenant);
    pg_int8(&params, offset);
    pg_int4(&params, max);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query_as(pg, tenant, &read, &params, &result, fault) != 0)
        return -1;
    size_t left = (size_t)max;
    for (int row = 0; row < PQntuples(result) && left > 0; row++) {
        struct span data = pg_get_bytes(result, row, 0);
        size_t len = data.len < left ? data.len : left;
        buf_append(ret_bytes, data.data, len);
        left -= len;
    }
    return buf_failed(ret_bytes) ? fault_set(fault, FAULT_INTERNAL, "out of memory") : 0;
}

static int look_read(const PGresult *r, int row, struct output_look *ret_looks, struct fault *fault)
{
    struct output_look look = {
        .known = true, .stored = pg_get_int(r, row, 2), .bytes = pg_get_int(r, row, 3)};
    struct span state = pg_get_bytes(r, row, 1);
    if (execution_state_parse((const char *)state.data, state.len, &look.state) != 0)
        return fault_set(fault, FAULT_INTERNAL, "an execution is in an unknown state");
    ret_looks[pg_get_int(r, row, 0) - 1] = look;
    return 0;
}

int outputs_look(struct pg *pg, const struct output_asked *asked, size_t count,
                 struct output_look *ret_looks, struct fault *fault)
{
    static const struct pg_statement read = {
        "outputs_look",
        "SELECT f.k, coalesce(x.state, a.state), coalesce(o.stored, 0),"
        "       CASE f.stream WHEN 'stdout' THEN x.stdout_bytes ELSE x.stderr_bytes END"
        "  FROM unnest($1::uuid[], $2::text[], $3::text[]) WITH ORDINALITY f(id, stream, tenant, k)"
        "  LEFT JOIN execution_active a ON a.execution_id = f.id AND a.tenant_id = f.tenant"
        "  LEFT JOIN execution x ON x.execution_id = f.id AND x.tenant_id = f.tenant"
        "  LEFT JOIN LATERAL (SELECT o.n + octet_length(o.data) AS stored FROM execution_output o"
        "    WHERE o.execution_id = f.id AND o.stream = f.stream AND o.tenant_id = f.tenant"
        "    ORDER BY o.n DESC LIMIT 1) o ON true"
        " WHERE a.execution_id IS NOT NULL OR x.execution_id IS NOT NULL"};
    const char *tenants[OUTPUT_ASKED_MAX + 1];
    if (count > OUTPUT_ASKED_MAX)
        return fault_set(fault, FAULT_INTERNAL, "more than %d followed at once", OUTPUT_ASKED_MAX);
    AUTO_PG_ARRAY struct pg_array ids = pg_array_new(PG_ARRAY_UUID);
    AUTO_PG_ARRAY struct pg_array streams = pg_array_new(PG_ARRAY_TEXT);
    AUTO_PG_ARRAY struct pg_array names = pg_array_new(PG_ARRAY_TEXT);
    for (size_t i = 0; i < count; i++) {
        pg_array_uuid(&ids, &asked[i].id);
        pg_array_text(&streams, asked[i].stream);
        pg_array_text(&names, asked[i].tenant);
        tenants[i] = asked[i].tenant;
    }
    tenants[count] = NULL;
    struct pg_params params = {0};
    pg_array_bind(&params, &ids);
    pg_array_bind(&params, &streams);
    pg_array_bind(&params, &names);
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query(pg, tenants, &read, &params, &result, fault) != 0)
        return -1;
    struct output_look looks[OUTPUT_ASKED_MAX] = {0};
    for (int row = 0; row < PQntuples(result); row++)
        if (look_read(result, row, looks, fault) != 0)
            return -1;
    for (size_t i = 0; i < count; i++)
        ret_looks[i] = looks[i];
    return 0;
}
