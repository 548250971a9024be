/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From pending to signed checkpoint: events/s over a backlog, beside its limit in the same run, a
 * bare multi-row INSERT of the same rows into a table like ledger_entry. Durable commits, unless
 * SALLYPORT_TEST_DATABASE names a server without.
 *
 *   bench_sequencer_append [events] [batch]
 */
#include "base/clock.h"
#include "base/file.h"
#include "ledger/note.h"
#include "sequencer/sequencer.h"
#include "tests/support/pg_cluster.h"

#include <inttypes.h>
#include <string.h>

#define ORIGIN "bench.test/log"
#define EVENTS 100000
#define FILL 5000 /* events an insert of the backlog */

struct bench {
    struct pg_cluster *cluster;
    struct pg *super;
    char folder[64], key_file[128], state_file[128];
    int events, batch;
};

static int setup(struct bench *bench, struct fault *fault)
{
    uint8_t seed[NOTE_SEED_LEN];
    AUTO_NOTE_SIGNER struct note_signer *signer = NULL;
    AUTO_BUF struct buf text = BUF(1024);
    (void)snprintf(bench->folder, sizeof bench->folder, "/tmp/sallyport-bench.XXXXXX");
    if (mkdtemp(bench->folder) == NULL)
        return fault_errno(fault, "mkdtemp");
    (void)snprintf(bench->key_file, sizeof bench->key_file, "%s/key", bench->folder);
    (void)snprintf(bench->state_file, sizeof bench->state_file, "%s/state", bench->folder);
    random_bytes(seed, sizeof seed);
    if (note_signer_new(ORIGIN, seed, &signer, fault) != 0)
        return -1;
    note_signer_format(signer, &text);
    if (file_replace(bench->key_file, text.data, text.len, 0600, fault) != 0 ||
        pg_cluster_open(true, &bench->cluster, fault) != 0 ||
        pg_cluster_connect(bench->cluster, NULL, &bench->super, fault) != 0)
        return -1;
    return 0;
}

static int fill(struct bench *bench, struct fault *fault)
{
    static const struct pg_statement insert = {
        "bench_fill",
        "INSERT INTO event (event_id, tenant_id, type, subject, hash, body) "
        "SELECT gen_random_uuid(), 'acme', 'io.sallyport.execution.accepted.v1', 'task', "
        "sha256(b), b FROM generate_series(1, $1::integer) n, LATERAL (SELECT convert_to("
        "rpad('{\"n\":' || n || random(), 1500, 'sallyport'), 'UTF8') AS b) x"};
    AUTO_PG struct pg *api = NULL;
    if (pg_cluster_connect(bench->cluster, "sallyport_api", &api, fault) != 0)
        return -1;
    for (int done = 0; done < bench->events; done += FILL) {
        struct pg_params params = {0};
        pg_int4(&params, bench->events - done < FILL ? bench->events - done : FILL);
        if (pg_query_as(api, "acme", &insert, &params, NULL, fault) != 0)
            return -1;
    }
    return pg_execute(bench->super, "CHECKPOINT", fault);
}

static int64_t number(struct bench *bench, const struct pg_statement *statement)
{
    struct fault fault;
    AUTO_PGRESULT PGresult *row = NULL;
    if (pg_query(bench->super, NULL, statement, NULL, &row, &fault) != 0)
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
    AUTO_SEQUENCER struct sequencer *sequencer = NULL;
    const struct sequencer_config config = {
        .conninfo = pg_cluster_conninfo(bench->cluster, "sallyport_ledger"),
        .node = "bench",
        .origin = ORIGIN,
        .key_file = bench->key_file,
        .state_file = bench->state_file,
        .lease_ms = SEQUENCER_LEASE_MS,
        .batch_max = bench->batch,
        .sign_every_ms = SEQUENCER_SIGN_EVERY_MS,
        .gather_ms = SEQUENCER_GATHER_MS,
    };
    struct sequencer_status status = {0};
    if (sequencer_open(&config, &sequencer, fault) != 0)
        return -1;
    int64_t wal = wal_position(bench), began = clock_monotonic_ms();
    while (status.signed_size < (uint64_t)bench->events) {
        int wait_ms;
        if (sequencer_turn(sequencer, &wait_ms, fault) != 0 ||
            sequencer_wait(sequencer, -1, wait_ms, fault) != 0)
            return -1;
        sequencer_status(sequencer, &status);
        if (status.role == SEQUENCER_STOPPED)
            return fault_set(fault, FAULT_INTERNAL, "%s", status.problem);
    }
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
    return pg_query(bench->super, NULL, &insert, &params, NULL, fault);
}

static int run_bare(struct bench *bench, double *ret_rate, struct fault *fault)
{
    static const struct pg_statement read = {
        "bench_rows", "SELECT event_id, tenant_id, hash FROM ledger_entry ORDER BY idx"};
    AUTO_PGRESULT PGresult *rows = NULL;
    if (pg_execute(bench->super, "CREATE TABLE bare (LIKE ledger_entry INCLUDING ALL); CHECKPOINT",
                   fault) != 0 ||
        pg_query(bench->super, NULL, &read, NULL, &rows, fault) != 0)
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

static void teardown(struct bench *bench)
{
    struct fault fault;
    pg_free(bench->super);
    pg_cluster_free(bench->cluster);
    if (bench->folder[0] != '\0' && dir_remove(bench->folder, &fault) != 0)
        (void)fprintf(stderr, "%s\n", fault.detail);
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
    if (setup(&bench, &fault) != 0 || fill(&bench, &fault) != 0 ||
        run_sequencer(&bench, &rate, &fault) != 0 || run_bare(&bench, &limit, &fault) != 0)
        status = -1;
    if (status == 0)
        (void)printf("%-28s %6.1f %% of the limit\n", "", 100 * rate / limit);
    else
        (void)fprintf(stderr, "bench_sequencer_append: %s\n", fault.detail);
    teardown(&bench);
    return status == 0 ? 0 : 1;
}
