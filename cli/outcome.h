/* SPDX-License-Identifier: Apache-2.0 */
/* How a command ended: exit codes, and what an answer that is no success means. */
#pragma once

#include "base/buf.h"
#include "base/fault.h"

enum outcome {
    OUTCOME_OK = 0,
    OUTCOME_FAILURE = 1,
    OUTCOME_USAGE = 2, /* or something malformed */
    OUTCOME_NOT_FOUND = 3,
    OUTCOME_NOT_AUTHORISED = 4,
    OUTCOME_REFUSED = 5, /* signature or policy */
    OUTCOME_NOT_VERIFIED = 6,
    OUTCOME_TIMED_OUT = 8
};

enum outcome outcome_of_fault(enum fault_code code);

/* The server may come back, or want us to be slower: worth asking again. */
bool outcome_is_passing(enum fault_code code);

/* Of an execution in this state (ledger/state.h's names): succeeded, refused, another end. A
 * state that is no end is OUTCOME_TIMED_OUT: the wait for one ran out. */
enum outcome outcome_of_state(const char *state);

/* The fault of an answer with this status: its problem document's code and detail where it has
 * one that we know, else what the status says. Always -1. */
int outcome_of_answer(long status, struct span body, struct fault *fault);
