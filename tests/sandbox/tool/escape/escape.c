/* SPDX-License-Identifier: Apache-2.0 */
#include "escape.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

long number(const char *text)
{
    return strtol(text, NULL, 0);
}

const char *refusal(void)
{
    const char *name = strerrorname_np(errno);
    return name == NULL ? "an unknown error" : name;
}

static const struct step *find(const char *verb)
{
    const struct step *const tables[] = {steps_files, steps_kernel, steps_network, steps_processes,
                                         steps_bounds};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        for (const struct step *step = tables[i]; step->verb != NULL; step++) {
            if (strcmp(step->verb, verb) == 0)
                return step;
        }
    }
    return NULL;
}

static void say(const struct step *step, char **words, long result)
{
    const char *came = result < 0 ? refusal() : "done";
    printf("%s", step->verb);
    for (int i = 0; i < step->words; i++)
        printf(" %s", words[i]);
    printf(": %s\n", came);
}

int main(int argc, char **argv)
{
    for (int at = 1; at < argc;) {
        const struct step *step = find(argv[at]);
        if (step == NULL || at + step->words >= argc) {
            fprintf(stderr, "no such step: %s\n", argv[at]);
            return 99;
        }
        errno = 0;
        long result = step->run(argv + at + 1);
        if (result != QUIET)
            say(step, argv + at + 1, result);
        fflush(stdout);
        at += 1 + step->words;
    }
    return 0;
}
