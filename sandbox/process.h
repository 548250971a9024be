/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs one program as process 1 of a PID namespace of its own. That namespace is what makes
 * "kill" mean the whole tree: when its first process ends, for whatever reason, the kernel
 * kills every other in it, and the end is seen only when all are dead and reaped. If the
 * thread that runs it (or this whole process) dies, so does the tree: PR_SET_PDEATHSIG.
 *
 * SIGCHLD must not be ignored in this process, or the exit status is lost.
 */
#pragma once

#include "base/fault.h"
#include "sandbox/output.h"

#include <poll.h>

#define PROCESS_KEEP_MAX 4
#define PROCESS_CGROUPS_MAX 8
#define PROCESS_WATCHES_MAX 2

/* Runs in the child between clone and exec, as its only thread, in its new namespaces: only
 * async-signal-safe calls. Returns NULL, or a short literal naming the step that failed, with
 * errno set. */
typedef const char *process_prepare(const void *context);

/* Called when its descriptor is ready; has to make it unready again. True: kill the tree. */
typedef bool process_alarm(void *context);

/* Something else to look at while the program runs, and once more after its end. */
struct process_watch {
    int fd;
    short events; /* POLLIN or POLLPRI */
    process_alarm *ready;
    void *context;
};

/* All borrowed for the time of the run. */
struct process_spec {
    const char *program;     /* path to execute */
    const char *const *argv; /* NULL-terminated */
    const char *const *env;  /* NULL-terminated */
    uint64_t namespaces;     /* CLONE_NEW* besides CLONE_NEWPID */
    process_prepare *prepare;
    const void *prepare_context;
    const int *cgroups; /* files to join groups by, open for writing (cgroup_join_fds()) */
    size_t cgroup_count;
    int home; /* the folder of a group (v2) that it is born in; 0: none */

    int stdin_fd;           /* becomes its fd 0, or -1: stdin_data through a pipe */
    struct span stdin_data; /* at most a pipe's size, 1 MiB */
    const int *keep;        /* become its fds 3, 4... */
    size_t keep_count;
    size_t caps[SANDBOX_STREAMS]; /* stored of each stream */
    sandbox_sink *sink;
    void *sink_context;
    struct output_watch *watch; /* or NULL */
    int side_fd; /* not blocking, drained some times a second, and only its end kept; -1 none */
    size_t side_keep;

    int64_t wall_ms; /* from its start */
    int cancel_fd;   /* readable: kill it; -1 none */
    const struct process_watch *watches;
    size_t watch_count; /* at most PROCESS_WATCHES_MAX */
};

enum process_end {
    PROCESS_EXITED,    /* status: exit code */
    PROCESS_SIGNALED,  /* status: signal, not one of ours */
    PROCESS_TIMED_OUT, /* the rest: killed by us */
    PROCESS_CANCELLED,
    PROCESS_ALARMED,
};

struct process_result {
    enum process_end end;
    int status;
    struct sandbox_output output[SANDBOX_STREAMS];
    struct tail side;
    int64_t started_ms, finished_ms; /* wall clock */
    int64_t wall_ms;                 /* monotonic */
};

/* Runs it to its end. -1: the program was not executed (the fault names the step that failed)
 * or this side could not watch it; the tree is dead then too. */
int process_run(const struct process_spec *spec, struct process_result *ret_result,
                struct fault *fault) MUST_CHECK;

/* Fine on {0}. */
void process_result_free(struct process_result *result);
#define AUTO_PROCESS_RESULT AUTO(process_result_free)
