/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a process is born clean, watched to its end, and its end is the end of all it started. */
#include "tests/sandbox/harness.h"

#include "sandbox/process.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/eventfd.h>

#define SH(script)                                                                                 \
    (struct process_spec)                                                                          \
    {                                                                                              \
        .program = "/bin/sh", .argv = (const char *const[]){"sh", "-c", script, NULL},             \
        .env = (const char *const[]){"PATH=/usr/bin:/bin", NULL}, .stdin_fd = -1,                  \
        .caps = {65536, 65536}, .wall_ms = 20000, .cancel_fd = -1, .side_fd = -1                   \
    }

static struct process_result run(struct process_spec spec)
{
    struct process_result result = {0};
    struct fault fault = {0};
    if (process_run(&spec, &result, &fault) != 0)
        fail_msg("%s", fault.detail);
    return result;
}

static const char *out(const struct process_result *result)
{
    return buf_text(&result->output[SANDBOX_STDOUT].stored);
}

static void test_ends(void **state)
{
    (void)state;
    AUTO_PROCESS_RESULT struct process_result exited = run(SH("echo out; echo err >&2; exit 7"));
    assert_int_equal(exited.end, PROCESS_EXITED);
    assert_int_equal(exited.status, 7);
    assert_string_equal(out(&exited), "out\n");
    assert_string_equal(buf_text(&exited.output[SANDBOX_STDERR].stored), "err\n");
    /* As first process of its namespace it cannot signal itself; a fault still kills it. */
    AUTO_PROCESS_RESULT struct process_result survived = run(SH("kill -TERM $$; exit 3"));
    assert_int_equal(survived.status, 3);
}

/* Where there is a hierarchy of v2, with controllers or without. */
static void test_born_in_a_group(void **state)
{
    (void)state;
    static const char *const roots[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    char path[100] = "";
    for (size_t i = 0; i < ARRAY_LEN(roots) && path[0] == '\0'; i++) {
        (void)snprintf(path, sizeof path, "%s/cgroup.subtree_control", roots[i]);
        bool found = access(path, F_OK) == 0;
        (void)snprintf(path, sizeof path, "%s/sallyport-test-%d", found ? roots[i] : "",
                       (int)getpid());
        if (!found)
            path[0] = '\0';
    }
    if (path[0] == '\0')
        skip(); /* a host of v1 alone: there it joins instead */
    assert_int_equal(mkdir(path, 0755), 0);
    struct process_spec spec = SH("grep ^0:: /proc/self/cgroup");
    spec.home = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(spec.home > 0);
    AUTO_PROCESS_RESULT struct process_result result = run(spec);
    (void)close(spec.home);
    assert_int_equal(rmdir(path), 0);
    assert_non_null(strstr(out(&result), strrchr(path, '/')));
}

static void test_what_cannot_be_executed(void **state)
{
    (void)state;
    struct process_spec spec = SH("true");
    spec.program = "/bin/absent";
    struct process_result result = {0};
    struct fault fault = {0};
    assert_int_equal(process_run(&spec, &result, &fault), -1);
    assert_non_null(strstr(fault.detail, "executing it"));
    assert_non_null(strstr(fault.detail, "No such file"));
}

static const char *refuse(const void *context)
{
    (void)context;
    errno = EDOM;
    return "a step of the test";
}

static void test_preparation_that_fails(void **state)
{
    (void)state;
    struct process_spec spec = SH("echo never");
    spec.prepare = refuse;
    struct process_result result = {0};
    struct fault fault = {0};
    assert_int_equal(process_run(&spec, &result, &fault), -1);
    assert_non_null(strstr(fault.detail, "a step of the test"));
}

/* Nothing of ours is inherited: descriptors, signals. */
static void test_born_clean(void **state)
{
    (void)state;
    int leak = open("/dev/null", O_RDONLY); /* not close-on-exec, on purpose */
    sigset_t mask, before;
    assert_int_equal(sigfillset(&mask), 0);
    assert_int_equal(pthread_sigmask(SIG_BLOCK, &mask, &before), 0);
    void (*pipe_before)(int) = signal(SIGPIPE, SIG_IGN);
    AUTO_PROCESS_RESULT struct process_result result =
        run(SH("cd /proc/self/fd && echo *; grep -E 'Sig(Blk|Ign)' /proc/self/status"));
    (void)signal(SIGPIPE, pipe_before);
    assert_int_equal(pthread_sigmask(SIG_SETMASK, &before, NULL), 0);
    (void)close(leak);
    assert_string_equal(out(&result), "0 1 2 3\n" /* 3: the listing's own */
                                      "SigBlk:\t0000000000000000\n"
                                      "SigIgn:\t0000000000000000\n");
}

static void *start_many(void *context)
{
    int *failed = context;
    for (int i = 0; i < 50; i++) {
        struct process_spec spec = SH(i % 2 == 0 ? "exit 3" : "exit 4");
        if (i % 5 == 0)
            spec.program = "/bin/absent";
        struct process_result result = {0};
        struct fault fault = {0};
        int status = process_run(&spec, &result, &fault);
        bool good = i % 5 == 0 ? status == -1 && strstr(fault.detail, "executing it") != NULL
                               : status == 0 && result.status == (i % 2 == 0 ? 3 : 4);
        *failed += good ? 0 : 1;
        process_result_free(&result);
    }
    return NULL;
}

/* Each from a thread of its own, as slots do: none is taken for another. */
static void test_many_at_once(void **state)
{
    (void)state;
    pthread_t threads[4];
    int failed[ARRAY_LEN(threads)] = {0};
    for (size_t i = 0; i < ARRAY_LEN(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, start_many, &failed[i]), 0);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(failed[i], 0);
    }
}

