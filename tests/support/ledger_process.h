/* SPDX-License-Identifier: Apache-2.0 */
/* A ledger process: sequencer_run() in a child, to be stopped, continued and killed. */
#pragma once

#include "tests/support/ledger_fixture.h"

#include <sys/types.h>

struct ledger_process {
    pid_t pid;
    int stop_fd; /* closing it ends the child's loop */
};

/* Starts one with its own state file (made with --init where there is none). The test must not be
 * using threads. */
struct ledger_process ledger_process_start(struct ledger_fixture *fixture, const char *state_file,
                                           int lease_ms);
/* SIGSTOP, SIGCONT: returns when the child has stopped or gone on. */
void ledger_process_pause(const struct ledger_process *process);
void ledger_process_resume(const struct ledger_process *process);
/* SIGKILL, and reaped. */
void ledger_process_kill(struct ledger_process *process);
/* Ends its loop and reaps it; it must have ended well. */
void ledger_process_end(struct ledger_process *process);

/* Waits until the query (as superuser, one number) gives at least `least`. The test fails after a
 * minute. */
void ledger_process_await(struct ledger_fixture *fixture, const char *sql, int64_t least);
