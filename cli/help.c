/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/help.h"

#include <string.h>

static void write_option(const struct option *option, struct buf *text)
{
    char left[64];
    char letter[8] = "    ";
    if (option->letter != 0)
        (void)snprintf(letter, sizeof letter, "-%c, ", option->letter);
    (void)snprintf(left, sizeof left, "%s--%s%s%s", letter, option->name,
                   option->value == NULL ? "" : " ", option->value == NULL ? "" : option->value);
    buf_printf(text, "  %-28s %s%s\n", left, option->help,
               option->repeat ? "; may be repeated" : "");
}

static void write_options(const char *title, const struct option *options, size_t count,
                          struct buf *text)
{
    if (count > 0)
        buf_printf(text, "\n%s:\n", title);
    for (size_t i = 0; i < count; i++)
        write_option(&options[i], text);
}

static bool is_in_group(const struct command *command, const char *group)
{
    size_t len = group == NULL ? 0 : strlen(group);
    return group == NULL ||
           (strncmp(command->name, group, len) == 0 && strchr(" ", command->name[len]) != NULL);
}

static bool is_group(const char *group)
{
    const struct command *command;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++)
        if (is_in_group(command, group))
            return true;
    return false;
}

void help_commands(const char *group, struct buf *ret_text)
{
    buf_puts(ret_text, "usage: sallyport [OPTIONS] COMMAND ...\n\ncommands:\n");
    const struct command *command;
    group = is_group(group) ? group : NULL;
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        char left[64];
        (void)snprintf(left, sizeof left, "%s%s%s", command->name,
                       *command->operands == '\0' ? "" : " ", command->operands);
        if (is_in_group(command, group))
            buf_printf(ret_text, "  %-28s %s\n", left, command->summary);
    }
    write_options("options of every command", common_options.options, common_options.count,
                  ret_text);
    buf_puts(ret_text,
             "\nsallyport COMMAND --help says more. Exit: 0 done, 1 failed, 2 usage or malformed, "
             "3 not found,\n4 not authorised, 5 refused, 6 not verified, 8 timed out.\n");
}

void help_command(const struct command *command, struct buf *ret_text)
{
    buf_printf(ret_text, "usage: sallyport %s%s%s%s\n\n%s\n", command->name,
               command->option_count == 0 ? "" : " [OPTIONS]",
               *command->operands == '\0' ? "" : " ", command->operands, command->summary);
    write_options("options", command->options, command->option_count, ret_text);
    write_options("options of every command", common_options.options, common_options.count,
                  ret_text);
}
