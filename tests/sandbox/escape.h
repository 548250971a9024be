/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the escape tests share. A table of attempts reads as what it proves: a step of the tool in
 * tests/sandbox/tool/escape, what it is answered, and where something is allowed, why that does no
 * harm. A table is one run; after each test the host must show nothing of it (escape_nothing_left).
 */
#pragma once

#include "tests/sandbox/harness.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#define ESCAPE "/bin/escape"
#define CANARY "the-host-keeps-this-to-itself"
#define CANARY_OPEN "everybody-may-write-this"

struct attempt {
    const char *step;   /* its words apart by a space; % stands for the harness's folder */
    const char *answer; /* what follows "step: ", or NULL where the step says it all in `line` */
    const char *harmless;
    const char *line;
};

/* Attempts that are refused, and those that are not. */
#define REFUSED(step, answer)                                                                      \
    {                                                                                              \
        step, answer, NULL, NULL                                                                   \
    }
#define HARMLESS(step, answer, why)                                                                \
    {                                                                                              \
        step, answer, why, NULL                                                                    \
    }
/* The whole line that it says. */
#define SAYS(step, line, why)                                                                      \
    {                                                                                              \
        step, NULL, why, line                                                                      \
    }

__attribute__((unused)) static void escape_write(const char *path, const char *text, mode_t mode)
{
    AUTO_CLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
}

/* The folder's own: below it in the host, or in the artifact's root. */
__attribute__((unused)) static const char *escape_path(const struct harness *harness,
                                                       const char *name, char *path, size_t size)
{
    int len = snprintf(path, size, "%s%s", harness->folder, name);
    assert_true(len > 0 && (size_t)len < size);
    return path;
}

__attribute__((unused)) static void escape_compile(const struct harness *harness)
{
    char path[160];
    const char *const compile[] = {"gcc",
                                   "-std=c17",
                                   "-D_GNU_SOURCE",
                                   "-static",
                                   "-O1",
                                   "-pthread",
                                   "-o",
                                   escape_path(harness, "/root" ESCAPE, path, sizeof path),
                                   TEST_DATA "/../sandbox/tool/escape/escape.c",
                                   TEST_DATA "/../sandbox/tool/escape/files.c",
                                   TEST_DATA "/../sandbox/tool/escape/kernel.c",
                                   TEST_DATA "/../sandbox/tool/escape/network.c",
                                   TEST_DATA "/../sandbox/tool/escape/processes.c",
                                   TEST_DATA "/../sandbox/tool/escape/bounds.c",
                                   NULL};
    if (harness_command(compile) != 0)
        fail_msg("cannot compile the tool that tries to escape");
}

/* A root in which nothing but its being read-only keeps anybody from writing, and canaries. */
__attribute__((unused)) static int escape_setup(void **state)
{
    if (harness_setup(state) != 0)
        return -1;
    const struct harness *harness = *state;
    char path[160];
    escape_compile(harness);
    harness_make_folder(harness->root, "/open");
    assert_int_equal(chmod(escape_path(harness, "/root/open", path, sizeof path), 0777), 0);
    escape_write(escape_path(harness, "/root/open/file", path, sizeof path), "as approved", 0666);
    escape_write(escape_path(harness, "/canary", path, sizeof path), CANARY, 0644);
    escape_write(escape_path(harness, "/canary.open", path, sizeof path), CANARY_OPEN, 0666);
    return 0;
}

__attribute__((unused)) static void escape_expect_file(const char *path, const char *text)
{
    AUTO_BUF struct buf bytes = BUF(4096);
    struct fault fault = {0};
    if (file_read(path, &bytes, &fault) != 0)
        fail_msg("%s", fault.detail);
    assert_string_equal(buf_text(&bytes), text);
}

/* After every test: no process, group, mount or folder of a run, and the host's files as before. */
__attribute__((unused)) static int escape_nothing_left(void **state)
{
    const struct harness *harness = *state;
    char path[160];
    harness_assert_nothing_left(harness);
    escape_expect_file(escape_path(harness, "/canary", path, sizeof path), CANARY);
    escape_expect_file(escape_path(harness, "/canary.open", path, sizeof path), CANARY_OPEN);
    escape_expect_file(escape_path(harness, "/root/open/file", path, sizeof path), "as approved");
    assert_int_equal(harness_count_entries(escape_path(harness, "/root/open", path, sizeof path)),
                     1);
    return 0;
}

