/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what is started is what the artifact fixes, with what the manifest may add. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "runner/command.h"

#include <string.h>

static const char *const own_words[] = {"/usr/bin/own", "-o"};
static const char *const image_words[] = {"/usr/bin/tool", "-x"};
static const char *const cmd_words[] = {"from", "cmd"};
static const char *const manifest_words[] = {"asked"};
static const struct manifest_env image_env[] = {{"PATH", "/opt/bin"}, {"MODE", "image"}, {"A", ""}};
static const struct manifest_env manifest_env[] = {{"MODE", "manifest"}, {"B", "=x="}};

static const struct descriptor bare = {.kind = ARTIFACT_OCI};
static const struct descriptor own = {
    .kind = ARTIFACT_OCI, .entrypoint = own_words, .entrypoint_count = 2};
static const struct descriptor binary = {.kind = ARTIFACT_BINARY};
static const struct descriptor rootfs = {.kind = ARTIFACT_ROOTFS};
static const struct image image = {.entrypoint = image_words,
                                   .entrypoint_count = 2,
                                   .cmd = cmd_words,
                                   .cmd_count = 2,
                                   .env = image_env,
                                   .env_count = 3,
                                   .working_dir = "/srv",
                                   .uid = 1000,
                                   .gid = 50};
static const struct manifest silent = {0};
static const struct manifest asking = {
    .args = manifest_words, .arg_count = 1, .env = manifest_env, .env_count = 2};

static void assert_words(const char *const *found, const char *const *expected)
{
    for (; *expected != NULL; expected++, found++) {
        assert_non_null(*found);
        assert_string_equal(*found, *expected);
    }
    assert_null(*found);
}

static void check_argv(const struct descriptor *d, const struct image *i, const struct manifest *m,
                       const char *const *expected)
{
    struct fault fault = {0};
    AUTO_COMMAND struct command command = {0};
    assert_int_equal(command_build(d, i, m, &command, &fault), 0);
    assert_words(command.argv, expected);
    size_t count = 0;
    while (expected[count] != NULL)
        count++;
    assert_int_equal(command.argv_count, count);
}

#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_arguments(void **state)
{
    (void)state;
    check_argv(&bare, &image, &silent, WORDS("/usr/bin/tool", "-x", "from", "cmd"));
    check_argv(&bare, &image, &asking, WORDS("/usr/bin/tool", "-x", "asked"));
    check_argv(&own, &image, &silent, WORDS("/usr/bin/own", "-o"));
    check_argv(&own, &image, &asking, WORDS("/usr/bin/own", "-o", "asked"));
    check_argv(&binary, NULL, &asking, WORDS("/bin/tool", "asked"));
    check_argv(&own, NULL, &silent, WORDS("/usr/bin/own", "-o"));
}

/* Whatever the manifest says: it never names the program. */
static void test_nothing_to_start(void **state)
{
    (void)state;
    static const struct image mute = {.cmd = cmd_words, .cmd_count = 0, .working_dir = "/"};
    const struct {
        const struct descriptor *descriptor;
        const struct image *image;
    } cases[] = {{&bare, &mute}, {&bare, NULL}, {&rootfs, NULL}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fault fault = {0};
        AUTO_COMMAND struct command command = {0};
        assert_int_equal(
            command_build(cases[i].descriptor, cases[i].image, &asking, &command, &fault), -1);
        assert_int_equal(fault.code, FAULT_ARTIFACT_INVALID);
        assert_null(command.argv);
    }
}

static void test_environment(void **state)
{
    (void)state;
    struct fault fault = {0};
    AUTO_COMMAND struct command plain = {0};
    AUTO_COMMAND struct command whole = {0};
    assert_int_equal(command_build(&binary, NULL, &asking, &plain, &fault), 0);
    assert_words(plain.env, WORDS("PATH=/usr/bin:/bin", "HOME=/tmp", "LANG=C.UTF-8",
                                  "MODE=manifest", "B==x="));
    assert_int_equal(command_build(&bare, &image, &asking, &whole, &fault), 0);
    assert_words(whole.env, WORDS("PATH=/opt/bin", "HOME=/tmp", "LANG=C.UTF-8", "MODE=manifest",
                                  "A=", "B==x="));
}

static void test_folder_and_user(void **state)
{
    (void)state;
    struct fault fault = {0};
    AUTO_COMMAND struct command plain = {0};
    AUTO_COMMAND struct command whole = {0};
    assert_int_equal(command_build(&binary, NULL, &silent, &plain, &fault), 0);
    assert_null(plain.workdir);
    assert_int_equal(plain.uid | plain.gid, 0);
    assert_int_equal(command_build(&own, &image, &silent, &whole, &fault), 0);
    assert_string_equal(whole.workdir, "/srv");
    assert_int_equal(whole.uid, 1000);
    assert_int_equal(whole.gid, 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_nothing_to_start),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_folder_and_user),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
