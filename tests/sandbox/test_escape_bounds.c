/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a tool that takes all there is of something gets its share, is told so as by a system that
 * is full (or ends, where it is memory), and the result names the limit it met. */
#include "tests/sandbox/escape.h"

#include <stdlib.h>

/* ---- memory: the run ends ---- */

static void test_memory_bombs(void **state)
{
    static const char *const bombs[] = {
        "heap 4000",       "map 4000", "memfd 4000", /* memory that belongs to no process */
        "shared 4000",                               /* and System V's */
        "inodes 10000000",                           /* empty folders in /tmp: they have no size */
    };
    for (size_t i = 0; i < ARRAY_LEN(bombs); i++) {
        AUTO_SANDBOX_RESULT struct sandbox_result result =
            escape_try(*state, "print before", bombs[i], "print after");
        harness_expect(&result, SANDBOX_OUT_OF_MEMORY, 0);
        expect_stdout(&result, "before\n");
        assert_int_equal(result.limits_hit, SANDBOX_HIT_MEMORY);
        /* the tool's 64 MiB, the runtime's 64, and what its end took */
        assert_true(result.usage.memory_peak_bytes <= 136 * MIB);
        harness_assert_nothing_left(*state);
    }
}

/* ---- the rest: it is told, and goes on ---- */

static void test_what_is_full_is_told_and_listed(void **state)
{
    static const struct {
        const char *steps[3];
        const char *says;
        unsigned hits;
    } cases[] = {
        {{"fill /tmp/x", "fill /tmp/y", "mkdir /tmp/still"},
         "fill /tmp/x: 4194304, then ENOSPC\nfill /tmp/y: 0, then ENOSPC\n"
         "mkdir /tmp/still: done\n",
         SANDBOX_HIT_TMP},
        {{"reserve /tmp/x 10"}, "reserve /tmp/x 10: ENOSPC\n", SANDBOX_HIT_TMP},
        {{"write /dev/full"}, "write /dev/full: ENOSPC\n", 0}, /* that is no limit of ours */
        {{"sparse /tmp/x 10", "sparse /tmp/x 100"},
         "sparse /tmp/x 10: done\nsparse /tmp/x 100: EFBIG\n",
         SANDBOX_HIT_FILE_SIZE},
        {{"grow /tmp/x 10", "grow /tmp/x 100"},
         "grow /tmp/x 10: done\ngrow /tmp/x 100: EFBIG\n",
         SANDBOX_HIT_FILE_SIZE},
        {{"reserve /tmp/x 100"}, "reserve /tmp/x 100: EFBIG\n", SANDBOX_HIT_FILE_SIZE},
        {{"open_all /dev/null", "pipes", "socket unix"},
         "open_all /dev/null: 61, then EMFILE\npipes: 0, then EMFILE\nsocket unix: EMFILE\n",
         SANDBOX_HIT_OPEN_FILES},
        {{"pipes"}, "pipes: 30, then EMFILE\n", SANDBOX_HIT_OPEN_FILES},
        {{"sockets 1000"}, "sockets 1000: EMFILE\n", SANDBOX_HIT_OPEN_FILES},
        {{"thread_bomb"}, "thread_bomb: 31, then EAGAIN\n", SANDBOX_HIT_PIDS},
        {{"fork_bomb"}, "fork_bomb: then EAGAIN\n", SANDBOX_HIT_PIDS},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t count = 0;
        while (count < ARRAY_LEN(cases[i].steps) && cases[i].steps[count] != NULL)
            count++;
        AUTO_SANDBOX_RESULT struct sandbox_result result =
            escape_run(*state, HARNESS_JOB("x"), cases[i].steps, count);
        harness_expect(&result, SANDBOX_EXITED, 0);
        expect_stdout(&result, cases[i].says);
        if (result.limits_hit != cases[i].hits)
            fail_msg("%s: limits %x, expected %x", cases[i].steps[0], result.limits_hit,
                     cases[i].hits);
        harness_assert_nothing_left(*state);
    }
}

/* A bomb that never stops is ended by the clock, with every process of it. */
static void test_a_fork_bomb_that_goes_on(void **state)
{
    struct sandbox_job job = HARNESS_JOB("x");
    job.limits.wall_ms = 3000;
    AUTO_SANDBOX_RESULT struct sandbox_result result =
        escape_try_with(*state, job, "fork_bomb", "wait");
    harness_expect(&result, SANDBOX_TIMED_OUT, 0);
    expect_stdout(&result, "fork_bomb: then EAGAIN\nwaiting\n");
    assert_int_equal(result.limits_hit, SANDBOX_HIT_PIDS | SANDBOX_HIT_WALL);
    assert_true(result.usage.pids_peak <= 32 * 10 + 128);
}

/* ---- output ---- */

/* Counted and hashed to its end; its first bytes kept; nothing of it on a disk. */
static void test_a_flood(void **state)
{
    const char *full = getenv("SALLYPORT_TEST_FULL");
    int64_t mib = full != NULL && *full != '\0' ? 1024 : 64;
    char out[32];
    struct sandbox_job job = HARNESS_JOB("x");
    job.limits.wall_ms = 240000;
    (void)snprintf(out, sizeof out, "flood 1 %d", (int)mib);
    AUTO_SANDBOX_RESULT struct sandbox_result result =
        escape_try_with(*state, job, out, "flood 2 1");
    harness_expect(&result, SANDBOX_EXITED, 0);
    const struct sandbox_output *stored = &result.output[SANDBOX_STDOUT];
    assert_int_equal(stored->bytes, mib * MIB);
    assert_int_equal(stored->stored.len, MIB);
    assert_int_equal(result.output[SANDBOX_STDERR].bytes, MIB);
    assert_int_equal(result.limits_hit, SANDBOX_HIT_STDOUT | SANDBOX_HIT_STDERR);

    static char block[1 << 20];
    memset(block, 'x', sizeof block);
    AUTO_DIGEST_STREAM struct digest_stream *hash = digest_stream_new();
    for (int64_t i = 0; i < mib; i++)
        digest_stream_update(hash, block, sizeof block);
    struct digest expected = digest_stream_value(hash);
    assert_true(digest_equal(&stored->sha256, &expected));
}

int main(void)
{
#define CASE(name) cmocka_unit_test_teardown(name, escape_nothing_left)
    const struct CMUnitTest tests[] = {
        CASE(test_memory_bombs),
        CASE(test_what_is_full_is_told_and_listed),
        CASE(test_a_fork_bomb_that_goes_on),
        CASE(test_a_flood),
    };
    return cmocka_run_group_tests(tests, escape_setup, harness_teardown);
}
