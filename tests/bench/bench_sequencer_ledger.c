/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From pending to signed checkpoint. First a backlog: events/s and WAL bytes an event, beside the
 * limit in the same run, a bare multi-row INSERT of the same rows into a table like ledger_entry.
 * Then events that come steadily: how long from an event's commit to the checkpoint that covers it.
 * Durable commits, unless SALLYPORT_TEST_DATABASE names a server without.
 *
 *   bench_sequencer_ledger [events] [batch] [a second]
 */
#include "base/clock.h"
#include "tests/support/bench_log.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#define EVENTS 500000
#define BODY_BYTES 1500
#define A_SECOND 10000
#define STEADY_SECONDS 10
#define COMMITS_A_SECOND 100

struct bench {
    struct bench_log log;
    int events, batch, a_second;
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
    report("backlog to checkpoint", bench->events, took, wal_position(bench) - wal);
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

/* ---- events that come steadily ---- */

#define COMMITS (STEADY_SECONDS * COMMITS_A_SECOND)

struct feed {
    struct pg *api;
    int lot; /* events a commit */
    int64_t committed_us[COMMITS];
    atomic_bool failed;
    struct fault fault;
};

static int64_t now_us(void)
{
    struct timespec time;
    (void)clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000 + time.tv_nsec / 1000;
}

/* A commit when it is due; one that is late is made at once. */
static void *feed_run(void *context)
{
    struct feed *feed = context;
    int64_t began = now_us();
    for (int i = 0; i < COMMITS; i++) {
        int64_t due = began + (int64_t)i * 1000000 / COMMITS_A_SECOND;
        const struct timespec until = {due / 1000000, due % 1000000 * 1000};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
            ;
        if (bench_log_insert(feed->api, feed->lot, BODY_BYTES, &feed->fault) != 0) {
            atomic_store(&feed->failed, true);
            break;
        }
        feed->committed_us[i] = now_us();
    }
    return NULL;
}

/* Only the feed inserts, so the log has its commits in their order: when was each one covered? */
static int follow(struct bench *bench, struct feed *feed, double *ret_milliseconds,
                  struct fault *fault)
{
    AUTO_SEQUENCER struct sequencer *sequencer = NULL;
    struct sequencer_status status = {.signed_size = (uint64_t)bench->events};
    if (bench_log_sequencer(&bench->log, bench->batch, &sequencer, fault) != 0)
        return -1;
    for (int covered = 0; covered < COMMITS;) {
        if (bench_log_turn(sequencer, &status, fault) != 0)
            return -1;
        if (atomic_load(&feed->failed))
            return fault_set(fault, FAULT_INTERNAL, "the feed has failed");
        int64_t now = now_us();
        uint64_t fed = status.signed_size - (uint64_t)bench->events;
        for (; covered < COMMITS && (uint64_t)(covered + 1) * (uint64_t)feed->lot <= fed; covered++)
            ret_milliseconds[covered] = (double)now;
    }
    return sequencer_release(sequencer, fault);
}

static int compare_times(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static int run_steady(struct bench *bench, struct fault *fault)
{
    pthread_t thread;
    AUTO_PG struct pg *api = NULL;
    AUTO_FREE struct feed *feed = calloc(1, sizeof *feed);
    AUTO_FREE double *milliseconds = calloc(COMMITS, sizeof *milliseconds);
    if (feed == NULL || milliseconds == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (pg_cluster_connect(bench->log.cluster, "sallyport_api", &api, fault) != 0)
        return -1;
    feed->api = api;
    feed->lot = bench->a_second / COMMITS_A_SECOND;
    if (pthread_create(&thread, NULL, feed_run, feed) != 0)
        return fault_set(fault, FAULT_INTERNAL, "cannot start a thread");
    int status = follow(bench, feed, milliseconds, fault);
    (void)pthread_join(thread, NULL);
    if (status != 0)
        return -1;
    double fed_seconds = (double)(feed->committed_us[COMMITS - 1] - feed->committed_us[0]) / 1e6;
    for (int i = 0; i < COMMITS; i++)
        milliseconds[i] = (milliseconds[i] - (double)feed->committed_us[i]) / 1e3;
    qsort(milliseconds, COMMITS, sizeof milliseconds[0], compare_times);
    (void)printf("%-28s %7d events %7.2f s %9.0f events/s, asked for %d\n", "steady events",
                 COMMITS * feed->lot, fed_seconds, COMMITS * feed->lot / fed_seconds,
                 bench->a_second);
    (void)printf("%-28s p50 %.0f ms  p99 %.0f ms  most %.0f ms\n", "commit to checkpoint",
                 milliseconds[COMMITS / 2], milliseconds[COMMITS * 99 / 100],
                 milliseconds[COMMITS - 1]);
    return 0;
}

int main(int argc, char **argv)
{
    struct bench bench = {
        .events = argc > 1 ? (int)strtol(argv[1], NULL, 10) : EVENTS,
        .batch = argc > 2 ? (int)strtol(argv[2], NULL, 10) : SEQUENCER_BATCH_MAX,
        .a_second = argc > 3 ? (int)strtol(argv[3], NULL, 10) : A_SECOND,
    };
    struct fault fault;
    double rate = 0, limit = 1;
    if (bench.events < 1 || bench.batch < 1 || bench.a_second < COMMITS_A_SECOND) {
        (void)fprintf(stderr,
                      "usage: bench_sequencer_ledger [events] [batch] [a second, %d or more]\n",
                      COMMITS_A_SECOND);
        return 2;
    }
    int status = 0;
    if (bench_log_open(&bench.log, &fault) != 0 ||
        bench_log_fill(&bench.log, bench.events, BODY_BYTES, &fault) != 0 ||
        run_sequencer(&bench, &rate, &fault) != 0 || run_bare(&bench, &limit, &fault) != 0)
        status = -1;
    if (status == 0)
        (void)printf("%-28s %6.1f %% of the limit\n", "", 100 * rate / limit);
    if (status == 0)
        status = run_steady(&bench, &fault);
    if (status != 0)
        (void)fprintf(stderr, "bench_sequencer_ledger: %s\n", fault.detail);
    bench_log_close(&bench.log);
    return status == 0 ? 0 : 1;
}