#define ESCAPE_WORDS_MAX 512

/* A command line for the tool, and the text its words lie in. */
struct escape_command {
    const char *argv[ESCAPE_WORDS_MAX + 2];
    size_t count;
    char text[32768];
    size_t used;
};

/* Appends a step's words, % replaced. */
__attribute__((unused)) static void escape_add(struct escape_command *command, const char *step,
                                               const char *folder)
{
    if (command->count == 0)
        command->argv[command->count++] = ESCAPE;
    char *begin = command->text + command->used;
    size_t room = sizeof command->text - command->used, len = 0;
    for (; *step != '\0'; step++) {
        const char one[2] = {*step, '\0'};
        const char *piece = *step == '%' ? folder : one;
        assert_true(len + strlen(piece) + 1 < room);
        memcpy(begin + len, piece, strlen(piece) + 1);
        len += strlen(piece);
    }
    command->used += len + 1;
    for (char *rest = begin, *word; (word = strsep(&rest, " ")) != NULL;) {
        assert_true(command->count <= ESCAPE_WORDS_MAX);
        command->argv[command->count++] = word;
    }
}

/* Runs steps ("a b; c" is not one: each is a string of its own) with a job's other members. */
__attribute__((unused)) static struct sandbox_result
escape_run(struct harness *harness, struct sandbox_job job, const char *const *steps, size_t count)
{
    struct escape_command command = {0};
    for (size_t i = 0; i < count; i++)
        escape_add(&command, steps[i], harness->folder);
    job.argv = command.argv;
    if (job.workdir == NULL)
        job.workdir = "/tmp";
    return harness_run(harness, job);
}

#define ESCAPE_STEPS(...)                                                                          \
    (const char *const[]){__VA_ARGS__},                                                            \
        sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *)

/* One run of steps with the usual limits, or with a job's. */
#define escape_try(harness, ...) escape_run((harness), HARNESS_JOB("x"), ESCAPE_STEPS(__VA_ARGS__))
#define escape_try_with(harness, job, ...) escape_run((harness), (job), ESCAPE_STEPS(__VA_ARGS__))

/* True if the line is what the attempt is to come to; says what it came to where it is not. */
__attribute__((unused)) static bool escape_came_to(const struct attempt *attempt,
                                                   const char *folder, struct span line)
{
    char expected[1024];
    struct escape_command step = {0};
    escape_add(&step, attempt->step, folder);
    size_t len = 0;
    for (size_t i = 1; attempt->line == NULL && i < step.count; i++)
        len += (size_t)snprintf(expected + len, sizeof expected - len, "%s%s", i > 1 ? " " : "",
                                step.argv[i]);
    (void)snprintf(expected + len, sizeof expected - len, "%s%s", len > 0 ? ": " : "",
                   attempt->line != NULL ? attempt->line : attempt->answer);
    if (span_equal(line, span_text(expected)))
        return true;
    print_error("%.*s\n  is not  %s\n", (int)(line.len < 600 ? line.len : 600),
                (const char *)line.data, expected);
    return false;
}

/* One run of a whole table; each line of its output is one attempt's. */
__attribute__((unused)) static void escape_attempts(struct harness *harness, struct sandbox_job job,
                                                    const struct attempt *attempts, size_t count)
{
    const char *steps[ESCAPE_WORDS_MAX];
    assert_true(count < ARRAY_LEN(steps));
    for (size_t i = 0; i < count; i++)
        steps[i] = attempts[i].step;
    AUTO_SANDBOX_RESULT struct sandbox_result result = escape_run(harness, job, steps, count);
    harness_expect(&result, SANDBOX_EXITED, 0);
    const char *text = buf_text(&result.output[SANDBOX_STDOUT].stored);
    assert_null(strstr(text, CANARY));
    bool all = true;
    for (size_t i = 0; i < count; i++) {
        size_t len = strcspn(text, "\n");
        all &= escape_came_to(&attempts[i], harness->folder, span_of(text, len));
        text += len + (text[len] == '\n');
    }
    assert_string_equal(text, "");
    assert_true(all);
}
