/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/state.h"

#include <string.h>

struct state_row {
    const char *name;
    bool end;
};

static const struct state_row rows[EXECUTION_STATE_COUNT] = {
#define STATE_ROW(state, wire, is_end) [state] = {wire, is_end},
    EXECUTION_STATES(STATE_ROW)
#undef STATE_ROW
};

#define TO(state) (1U << (state))

/* The legal moves: from each state, the set of states that may follow. Claiming is no move: an
 * expired claim goes back to the queue, and only a running execution can be lost. */
static const unsigned moves[EXECUTION_STATE_COUNT] = {
    [EXECUTION_QUEUED] = TO(EXECUTION_RUNNING) | TO(EXECUTION_CANCELLED) | TO(EXECUTION_REFUSED),
    [EXECUTION_RUNNING] = TO(EXECUTION_SUCCEEDED) | TO(EXECUTION_FAILED) | TO(EXECUTION_TIMED_OUT) |
                          TO(EXECUTION_OUT_OF_MEMORY) | TO(EXECUTION_CANCELLED) |
                          TO(EXECUTION_LOST) | TO(EXECUTION_REFUSED),
};

static bool is_known(enum execution_state state)
{
    return (unsigned)state < EXECUTION_STATE_COUNT;
}

const char *execution_state_name(enum execution_state state)
{
    return is_known(state) ? rows[state].name : "";
}

int execution_state_parse(const char *name, size_t len, enum execution_state *ret_state)
{
    for (unsigned state = 0; state < EXECUTION_STATE_COUNT; state++)
        if (strlen(rows[state].name) == len && memcmp(rows[state].name, name, len) == 0) {
            *ret_state = (enum execution_state)state;
            return 0;
        }
    return -1;
}

bool execution_state_is_end(enum execution_state state)
{
    return is_known(state) && rows[state].end;
}

bool execution_may_move(enum execution_state from, enum execution_state to)
{
    return is_known(from) && is_known(to) && (moves[from] & TO(to)) != 0;
}