static void test_stdin_and_kept_descriptors(void **state)
{
    (void)state;
    struct process_spec spec = SH("cat; cat <&3; cat <&4");
    char path[] = "/tmp/sallyport-process.XXXXXX";
    AUTO_CLOSE int one = mkstemp(path);
    AUTO_CLOSE int two = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(one >= 0 && two >= 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(write(one, "kept", 4), 4);
    int kept[] = {two, two};
    spec.keep = kept;
    spec.keep_count = 2;
    spec.stdin_data = span_text("given ");
    AUTO_PROCESS_RESULT struct process_result result = run(spec);
    assert_string_equal(out(&result), "given kept"); /* one file: at its end the second time */
    spec.stdin_data = span_of(NULL, 0);
    spec.stdin_fd = two;
    assert_int_equal(lseek(two, 1, SEEK_SET), 1);
    AUTO_PROCESS_RESULT struct process_result again = run(spec);
    assert_string_equal(out(&again), "ept");
}

static void test_input_that_fits_no_pipe(void **state)
{
    (void)state;
    struct process_spec spec = SH("cat");
    AUTO_FREE char *big = calloc(1, 8u << 20);
    spec.stdin_data = span_of(big, 8u << 20);
    struct process_result result = {0};
    struct fault fault = {0};
    assert_int_equal(process_run(&spec, &result, &fault), -1);
    assert_int_equal(fault.code, FAULT_UNAVAILABLE);
}

/* The children hold the streams and have left the session: they go all the same. */
static void test_the_tree_ends_with_its_root(void **state)
{
    (void)state;
    int64_t start = clock_monotonic_ms();
    AUTO_PROCESS_RESULT struct process_result result =
        run(SH("setsid sleep 1000 & (setsid sleep 1000 &) ; echo started"));
    assert_string_equal(out(&result), "started\n");
    assert_int_equal(result.end, PROCESS_EXITED);
    assert_true(clock_monotonic_ms() - start < 10000);
}

static void test_deadline(void **state)
{
    (void)state;
    struct process_spec spec = SH("setsid sleep 1000 & trap '' TERM INT; echo up; sleep 1000");
    spec.wall_ms = 300;
    AUTO_PROCESS_RESULT struct process_result result = run(spec);
    assert_int_equal(result.end, PROCESS_TIMED_OUT);
    assert_in_range(result.wall_ms, 300, 1300);
    assert_string_equal(out(&result), "up\n");
}

struct alarm {
    int fd, times;
};

static bool second_time(void *context)
{
    struct alarm *alarm = context;
    uint64_t one;
    assert_int_equal(read(alarm->fd, &one, sizeof one), sizeof one);
    return ++alarm->times == 2;
}

static void test_alarm(void **state)
{
    (void)state;
    AUTO_CLOSE int alarm_fd = eventfd(3, EFD_CLOEXEC | EFD_SEMAPHORE);
    struct alarm alarm = {.fd = alarm_fd};
    struct process_watch watch = {
        .fd = alarm_fd, .events = POLLIN, .ready = second_time, .context = &alarm};
    struct process_spec spec = SH("sleep 1000");
    spec.watches = &watch;
    spec.watch_count = 1;
    AUTO_PROCESS_RESULT struct process_result result = run(spec);
    assert_int_equal(result.end, PROCESS_ALARMED);
    assert_int_equal(alarm.times, 3); /* once more after the end: nothing is left unheard */
}

/* A log of any length costs its last bytes only, and nobody waits for it. */
static void test_side(void **state)
{
    (void)state;
    char folder[] = "/tmp/sallyport-side.XXXXXX";
    assert_non_null(mkdtemp(folder));
    char fifo[64];
    (void)snprintf(fifo, sizeof fifo, "%s/fifo", folder);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    AUTO_CLOSE int side = open(fifo, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    assert_true(side >= 0);
    AUTO_FREE char *script = NULL;
    assert_true(asprintf(&script, "seq 1 200000 >%s; echo -n the end >%s", fifo, fifo) > 0);
    struct process_spec spec = SH(script);
    spec.side_fd = side;
    spec.side_keep = 20;
    AUTO_PROCESS_RESULT struct process_result result = run(spec);
    struct span tail = tail_text(&result.side);
    assert_int_equal(tail.len, 20);
    assert_memory_equal(tail.data, "99999\n200000\nthe end", 20);
    assert_int_equal(result.side.bytes, 1288895 + 7);
    assert_int_equal(unlink(fifo) | rmdir(folder), 0);
}

static void test_cancel(void **state)
{
    (void)state;
    AUTO_CLOSE int cancel = eventfd(1, EFD_CLOEXEC);
    struct process_spec spec = SH("sleep 1000");
    spec.cancel_fd = cancel;
    AUTO_PROCESS_RESULT struct process_result result = run(spec);
    assert_int_equal(result.end, PROCESS_CANCELLED);
}

static int no_child_left(void **state)
{
    (void)state;
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    return 0;
}

int main(void)
{
#define CASE(name) cmocka_unit_test_teardown(name, no_child_left)
    const struct CMUnitTest tests[] = {
        CASE(test_ends),
        CASE(test_what_cannot_be_executed),
        CASE(test_preparation_that_fails),
        CASE(test_born_clean),
        CASE(test_born_in_a_group),
        CASE(test_many_at_once),
        CASE(test_stdin_and_kept_descriptors),
        CASE(test_input_that_fits_no_pipe),
        CASE(test_the_tree_ends_with_its_root),
        CASE(test_deadline),
        CASE(test_alarm),
        CASE(test_side),
        CASE(test_cancel),
    };
    return cmocka_run_group_tests(tests, harness_group_needs_root, NULL);
}
