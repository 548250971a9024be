/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tool that tries to get out, for tests/sandbox/test_escape_*.c: a list of steps on its command
 * line, done in order, each saying in one line what came of it: "words: done", "words: EPERM", or
 * what was read. What a step is told beside its verb is in its table.
 */
#pragma once

#include <stddef.h>

/* A verb, how many words it takes after it (what its line begins with, too), and what it does: its
 * result is negative with errno set, or "done"; QUIET if it has said all itself. */
struct step {
    const char *verb;
    int words;
    long (*run)(char **words);
};
#define QUIET 0x7fffffffL

extern const struct step steps_files[];
extern const struct step steps_kernel[];
extern const struct step steps_network[];
extern const struct step steps_processes[];
extern const struct step steps_bounds[];

long number(const char *text);
/* "ENOSPC" of errno now. */
const char *refusal(void);
