/* SPDX-License-Identifier: Apache-2.0 */
/* The life of an execution: its states, their names, and the one table of legal moves. */
#pragma once

#include "base/cleanup.h"

#include <stdbool.h>

/* X(enum name, wire name, an end) */
#define EXECUTION_STATES(X)                                                                        \
    X(EXECUTION_QUEUED, "queued", false)                                                           \
    X(EXECUTION_RUNNING, "running", false)                                                         \
    X(EXECUTION_SUCCEEDED, "succeeded", true)         /* exit 0 */                                 \
    X(EXECUTION_FAILED, "failed", true)               /* another exit, or a signal */              \
    X(EXECUTION_TIMED_OUT, "timed_out", true)         /* killed at its deadline */                 \
    X(EXECUTION_OUT_OF_MEMORY, "out_of_memory", true) /* killed at its memory limit */             \
    X(EXECUTION_CANCELLED, "cancelled", true)         /* a caller asked */                         \
    X(EXECUTION_LOST, "lost", true)                   /* its worker vanished; outcome unknown */   \
    X(EXECUTION_REFUSED, "refused", true)             /* the worker's own checks said no */

enum execution_state {
#define EXECUTION_STATE_ENUM(name, wire, end) name,
    EXECUTION_STATES(EXECUTION_STATE_ENUM)
#undef EXECUTION_STATE_ENUM
        EXECUTION_STATE_COUNT
};

/* "queued"; "" for values outside the enum. */
const char *execution_state_name(enum execution_state state);
/* Back from the exact name; -1 if there is none. */
int execution_state_parse(const char *name, size_t len, enum execution_state *ret_state) MUST_CHECK;

/* True if nothing follows. */
bool execution_state_is_end(enum execution_state state);

/* True if an execution may go from one state to the other. Staying is not a move; an end has
 * none; values outside the enum have none. */
bool execution_may_move(enum execution_state from, enum execution_state to);
