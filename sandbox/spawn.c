/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Bigger pipes mean fewer wakeups in a flood. The system may say no; that is fine. */
#define OUTPUT_PIPE_SIZE (1 << 20)

/* Descriptors are first moved above this, so that putting them in their places (0 to
 * 2 + PROCESS_KEEP_MAX) never overwrites one that is still to be moved. */
#define PARKING 64

/* What the child tells through the birth pipe when it cannot go on. */
struct stillbirth {
    int error;
    char step[60];
};

/* What the child holds, all close-on-exec. */
struct child_ends {
    int input;
    int output[SANDBOX_STREAMS];
    int birth;
};

static void child_ends_close(struct child_ends *ends)
{
    cleanup_close(&ends->input);
    cleanup_close(&ends->output[SANDBOX_STDOUT]);
    cleanup_close(&ends->output[SANDBOX_STDERR]);
    cleanup_close(&ends->birth);
}

static void spawned_close(struct spawned *spawned)
{
    cleanup_close(&spawned->pidfd);
    cleanup_close(&spawned->birth);
    cleanup_close(&spawned->output[SANDBOX_STDOUT]);
    cleanup_close(&spawned->output[SANDBOX_STDERR]);
    *spawned = SPAWNED_NONE;
}

/* ---- the child, alone in its address space: only async-signal-safe calls from here ---- */

__attribute__((noreturn)) static void child_fail(int birth, const char *step)
{
    struct stillbirth note = {.error = errno};
    for (size_t i = 0; i + 1 < sizeof note.step && step[i] != '\0'; i++)
        note.step[i] = step[i];
    ssize_t ignored = write(birth, &note, sizeof note);
    (void)ignored;
    _exit(127);
}

