/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log for benches: a database, a signer's key and state, as many events as asked for, ordered and
 * signed by the real sequencer. Durable commits, unless SALLYPORT_TEST_DATABASE names a server
 * without.
 */
#pragma once

#include "sequencer/sequencer.h"
#include "tests/support/pg_cluster.h"

#define BENCH_ORIGIN "bench.test/log"
#define BENCH_TENANT "acme"

/* All zero: nothing to close. */
struct bench_log {
    struct pg_cluster *cluster;
    struct pg *super;
    char folder[64], key_file[128], state_file[128];
};

int bench_log_open(struct bench_log *log, struct fault *fault) MUST_CHECK;
/* After a failure too. */
void bench_log_close(struct bench_log *log);

/* Inserts `events` events of BENCH_TENANT with bodies of so many bytes, as role api: in one commit;
 * or in as many as it takes, with a CHECKPOINT behind them. */
int bench_log_insert(struct pg *api, int events, int bytes, struct fault *fault) MUST_CHECK;
int bench_log_fill(struct bench_log *log, int events, int bytes, struct fault *fault) MUST_CHECK;
/* The sequencer of this log, as the ledger process has it. */
int bench_log_sequencer(struct bench_log *log, int batch, struct sequencer **ret_sequencer,
                        struct fault *fault) MUST_CHECK;
/* One turn and its wait; ret_status is the sequencer's then. Fails where it has stopped. */
int bench_log_turn(struct sequencer *sequencer, struct sequencer_status *ret_status,
                   struct fault *fault) MUST_CHECK;
/* Orders and signs until a checkpoint covers `events`; ret_status is the sequencer's then. */
int bench_log_order(struct bench_log *log, int batch, int events,
                    struct sequencer_status *ret_status, struct fault *fault) MUST_CHECK;

/* CPU seconds so far of the server's processes for connections to this log's database; those that
 * have ended count no more. 0 where the server is on another host. */
double bench_log_server_seconds(struct bench_log *log);
