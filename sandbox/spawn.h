/* SPDX-License-Identifier: Apache-2.0 */
/* The birth of a process for process_run(): clone, pipes, and the child's way to exec. */
#pragma once

#include "sandbox/process.h"

#include <signal.h>

/* This side of a child that executes its program. All -1 before and after. */
struct spawned {
    int pidfd;
    int output[SANDBOX_STREAMS]; /* read ends, not blocking */
};

#define SPAWNED_NONE ((struct spawned){.pidfd = -1, .output = {-1, -1}})

/* Returns when the child executes its program. -1 and a fault that names the step that failed if it
 * never will: there is none then. */
int spawn_process(const struct process_spec *spec, struct spawned *ret_spawned,
                  struct fault *fault) MUST_CHECK;

/* The end of a namespace's first process is the end of all. */
void spawned_kill(const struct spawned *spawned);

/* Waits for its end, as waitid(2): -1 and errno where it cannot be learned; it is over then too. */
int spawned_reap(struct spawned *spawned, siginfo_t *ret_info);

/* Kills and reaps it, if that has not been done, and closes all. */
void spawned_end(struct spawned *spawned);