static void child_signals(void)
{
    for (int number = 1; number < NSIG; number++)
        (void)signal(number, SIG_DFL);
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Asks to die with the thread that made us, and looks whether it is already too late: then
 * nobody holds the reading end of the birth pipe. */
static int child_tie_to_parent(int birth)
{
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        return -1;
    struct pollfd parent = {.fd = birth};
    if (poll(&parent, 1, 0) < 0)
        return -1;
    if ((parent.revents & POLLERR) != 0)
        _exit(127);
    return 0;
}

static int child_place_files(const struct process_spec *spec, const struct child_ends *ends)
{
    int places = 3 + (int)spec->keep_count;
    int parked[3 + PROCESS_KEEP_MAX];
    for (int i = 0; i < places; i++) {
        int from = i == 0 ? ends->input : i <= 2 ? ends->output[i - 1] : spec->keep[i - 3];
        parked[i] = fcntl(from, F_DUPFD_CLOEXEC, PARKING);
        if (parked[i] < 0)
            return -1;
    }
    for (int i = 0; i < places; i++) {
        if (dup2(parked[i], i) < 0)
            return -1;
    }
    return close_range((unsigned)places, ~0U, CLOSE_RANGE_CLOEXEC);
}

/* Everything this process will ever start is counted and limited from here on. */
static int child_join_cgroups(const struct process_spec *spec)
{
    for (size_t i = 0; i < spec->cgroup_count; i++) {
        if (write(spec->cgroups[i], "0", 1) != 1)
            return -1;
    }
    return 0;
}

__attribute__((noreturn)) static void child_main(const struct process_spec *spec,
                                                 const struct child_ends *ends, int parent_end)
{
    (void)close(parent_end); /* or the parent's death could not be seen */
    int birth = fcntl(ends->birth, F_DUPFD_CLOEXEC, PARKING);
    if (birth < 0)
        child_fail(ends->birth, "keeping the birth pipe");
    child_signals();
    (void)umask(022);
    if (child_tie_to_parent(birth) != 0)
        child_fail(birth, "tying it to its parent");
    if (setsid() < 0)
        child_fail(birth, "making a session");
    if (child_join_cgroups(spec) != 0)
        child_fail(birth, "joining its cgroups");
    if (spec->prepare != NULL) {
        const char *step = spec->prepare(spec->prepare_context);
        if (step != NULL)
            child_fail(birth, step);
    }
    if (child_place_files(spec, ends) != 0)
        child_fail(birth, "placing its descriptors");
    /* execve() changes neither array; its prototype predates const. */
    union {
        const char *const *in;
        char *const *out;
    } argv = {.in = spec->argv}, env = {.in = spec->env};
    (void)execve(spec->program, argv.out, env.out);
    child_fail(birth, "executing it");
}

/* ---- the parent ---- */

static int open_input(const struct process_spec *spec, int *ret_fd, struct fault *fault)
{
    if (spec->stdin_fd >= 0) {
        int fd = fcntl(spec->stdin_fd, F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
            return fault_errno(fault, "cannot hand over standard input");
        *ret_fd = fd;
        return 0;
    }
    /* The whole input is put into the pipe at once: nothing to feed, and no SIGPIPE, later. */
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return fault_errno(fault, "cannot make a pipe");
    AUTO_CLOSE int reading = ends[0];
    AUTO_CLOSE int writing = ends[1];
    size_t len = spec->stdin_data.len;
    if (len > 0) {
        int size = len > INT32_MAX ? -1 : fcntl(writing, F_SETPIPE_SZ, (int)len);
        if (size < 0 || (size_t)size < len || fcntl(writing, F_SETFL, O_NONBLOCK) != 0)
            return fault_set(fault, FAULT_UNAVAILABLE,
                             "no pipe holds the %zu bytes of standard input", len);
        if (write(writing, spec->stdin_data.data, len) != (ssize_t)len)
            return fault_errno(fault, "cannot fill standard input");
    }
    *ret_fd = TAKE_FD(reading);
    return 0;
}

static int open_outputs(struct spawned *spawned, struct child_ends *ends, struct fault *fault)
{
    for (int stream = 0; stream < SANDBOX_STREAMS; stream++) {
        int pair[2];
        if (pipe2(pair, O_CLOEXEC) != 0)
            return fault_errno(fault, "cannot make a pipe");
        spawned->output[stream] = pair[0];
        ends->output[stream] = pair[1];
        (void)fcntl(pair[0], F_SETPIPE_SZ, OUTPUT_PIPE_SIZE);
        if (fcntl(pair[0], F_SETFL, O_NONBLOCK) != 0)
            return fault_errno(fault, "cannot set up a pipe");
    }
    int pair[2];
    if (pipe2(pair, O_CLOEXEC) != 0)
        return fault_errno(fault, "cannot make a pipe");
    spawned->birth = pair[0];
    ends->birth = pair[1];
    return 0;
}

int spawn_process(const struct process_spec *spec, struct spawned *ret_spawned, struct fault *fault)
{
    if (spec->keep_count > PROCESS_KEEP_MAX || spec->cgroup_count > PROCESS_CGROUPS_MAX)
        return fault_set(fault, FAULT_INTERNAL, "too many descriptors for a child");
    AUTO(spawned_close) struct spawned spawned = SPAWNED_NONE;
    AUTO(child_ends_close)
    struct child_ends ends = {.input = -1, .output = {-1, -1}, .birth = -1};
    if (open_input(spec, &ends.input, fault) != 0 || open_outputs(&spawned, &ends, fault) != 0)
        return -1;

    struct clone_args arguments = {
        .flags = CLONE_PIDFD | CLONE_NEWPID | spec->namespaces,
        .pidfd = (uint64_t)(uintptr_t)&spawned.pidfd,
        .exit_signal = SIGCHLD,
    };
    if (spec->home > 0) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = (uint64_t)spec->home;
    }
    long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid == 0)
        child_main(spec, &ends, spawned.birth);
    if (pid < 0) {
        spawned.pidfd = -1;
        return fault_errno(fault, "cannot start %s", spec->program);
    }
    *ret_spawned = spawned;
    spawned = SPAWNED_NONE;
    return 0;
}

int spawn_birth(int birth, const char *program, struct fault *fault)
{
    struct stillbirth note;
    ssize_t n;
    do
        n = read(birth, &note, sizeof note);
    while (n < 0 && errno == EINTR);
    if (n == 0)
        return 0;
    if (n != (ssize_t)sizeof note)
        return fault_set(fault, FAULT_INTERNAL, "%s: lost while starting", program);
    note.step[sizeof note.step - 1] = '\0';
    errno = note.error;
    return fault_errno(fault, "%s: %s", program, note.step);
}
