/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/bench_log.h"

#include "base/file.h"
#include "ledger/note.h"

#define FILL 5000 /* events an insert */

int bench_log_open(struct bench_log *log, struct fault *fault)
{
    uint8_t seed[NOTE_SEED_LEN];
    AUTO_NOTE_SIGNER struct note_signer *signer = NULL;
    AUTO_BUF struct buf text = BUF(1024);
    (void)snprintf(log->folder, sizeof log->folder, "/tmp/sallyport-bench.XXXXXX");
    if (mkdtemp(log->folder) == NULL) {
        log->folder[0] = '\0';
        return fault_errno(fault, "mkdtemp");
    }
    (void)snprintf(log->key_file, sizeof log->key_file, "%s/key", log->folder);
    (void)snprintf(log->state_file, sizeof log->state_file, "%s/state", log->folder);
    random_bytes(seed, sizeof seed);
    if (note_signer_new(BENCH_ORIGIN, seed, &signer, fault) != 0)
        return -1;
    note_signer_format(signer, &text);
    if (file_replace(log->key_file, text.data, text.len, 0600, fault) != 0 ||
        pg_cluster_open(true, &log->cluster, fault) != 0 ||
        pg_cluster_connect(log->cluster, NULL, &log->super, fault) != 0)
        return -1;
    return 0;
}

void bench_log_close(struct bench_log *log)
{
    struct fault fault;
    pg_free(TAKE(log->super));
    pg_cluster_free(TAKE(log->cluster));
    if (log->folder[0] != '\0' && dir_remove(log->folder, &fault) != 0)
        (void)fprintf(stderr, "%s\n", fault.detail);
}

int bench_log_insert(struct pg *api, int events, int bytes, struct fault *fault)
{
    static const struct pg_statement insert = {
        "bench_fill",
        "INSERT INTO event (event_id, tenant_id, type, subject, hash, body) "
        "SELECT gen_random_uuid(), '" BENCH_TENANT "', 'io.sallyport.execution.accepted.v1', "
        "'task', sha256(b), b FROM generate_series(1, $1::integer) n, LATERAL (SELECT convert_to("
        "rpad('{\"n\":' || n || random(), $2::integer, 'sallyport'), 'UTF8') AS b) x"};
    struct pg_params params = {0};
    pg_int4(&params, events);
    pg_int4(&params, bytes);
    return pg_query_as(api, BENCH_TENANT, &insert, &params, NULL, fault);
}

int bench_log_fill(struct bench_log *log, int events, int bytes, struct fault *fault)
{
    AUTO_PG struct pg *api = NULL;
    if (pg_cluster_connect(log->cluster, "sallyport_api", &api, fault) != 0)
        return -1;
    for (int done = 0; done < events; done += FILL)
        if (bench_log_insert(api, events - done < FILL ? events - done : FILL, bytes, fault) != 0)
            return -1;
    return pg_execute(log->super, "CHECKPOINT", fault);
}

int bench_log_sequencer(struct bench_log *log, int batch, struct sequencer **ret_sequencer,
                        struct fault *fault)
{
    const struct sequencer_config config = {
        .conninfo = pg_cluster_conninfo(log->cluster, "sallyport_ledger"),
        .node = "bench",
        .origin = BENCH_ORIGIN,
        .key_file = log->key_file,
        .state_file = log->state_file,
        .lease_ms = SEQUENCER_LEASE_MS,
        .batch_max = batch,
        .sign_every_ms = SEQUENCER_SIGN_EVERY_MS,
        .look_every_ms = SEQUENCER_LOOK_EVERY_MS,
    };
    return sequencer_open(&config, ret_sequencer, fault);
}

int bench_log_turn(struct sequencer *sequencer, struct sequencer_status *ret_status,
                   struct fault *fault)
{
    int wait_ms;
    if (sequencer_turn(sequencer, &wait_ms, fault) != 0 ||
        sequencer_wait(sequencer, -1, wait_ms, fault) != 0)
        return -1;
    sequencer_status(sequencer, ret_status);
    if (ret_status->role == SEQUENCER_STOPPED)
        return fault_set(fault, FAULT_INTERNAL, "%s", ret_status->problem);
    return 0;
}

int bench_log_order(struct bench_log *log, int batch, int events,
                    struct sequencer_status *ret_status, struct fault *fault)
{
    AUTO_SEQUENCER struct sequencer *sequencer = NULL;
    struct sequencer_status status = {0};
    if (bench_log_sequencer(log, batch, &sequencer, fault) != 0)
        return -1;
    while (status.signed_size < (uint64_t)events)
        if (bench_log_turn(sequencer, &status, fault) != 0)
            return -1;
    *ret_status = status;
    return sequencer_release(sequencer, fault);
}

/* What the scheduler has given a process, in nanoseconds, stands first in its schedstat. */
static double process_seconds(int64_t pid)
{
    char path[64];
    struct fault fault;
    AUTO_BUF struct buf text = BUF(256);
    (void)snprintf(path, sizeof path, "/proc/%lld/schedstat", (long long)pid);
    return file_read(path, &text, &fault) == 0 ? strtod(buf_text(&text), NULL) / 1e9 : 0;
}

double bench_log_server_seconds(struct bench_log *log)
{
    static const struct pg_statement read = {
        "bench_backends", "SELECT pid::bigint FROM pg_stat_activity WHERE datname = "
                          "current_database() AND pid <> pg_backend_pid()"};
    struct fault fault;
    double seconds = 0;
    AUTO_PGRESULT PGresult *rows = NULL;
    if (pg_query(log->super, NULL, &read, NULL, &rows, &fault) != 0)
        return 0;
    for (int row = 0; row < PQntuples(rows); row++)
        seconds += process_seconds(pg_get_int(rows, row, 0));
    return seconds;
}
