/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: whatever a tool does with processes, signals, streams and its command line, its end is told
 * as it was and nothing of it goes on. */
#include "tests/sandbox/escape.h"

#include <signal.h>

/* ---- the tool's end ---- */

/* What a signal does to a program that does not handle it (signal(7)). */
static enum sandbox_end end_by(int signal_number)
{
    switch (signal_number) {
    case SIGCHLD:
    case SIGCONT:
    case SIGURG:
    case SIGWINCH:
        return SANDBOX_EXITED; /* nothing */
    case SIGSTOP:
    case SIGTSTP:
    case SIGTTIN:
    case SIGTTOU:
        return SANDBOX_TIMED_OUT; /* it stops, and nobody wakes it: the deadline ends it */
    default:
        return SANDBOX_SIGNALED;
    }
}

static void test_every_signal(void **state)
{
    for (int number = 1; number < 32; number++) {
        char step[32];
        struct sandbox_job job = HARNESS_JOB("x");
        (void)snprintf(step, sizeof step, "signal %d", number);
        if (end_by(number) == SANDBOX_TIMED_OUT)
            job.limits.wall_ms = 1500;
        AUTO_SANDBOX_RESULT struct sandbox_result result =
            escape_try_with(*state, job, "print before", step);
        harness_expect(&result, end_by(number), end_by(number) == SANDBOX_EXITED ? 0 : number);
        unsigned hits = number == SIGXFSZ                     ? SANDBOX_HIT_FILE_SIZE
                        : end_by(number) == SANDBOX_TIMED_OUT ? SANDBOX_HIT_WALL
                                                              : 0;
        assert_int_equal(result.limits_hit, hits);
        assert_int_equal(strncmp(buf_text(&result.output[SANDBOX_STDOUT].stored), "before\n", 7),
                         0);
        harness_assert_nothing_left(*state);
    }
}

static void test_a_crash_dumps_no_core(void **state)
{
    struct harness *harness = *state;
    char path[160];
    size_t before = harness_count_entries(harness->folder);
    AUTO_SANDBOX_RESULT struct sandbox_result result = escape_try(harness, "crash");
    harness_expect(&result, SANDBOX_SIGNALED, SIGABRT);
    assert_int_equal(harness_count_entries(harness->folder), before);
    assert_int_equal(access(escape_path(harness, "/core", path, sizeof path), F_OK), -1);
}

/* ---- what will not end ---- */

static void test_a_tool_that_ignores_every_signal(void **state)
{
    struct sandbox_job job = HARNESS_JOB("x");
    job.limits.wall_ms = 1500;
    AUTO_SANDBOX_RESULT struct sandbox_result result =
        escape_try_with(*state, job, "ignore_all", "daemon", "wait");
    harness_expect(&result, SANDBOX_TIMED_OUT, 0);
    expect_stdout(&result, "ignore_all: done\ndaemon: done\nwaiting\n");
}

/* It holds standard output open, in a session of its own, and ignores what it can. */
static void test_a_daemon_does_not_outlive_the_tool(void **state)
{
    AUTO_SANDBOX_RESULT struct sandbox_result result =
        escape_try(*state, "ignore_all", "daemon", "print after", "exit 3");
    harness_expect(&result, SANDBOX_EXITED, 3);
    expect_stdout(&result, "ignore_all: done\ndaemon: done\nafter\n");
    assert_int_equal(result.limits_hit, 0);
}

static void test_orphans_do_not_outlive_the_tool(void **state)
{
    AUTO_SANDBOX_RESULT struct sandbox_result result = escape_try(*state, "orphans 8", "exit 0");
    harness_expect(&result, SANDBOX_EXITED, 0);
    expect_stdout(&result, "orphans 8: done\n");
}

/* ---- streams ---- */

static void test_closed_streams(void **state)
{
    AUTO_SANDBOX_RESULT struct sandbox_result one =
        escape_try(*state, "close 1", "print lost", "complain told", "exit 5");
    harness_expect(&one, SANDBOX_EXITED, 5);
    expect_stdout(&one, "");
    assert_string_equal(buf_text(&one.output[SANDBOX_STDERR].stored), "told\n");
    AUTO_SANDBOX_RESULT struct sandbox_result all =
        escape_try(*state, "close 0", "close 2", "close 1", "exit 6");
    harness_expect(&all, SANDBOX_EXITED, 6);
}

