/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/command.h"

#include "runner/unpack.h"

#include <string.h>

#define ENV_TEXT_MAX ((size_t)256 * 1024)

void command_free(struct command *command)
{
    free(command->argv);
    free(command->env);
    buf_free(&command->env_text);
    *command = (struct command){0};
}

static int build_argv(const struct descriptor *d, const struct manifest *m, struct command *command,
                      struct fault *fault)
{
    command->argv = calloc(d->entrypoint_count + m->arg_count + 2, sizeof(const char *));
    if (command->argv == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    for (size_t i = 0; i < d->entrypoint_count; i++)
        command->argv[command->argv_count++] = d->entrypoint[i];
    if (command->argv_count == 0 && d->kind == ARTIFACT_BINARY)
        command->argv[command->argv_count++] = ARTIFACT_BINARY_PATH;
    if (command->argv_count == 0)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "the descriptor has no entrypoint");
    for (size_t i = 0; i < m->arg_count; i++)
        command->argv[command->argv_count++] = m->args[i];
    return 0;
}

static int build_env(const struct manifest *m, struct command *command, struct fault *fault)
{
    static const char *const fixed[] = {"PATH=/usr/bin:/bin", "HOME=/tmp", "LANG=C.UTF-8"};
    size_t offsets[MANIFEST_ENV_MAX];
    command->env_text = BUF(ENV_TEXT_MAX);
    command->env = calloc(ARRAY_LEN(fixed) + m->env_count + 1, sizeof *command->env);
    for (size_t i = 0; i < m->env_count; i++) {
        offsets[i] = command->env_text.len;
        buf_printf(&command->env_text, "%s=%s", m->env[i].name, m->env[i].value);
        buf_append(&command->env_text, "", 1);
    }
    if (command->env == NULL || buf_failed(&command->env_text))
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        command->env[i] = fixed[i];
    for (size_t i = 0; i < m->env_count; i++)
        command->env[ARRAY_LEN(fixed) + i] = (const char *)command->env_text.data + offsets[i];
    return 0;
}

int command_build(const struct descriptor *descriptor, const struct manifest *manifest,
                  struct command *ret_command, struct fault *fault)
{
    AUTO_COMMAND struct command command = {0};
    if (build_argv(descriptor, manifest, &command, fault) != 0 ||
        build_env(manifest, &command, fault) != 0)
        return -1;
    *ret_command = command;
    command = (struct command){0};
    return 0;
}
