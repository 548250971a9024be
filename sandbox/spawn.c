/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Bigger pipes mean fewer wakeups in a flood. The system may say no; that is fine. */
#define OUTPUT_PIPE_SIZE (1 << 20)

/* Descriptors are first moved above this, so that putting them in their places (0 to
 * 2 + PROCESS_KEEP_MAX) never overwrites one that is still to be moved. */
#define PARKING 64

/* Of the child until it executes its program, and what it runs into below that. */
#define STACK_SIZE (64u << 10)
#define STACK_GUARD (4u << 10)

/* ThreadSanitizer would take what a child does with our memory for its parent's doing. */
#if defined(__SANITIZE_THREAD__)
#define BORROWED 0
#else
#define BORROWED CLONE_VM
#endif

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

void spawned_kill(const struct spawned *spawned)
{
    if (spawned->pidfd >= 0)
        (void)syscall(SYS_pidfd_send_signal, spawned->pidfd, SIGKILL, NULL, 0);
}

int spawned_reap(struct spawned *spawned, siginfo_t *ret_info)
{
    int result;
    do
        result = waitid(P_PIDFD, (id_t)spawned->pidfd, ret_info, WEXITED);
    while (result != 0 && errno == EINTR);
    (void)close(TAKE_FD(spawned->pidfd));
    return result;
}

void spawned_end(struct spawned *spawned)
{
    if (spawned->pidfd >= 0) {
        siginfo_t info;
        spawned_kill(spawned);
        (void)spawned_reap(spawned, &info);
    }
    for (int stream = 0; stream < SANDBOX_STREAMS; stream++) {
        cleanup_close(&spawned->output[stream]);
        spawned->output[stream] = -1;
    }
}

/* ---- the child: only async-signal-safe calls from here, and nothing written but its stack ---- */

/* What it is told, by the thread that waits for it. */
struct child {
    const struct process_spec *spec;
    const struct child_ends *ends;
    int birth_end; /* the parent's */
};

__attribute__((noreturn)) IN_CHILD static void child_fail(int birth, const char *step)
{
    struct stillbirth note = {.error = errno};
    for (size_t i = 0; i + 1 < sizeof note.step && step[i] != '\0'; i++)
        note.step[i] = step[i];
    ssize_t ignored = write(birth, &note, sizeof note);
    (void)ignored;
    _exit(127);
}