static void test_bytes_that_are_no_text(void **state)
{
    static const uint8_t bytes[] = {0xe2, 0x98, 0xff, 0x00, 0xc0, 0x80, 'o', 'k', 0xf0, 0x9f};
    AUTO_SANDBOX_RESULT struct sandbox_result result = escape_try(*state, "bad_text");
    harness_expect(&result, SANDBOX_EXITED, 0);
    const struct sandbox_output *out = &result.output[SANDBOX_STDOUT];
    struct digest expected = digest_of(bytes, sizeof bytes);
    assert_true(span_equal(buf_span(&out->stored), span_of(bytes, sizeof bytes)));
    assert_true(digest_equal(&out->sha256, &expected));
}

/* ---- the command line ---- */

static void test_255_words(void **state)
{
    struct sandbox_job job = HARNESS_JOB("x");
    const char *argv[2 + 255 + 1] = {ESCAPE, "count_words"};
    for (size_t i = 0; i < 255; i++)
        argv[2 + i] = "a word of 21 bytes  x";
    job.argv = argv;
    AUTO_SANDBOX_RESULT struct sandbox_result result = harness_run(*state, job);
    harness_expect(&result, SANDBOX_EXITED, 0);
    expect_stdout(&result, "words 255 bytes 5355 variables 1\n");
}

/* Everything but NUL can be in a word; text that is not UTF-8 cannot be told to the runtime and is
 * refused before anything starts. */
static void test_odd_bytes(void **state)
{
    struct harness *harness = *state;
    static const char *const odd[] = {"",
                                      " two  spaces ",
                                      "\t\n\r\x01\x1b[31m\x7f",
                                      "\"'\\$`",
                                      "--bundle=/",
                                      "\xe2\x98\x82",
                                      "%s%n",
                                      "*"};
    struct sandbox_job job = HARNESS_JOB("x");
    const char *argv[2 + ARRAY_LEN(odd) + 1] = {ESCAPE, "echo_rest"};
    AUTO_BUF struct buf expected = BUF(4096);
    for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
        argv[2 + i] = odd[i];
        buf_append(&expected, odd[i], strlen(odd[i]) + 1);
    }
    job.argv = argv;
    AUTO_SANDBOX_RESULT struct sandbox_result result = harness_run(harness, job);
    harness_expect(&result, SANDBOX_EXITED, 0);
    assert_true(span_equal(buf_span(&result.output[SANDBOX_STDOUT].stored), buf_span(&expected)));

    struct uuid id = uuid_v7();
    struct uuid_text text = uuid_format(&id);
    struct sandbox_result none = {0};
    struct fault fault = {0};
    job.id = text.text;
    job.rootfs = harness->root;
    job.argv = (const char *const[]){ESCAPE, "echo_rest", "\xff\xfe", NULL};
    assert_int_equal(sandbox_run(harness->sandbox, &job, &none, NULL, &fault), -1);
    assert_int_equal(fault.code, FAULT_MANIFEST_INVALID);
}

/* 1,000 variables and 100 KB: more than most programs expect, and what they get. */
static void test_huge_environment(void **state)
{
    enum { VARIABLES = 1000 };
    static char texts[VARIABLES][128];
    static const char *env[VARIABLES + 1];
    for (size_t i = 0; i < VARIABLES; i++) {
        (void)snprintf(texts[i], sizeof texts[i], "VARIABLE_%zu=%0100zu", i, i);
        env[i] = texts[i];
    }
    struct sandbox_job job = HARNESS_JOB("x");
    job.argv = (const char *const[]){ESCAPE, "count_words", NULL};
    job.env = env;
    AUTO_SANDBOX_RESULT struct sandbox_result result = harness_run(*state, job);
    harness_expect(&result, SANDBOX_EXITED, 0);
    expect_stdout(&result, "words 0 bytes 0 variables 1001\n"); /* and HOME */
}

int main(void)
{
#define CASE(name) cmocka_unit_test_teardown(name, escape_nothing_left)
    const struct CMUnitTest tests[] = {
        CASE(test_every_signal),
        CASE(test_a_crash_dumps_no_core),
        CASE(test_a_tool_that_ignores_every_signal),
        CASE(test_a_daemon_does_not_outlive_the_tool),
        CASE(test_orphans_do_not_outlive_the_tool),
        CASE(test_closed_streams),
        CASE(test_bytes_that_are_no_text),
        CASE(test_255_words),
        CASE(test_odd_bytes),
        CASE(test_huge_environment),
    };
    return cmocka_run_group_tests(tests, escape_setup, harness_teardown);
}
