/* SPDX-License-Identifier: Apache-2.0 */
/* Steps on processes: what is left behind, what is ignored, how it ends. */
#include "escape.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static long do_raise_signal(char **words)
{
    int signal_number = (int)number(words[0]);
    signal(signal_number, SIG_DFL);
    return raise(signal_number);
}

static long do_kill(char **words)
{
    return kill((pid_t)number(words[0]), SIGKILL);
}

static long do_ignore_all(char **words)
{
    (void)words;
    for (int i = 1; i < 65; i++)
        signal(i, SIG_IGN);
    return 0;
}

static long do_wait_for_ever(char **words)
{
    (void)words;
    puts("waiting");
    fflush(stdout);
    for (;;)
        pause();
    return 0;
}

/* Twice away, in a session of its own, all descriptors kept. */
static long do_daemon(char **words)
{
    (void)words;
    pid_t child = fork();
    if (child == 0) {
        setsid();
        if (fork() == 0) {
            signal(SIGHUP, SIG_IGN);
            signal(SIGTERM, SIG_IGN);
            for (;;)
                pause();
        }
        _exit(0);
    }
    waitpid(child, NULL, 0); /* it may be reaped already, where SIGCHLD is ignored */
    return 0;
}

/* A chain of parents that end: each child is an orphan. */
static long do_orphans(char **words)
{
    for (long i = 0; i < number(words[0]); i++) {
        if (fork() != 0)
            continue;
        if (fork() != 0)
            _exit(0);
        for (;;)
            pause();
    }
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    return 0;
}

static long do_close(char **words)
{
    return close((int)number(words[0]));
}

/* Says it on standard error: for when standard output is closed. */
static long do_complain(char **words)
{
    fprintf(stderr, "%s\n", words[0]);
    return QUIET;
}

static long do_exit(char **words)
{
    exit((int)number(words[0]));
}

/* A crash that would dump core. */
static long do_crash(char **words)
{
    (void)words;
    struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
    setrlimit(RLIMIT_CORE, &limit);
    abort();
}

/* All the rest of the command line, and the environment, by number and bytes. */
static long do_count_words(char **words)
{
    long count = 0, bytes = 0, variables = 0;
    for (char **at = words; *at != NULL; at++, count++)
        bytes += (long)strlen(*at);
    for (char **at = environ; *at != NULL; at++)
        variables++;
    printf("words %ld bytes %ld variables %ld\n", count, bytes, variables);
    fflush(stdout);
    _exit(0);
}

static long do_echo_rest(char **words)
{
    for (char **at = words; *at != NULL; at++)
        fwrite(*at, 1, strlen(*at) + 1, stdout);
    fflush(stdout);
    _exit(0);
}

static long do_set_environment(char **words)
{
    return setenv(words[0], words[1], 1);
}

const struct step steps_processes[] = {
    {"signal", 1, do_raise_signal},
    {"kill", 1, do_kill},
    {"ignore_all", 0, do_ignore_all},
    {"wait", 0, do_wait_for_ever},
    {"daemon", 0, do_daemon},
    {"orphans", 1, do_orphans},
    {"close", 1, do_close},
    {"complain", 1, do_complain},
    {"exit", 1, do_exit},
    {"crash", 0, do_crash},
    {"count_words", 0, do_count_words},
    {"echo_rest", 0, do_echo_rest},
    {"set", 2, do_set_environment},
    {NULL, 0, NULL},
};
