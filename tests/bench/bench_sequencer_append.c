/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From pending to signed checkpoint: events/s over a backlog, beside its limit in the same run, a
 * bare multi-row INSERT of the same rows into a table like ledger_entry. Durable commits, unless
 * SALLYPORT_TEST_DATABASE names a server without.
 *
 *   bench_sequencer_append [events] [batch]
 */
#include "base/clock.h"
#include "tests/support/bench_log.h"

#include <inttypes.h>
#include <string.h>

#define EVENTS 100000
#define BODY_BYTES 1500

struct bench {
    struct bench_log log;
    int events, batch;
};

static int64_t number(struct bench *bench, const struct pg_statement *statement)
{
    struct fault fault;
    AUTO_PGRESULT PGresult *row = NULL;
    if (pg_query(bench->log.super, NULL, statement, NULL, &row, &fault) != 0)
        return -1;
    return pg_get_int(row, 0, 0);
}

static int64_t wal_position(struct bench *bench)
{
    static const struct pg_statement read = {
        "bench_wal", "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint"};
    return number(bench, &read);
}

static void report(const char *what, int events, int64_t milliseconds, int64_t wal)
{
    (void)printf("%-28s %7d events %7.2f s %9.0f events/s %6.0f WAL bytes/event\n", what, events,
                 (double)milliseconds / 1000, events * 1000.0 / (double)milliseconds,
                 (double)wal / events);
}

static int run_sequencer(struct bench *bench, double *ret_rate, struct fault *fault)
{
    struct sequencer_status status;
    int64_t wal = wal_position(bench), began = clock_monotonic_ms();
    if (bench_log_order(&bench->log, bench->batch, bench->events, &status, fault) != 0)
        return -1;
    int64_t took = clock_monotonic_ms() - began;
    report("pending to checkpoint", bench->events, took, wal_position(bench) - wal);
    (void)printf("%-28s %7" PRIu64 " batches, %" PRIu64 " checkpoints\n", "", status.batches,
                 status.checkpoints);
    *ret_rate = (double)bench->events / (double)took;
    return 0;
}

struct arrays {
    struct pg_array ids, tenants, hashes;
};

static struct arrays arrays_new(void)
{
    return (struct arrays){pg_array_new(PG_ARRAY_UUID), pg_array_new(PG_ARRAY_TEXT),
                           pg_array_new(PG_ARRAY_BYTEA)};
}

static void arrays_free(struct arrays *arrays)
{
    pg_array_free(&arrays->ids);
    pg_array_free(&arrays->tenants);
    pg_array_free(&arrays->hashes);
}

/* Rows [from, to) of what the ledger has, again. */
static int insert_bare(struct bench *bench, const PGresult *rows, int from, int to,
                       struct fault *fault)
{
    static const struct pg_statement insert = {
        "bench_bare", "INSERT INTO bare (idx, event_id, tenant_id, hash) "
                      "SELECT $1 + u.n - 1, u.id, u.tenant, u.hash "
                      "FROM unnest($2::uuid[], $3::text[], $4::bytea[]) WITH ORDINALITY "
                      "AS u(id, tenant, hash, n)"};
    AUTO(arrays_free) struct arrays arrays = arrays_new();
    for (int i = from; i < to; i++) {
        struct uuid id = pg_get_uuid(rows, i, 0);
        pg_array_uuid(&arrays.ids, &id);
        pg_array_text(&arrays.tenants, pg_get_text(rows, i, 1));
        pg_array_bytes(&arrays.hashes, pg_get_bytes(rows, i, 2));
    }
    struct pg_params params = {0};
    pg_int8(&params, from);
    pg_array_bind(&params, &arrays.ids);
    pg_array_bind(&params, &arrays.tenants);
    pg_array_bind(&params, &arrays.hashes);
    return pg_query(bench->log.super, NULL, &insert, &params, NULL, fault);
}

static int run_bare(struct bench *bench, double *ret_rate, struct fault *fault)
{
    static const struct pg_statement read = {
        "bench_rows", "SELECT event_id, tenant_id, hash FROM ledger_entry ORDER BY idx"};
    AUTO_PGRESULT PGresult *rows = NULL;
    if (pg_execute(bench->log.super,
                   "CREATE TABLE bare (LIKE ledger_entry INCLUDING ALL); CHECKPOINT", fault) != 0 ||
        pg_query(bench->log.super, NULL, &read, NULL, &rows, fault) != 0)
        return -1;
    int64_t wal = wal_position(bench), began = clock_monotonic_ms();
    for (int from = 0; from < bench->events; from += bench->batch) {
        int to = from + bench->batch < bench->events ? from + bench->batch : bench->events;
        if (insert_bare(bench, rows, from, to, fault) != 0)
            return -1;
    }
    int64_t took = clock_monotonic_ms() - began;
    report("bare multi-row INSERT", bench->events, took, wal_position(bench) - wal);
    *ret_rate = (double)bench->events / (double)took;
    return 0;
}

int main(int argc, char **argv)
{
    struct bench bench = {
        .events = argc > 1 ? (int)strtol(argv[1], NULL, 10) : EVENTS,
        .batch = argc > 2 ? (int)strtol(argv[2], NULL, 10) : SEQUENCER_BATCH_MAX,
    };
    struct fault fault;
    double rate = 0, limit = 1;
    if (bench.events < 1 || bench.batch < 1) {
        (void)fprintf(stderr, "usage: bench_sequencer_append [events] [batch]\n");
        return 2;
    }
    int status = 0;
    if (bench_log_open(&bench.log, &fault) != 0 ||
        bench_log_fill(&bench.log, bench.events, BODY_BYTES, &fault) != 0 ||
        run_sequencer(&bench, &rate, &fault) != 0 || run_bare(&bench, &limit, &fault) != 0)
        status = -1;
    if (status == 0)
        (void)printf("%-28s %6.1f %% of the limit\n", "", 100 * rate / limit);
    else
        (void)fprintf(stderr, "bench_sequencer_append: %s\n", fault.detail);
    bench_log_close(&bench.log);
    return status == 0 ? 0 : 1;
}
