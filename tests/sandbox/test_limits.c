/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: every limit holds against a tool that pushes, the run that hits one ends as told, and
 * nothing is left of it. */
#include "tests/sandbox/harness.h"

#include <signal.h>

static int nothing_left(void **state)
{
    harness_assert_nothing_left(*state);
    return 0;
}

static void test_memory(void **state)
{
    AUTO_SANDBOX_RESULT struct sandbox_result enough =
        harness_run(*state, HARNESS_JOB("memory", "48"));
    harness_expect(&enough, SANDBOX_EXITED, 0);
    expect_stdout(&enough, "touched\n");
    assert_int_equal(enough.limits_hit, 0);

    AUTO_SANDBOX_RESULT struct sandbox_result bomb =
        harness_run(*state, HARNESS_JOB("memory", "2000"));
    harness_expect(&bomb, SANDBOX_OUT_OF_MEMORY, 0);
    assert_int_equal(bomb.limits_hit, SANDBOX_HIT_MEMORY);
    assert_true(bomb.usage.memory_peak_bytes <= 136 * MIB); /* with the runtime's 64, and what
                                                               its end took */
}

/* Filling /tmp, which is memory, is bounded by its own limit first. */
static void test_tmp(void **state)
{
    AUTO_SANDBOX_RESULT struct sandbox_result result =
        harness_run(*state, HARNESS_JOB("fill", "/tmp/x"));
    harness_expect(&result, SANDBOX_EXITED, 0);
    expect_stdout(&result, "4194304 written, then ENOSPC\n");
    assert_int_equal(result.limits_hit, SANDBOX_HIT_TMP);
}

static void test_time(void **state)
{
    static const char *const verbs[] = {"spin", "wait"};
    for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
        struct sandbox_job job = HARNESS_JOB(verbs[i]);
        job.limits.wall_ms = 1500;
        int64_t start = clock_monotonic_ms();
        AUTO_SANDBOX_RESULT struct sandbox_result result = harness_run(*state, job);
        int64_t took = clock_monotonic_ms() - start;
        harness_expect(&result, SANDBOX_TIMED_OUT, 0);
        assert_int_equal(result.limits_hit, SANDBOX_HIT_WALL);
        expect_stdout(&result, "ready\n");
        assert_in_range(took, 1500, 2500);
        nothing_left(state);
    }
}

static void test_output_flood(void **state)
{
    AUTO_SANDBOX_RESULT struct sandbox_result result =
        harness_run(*state, HARNESS_JOB("flood", "256"));
    harness_expect(&result, SANDBOX_EXITED, 0);
    const struct sandbox_output *out = &result.output[SANDBOX_STDOUT];
    assert_int_equal(out->bytes, 256 * MIB);
    assert_int_equal(out->stored.len, MIB);
    assert_true(out->truncated);
    assert_int_equal(result.limits_hit, SANDBOX_HIT_STDOUT);

    static char block[1 << 20];
    memset(block, 'x', sizeof block);
    AUTO_DIGEST_STREAM struct digest_stream *hash = digest_stream_new();
    for (int i = 0; i < 256; i++)
        digest_stream_update(hash, block, sizeof block);
    struct digest expected = digest_stream_value(hash);
    assert_true(digest_equal(&out->sha256, &expected));
}

static void test_endless_flood_ends_at_the_deadline(void **state)
{
    struct sandbox_job job = HARNESS_JOB("flood", "0");
    job.limits.wall_ms = 2000;
    int64_t start = clock_monotonic_ms();
    AUTO_SANDBOX_RESULT struct sandbox_result result = harness_run(*state, job);
    harness_expect(&result, SANDBOX_TIMED_OUT, 0);
    assert_in_range(clock_monotonic_ms() - start, 2000, 3000);
    assert_int_equal(result.limits_hit, SANDBOX_HIT_WALL | SANDBOX_HIT_STDOUT | SANDBOX_HIT_STDERR);
    assert_int_equal(result.output[SANDBOX_STDERR].stored.len, 65536);
}