IN_CHILD static void child_signals(void)
{
    for (int number = 1; number < NSIG; number++)
        (void)signal(number, SIG_DFL);
    sigset_t none;
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Asks to die with the thread that made us, and looks whether it is already too late: then
 * nobody holds the reading end of the birth pipe. */
IN_CHILD static int child_tie_to_parent(int birth)
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

IN_CHILD static int child_place_files(const struct process_spec *spec,
                                      const struct child_ends *ends)
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
IN_CHILD static int child_join_cgroups(const struct process_spec *spec)
{
    for (size_t i = 0; i < spec->cgroup_count; i++) {
        if (write(spec->cgroups[i], "0", 1) != 1)
            return -1;
    }
    return 0;
}

__attribute__((noreturn)) IN_CHILD static void child_main(const struct child *child)
{
    const struct process_spec *spec = child->spec;
    const struct child_ends *ends = child->ends;
    (void)close(child->birth_end); /* or the parent's death could not be seen */
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

/* A pipe from the child, not blocking on this side. */
static int open_pipe(int *ret_ours, int *ret_childs, struct fault *fault)
{
    int pair[2];
    if (pipe2(pair, O_CLOEXEC) != 0)
        return fault_errno(fault, "cannot make a pipe");
    *ret_ours = pair[0];
    *ret_childs = pair[1];
    return fcntl(pair[0], F_SETFL, O_NONBLOCK) == 0 ? 0
                                                    : fault_errno(fault, "cannot set up a pipe");
}

static int open_outputs(struct spawned *spawned, struct child_ends *ends, struct fault *fault)
{
    for (int stream = 0; stream < SANDBOX_STREAMS; stream++) {
        if (open_pipe(&spawned->output[stream], &ends->output[stream], fault) != 0)
            return -1;
        (void)fcntl(spawned->output[stream], F_SETPIPE_SZ, OUTPUT_PIPE_SIZE);
    }
    return 0;
}

/* As vfork(2): the child borrows our memory, on a stack of its own, and this thread sleeps until it
 * has executed its program or is gone. It never comes back from child_main(), so that nothing of
 * ours is changed. To copy the tables of a worker's memory, and throw the copy away, took 1 ms of a
 * run. (glibc's clone() knows no groups to be born in.) */
static long start_child(struct clone_args *arguments, const struct child *child, void *stack)
{
    arguments->flags |= CLONE_VFORK | BORROWED;
    arguments->stack = (uint64_t)(uintptr_t)stack + STACK_GUARD;
    arguments->stack_size = STACK_SIZE;
    register long result __asm__("rax") = SYS_clone3;
    register void (*start)(const struct child *) __asm__("r8") = child_main;
    register const struct child *told __asm__("r9") = child;
    __asm__ volatile("syscall\n\t"
                     "testq %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xorl %%ebp, %%ebp\n\t" /* the outermost frame */
                     "movq %%r9, %%rdi\n\t"
                     "callq *%%r8\n\t"
                     "ud2\n"
                     "1:"
                     : "+r"(result)
                     : "D"(arguments), "S"(sizeof *arguments), "r"(start), "r"(told)
                     : "rcx", "r11", "memory");
    if (result >= 0)
        return result;
    errno = (int)-result;
    return -1;
}

/* None of our handlers may run in the child, on our memory: it opens itself to signals when it has
 * no handlers any more. */
static long start_unsignalled(struct clone_args *arguments, const struct child *child, void *stack)
{
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    long pid = start_child(arguments, child, stack);
    int error = errno;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return pid;
}

static int start(struct clone_args *arguments, const struct child *child, struct fault *fault)
{
    const char *program = child->spec->program;
    void *stack = mmap(NULL, STACK_GUARD + STACK_SIZE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED)
        return fault_errno(fault, "cannot start %s", program);
    int status = 0;
    if (mprotect(stack, STACK_GUARD, PROT_NONE) != 0 ||
        start_unsignalled(arguments, child, stack) < 0)
        status = fault_errno(fault, "cannot start %s", program);
    (void)munmap(stack, STACK_GUARD + STACK_SIZE);
    return status;
}

/* What the child said before it was gone: nothing, if it executes its program. (Its end of the pipe
 * may be open still, in a child that another thread is starting.) */
static int learn_birth(int birth, const char *program, struct fault *fault)
{
    struct stillbirth note;
    ssize_t n = read(birth, &note, sizeof note);
    if (n == 0 || (n < 0 && errno == EAGAIN))
        return 0;
    if (n != (ssize_t)sizeof note)
        return fault_set(fault, FAULT_INTERNAL, "%s: lost while starting", program);
    note.step[sizeof note.step - 1] = '\0';
    errno = note.error;
    return fault_errno(fault, "%s: %s", program, note.step);
}

int spawn_process(const struct process_spec *spec, struct spawned *ret_spawned, struct fault *fault)
{
    if (spec->keep_count > PROCESS_KEEP_MAX || spec->cgroup_count > PROCESS_CGROUPS_MAX)
        return fault_set(fault, FAULT_INTERNAL, "too many descriptors for a child");
    AUTO(spawned_end) struct spawned spawned = SPAWNED_NONE;
    AUTO(child_ends_close)
    struct child_ends ends = {.input = -1, .output = {-1, -1}, .birth = -1};
    AUTO_CLOSE int birth = -1;
    if (open_input(spec, &ends.input, fault) != 0 || open_outputs(&spawned, &ends, fault) != 0 ||
        open_pipe(&birth, &ends.birth, fault) != 0)
        return -1;
    int pidfd = -1;
    struct clone_args arguments = {
        .flags = CLONE_PIDFD | CLONE_NEWPID | spec->namespaces,
        .pidfd = (uint64_t)(uintptr_t)&pidfd,
        .exit_signal = SIGCHLD,
    };
    if (spec->home > 0) {
        arguments.flags |= CLONE_INTO_CGROUP;
        arguments.cgroup = (uint64_t)spec->home;
    }
    const struct child child = {.spec = spec, .ends = &ends, .birth_end = birth};
    if (start(&arguments, &child, fault) != 0)
        return -1;
    spawned.pidfd = pidfd;
    if (learn_birth(birth, spec->program, fault) != 0)
        return -1;
    *ret_spawned = spawned;
    spawned = SPAWNED_NONE;
    return 0;
}
