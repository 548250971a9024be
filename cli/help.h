/* SPDX-License-Identifier: Apache-2.0 */
/* Help, written from the table of commands. */
#pragma once

#include "cli/commands.h"

/* All commands whose names begin with the word `group` (all of them if it is NULL, or no such word)
 * and what every command takes. */
void help_commands(const char *group, struct buf *ret_text);

/* One command: its usage and its options. */
void help_command(const struct command *command, struct buf *ret_text);
