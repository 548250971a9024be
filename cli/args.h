/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words of a command line, read strictly against declared options: `--name VALUE`,
 * `--name=VALUE`, a letter for few of them (`-o VALUE`), `--` before operands that begin with a
 * hyphen. No abbreviations, no bundles. Everything is borrowed from argv.
 *
 * Faults are FAULT_MALFORMED_REQUEST: usage.
 */
#pragma once

#include "base/buf.h"
#include "base/fault.h"

struct option {
    const char *name;  /* without its hyphens */
    const char *value; /* the placeholder in the help; NULL for a flag */
    const char *help;
    char letter; /* 0 for none */
    bool repeat; /* may be given more than once */
};

struct option_table {
    const struct option *options;
    size_t count;
};

#define ARGS_VALUES_MAX 1024
#define ARGS_OPERANDS_MAX 16
#define ARGS_TABLES_MAX 2

struct arg_value {
    const struct option *option;
    const char *value; /* NULL for a flag */
};

struct args {
    struct arg_value values[ARGS_VALUES_MAX];
    size_t value_count;
    const char *operands[ARGS_OPERANDS_MAX];
    size_t operand_count;
};

/* Adds what argv holds. With `leading`, stops before the first operand. ret_used is how many
 * words were taken. */
int args_read(const struct option_table *tables, size_t table_count, bool leading, int argc,
              char *const *argv, struct args *args, int *ret_used, struct fault *fault) MUST_CHECK;

/* The value of an option that was given (of the first, where it may be repeated); NULL otherwise.
 */
const char *args_value(const struct args *args, const char *name);
bool args_flag(const struct args *args, const char *name);
size_t args_count(const struct args *args, const char *name);
/* The n-th of a repeated option, n below args_count(). */
const char *args_nth(const struct args *args, const char *name, size_t n);

/* args_value() of an option this command cannot do without. */
int args_need(const struct args *args, const char *name, const char **ret_value,
              struct fault *fault) MUST_CHECK;

/* A decimal number in [min, max]; ret_value is untouched where the option was not given. */
int args_number(const struct args *args, const char *name, int64_t min, int64_t max,
                int64_t *ret_value, struct fault *fault) MUST_CHECK;

/* Splits `NAME=VALUE` at the first equals sign: ret_name is a copy that the caller frees,
 * ret_value points into text. */
int args_pair(const char *option, const char *text, char **ret_name, const char **ret_value,
              struct fault *fault) MUST_CHECK;
