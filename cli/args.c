/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/args.h"

#include <inttypes.h>
#include <string.h>

static const struct option *find_name(const struct option_table *tables, size_t table_count,
                                      const char *name, size_t len)
{
    for (size_t t = 0; t < table_count; t++)
        for (size_t i = 0; i < tables[t].count; i++) {
            const struct option *option = &tables[t].options[i];
            if (strlen(option->name) == len && memcmp(option->name, name, len) == 0)
                return option;
        }
    return NULL;
}

static const struct option *find_letter(const struct option_table *tables, size_t table_count,
                                        char letter)
{
    for (size_t t = 0; t < table_count; t++)
        for (size_t i = 0; i < tables[t].count; i++)
            if (tables[t].options[i].letter == letter)
                return &tables[t].options[i];
    return NULL;
}

static bool is_given(const struct args *args, const struct option *option)
{
    for (size_t i = 0; i < args->value_count; i++)
        if (args->values[i].option == option)
            return true;
    return false;
}

static int add_value(struct args *args, const struct option *option, const char *value,
                     struct fault *fault)
{
    if (!option->repeat && is_given(args, option))
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "--%s is given twice", option->name);
    if (args->value_count == ARGS_VALUES_MAX)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "more than %d options", ARGS_VALUES_MAX);
    args->values[args->value_count++] = (struct arg_value){option, value};
    return 0;
}

/* One word that is an option, and the next where that is its value. */
static int read_option(const struct option_table *tables, size_t table_count, int left,
                       char *const *argv, struct args *args, int *ret_used, struct fault *fault)
{
    const char *word = argv[0];
    const char *equals = NULL;
    const struct option *option;
    if (word[1] == '-') {
        equals = strchr(word, '=');
        size_t len = equals == NULL ? strlen(word + 2) : (size_t)(equals - word - 2);
        option = find_name(tables, table_count, word + 2, len);
    } else
        option = word[2] == '\0' ? find_letter(tables, table_count, word[1]) : NULL;
    if (option == NULL)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "there is no option %.80s here", word);
    *ret_used = 1;
    if (option->value == NULL)
        return equals == NULL
                   ? add_value(args, option, NULL, fault)
                   : fault_set(fault, FAULT_MALFORMED_REQUEST, "--%s takes no value", option->name);
    if (equals != NULL)
        return add_value(args, option, equals + 1, fault);
    if (left < 2)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "--%s needs a value: %s", option->name,
                         option->value);
    *ret_used = 2;
    return add_value(args, option, argv[1], fault);
}

static int add_operand(struct args *args, const char *word, struct fault *fault)
{
    if (args->operand_count == ARGS_OPERANDS_MAX)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "more than %d operands",
                         ARGS_OPERANDS_MAX);
    args->operands[args->operand_count++] = word;
    return 0;
}

int args_read(const struct option_table *tables, size_t table_count, bool leading, int argc,
              char *const *argv, struct args *args, int *ret_used, struct fault *fault)
{
    bool options = true;
    int at = 0;
    while (at < argc) {
        const char *word = argv[at];
        int used = 1;
        if (options && strcmp(word, "--") == 0) {
            options = false;
        } else if (options && word[0] == '-' && word[1] != '\0') {
            if (read_option(tables, table_count, argc - at, argv + at, args, &used, fault) != 0)
                return -1;
        } else {
            if (leading)
                break;
            if (add_operand(args, word, fault) != 0)
                return -1;
        }
        at += used;
    }
    *ret_used = at;
    return 0;
}

const char *args_nth(const struct args *args, const char *name, size_t n)
{
    for (size_t i = 0; i < args->value_count; i++)
        if (strcmp(args->values[i].option->name, name) == 0 && n-- == 0)
            return args->values[i].value;
    return NULL;
}

const char *args_value(const struct args *args, const char *name)
{
    return args_nth(args, name, 0);
}

size_t args_count(const struct args *args, const char *name)
{
    size_t count = 0;
    for (size_t i = 0; i < args->value_count; i++)
        count += strcmp(args->values[i].option->name, name) == 0 ? 1 : 0;
    return count;
}

bool args_flag(const struct args *args, const char *name)
{
    return args_count(args, name) > 0;
}

int args_need(const struct args *args, const char *name, const char **ret_value,
              struct fault *fault)
{
    const char *value = args_value(args, name);
    if (value == NULL)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "--%s is needed", name);
    *ret_value = value;
    return 0;
}

static bool decimal(const char *text, int64_t *ret_value)
{
    int64_t value = 0;
    if (*text == '\0' || (*text == '0' && text[1] != '\0'))
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9' || value > (INT64_MAX - 9) / 10)
            return false;
        value = value * 10 + (*text - '0');
    }
    *ret_value = value;
    return true;
}

int args_number(const struct args *args, const char *name, int64_t min, int64_t max,
                int64_t *ret_value, struct fault *fault)
{
    const char *text = args_value(args, name);
    if (text == NULL)
        return 0;
    int64_t value;
    if (!decimal(text, &value) || value < min || value > max)
        return fault_set(fault, FAULT_MALFORMED_REQUEST,
                         "--%s: expected a number from %" PRId64 " to %" PRId64, name, min, max);
    *ret_value = value;
    return 0;
}

int args_pair(const char *option, const char *text, char **ret_name, const char **ret_value,
              struct fault *fault)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "--%s: expected NAME=VALUE", option);
    char *name = strndup(text, (size_t)(equals - text));
    if (name == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    *ret_name = name;
    *ret_value = equals + 1;
    return 0;
}
