/* SPDX-License-Identifier: Apache-2.0 */
#include "trust_support.h"

#include "trust/severity.h"

static void names_read_back(void **state)
{
    (void)state;
    for (int i = 0; i < SEVERITY_COUNT; i++) {
        enum severity read = SEVERITY_COUNT;
        assert_int_equal(severity_parse(severity_name((enum severity)i), &read), 0);
        assert_int_equal(read, i);
    }
    static const char *const none[] = {"", "High", "any", "critical ", "critica"};
    for (size_t i = 0; i < ARRAY_LEN(none); i++) {
        enum severity read = SEVERITY_LOW;
        assert_int_equal(severity_parse(none[i], &read), -1);
        assert_int_equal(read, SEVERITY_LOW);
    }
    assert_string_equal(severity_name((enum severity)99), "");
}

static void words_of_scanners(void **state)
{
    (void)state;
    static const struct {
        const char *word;
        enum severity severity;
    } rows[] = {{"CRITICAL", SEVERITY_CRITICAL}, {"Critical", SEVERITY_CRITICAL},
                {"High", SEVERITY_HIGH},         {"MEDIUM", SEVERITY_MEDIUM},
                {"low", SEVERITY_LOW},           {"Negligible", SEVERITY_NEGLIGIBLE},
                {"Unknown", SEVERITY_UNKNOWN},   {"none", SEVERITY_UNKNOWN},
                {"Important", SEVERITY_UNKNOWN}, {"", SEVERITY_UNKNOWN},
                {NULL, SEVERITY_UNKNOWN}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(severity_of_word(rows[i].word), rows[i].severity);
}

static void scores_by_the_scale_of_cvss(void **state)
{
    (void)state;
    static const struct {
        const char *score;
        enum severity severity;
    } rows[] = {{"0.1", SEVERITY_LOW},      {"3.9", SEVERITY_LOW},       {"3.99", SEVERITY_LOW},
                {"4.0", SEVERITY_MEDIUM},   {"4", SEVERITY_MEDIUM},      {"6.9", SEVERITY_MEDIUM},
                {"7.0", SEVERITY_HIGH},     {"8.9", SEVERITY_HIGH},      {"8.999", SEVERITY_HIGH},
                {"9.0", SEVERITY_CRITICAL}, {"10.0", SEVERITY_CRITICAL}, {"10", SEVERITY_CRITICAL},
                {"0.0", SEVERITY_UNKNOWN},  {"0", SEVERITY_UNKNOWN},     {"10.1", SEVERITY_UNKNOWN},
                {"-1", SEVERITY_UNKNOWN},   {"1e1", SEVERITY_UNKNOWN},   {"5,5", SEVERITY_UNKNOWN},
                {".5", SEVERITY_UNKNOWN},   {"5.", SEVERITY_UNKNOWN},    {"", SEVERITY_UNKNOWN},
                {" 5", SEVERITY_UNKNOWN},   {"nan", SEVERITY_UNKNOWN},   {"100", SEVERITY_UNKNOWN},
                {NULL, SEVERITY_UNKNOWN}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (severity_of_score(rows[i].score) != rows[i].severity)
            fail_msg("%s is not %s", rows[i].score, severity_name(rows[i].severity));
}

static void what_is_unknown_weighs_most(void **state)
{
    (void)state;
    for (int i = 0; i <= SEVERITY_CRITICAL; i++)
        assert_int_equal(severity_weight((enum severity)i), i);
    assert_int_equal(severity_weight(SEVERITY_UNKNOWN), SEVERITY_CRITICAL);
    assert_int_equal(severity_weight((enum severity)77), SEVERITY_CRITICAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_read_back),
        cmocka_unit_test(words_of_scanners),
        cmocka_unit_test(scores_by_the_scale_of_cvss),
        cmocka_unit_test(what_is_unknown_weighs_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
