/* SPDX-License-Identifier: Apache-2.0 */
/* The birth of a process for process_run(): clone, pipes, and the child's way to exec. */
#pragma once

#include "sandbox/process.h"

/* This side of a child that is on its way. All -1 before and after. */
struct spawned {
    int pidfd;
    int birth;                   /* says how its start went: spawn_birth() */
    int output[SANDBOX_STREAMS]; /* read ends, not blocking */
};

#define SPAWNED_NONE ((struct spawned){.pidfd = -1, .birth = -1, .output = {-1, -1}})

/* Clones the child. -1 and a fault if there is none. */
int spawn_process(const struct process_spec *spec, struct spawned *ret_spawned,
                  struct fault *fault) MUST_CHECK;

/* Reads `birth` once it is readable: 0 if the program is executing, -1 and a fault with the
 * failed step if it never will. */
int spawn_birth(int birth, const char *program, struct fault *fault) MUST_CHECK;
