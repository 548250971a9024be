/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what was hashed is what is executed, and nobody changes it. */
#include "tests/sandbox/harness.h"

#include "sandbox/runtime.h"

#define FIRST "#!/bin/sh\nexit 11\n"
#define OTHER "#!/bin/sh\nexit 22\n"

/* A program of these words, in a folder of its own. */
struct program {
    char folder[40], path[60];
};

static struct program program_of(const char *text)
{
    struct program program = {.folder = "/tmp/sallyport-runtime.XXXXXX"};
    assert_non_null(mkdtemp(program.folder));
    (void)snprintf(program.path, sizeof program.path, "%s/program", program.folder);
    AUTO_CLOSE int fd = open(program.path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    return program;
}

static void remove_program(struct program *program)
{
    assert_int_equal(unlink(program->path) | rmdir(program->folder), 0);
}

static int copy_of(const char *path, struct digest *ret_sha256)
{
    struct fault fault = {0};
    int fd = -1;
    if (runtime_copy(path, &fd, ret_sha256, &fault) != 0)
        fail_msg("%s", fault.detail);
    return fd;
}

static int exit_of(int fd)
{
    char path[40];
    (void)snprintf(path, sizeof path, "/proc/%d/fd/%d", (int)getpid(), fd);
    const char *const argv[] = {path, NULL};
    return harness_command(argv);
}

static void test_executes_what_was_hashed(void **state)
{
    (void)state;
    AUTO(remove_program) struct program program = program_of(FIRST);
    struct digest sha256, expected = digest_of(FIRST, strlen(FIRST));
    AUTO_CLOSE int copy = copy_of(program.path, &sha256);
    assert_true(digest_equal(&sha256, &expected));
    assert_int_equal(exit_of(copy), 11);

    /* The file is written to, then another in its place. */
    AUTO_CLOSE int in_place = open(program.path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(write(in_place, OTHER, strlen(OTHER)), strlen(OTHER));
    (void)close(TAKE_FD(in_place));
    const char *const now[] = {program.path, NULL};
    assert_int_equal(harness_command(now), 22);
    assert_int_equal(exit_of(copy), 11);
    assert_int_equal(unlink(program.path), 0);
    assert_int_equal(symlink("/bin/true", program.path), 0);
    assert_int_equal(exit_of(copy), 11);
}

/* Not even by root, who finds it by its descriptor. */
static void test_cannot_be_changed(void **state)
{
    (void)state;
    struct digest sha256;
    AUTO_CLOSE int copy = copy_of("/bin/true", &sha256);
    char path[40];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", copy);
    static const int ways[] = {O_WRONLY, O_RDWR, O_WRONLY | O_APPEND, O_WRONLY | O_TRUNC};
    for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
        assert_int_equal(open(path, ways[i] | O_CLOEXEC), -1);
        assert_int_equal(errno, EROFS);
    }
    assert_int_equal(truncate(path, 0), -1);
    assert_int_equal(errno, EROFS);
    assert_int_equal(fchmod(copy, 0777), -1);
    assert_int_equal(errno, EROFS);
    assert_int_equal(write(copy, "x", 1), -1);
    assert_int_equal(exit_of(copy), 0);
}

/* It is of no mount that anybody can walk to. */
static void test_lies_nowhere(void **state)
{
    (void)state;
    struct digest sha256;
    AUTO_BUF struct buf before = BUF(1 << 20);
    AUTO_BUF struct buf with_it = BUF(1 << 20);
    assert_int_equal(file_read("/proc/self/mountinfo", &before, NULL), 0);
    AUTO_CLOSE int copy = copy_of("/bin/true", &sha256);
    assert_int_equal(file_read("/proc/self/mountinfo", &with_it, NULL), 0);
    assert_string_equal(buf_text(&before), buf_text(&with_it));
    char path[40], name[80] = "";
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", copy);
    assert_true(readlink(path, name, sizeof name - 1) > 0);
    assert_string_equal(name, "/" RUNTIME_NAME); /* what the AppArmor profile has */
    assert_int_equal(access(name, F_OK), -1);
}

static void refuses(const char *path, const char *because)
{
    struct fault fault = {0};
    struct digest sha256;
    int fd = -1;
    assert_int_equal(runtime_copy(path, &fd, &sha256, &fault), -1);
    assert_int_equal(fault.code, FAULT_UNAVAILABLE);
    if (strstr(fault.detail, because) == NULL)
        fail_msg("%s", fault.detail);
    assert_int_equal(fd, -1);
}

static void test_refusals(void **state)
{
    (void)state;
    AUTO(remove_program) struct program program = program_of(FIRST);
    refuses("/no/such/runtime", "no sandbox runtime");
    refuses(program.folder, "no sandbox runtime");
    assert_int_equal(truncate(program.path, (off_t)RUNTIME_SIZE_MAX + 1), 0);
    refuses(program.path, "larger");
    assert_int_equal(unlink(program.path), 0);
    assert_int_equal(mkfifo(program.path, 0600), 0); /* that nobody writes to: no waiting either */
    refuses(program.path, "no sandbox runtime");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_executes_what_was_hashed),
        cmocka_unit_test(test_cannot_be_changed),
        cmocka_unit_test(test_lies_nowhere),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, harness_group_needs_root, NULL);
}
