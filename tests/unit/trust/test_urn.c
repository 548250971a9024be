/* SPDX-License-Identifier: Apache-2.0 */
#include "trust_support.h"

#include "trust/urn.h"

static bool valid(const char *text)
{
    return urn_valid(text, strlen(text));
}

static void names_of_rfc_8141(void **state)
{
    (void)state;
    static const char *const names[] = {
        "urn:isbn:0451450523", "URN:ISBN:0451450523",
        "uRn:example:a",       "urn:ab:c",
        "urn:a-b:c",           "urn:a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6:x",
        "urn:example:a/b/c",   "urn:example:a//b/",
        "urn:example:%2Fa%ff", "urn:example:-._~!$&'()*+,;=:@",
        "urn:example::",       "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        "urn:urn-7:x",         "urn:target:ip:10.0.0.5",
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (!valid(names[i]))
            fail_msg("%s was refused", names[i]);
}

static void everything_else(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "urn",
                                        "urn:",
                                        "urn::",
                                        "urn:a",
                                        "urn:ab",
                                        "urn:ab:",
                                        "urn::c",
                                        "urn:a:c",
                                        "urn:-a:c",
                                        "urn:a-:c",
                                        "urn:a_b:c",
                                        "urn:a.b:c",
                                        "urn:\xc3\xa9\xc3\xa9:c",
                                        "urn:urn:c",
                                        "urn:URN:c",
                                        "urn:a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6e:x",
                                        "http://a/b",
                                        " urn:ab:c",
                                        "urn:ab:c ",
                                        "urn:ab:c d",
                                        "urn:ab:c\n",
                                        "urn:ab:/c",
                                        "urn:ab:c?d",
                                        "urn:ab:c?+d",
                                        "urn:ab:c?=d",
                                        "urn:ab:c#d",
                                        "urn:ab:%",
                                        "urn:ab:%2",
                                        "urn:ab:%2g",
                                        "urn:ab:%%20",
                                        "urn:ab:a%4",
                                        "urn:ab:a\\b",
                                        "urn:ab:a\"b",
                                        "urn:ab:<a>",
                                        "urn:ab:[a]",
                                        "urn:ab:{a}",
                                        "urn:ab:a|b",
                                        "urn:ab:a^b",
                                        "urn:ab:a`b",
                                        "urn:ab:\xc3\xa9",
                                        "urn:ab:\x7f",
                                        "urnx:ab:c",
                                        "urn;ab:c"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (valid(texts[i]))
            fail_msg("'%s' was accepted", texts[i]);
    assert_false(urn_valid("urn:ab:c\0d", 10));
    assert_false(urn_valid("urn:a\0b:cd", 10));
    assert_true(urn_valid("urn:ab:c??", 8)); /* reads no further than it is told */
}

static void the_longest(void **state)
{
    (void)state;
    char text[URN_MAX + 2];
    memset(text, 'x', sizeof text);
    memcpy(text, "urn:ab:", 7);
    assert_true(urn_valid(text, URN_MAX));
    assert_false(urn_valid(text, URN_MAX + 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_rfc_8141),
        cmocka_unit_test(everything_else),
        cmocka_unit_test(the_longest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
