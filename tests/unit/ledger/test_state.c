/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void names_go_both_ways(void **state)
{
    (void)state;
    static const char *const names[] = {"queued",    "running",   "succeeded",
                                        "failed",    "timed_out", "out_of_memory",
                                        "cancelled", "lost",      "refused"};
    assert_int_equal(ARRAY_LEN(names), EXECUTION_STATE_COUNT);
    for (int i = 0; i < EXECUTION_STATE_COUNT; i++) {
        enum execution_state found = EXECUTION_STATE_COUNT;
        assert_string_equal(execution_state_name((enum execution_state)i), names[i]);
        assert_int_equal(execution_state_parse(names[i], strlen(names[i]), &found), 0);
        assert_int_equal(found, i);
    }
}

static void other_names_are_none(void **state)
{
    (void)state;
    static const char *const names[] = {"", "Queued", "queue", "queuedd", " queued", "success"};
    enum execution_state found = EXECUTION_LOST;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_int_equal(execution_state_parse(names[i], strlen(names[i]), &found), -1);
    assert_int_equal(found, EXECUTION_LOST);
    assert_string_equal(execution_state_name(EXECUTION_STATE_COUNT), "");
    assert_string_equal(execution_state_name((enum execution_state)1000), "");
}

/* The table of legal moves, written out: rows from, columns to. */
static void exactly_the_legal_moves_are_legal(void **state)
{
    (void)state;
    static const char *const legal[EXECUTION_STATE_COUNT] = {
        /* to:                       q r s f t o c l x */
        [EXECUTION_QUEUED] = /*    */ ". 1 . . . . 1 . 1",
        [EXECUTION_RUNNING] = /*   */ ". . 1 1 1 1 1 1 1",
        [EXECUTION_SUCCEEDED] = /* */ ". . . . . . . . .",
        [EXECUTION_FAILED] = /*    */ ". . . . . . . . .",
        [EXECUTION_TIMED_OUT] = /* */ ". . . . . . . . .",
        [EXECUTION_OUT_OF_MEMORY] = /* */ ". . . . . . . . .",
        [EXECUTION_CANCELLED] = /* */ ". . . . . . . . .",
        [EXECUTION_LOST] = /*      */ ". . . . . . . . .",
        [EXECUTION_REFUSED] = /*   */ ". . . . . . . . .",
    };
    for (int from = 0; from < EXECUTION_STATE_COUNT; from++)
        for (int to = 0; to < EXECUTION_STATE_COUNT; to++)
            assert_int_equal(
                execution_may_move((enum execution_state)from, (enum execution_state)to),
                legal[from][2 * to] == '1');
    assert_false(execution_may_move(EXECUTION_STATE_COUNT, EXECUTION_RUNNING));
    assert_false(execution_may_move(EXECUTION_QUEUED, EXECUTION_STATE_COUNT));
    assert_false(execution_may_move(EXECUTION_QUEUED, (enum execution_state)33));
}

static void an_end_is_where_nothing_follows(void **state)
{
    (void)state;
    for (int from = 0; from < EXECUTION_STATE_COUNT; from++) {
        bool follows = false;
        for (int to = 0; to < EXECUTION_STATE_COUNT; to++)
            follows |= execution_may_move((enum execution_state)from, (enum execution_state)to);
        assert_int_equal(execution_state_is_end((enum execution_state)from), !follows);
    }
    assert_false(execution_state_is_end(EXECUTION_STATE_COUNT));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_go_both_ways),
        cmocka_unit_test(other_names_are_none),
        cmocka_unit_test(exactly_the_legal_moves_are_legal),
        cmocka_unit_test(an_end_is_where_nothing_follows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
