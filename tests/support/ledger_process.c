/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/ledger_process.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#define AWAIT_MS 60000

/* In the child. Its log goes nowhere: stderr is the test's. */
static int run(const struct sequencer_config *config, int stop_fd)
{
    struct fault fault;
    struct sequencer *sequencer = NULL;
    if (sequencer_open(config, &sequencer, &fault) != 0) {
        (void)fprintf(stderr, "ledger process: %s\n", fault.detail);
        return 1;
    }
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, STDERR_FILENO) < 0)
        return 1;
    (void)close(null);
    sequencer_run(sequencer, stop_fd, NULL, NULL);
    sequencer_free(sequencer);
    return 0;
}

struct ledger_process ledger_process_start(struct ledger_fixture *fixture, const char *state_file,
                                           int lease_ms)
{
    struct sequencer_config config = ledger_fixture_config(fixture);
    int pipe_fds[2];
    config.state_file = state_file;
    config.lease_ms = lease_ms;
    config.init = access(state_file, F_OK) != 0;
    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    pid_t parent = getpid(), pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        /* Nothing of the parent's stays open: not its connections, not another's stop_fd. */
        unsigned kept = (unsigned)pipe_fds[0];
        bool orphan = (kept > 3 && close_range(3, kept - 1, 0) != 0) ||
                      close_range(kept + 1, ~0U, 0) != 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 ||
                      getppid() != parent;
        /* Not exit(): the parent's connections and test results are not this process's. */
        _exit(orphan ? 1 : run(&config, pipe_fds[0]));
    }
    (void)close(pipe_fds[0]);
    return (struct ledger_process){.pid = pid, .stop_fd = pipe_fds[1]};
}

static int wait_for(pid_t pid, int options)
{
    int status = 0;
    pid_t waited;
    do
        waited = waitpid(pid, &status, options);
    while (waited < 0 && errno == EINTR);
    assert_int_equal(waited, pid);
    return status;
}

void ledger_process_pause(const struct ledger_process *process)
{
    assert_int_equal(kill(process->pid, SIGSTOP), 0);
    assert_true(WIFSTOPPED(wait_for(process->pid, WUNTRACED)));
}

void ledger_process_resume(const struct ledger_process *process)
{
    assert_int_equal(kill(process->pid, SIGCONT), 0);
    assert_true(WIFCONTINUED(wait_for(process->pid, WCONTINUED)));
}

void ledger_process_kill(struct ledger_process *process)
{
    assert_int_equal(kill(process->pid, SIGKILL), 0);
    assert_true(WIFSIGNALED(wait_for(process->pid, 0)));
    (void)close(process->stop_fd);
}

void ledger_process_end(struct ledger_process *process)
{
    (void)close(process->stop_fd);
    int status = wait_for(process->pid, 0);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

void ledger_process_await(struct ledger_fixture *fixture, const char *sql, int64_t least)
{
    const struct timespec brief = {.tv_nsec = 20 * 1000 * 1000};
    int64_t deadline = clock_monotonic_ms() + AWAIT_MS;
    while (ledger_fixture_number(fixture, sql) < least) {
        if (clock_monotonic_ms() > deadline)
            fail_msg("waited in vain for %s", sql);
        (void)nanosleep(&brief, NULL);
    }
}
