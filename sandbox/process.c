/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/process.h"

#include "base/clock.h"
#include "sandbox/spawn.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define READ_SIZE 65536

/* Between two looks at the side, once it is empty: a runtime writes its hundred lines at its start
 * in twice as many pieces, and to be woken by each would take the processor from it. */
#define SIDE_EVERY_MS 50

/* In this order they are polled. */
enum watched {
    WATCH_CHILD,
    WATCH_BIRTH,
    WATCH_STDOUT,
    WATCH_STDERR,
    WATCH_SIDE,
    WATCH_CANCEL,
    WATCH_OTHERS /* the caller's, in their order */
};
#define WATCH_COUNT (WATCH_OTHERS + PROCESS_WATCHES_MAX)

/* One run while it lasts. */
struct process {
    const struct process_spec *spec;
    struct spawned child;
    struct output output[SANDBOX_STREAMS];
    struct tail side;
    int64_t side_at; /* monotonic: when it is looked at again */
    int64_t started; /* monotonic */
    bool killed;     /* by us, because of `reason` */
    enum process_end reason;
    bool stillborn; /* the program was never executed, because of */
    struct fault birth_fault;
};

/* The end of the namespace's first process is the end of all. */
static void kill_tree(const struct process *process)
{
    if (process->child.pidfd >= 0)
        (void)syscall(SYS_pidfd_send_signal, process->child.pidfd, SIGKILL, NULL, 0);
}

static int reap(struct process *process, siginfo_t *ret_info)
{
    int result;
    do
        result = waitid(P_PIDFD, (id_t)process->child.pidfd, ret_info, WEXITED);
    while (result != 0 && errno == EINTR);
    (void)close(TAKE_FD(process->child.pidfd));
    return result;
}

/* Also what a failing run does: nothing outlives this scope. */
static void process_end(struct process *process)
{
    if (process->child.pidfd >= 0) {
        siginfo_t info;
        kill_tree(process);
        (void)reap(process, &info);
    }
    cleanup_close(&process->child.birth);
    for (int stream = 0; stream < SANDBOX_STREAMS; stream++) {
        cleanup_close(&process->child.output[stream]);
        output_discard(&process->output[stream]);
    }
    tail_free(&process->side);
}

static void learn_birth(struct process *process)
{
    process->stillborn =
        spawn_birth(process->child.birth, process->spec->program, &process->birth_fault) != 0;
    (void)close(TAKE_FD(process->child.birth));
}

static void kill_for(struct process *process, enum process_end reason)
{
    if (process->killed)
        return;
    process->killed = true;
    process->reason = reason;
    kill_tree(process);
}

/* Takes one read from a stream; closes it at its end. */
static void drain(struct process *process, enum sandbox_stream stream)
{
    uint8_t bytes[READ_SIZE];
    ssize_t n = read(process->child.output[stream], bytes, sizeof bytes);
    if (n > 0)
        output_feed(&process->output[stream], bytes, (size_t)n);
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        (void)close(TAKE_FD(process->child.output[stream]));
}

static void drain_side(struct process *process)
{
    uint8_t bytes[READ_SIZE];
    ssize_t n = read(process->spec->side_fd, bytes, sizeof bytes);
    if (n > 0)
        tail_feed(&process->side, bytes, (size_t)n);
    bool is_all = n < READ_SIZE / 2; /* what fills a pipe may be somewhat less than its size */
    process->side_at = is_all ? clock_monotonic_ms() + SIDE_EVERY_MS : 0;
}

/* Asks the caller's watches that are ready whether to kill it. */
static void ask_watches(struct process *process, const struct pollfd *fds)
{
    for (size_t i = 0; i < process->spec->watch_count; i++) {
        const struct process_watch *other = &process->spec->watches[i];
        if (fds[WATCH_OTHERS + i].revents != 0 && other->ready(other->context))
            kill_for(process, PROCESS_ALARMED);
    }
}

/* Milliseconds until the deadline, 0 if it has passed; -1 (forever) once there is nothing left
 * to do at it. */
static int until_deadline(const struct process *process)
{
    if (process->killed)
        return -1;
    int64_t left = process->started + process->spec->wall_ms - clock_monotonic_ms();
    return left <= 0 ? 0 : left > 3600 * 1000 ? 3600 * 1000 : (int)left;
}

/* The same until the side is looked at again; -1 if it is. */
static int until_side(const struct process *process)
{
    int64_t left = process->side_at - clock_monotonic_ms();
    return process->spec->side_fd < 0 || left <= 0 ? -1 : (int)left;
}

static int sooner(int a, int b)
{
    return a < 0 ? b : b < 0 || a < b ? a : b;
}

