/* SPDX-License-Identifier: Apache-2.0 */
/* Paths resolve in the layout as they do on the machine, whatever links are on the way. */
#include "cli/layout.h"

#include "tests/unit/cli/fixture.h"

#include <sys/stat.h>

/* A root of its own: /usr/lib/real.so.1, /lib -> usr/lib, links to it of each kind, loops. */
static void make_root(const struct fixture *fixture)
{
    static const char *const links[][2] = {
        {"lib", "usr/lib"},
        {"usr/lib/real.so", "real.so.1"},
        {"usr/lib64/up.so", "../lib/real.so"},
        {"usr/lib64/absolute.so", "/lib/real.so"},
        {"loop", "pool"},
        {"pool", "loop"},
        {"usr/share/self", "."},
        {"usr/share/nowhere", "gone"},
        {"outside", "../../../../../../../../etc/passwd"},
    };
    static const char *const folders[] = {"usr/lib", "usr/lib64", "usr/share/deep/er", "usr/bin"};
    for (size_t i = 0; i < ARRAY_LEN(folders); i++)
        assert_int_equal(dir_make(fixture_path(fixture, folders[i]), 0700, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(links); i++)
        assert_int_equal(symlink(links[i][1], fixture_path(fixture, links[i][0])), 0);
    (void)fixture_file(fixture, "usr/lib/real.so.1", "library", 7, 0600);
    (void)fixture_file(fixture, "usr/bin/tool", "program", 7, 04711);
    (void)fixture_file(fixture, "usr/share/deep/er/data", "", 0, 0444);
    assert_int_equal(mkfifo(fixture_path(fixture, "usr/pipe"), 0600), 0);
}

static void expect_entries(const struct layout *layout, const char *const *expected)
{
    size_t count = 0;
    for (; expected[count] != NULL; count++) {
        const struct layout_entry *entry = layout_at(layout, count);
        char text[256];
        assert_non_null(entry);
        (void)snprintf(text, sizeof text, "%s%s%s", entry->path,
                       entry->kind == LAYOUT_FOLDER ? "/"
                       : entry->kind == LAYOUT_LINK ? " -> "
                       : entry->executable          ? "*"
                                                    : "",
                       entry->target == NULL ? "" : entry->target);
        assert_string_equal(text, expected[count]);
    }
    assert_int_equal(layout_count(layout), count);
}

#define ENTRIES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_links_come_along(void **state)
{
    const struct fixture *fixture = *state;
    AUTO_LAYOUT struct layout *layout = NULL;
    AUTO_FREE char *physical = NULL;
    make_root(fixture);
    assert_int_equal(layout_new(fixture->folder, &layout, NULL), 0);
    assert_int_equal(layout_add(layout, "/usr/lib64/absolute.so", &physical, NULL), 0);
    assert_string_equal(physical, "/usr/lib/real.so.1");
    expect_entries(layout, ENTRIES("/lib -> usr/lib", "/usr/", "/usr/lib/",
                                   "/usr/lib/real.so -> real.so.1", "/usr/lib/real.so.1",
                                   "/usr/lib64/", "/usr/lib64/absolute.so -> ../../lib/real.so"));
    assert_int_equal(layout_add(layout, "//lib/./../lib/real.so.1", NULL, NULL), 0);
    assert_int_equal(layout_count(layout), 7); /* nothing twice */
}

static void test_modes_are_plain(void **state)
{
    const struct fixture *fixture = *state;
    AUTO_LAYOUT struct layout *layout = NULL;
    make_root(fixture);
    assert_int_equal(layout_new(fixture->folder, &layout, NULL), 0);
    assert_int_equal(layout_add(layout, "/usr/bin/tool", NULL, NULL), 0);
    expect_entries(layout, ENTRIES("/usr/", "/usr/bin/", "/usr/bin/tool*"));
    assert_int_equal(layout_at(layout, 2)->size, 7);
}

static void test_trees(void **state)
{
    const struct fixture *fixture = *state;
    AUTO_LAYOUT struct layout *layout = NULL;
    make_root(fixture);
    assert_int_equal(layout_new(fixture->folder, &layout, NULL), 0);
    assert_int_equal(layout_add_tree(layout, "/usr/share", NULL), 0);
    expect_entries(layout, ENTRIES("/usr/", "/usr/share/", "/usr/share/deep/",
                                   "/usr/share/deep/er/", "/usr/share/deep/er/data",
                                   "/usr/share/nowhere -> gone", "/usr/share/self -> ."));
}

static void test_what_cannot_be_packed(void **state)
{
    const struct fixture *fixture = *state;
    static const struct {
        const char *path;
        enum fault_code code;
    } cases[] = {
        {"/gone", FAULT_NOT_FOUND},
        {"/usr/gone/more", FAULT_NOT_FOUND},
        {"/usr/bin/tool/more", FAULT_NOT_FOUND},
        {"/loop", FAULT_ARTIFACT_INVALID},
        {"/usr/pipe", FAULT_ARTIFACT_INVALID},
        {"usr/bin/tool", FAULT_MALFORMED_REQUEST},
        {"/outside", FAULT_NOT_FOUND}, /* `..` stays below the root: no /etc there */
    };
    AUTO_LAYOUT struct layout *layout = NULL;
    make_root(fixture);
    assert_int_equal(layout_new(fixture->folder, &layout, NULL), 0);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fault fault = {0};
        assert_int_equal(layout_add(layout, cases[i].path, NULL, &fault), -1);
        if (fault.code != cases[i].code)
            fail_msg("%s: %s: %s", cases[i].path, fault_name(fault.code), fault.detail);
    }
    char *name = calloc(1, 5001);
    assert_non_null(name);
    memset(name, 'a', 5000);
    name[0] = '/';
    struct fault fault = {0};
    assert_int_equal(layout_add(layout, name, NULL, &fault), -1);
    free(name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_links_come_along, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_modes_are_plain, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_trees, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_packed, fixture_setup,
                                        fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
