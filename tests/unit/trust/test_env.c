/* SPDX-License-Identifier: Apache-2.0 */
#include "trust_support.h"

#include "trust/env.h"

static void names(void **state)
{
    (void)state;
    static const char *const good[] = {"A", "_", "HOME", "A_1", "_0", "LANG"};
    static const char *const bad[] = {"",   "1A", "a",   "Ab",       "A-B",           "A.B", "A B",
                                      "A=", "=",  "A\n", "\xc3\x89", "BASH_FUNC_x%%", "A()"};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(env_name_valid(good[i]));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(env_name_valid(bad[i]));
    char longest[ENV_NAME_MAX + 2] = "";
    memset(longest, 'A', ENV_NAME_MAX);
    assert_true(env_name_valid(longest));
    longest[ENV_NAME_MAX] = 'A';
    assert_false(env_name_valid(longest));
}

static void names_the_loader_listens_to(void **state)
{
    (void)state;
    static const char *const forbidden[] = {"LD_PRELOAD",     "LD_LIBRARY_PATH", "LD_AUDIT", "LD_",
                                            "GLIBC_TUNABLES", "GCONV_PATH",      "PATH"};
    static const char *const allowed[] = {"LD",    "LDFLAGS",       "MY_LD_PRELOAD", "PATHS",
                                          "XPATH", "GLIBC_TUNABLE", "LANG"};
    for (size_t i = 0; i < ARRAY_LEN(forbidden); i++)
        assert_true(env_name_forbidden(forbidden[i]));
    for (size_t i = 0; i < ARRAY_LEN(allowed); i++)
        assert_false(env_name_forbidden(allowed[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(names_the_loader_listens_to),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
