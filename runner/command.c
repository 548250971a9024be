/* SPDX-License-Identifier: Apache-2.0 */
#include "runner/command.h"

#include "runner/unpack.h"

#include <string.h>

#define ENV_TEXT_MAX ((size_t)512 * 1024)
#define ENV_MAX (3 + IMAGE_ENV_MAX + MANIFEST_ENV_MAX)

void command_free(struct command *command)
{
    free(command->argv);
    free(command->env);
    buf_free(&command->env_text);
    *command = (struct command){0};
}

/* ---- arguments ---- */

static void append(struct command *command, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        command->argv[command->argv_count++] = words[i];
}

static int build_argv(const struct descriptor *d, const struct image *image,
                      const struct manifest *m, struct command *command, struct fault *fault)
{
    static const char *const binary[] = {ARTIFACT_BINARY_PATH};
    size_t image_words = image == NULL ? 0 : image->entrypoint_count + image->cmd_count;
    command->argv =
        calloc(d->entrypoint_count + image_words + m->arg_count + 2, sizeof(const char *));
    if (command->argv == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    bool by_image = d->entrypoint_count == 0 && image != NULL;
    if (by_image)
        append(command, image->entrypoint, image->entrypoint_count);
    else
        append(command, d->entrypoint, d->entrypoint_count);
    if (command->argv_count == 0 && d->kind == ARTIFACT_BINARY)
        append(command, binary, ARRAY_LEN(binary));
    if (command->argv_count == 0)
        return fault_set(fault, FAULT_ARTIFACT_INVALID,
                         image == NULL ? "the descriptor has no entrypoint"
                                       : "neither descriptor nor image has an entrypoint");
    if (m->arg_count > 0)
        append(command, m->args, m->arg_count);
    else if (by_image)
        append(command, image->cmd, image->cmd_count);
    return 0;
}

/* ---- environment ---- */

/* What is there where neither image nor manifest says otherwise. */
static const struct manifest_env defaults[] = {
    {"PATH", "/usr/bin:/bin"}, {"HOME", "/tmp"}, {"LANG", "C.UTF-8"}};

struct env {
    struct manifest_env all[ENV_MAX];
    size_t count;
};

/* Sets each, in place of one of the same name. */
static void env_set(struct env *env, const struct manifest_env *added, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t at = 0;
        while (at < env->count && strcmp(env->all[at].name, added[i].name) != 0)
            at++;
        if (at == env->count)
            env->count++;
        env->all[at] = added[i];
    }
}

static int build_env(const struct image *image, const struct manifest *m, struct command *command,
                     struct fault *fault)
{
    struct env env = {0};
    size_t offsets[ENV_MAX];
    env_set(&env, defaults, ARRAY_LEN(defaults));
    if (image != NULL)
        env_set(&env, image->env, image->env_count);
    env_set(&env, m->env, m->env_count);
    command->env_text = BUF(ENV_TEXT_MAX);
    command->env = calloc(env.count + 1, sizeof *command->env);
    for (size_t i = 0; i < env.count; i++) {
        offsets[i] = command->env_text.len;
        buf_printf(&command->env_text, "%s=%s", env.all[i].name, env.all[i].value);
        buf_append(&command->env_text, "", 1);
    }
    if (command->env == NULL || buf_failed(&command->env_text))
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    for (size_t i = 0; i < env.count; i++)
        command->env[i] = (const char *)command->env_text.data + offsets[i];
    return 0;
}

int command_build(const struct descriptor *descriptor, const struct image *image,
                  const struct manifest *manifest, struct command *ret_command, struct fault *fault)
{
    AUTO_COMMAND struct command command = {0};
    if (build_argv(descriptor, image, manifest, &command, fault) != 0 ||
        build_env(image, manifest, &command, fault) != 0)
        return -1;
    if (image != NULL) {
        command.workdir = image->working_dir;
        command.uid = (uid_t)image->uid;
        command.gid = (gid_t)image->gid;
    }
    *ret_command = command;
    command = (struct command){0};
    return 0;
}