/* Waits for something to happen and handles it. */
static int turn(struct process *process, bool *ret_ended, struct fault *fault)
{
    const struct process_spec *spec = process->spec;
    const struct spawned *child = &process->child;
    int side_rests = until_side(process);
    struct pollfd fds[WATCH_COUNT] = {
        [WATCH_CHILD] = {.fd = child->pidfd, .events = POLLIN},
        [WATCH_BIRTH] = {.fd = child->birth, .events = POLLIN},
        [WATCH_STDOUT] = {.fd = child->output[SANDBOX_STDOUT], .events = POLLIN},
        [WATCH_STDERR] = {.fd = child->output[SANDBOX_STDERR], .events = POLLIN},
        [WATCH_SIDE] = {.fd = side_rests >= 0 ? -1 : spec->side_fd, .events = POLLIN},
        [WATCH_CANCEL] = {.fd = process->killed ? -1 : spec->cancel_fd, .events = POLLIN},
    };
    for (size_t i = 0; i < spec->watch_count; i++)
        fds[WATCH_OTHERS + i] =
            (struct pollfd){.fd = spec->watches[i].fd, .events = spec->watches[i].events};
    int ready =
        poll(fds, WATCH_OTHERS + spec->watch_count, sooner(until_deadline(process), side_rests));
    if (ready < 0 && errno != EINTR)
        return fault_errno(fault, "cannot watch %s", spec->program);
    if (ready < 0)
        return 0;
    if (fds[WATCH_BIRTH].revents != 0)
        learn_birth(process);
    if (fds[WATCH_STDOUT].revents != 0)
        drain(process, SANDBOX_STDOUT);
    if (fds[WATCH_STDERR].revents != 0)
        drain(process, SANDBOX_STDERR);
    if (fds[WATCH_SIDE].revents != 0)
        drain_side(process);
    ask_watches(process, fds);
    if (fds[WATCH_CANCEL].revents != 0)
        kill_for(process, PROCESS_CANCELLED);
    if (until_deadline(process) == 0)
        kill_for(process, PROCESS_TIMED_OUT);
    *ret_ended = fds[WATCH_CHILD].revents != 0;
    return 0;
}

static bool is_ready(int fd, short events)
{
    struct pollfd poll_fd = {.fd = fd, .events = events};
    return poll(&poll_fd, 1, 0) > 0;
}

static bool is_readable(int fd)
{
    return is_ready(fd, POLLIN);
}

/* Nobody can write any more: what is still in the pipes is all there is. */
static void drain_rest(struct process *process)
{
    for (int stream = 0; stream < SANDBOX_STREAMS; stream++) {
        while (process->child.output[stream] >= 0 && is_readable(process->child.output[stream]))
            drain(process, stream);
    }
    while (process->spec->side_fd >= 0 && is_readable(process->spec->side_fd))
        drain_side(process);
    for (size_t i = 0; i < process->spec->watch_count; i++) {
        const struct process_watch *other = &process->spec->watches[i];
        while (is_ready(other->fd, other->events))
            (void)other->ready(other->context);
    }
}

static int watch(struct process *process, struct process_result *ret_result, struct fault *fault)
{
    for (bool ended = false; !ended;) {
        if (turn(process, &ended, fault) != 0)
            return -1;
    }
    siginfo_t info;
    if (reap(process, &info) != 0)
        return fault_errno(fault, "cannot learn the end of %s", process->spec->program);
    if (process->child.birth >= 0)
        learn_birth(process);
    drain_rest(process);

    bool exited = info.si_code == CLD_EXITED;
    ret_result->status = info.si_status;
    /* Killed by us is what it is only if our signal was what ended it. */
    if (process->killed && !exited && info.si_status == SIGKILL)
        ret_result->end = process->reason;
    else
        ret_result->end = exited ? PROCESS_EXITED : PROCESS_SIGNALED;
    ret_result->wall_ms = clock_monotonic_ms() - process->started;
    ret_result->finished_ms = clock_wall_ms();
    return 0;
}

int process_run(const struct process_spec *spec, struct process_result *ret_result,
                struct fault *fault)
{
    AUTO(process_end)
    struct process process = {.spec = spec, .child = SPAWNED_NONE};
    for (int stream = 0; stream < SANDBOX_STREAMS; stream++) {
        if (output_begin(&process.output[stream], stream, spec->caps[stream], spec->sink,
                         spec->sink_context) != 0)
            return fault_set(fault, FAULT_INTERNAL, "out of memory");
        output_share(&process.output[stream], spec->watch);
    }
    tail_begin(&process.side, spec->side_keep);
    struct process_result result = {.started_ms = clock_wall_ms()};
    process.started = clock_monotonic_ms();
    if (spawn_process(spec, &process.child, fault) != 0 || watch(&process, &result, fault) != 0)
        return -1;
    if (process.stillborn) {
        if (fault != NULL)
            *fault = process.birth_fault;
        return -1;
    }
    for (int stream = 0; stream < SANDBOX_STREAMS; stream++)
        output_end(&process.output[stream], &result.output[stream]);
    result.side = process.side;
    process.side = (struct tail){0};
    *ret_result = result;
    return 0;
}

void process_result_free(struct process_result *result)
{
    if (result == NULL)
        return;
    for (int stream = 0; stream < SANDBOX_STREAMS; stream++)
        buf_free(&result->output[stream].stored);
    tail_free(&result->side);
}
