/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a name of a layer is ordinary, a whiteout of one name or of a folder, or refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unpack/place.h"
#include "unpack/whiteout.h"

static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        enum whiteout kind;
        const char *target;
    } cases[] = {
        {"", WHITEOUT_NONE, ""},
        {"a", WHITEOUT_NONE, "a"},
        {"a/b.wh.c", WHITEOUT_NONE, "a/b.wh.c"},
        {".wh", WHITEOUT_NONE, ".wh"},
        {".whx", WHITEOUT_NONE, ".whx"},
        {"a/.WH.b", WHITEOUT_NONE, "a/.WH.b"},
        {".wh.a", WHITEOUT_ONE, "a"},
        {"a/b/.wh.c", WHITEOUT_ONE, "a/b/c"},
        {"a/.wh..b", WHITEOUT_ONE, "a/.b"},
        {".wh....", WHITEOUT_ONE, "..."},
        {".wh.a.wh.b", WHITEOUT_ONE, "a.wh.b"},
        {".wh..wh..opq", WHITEOUT_ALL, ""},
        {"a/.wh..wh..opq", WHITEOUT_ALL, "a"},
        {"a/b/.wh..wh..opq", WHITEOUT_ALL, "a/b"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        enum whiteout kind;
        char target[PLACE_PATH_MAX + 1] = "untouched";
        struct fault fault = {0};
        if (whiteout_parse(cases[i].path, &kind, target, &fault) != 0)
            fail_msg("%s: %s", cases[i].path, fault.detail);
        assert_int_equal(kind, cases[i].kind);
        assert_string_equal(target, cases[i].target);
    }
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const paths[] = {
        ".wh.",         ".wh..",    ".wh...",           "a/.wh.",           "a/.wh...",
        ".wh..wh.aufs", ".wh..wh.", ".wh..wh..wh..opq", ".wh..wh..opq.x",   ".wh.a/b",
        "a/.wh.b/c",    ".wh./a",   ".wh..wh..opq/a",   "a/.wh..wh.plnk/b",
    };
    for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
        enum whiteout kind;
        char target[PLACE_PATH_MAX + 1];
        struct fault fault = {0};
        if (whiteout_parse(paths[i], &kind, target, &fault) == 0)
            fail_msg("%s: taken", paths[i]);
        assert_int_equal(fault.code, FAULT_ARTIFACT_INVALID);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names),
                                       cmocka_unit_test(test_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