static void test_fork_bomb(void **state)
{
    AUTO_SANDBOX_RESULT struct sandbox_result result = harness_run(*state, HARNESS_JOB("fork"));
    harness_expect(&result, SANDBOX_EXITED, 0);
    expect_stdout(&result, "31 born, then EAGAIN\n");
    assert_int_equal(result.limits_hit, SANDBOX_HIT_PIDS);

    struct sandbox_job job = HARNESS_JOB("fork", "spin");
    job.limits.pids = 100;
    job.limits.memory_bytes = 512 * MIB;
    job.limits.wall_ms = 5000;
    AUTO_SANDBOX_RESULT struct sandbox_result spinning = harness_run(*state, job);
    harness_expect(&spinning, SANDBOX_TIMED_OUT, 0);
    expect_stdout(&spinning, "99 born, then EAGAIN\n");
    assert_int_equal(spinning.limits_hit, SANDBOX_HIT_WALL | SANDBOX_HIT_PIDS);
}

static void test_thread_bomb(void **state)
{
    AUTO_SANDBOX_RESULT struct sandbox_result result = harness_run(*state, HARNESS_JOB("threads"));
    harness_expect(&result, SANDBOX_EXITED, 0);
    expect_stdout(&result, "31 born, then EAGAIN\n");
    assert_int_equal(result.limits_hit, SANDBOX_HIT_PIDS);
}

static void test_open_files(void **state)
{
    AUTO_SANDBOX_RESULT struct sandbox_result result = harness_run(*state, HARNESS_JOB("files"));
    harness_expect(&result, SANDBOX_EXITED, 0);
    expect_stdout(&result, "61 opened, then EMFILE\n");
    assert_int_equal(result.limits_hit, SANDBOX_HIT_OPEN_FILES);
}

static void test_file_size(void **state)
{
    struct sandbox_job job = HARNESS_JOB("fill", "/tmp/x");
    job.limits.file_size_bytes = MIB;
    AUTO_SANDBOX_RESULT struct sandbox_result result = harness_run(*state, job);
    harness_expect(&result, SANDBOX_SIGNALED, SIGXFSZ);
    assert_int_equal(result.limits_hit, SANDBOX_HIT_FILE_SIZE);
}

/* The tool's first process is the run: what it leaves behind goes with it. */
static void test_orphans_end_with_their_parent(void **state)
{
    int64_t start = clock_monotonic_ms();
    AUTO_SANDBOX_RESULT struct sandbox_result result = harness_run(*state, HARNESS_JOB("orphan"));
    harness_expect(&result, SANDBOX_EXITED, 0);
    expect_stdout(&result, "parent done\n");
    assert_true(clock_monotonic_ms() - start < 10000);
}

static void test_impossible_limits_are_refused(void **state)
{
    struct harness *harness = *state;
    for (int which = 0; which < 4; which++) {
        struct uuid id = uuid_v7();
        struct uuid_text text = uuid_format(&id);
        struct sandbox_job job = HARNESS_JOB("who");
        job.id = text.text;
        job.rootfs = harness->root;
        int64_t *limits[] = {&job.limits.wall_ms, &job.limits.memory_bytes, &job.limits.pids,
                             &job.limits.tmp_bytes};
        *limits[which] = 0;
        struct sandbox_result result = {0};
        struct fault fault = {0};
        assert_int_equal(sandbox_run(harness->sandbox, &job, &result, NULL, &fault), -1);
        assert_int_equal(fault.code, FAULT_MANIFEST_INVALID);
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_teardown(name, nothing_left)
    const struct CMUnitTest tests[] = {
        CASE(test_memory),
        CASE(test_tmp),
        CASE(test_time),
        CASE(test_output_flood),
        CASE(test_endless_flood_ends_at_the_deadline),
        CASE(test_fork_bomb),
        CASE(test_thread_bomb),
        CASE(test_open_files),
        CASE(test_file_size),
        CASE(test_orphans_end_with_their_parent),
        CASE(test_impossible_limits_are_refused),
    };
    return cmocka_run_group_tests(tests, harness_setup, harness_teardown);
}
