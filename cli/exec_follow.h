/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "cli/client.h"

/* Writes what is below `path` (of an execution's stdout or stderr) as it comes, until the execution
 * has ended; client->exit_code says what came of it, as `exec wait` would. A connection that breaks
 * is made anew and goes on where it was. */
int exec_follow(struct client *client, const char *path, struct fault *fault) MUST_CHECK;
