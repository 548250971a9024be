/* SPDX-License-Identifier: Apache-2.0 */
/* Words to options and operands, and what is refused. */
#include "cli/args.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const struct option some[] = {
    {.name = "limit", .value = "N"},
    {.name = "arg", .value = "TEXT", .repeat = true},
    {.name = "out", .letter = 'o', .value = "FILE"},
    {.name = "stderr"},
};
static const struct option others[] = {
    {.name = "output", .letter = 'o', .value = "MODE"},
    {.name = "help", .letter = 'h'},
};
static const struct option_table tables[] = {{some, ARRAY_LEN(some)}, {others, ARRAY_LEN(others)}};

static int read_words(const char *const *words, bool leading, struct args *args, int *ret_used,
                      struct fault *fault)
{
    char *argv[16];
    int argc = 0;
    for (; words[argc] != NULL; argc++)
        argv[argc] = (char *)(uintptr_t)words[argc];
    *args = (struct args){0};
    return args_read(tables, 2, leading, argc, argv, args, ret_used, fault);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_options_and_operands(void **state)
{
    (void)state;
    struct args args;
    int used;
    assert_int_equal(read_words(WORDS("one", "--limit", "5", "--arg=a=b", "--arg", "--stderr", "-",
                                      "--stderr", "--", "--limit"),
                                false, &args, &used, NULL),
                     0);
    assert_int_equal(used, 10);
    assert_string_equal(args_value(&args, "limit"), "5");
    assert_int_equal(args_count(&args, "arg"), 2);
    assert_string_equal(args_nth(&args, "arg", 0), "a=b");
    assert_string_equal(args_nth(&args, "arg", 1), "--stderr"); /* a value is a value */
    assert_null(args_nth(&args, "arg", 2));
    assert_true(args_flag(&args, "stderr"));
    assert_false(args_flag(&args, "help"));
    assert_int_equal(args.operand_count, 3);
    assert_string_equal(args.operands[1], "-");
    assert_string_equal(args.operands[2], "--limit");
}

static void test_the_first_table_wins_a_letter(void **state)
{
    (void)state;
    struct args args;
    int used;
    assert_int_equal(read_words(WORDS("-o", "x", "--output", "json"), false, &args, &used, NULL),
                     0);
    assert_string_equal(args_value(&args, "out"), "x");
    assert_string_equal(args_value(&args, "output"), "json");
}

static void test_leading_options_stop_at_the_command(void **state)
{
    (void)state;
    struct args args;
    int used;
    assert_int_equal(
        read_words(WORDS("--output", "json", "exec", "--limit", "3"), true, &args, &used, NULL), 0);
    assert_int_equal(used, 2);
    assert_int_equal(args.operand_count, 0);
    assert_null(args_value(&args, "limit"));
}

static void test_usage_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *words[4];
        const char *says;
    } cases[] = {
        {{"--unknown"}, "no option --unknown"},
        {{"--lim", "3"}, "no option --lim"},
        {{"--limit"}, "--limit needs a value"},
        {{"--limit", "1", "--limit=2"}, "given twice"},
        {{"--stderr=yes"}, "takes no value"},
        {{"--stderr", "--stderr"}, "given twice"},
        {{"-x"}, "no option -x"},
        {{"-ox"}, "no option -ox"},
        {{"-h", "-o"}, "--out needs a value"},
        {{"---limit", "1"}, "no option"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct args args;
        struct fault fault = {0};
        int used;
        assert_int_equal(read_words(cases[i].words, false, &args, &used, &fault), -1);
        assert_int_equal(fault.code, FAULT_MALFORMED_REQUEST);
        if (strstr(fault.detail, cases[i].says) == NULL)
            fail_msg("case %zu says: %s", i, fault.detail);
    }
}

static void test_too_many_are_refused(void **state)
{
    (void)state;
    static char *argv[2 * ARGS_VALUES_MAX + 2];
    static struct args args;
    int used;
    for (size_t i = 0; i < ARRAY_LEN(argv); i++)
        argv[i] = (char *)(uintptr_t)(i % 2 == 0 ? "--arg" : "x");
    args = (struct args){0};
    assert_int_equal(args_read(tables, 2, false, 2 * ARGS_VALUES_MAX, argv, &args, &used, NULL), 0);
    args = (struct args){0};
    assert_int_equal(args_read(tables, 2, false, 2 * ARGS_VALUES_MAX + 2, argv, &args, &used, NULL),
                     -1);
    for (size_t i = 0; i <= ARGS_OPERANDS_MAX; i++)
        argv[i] = (char *)(uintptr_t) "x";
    args = (struct args){0};
    assert_int_equal(args_read(tables, 2, false, ARGS_OPERANDS_MAX + 1, argv, &args, &used, NULL),
                     -1);
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value; /* -1: refused */
    } cases[] = {{"1", 1},   {"10", 10}, {"9", 9},   {"0", -1},
                 {"11", -1}, {"", -1},   {"01", -1}, {"+1", -1},
                 {"-1", -1}, {"1 ", -1}, {"1x", -1}, {"9223372036854775808", -1}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct args args;
        int used;
        int64_t value = 77;
        assert_int_equal(read_words(WORDS("--limit", cases[i].text), false, &args, &used, NULL), 0);
        int result = args_number(&args, "limit", 1, 10, &value, NULL);
        assert_int_equal(result, cases[i].value == -1 ? -1 : 0);
        assert_int_equal(value, cases[i].value == -1 ? 77 : cases[i].value);
    }
    struct args none = {0};
    int64_t value = 77;
    const char *text;
    assert_int_equal(args_number(&none, "limit", 1, 10, &value, NULL), 0);
    assert_int_equal(value, 77);
    assert_int_equal(args_need(&none, "limit", &text, NULL), -1);
}

static void test_pairs(void **state)
{
    (void)state;
    AUTO_FREE char *name = NULL;
    const char *value;
    assert_int_equal(args_pair("env", "A=b=c", &name, &value, NULL), 0);
    assert_string_equal(name, "A");
    assert_string_equal(value, "b=c");
    assert_int_equal(args_pair("env", "A", &name, &value, NULL), -1);
    assert_int_equal(args_pair("env", "=b", &name, &value, NULL), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_options_and_operands),
        cmocka_unit_test(test_the_first_table_wins_a_letter),
        cmocka_unit_test(test_leading_options_stop_at_the_command),
        cmocka_unit_test(test_usage_is_refused),
        cmocka_unit_test(test_too_many_are_refused),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
