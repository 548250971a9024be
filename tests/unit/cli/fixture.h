/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of a test's own, and commands run inside the test: words in, exit code and stdout out.
 */
#pragma once

#include "base/file.h"
#include "cli/commands.h"
#include "cli/outcome.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* 16 hex digits and 32 zero bytes: the form of a key, of nobody. */
#define FIXTURE_API_KEY "sp_0123456789abcdef_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

struct fixture {
    char folder[64];
    const char *url;     /* of the next command; NULL: none */
    const char *api_key; /* NULL: none */
    struct fault fault;  /* of the last command */
    char *out;           /* its stdout */
    size_t out_len;
};

static inline int fixture_setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    (void)snprintf(fixture->folder, sizeof fixture->folder, "/tmp/sallyport-cli-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    *state = fixture;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;
    int result = dir_remove(fixture->folder, NULL);
    free(fixture->out);
    free(fixture);
    return result;
}

/* A path below the folder, in one of a few static places. */
static inline const char *fixture_path(const struct fixture *fixture, const char *name)
{
    static _Thread_local char paths[8][256];
    static _Thread_local unsigned next;
    char *path = paths[next++ % 8];
    (void)snprintf(path, sizeof paths[0], "%s/%s", fixture->folder, name);
    return path;
}

static inline const char *fixture_file(const struct fixture *fixture, const char *name,
                                       const void *data, size_t len, mode_t mode)
{
    const char *path = fixture_path(fixture, name);
    assert_int_equal(file_replace(path, data, len, mode, NULL), 0);
    return path;
}

static inline void fixture_read(const char *path, struct buf *buf)
{
    struct fault fault = {0};
    if (file_read(path, buf, &fault) != 0)
        fail_msg("%s", fault.detail);
}

static inline void fixture_args(const struct command *command, int argc, char *const *argv,
                                struct args *args)
{
    struct fault fault = {0};
    int used;
    const struct option_table tables[] = {{command->options, command->option_count},
                                          common_options};
    if (args_read(tables, 2, false, argc, argv, args, &used, &fault) != 0)
        fail_msg("%s", fault.detail);
    assert_in_range(args->operand_count, command->operand_min, command->operand_max);
}

/* Runs a command; the words end with NULL. The exit code is main's. */
static inline int fixture_run(struct fixture *fixture, const char *const *words)
{
    char *argv[128];
    int argc = 0, name_words = 0;
    for (; words[argc] != NULL; argc++) {
        assert_true(argc < 127);
        argv[argc] = (char *)(uintptr_t)words[argc];
    }
    const struct command *command = command_find(argc, argv, &name_words);
    assert_non_null(command);
    struct args args = {0};
    struct client client = {0};
    fixture->fault = (struct fault){0};
    fixture_args(command, argc - name_words, argv + name_words, &args);
    if (client_open(&args, &client, &fixture->fault) != 0)
        return (int)outcome_of_fault(fixture->fault.code);
    free(fixture->out);
    fixture->out = NULL;
    FILE *out = open_memstream(&fixture->out, &fixture->out_len);
    assert_non_null(out);
    client.output.out = out;
    client.output.terminal = client.output.color = false;
    client.url = fixture->url;
    buf_reset(&client.api_key);
    if (fixture->api_key != NULL)
        buf_puts(&client.api_key, fixture->api_key);
    int result = command->run(&client, &args, &fixture->fault);
    int exit_code = result == 0 ? client.exit_code : (int)outcome_of_fault(fixture->fault.code);
    client_close(&client);
    assert_int_equal(fclose(out), 0);
    return exit_code;
}

#define FIXTURE_RUN(fixture, ...) fixture_run((fixture), (const char *const[]){__VA_ARGS__, NULL})
