/* SPDX-License-Identifier: Apache-2.0 */
/* Libraries are found where the loader will find them: each rule of ld.so(8) that applies. */
#include "cli/libraries.h"

#include "tests/unit/cli/elf_make.h"
#include "tests/unit/cli/fixture.h"

#define LOADER "/lib64/ld.so.2"

static void put(const struct fixture *fixture, const char *name, const struct elf_make *what)
{
    struct elf_making making = elf_make(what);
    const char *path = fixture_path(fixture, name);
    char folder[256];
    (void)snprintf(folder, sizeof folder, "%s", path);
    *strrchr(folder, '/') = '\0';
    assert_int_equal(dir_make(folder, 0755, NULL), 0);
    assert_int_equal(file_replace(path, making.bytes, ELF_MAKE_SIZE, 0755, NULL), 0);
}

static void put_library(const struct fixture *fixture, const char *name, const char *needed)
{
    struct elf_make what = {.soname = strrchr(name, '/') + 1, .needed = {needed}};
    put(fixture, name, &what);
}

static bool has(const struct layout *layout, const char *path)
{
    for (size_t i = 0; i < layout_count(layout); i++)
        if (strcmp(layout_at(layout, i)->path, path) == 0)
            return true;
    return false;
}

/* Packs a program from the fixture's root; NULL fault: it must succeed. */
static struct layout *pack(const struct fixture *fixture, const char *program, struct fault *fault)
{
    struct layout *layout = NULL;
    struct fault cause = {0};
    AUTO_LIBRARIES struct libraries *libraries = NULL;
    assert_int_equal(layout_new(fixture->folder, &layout, NULL), 0);
    assert_int_equal(libraries_new(layout, &libraries, NULL), 0);
    int result = libraries_add_program(libraries, program, &cause);
    if (fault == NULL && result != 0)
        fail_msg("%s", cause.detail);
    if (fault != NULL) {
        assert_int_equal(result, -1);
        *fault = cause;
    }
    return layout;
}

static void put_loader(const struct fixture *fixture)
{
    put(fixture, "usr/lib/x86_64-linux-gnu/ld.so.2", &(struct elf_make){.soname = "ld.so.2"});
    assert_int_equal(dir_make(fixture_path(fixture, "lib64"), 0755, NULL), 0);
    assert_int_equal(
        symlink("/usr/lib/x86_64-linux-gnu/ld.so.2", fixture_path(fixture, "lib64/ld.so.2")), 0);
    assert_int_equal(symlink("usr/lib", fixture_path(fixture, "lib")), 0);
}

static void test_default_folders_and_needs_of_needs(void **state)
{
    const struct fixture *fixture = *state;
    put_loader(fixture);
    put_library(fixture, "usr/lib/x86_64-linux-gnu/liba.so.1", "libb.so.1");
    put_library(fixture, "usr/lib/libb.so.1", "ld.so.2");
    put(fixture, "usr/bin/tool",
        &(struct elf_make){.interpreter = LOADER, .needed = {"liba.so.1", "libb.so.1"}});
    AUTO_LAYOUT struct layout *layout = pack(fixture, "/usr/bin/tool", NULL);
    assert_true(has(layout, "/usr/bin/tool"));
    assert_true(has(layout, "/lib64/ld.so.2"));
    assert_true(has(layout, "/usr/lib/x86_64-linux-gnu/ld.so.2"));
    assert_true(has(layout, "/lib")); /* the loader's own first folder is /lib/x86_64-linux-gnu */
    assert_true(has(layout, "/usr/lib/x86_64-linux-gnu/liba.so.1"));
    assert_true(has(layout, "/usr/lib/libb.so.1"));
    assert_int_equal(layout_count(layout), 11);
}

static void test_runpath_is_the_objects_own(void **state)
{
    const struct fixture *fixture = *state;
    put_loader(fixture);
    put_library(fixture, "opt/x/lib/liba.so.1", "libb.so.1");
    put_library(fixture, "opt/x/lib/libb.so.1", NULL);
    put(fixture, "opt/x/bin/tool",
        &(struct elf_make){
            .interpreter = LOADER, .runpath = "/none:$ORIGIN/../lib", .needed = {"liba.so.1"}});
    struct fault fault = {0};
    AUTO_LAYOUT struct layout *layout = pack(fixture, "/opt/x/bin/tool", &fault);
    assert_non_null(strstr(fault.detail, "needs libb.so.1"));
    assert_false(has(layout, "/opt/x/lib/libb.so.1"));
    assert_int_equal(fault.code, FAULT_ARTIFACT_INVALID);
}

