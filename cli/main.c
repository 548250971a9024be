/* SPDX-License-Identifier: Apache-2.0 */
/* sallyport: the command line. Words to a command of the table; its fault to an exit code. */
#include "cli/help.h"
#include "cli/outcome.h"

#include <curl/curl.h>
#include <string.h>

#define HELP_MAX ((size_t)64 * 1024)

/* Data goes to stdout, so asked-for help does; usage errors go to stderr. */
static int print_help(const struct command *command, const char *group, FILE *file)
{
    AUTO_BUF struct buf text = BUF(HELP_MAX);
    if (command != NULL)
        help_command(command, &text);
    else
        help_commands(group, &text);
    (void)fwrite(buf_text(&text), 1, text.len, file);
    return fflush(file) == 0 ? OUTCOME_OK : OUTCOME_FAILURE;
}

static int report(const struct fault *fault)
{
    output_note("%s: %s (%s)", fault_title(fault->code), fault->detail, fault_name(fault->code));
    return (int)outcome_of_fault(fault->code);
}

static int usage(const struct fault *fault, const char *name)
{
    output_note("%s", fault->detail);
    output_note("sallyport %s%s--help says more", name, *name == '\0' ? "" : " ");
    return OUTCOME_USAGE;
}

static int check_operands(const struct command *command, const struct args *args,
                          struct fault *fault)
{
    if (args->operand_count < command->operand_min)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "%s needs %s", command->name,
                         command->operands);
    if (args->operand_count > command->operand_max)
        return fault_set(fault, FAULT_MALFORMED_REQUEST, "%s does not take %.80s", command->name,
                         args->operands[command->operand_max]);
    return 0;
}

static int run(const struct command *command, const struct args *args)
{
    struct client client;
    struct fault fault = {0};
    if (client_open(args, &client, &fault) != 0)
        return report(&fault);
    int result = command->run(&client, args, &fault);
    if (result == 0)
        result = output_close(&client.output, &fault);
    int exit_code = result == 0 ? client.exit_code : report(&fault);
    client_close(&client);
    return exit_code;
}

/* The words behind the options that may stand in front. */
static int dispatch(int argc, char *const *argv, struct args *args)
{
    struct fault fault = {0};
    int words = 0, used = 0;
    const char *group = argc > 0 ? argv[0] : NULL;
    if (group != NULL && strcmp(group, "help") == 0)
        return print_help(command_find(argc - 1, argv + 1, &words), argc > 1 ? argv[1] : NULL,
                          stdout);
    const struct command *command = command_find(argc, argv, &words);
    if (command == NULL) {
        bool wanted = args_flag(args, "help") || (argc > 1 && strcmp(argv[1], "--help") == 0);
        if (group != NULL && !wanted)
            output_note("there is no command %s%s%s", group, argc > 1 ? " " : "",
                        argc > 1 ? argv[1] : "");
        (void)print_help(NULL, group, wanted ? stdout : stderr);
        return wanted ? OUTCOME_OK : OUTCOME_USAGE;
    }
    const struct option_table tables[] = {{command->options, command->option_count},
                                          common_options};
    if (args_read(tables, ARRAY_LEN(tables), false, argc - words, argv + words, args, &used,
                  &fault) != 0)
        return usage(&fault, command->name);
    if (args_flag(args, "help"))
        return print_help(command, NULL, stdout);
    if (check_operands(command, args, &fault) != 0)
        return usage(&fault, command->name);
    return run(command, args);
}

int main(int argc, char **argv)
{
    struct args args = {0};
    struct fault fault = {0};
    int used = 0;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return OUTCOME_FAILURE;
    int exit_code;
    if (argc > 0 &&
        args_read(&common_options, 1, true, argc - 1, argv + 1, &args, &used, &fault) != 0)
        exit_code = usage(&fault, "");
    else
        exit_code = dispatch(argc - 1 - used, argv + 1 + used, &args);
    curl_global_cleanup();
    return exit_code;
}
