/* SPDX-License-Identifier: Apache-2.0 */
#include "handlers/refusals.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#define START_MS INT64_C(5000000)
#define KEY "0123456789abcdef"
#define TOKEN_MS (1000 / REFUSALS_PER_SECOND) /* until a token more is there */

static int setup(void **state)
{
    struct refusals *refusals = NULL;
    struct fault fault;
    if (refusals_new(&refusals, &fault) != 0)
        return -1;
    *state = refusals;
    return 0;
}

static int teardown(void **state)
{
    refusals_free(*state);
    return 0;
}

/* How many of `tries` at one moment become an event; each must tell `unreported` first, then 0. */
static int take(struct refusals *refusals, const char *key, int64_t now_ms, int tries,
                uint64_t unreported)
{
    int taken = 0;
    for (int i = 0; i < tries; i++) {
        uint64_t told = UINT64_MAX;
        if (refusals_take(refusals, key, now_ms, &told)) {
            assert_true(told == (taken == 0 ? unreported : 0));
            taken++;
        } else {
            assert_true(told == UINT64_MAX);
        }
    }
    return taken;
}

static void a_burst_then_the_rate(void **state)
{
    assert_int_equal(take(*state, KEY, START_MS, REFUSALS_BURST, 0), REFUSALS_BURST);
    assert_int_equal(take(*state, KEY, START_MS, 3, 0), 0);
    assert_int_equal(take(*state, KEY, START_MS + TOKEN_MS - 1, 2, 0), 0);
    /* All that were held back are told once: 3 + 2. */
    assert_int_equal(take(*state, KEY, START_MS + TOKEN_MS, 5, 5), 1);
    assert_int_equal(take(*state, KEY, START_MS + 2 * TOKEN_MS, 1, 4), 1);
    assert_int_equal(take(*state, KEY, START_MS + 1000 + 2 * TOKEN_MS, 100, 0),
                     REFUSALS_PER_SECOND);
}

/* Asked every millisecond or seldom, a caller gets the same rate. */
static void the_rate_does_not_depend_on_the_asking(void **state)
{
    static const int64_t steps[] = {1, 7, 33, 100, 999};
    for (size_t s = 0; s < sizeof steps / sizeof steps[0]; s++) {
        char key[17];
        (void)snprintf(key, sizeof key, "%016zx", s);
        int taken = 0;
        for (int64_t passed = 0; passed <= 20000; passed += steps[s])
            for (int i = 0; i < 25; i++) {
                uint64_t told;
                taken += refusals_take(*state, key, START_MS + passed, &told);
            }
        assert_in_range(taken, REFUSALS_BURST + 20 * REFUSALS_PER_SECOND - REFUSALS_PER_SECOND,
                        REFUSALS_BURST + 20 * REFUSALS_PER_SECOND);
    }
}

static void a_bucket_holds_no_more_than_the_burst(void **state)
{
    assert_int_equal(take(*state, KEY, START_MS, 1000, 0), REFUSALS_BURST);
    assert_int_equal(take(*state, KEY, START_MS + INT64_C(86400000), 1000, 900), REFUSALS_BURST);
    assert_int_equal(take(*state, KEY, INT64_MAX / 2, 1000, 900), REFUSALS_BURST);
}

/* Nothing is held back without being told later: the sum of both is the sum of all. */
static void no_refusal_is_forgotten(void **state)
{
    uint64_t events = 0, told_sum = 0, all = 0;
    for (int64_t passed = 0; passed <= 10000; passed += 10)
        for (int i = 0; i < 3; i++, all++) {
            uint64_t told = 0;
            if (refusals_take(*state, KEY, START_MS + passed, &told)) {
                events++;
                told_sum += told;
            }
        }
    uint64_t rest = UINT64_MAX;
    assert_true(refusals_take(*state, KEY, START_MS + 60000, &rest));
    assert_true(events + told_sum + rest == all);
    assert_true(rest > 0);
}

static void a_clock_that_goes_back_gives_nothing(void **state)
{
    assert_int_equal(take(*state, KEY, START_MS, 200, 0), REFUSALS_BURST);
    for (int64_t back = 1; back < 1000000; back *= 10)
        assert_int_equal(take(*state, KEY, START_MS - back, 1, 0), 0);
    assert_int_equal(take(*state, KEY, START_MS + TOKEN_MS, 5, 106), 1);
}

static void callers_do_not_share(void **state)
{
    assert_int_equal(take(*state, KEY, START_MS, 150, 0), REFUSALS_BURST);
    assert_int_equal(take(*state, "0123456789abcdee", START_MS, 150, 0), REFUSALS_BURST);
    assert_int_equal(take(*state, KEY, START_MS + TOKEN_MS, 1, 50), 1);
    assert_int_equal(take(*state, "0123456789abcdee", START_MS + TOKEN_MS, 1, 50), 1);
}

/* More callers than buckets: the one unused the longest makes room, and starts anew. */
static void the_longest_unused_makes_room(void **state)
{
    assert_int_equal(take(*state, KEY, START_MS, 101, 0), REFUSALS_BURST);
    for (int i = 1; i < 1024; i++) {
        char key[17];
        (void)snprintf(key, sizeof key, "%016x", i);
        assert_int_equal(take(*state, key, START_MS + i, 101, 0), REFUSALS_BURST);
    }
    assert_int_equal(take(*state, KEY, START_MS + 1023, 20, 1), 10); /* still known, used again */
    assert_int_equal(take(*state, "f000000000000000", START_MS + 1024, 101, 0), REFUSALS_BURST);
    assert_int_equal(take(*state, KEY, START_MS + 1024, 20, 0), 0);                 /* known */
    assert_int_equal(take(*state, "0000000000000002", START_MS + 1024, 20, 1), 10); /* known */
    assert_int_equal(take(*state, "0000000000000001", START_MS + 1024, 101, 0), REFUSALS_BURST);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_burst_then_the_rate),
        TEST(the_rate_does_not_depend_on_the_asking),
        TEST(a_bucket_holds_no_more_than_the_burst),
        TEST(no_refusal_is_forgotten),
        TEST(a_clock_that_goes_back_gives_nothing),
        TEST(callers_do_not_share),
        TEST(the_longest_unused_makes_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