static void test_rpath_is_inherited(void **state)
{
    const struct fixture *fixture = *state;
    put_loader(fixture);
    put_library(fixture, "opt/x/lib/liba.so.1", "libb.so.1");
    put_library(fixture, "opt/x/lib/libb.so.1", NULL);
    put(fixture, "opt/x/bin/tool",
        &(struct elf_make){
            .interpreter = LOADER, .rpath = "${ORIGIN}/../lib", .needed = {"liba.so.1"}});
    AUTO_LAYOUT struct layout *layout = pack(fixture, "/opt/x/bin/tool", NULL);
    assert_true(has(layout, "/opt/x/lib/liba.so.1"));
    assert_true(has(layout, "/opt/x/lib/libb.so.1"));
}

/* A link to the program: $ORIGIN is where the program is, not where the link is. */
static void test_origin_is_physical(void **state)
{
    const struct fixture *fixture = *state;
    put_loader(fixture);
    put_library(fixture, "opt/x/liba.so.1", NULL);
    put(fixture, "opt/x/tool",
        &(struct elf_make){.interpreter = LOADER, .runpath = "$ORIGIN", .needed = {"liba.so.1"}});
    assert_int_equal(symlink("opt/x/tool", fixture_path(fixture, "tool")), 0);
    AUTO_LAYOUT struct layout *layout = pack(fixture, "/tool", NULL);
    assert_true(has(layout, "/tool"));
    assert_true(has(layout, "/opt/x/liba.so.1"));
}

static void test_files_of_other_machines_are_passed_over(void **state)
{
    const struct fixture *fixture = *state;
    put_loader(fixture);
    put(fixture, "opt/wrong/liba.so.1", &(struct elf_make){.machine = EM_AARCH64});
    assert_int_equal(dir_make(fixture_path(fixture, "opt/text"), 0755, NULL), 0);
    (void)fixture_file(fixture, "opt/text/liba.so.1", "/* a linker script */", 21, 0644);
    put_library(fixture, "usr/lib/liba.so.1", NULL);
    put(fixture, "tool",
        &(struct elf_make){.interpreter = LOADER,
                           .runpath = "/opt/wrong:/opt/text:/opt/$LIB",
                           .needed = {"liba.so.1"}});
    AUTO_LAYOUT struct layout *layout = pack(fixture, "/tool", NULL);
    assert_true(has(layout, "/usr/lib/liba.so.1"));
    assert_false(has(layout, "/opt/wrong/liba.so.1"));
    assert_false(has(layout, "/opt/text"));
}

static void test_a_static_program_is_alone(void **state)
{
    const struct fixture *fixture = *state;
    put(fixture, "bin/tool", &(struct elf_make){.machine = 0});
    AUTO_LAYOUT struct layout *layout = pack(fixture, "/bin/tool", NULL);
    assert_int_equal(layout_count(layout), 2);
}

static void test_what_is_no_program(void **state)
{
    const struct fixture *fixture = *state;
    struct fault fault = {0};
    (void)fixture_file(fixture, "script", "#!/bin/sh\n", 10, 0755);
    layout_free(pack(fixture, "/script", &fault));
    assert_int_equal(fault.code, FAULT_ARTIFACT_INVALID);
    put(fixture, "library", &(struct elf_make){.needed = {"libc.so.6"}});
    layout_free(pack(fixture, "/library", &fault));
    assert_non_null(strstr(fault.detail, "not a program"));
    put(fixture, "tool", &(struct elf_make){.interpreter = "/lib64/gone.so"});
    layout_free(pack(fixture, "/tool", &fault));
    assert_int_equal(fault.code, FAULT_NOT_FOUND);
}

/* What --with brought needs its libraries too; data beside it is left as it is. */
static void test_the_rest_is_served(void **state)
{
    const struct fixture *fixture = *state;
    AUTO_LAYOUT struct layout *layout = NULL;
    AUTO_LIBRARIES struct libraries *libraries = NULL;
    put_loader(fixture);
    put_library(fixture, "plugins/plugin.so", "libp.so.1");
    (void)fixture_file(fixture, "plugins/data", "data", 4, 0644);
    put_library(fixture, "usr/lib/libp.so.1", NULL);
    put(fixture, "tool", &(struct elf_make){.interpreter = LOADER});
    assert_int_equal(layout_new(fixture->folder, &layout, NULL), 0);
    assert_int_equal(libraries_new(layout, &libraries, NULL), 0);
    assert_int_equal(libraries_add_program(libraries, "/tool", NULL), 0);
    assert_false(has(layout, "/usr/lib/libp.so.1"));
    assert_int_equal(layout_add_tree(layout, "/plugins", NULL), 0);
    assert_int_equal(libraries_add_rest(libraries, NULL), 0);
    assert_true(has(layout, "/plugins/data"));
    assert_true(has(layout, "/usr/lib/libp.so.1"));
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_default_folders_and_needs_of_needs),
        TEST(test_runpath_is_the_objects_own),
        TEST(test_rpath_is_inherited),
        TEST(test_origin_is_physical),
        TEST(test_files_of_other_machines_are_passed_over),
        TEST(test_a_static_program_is_alone),
        TEST(test_what_is_no_program),
        TEST(test_the_rest_is_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
