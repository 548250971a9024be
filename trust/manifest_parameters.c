/* SPDX-License-Identifier: Apache-2.0 */
/* The members of `parameters` that are ours; all others are the tool's. */
#include "trust/manifest_parts.h"

#include "base/text.h"
#include "trust/env.h"

#include <string.h>

#define MIB_MAX (1024 * 1024)

void limit_fields(struct manifest_limits *limits, struct json_field ret_fields[LIMIT_COUNT])
{
    const struct json_field fields[LIMIT_COUNT] = {
        {"timeout_seconds", JSON_KIND_INTEGER, false, 1, MANIFEST_TIMEOUT_MAX,
         &limits->timeout_seconds},
        {"memory_mib", JSON_KIND_INTEGER, false, 1, MIB_MAX, &limits->memory_mib},
        {"pids", JSON_KIND_INTEGER, false, 1, 65536, &limits->pids},
        {"cpu_percent", JSON_KIND_INTEGER, false, 1, 10000, &limits->cpu_percent},
        {"tmp_mib", JSON_KIND_INTEGER, false, 1, MIB_MAX, &limits->tmp_mib},
    };
    memcpy(ret_fields, fields, sizeof fields);
}

static int no_memory(struct fault *fault)
{
    return fault_set(fault, FAULT_INTERNAL, "manifest: no memory");
}

static int read_args(const json_t *array, struct manifest_store *store, struct fault *fault)
{
    size_t count = json_array_size(array), bytes = 0;
    if (count == 0)
        return 0;
    store->args = calloc(count, sizeof *store->args);
    if (store->args == NULL)
        return no_memory(fault);
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_array_get(array, i);
        if (!json_is_string(value))
            return fault_set(fault, FAULT_MANIFEST_INVALID,
                             "parameters.args[%zu]: expected a string", i);
        store->args[i] = json_string_value(value);
        bytes += json_string_length(value);
        if (bytes > MANIFEST_ARGS_BYTES)
            return fault_set(fault, FAULT_MANIFEST_INVALID,
                             "parameters.args: expected at most %d bytes in all",
                             MANIFEST_ARGS_BYTES);
    }
    store->manifest.args = store->args;
    store->manifest.arg_count = count;
    return 0;
}

static int read_env(json_t *object, struct manifest_store *store, struct fault *fault)
{
    size_t count = json_object_size(object), i = 0;
    if (count > MANIFEST_ENV_MAX)
        return fault_set(fault, FAULT_MANIFEST_INVALID,
                         "parameters.env: expected at most %d members", MANIFEST_ENV_MAX);
    if (count == 0)
        return 0;
    store->env = calloc(count, sizeof *store->env);
    if (store->env == NULL)
        return no_memory(fault);
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        if (!env_name_valid(name))
            return fault_set(fault, FAULT_MANIFEST_INVALID,
                             "parameters.env: expected names of 1 to %d of A-Z 0-9 _, the first "
                             "no digit",
                             ENV_NAME_MAX);
        if (env_name_forbidden(name))
            return fault_set(fault, FAULT_MANIFEST_INVALID, "parameters.env.%s: may never be set",
                             name);
        if (!json_is_string(value))
            return fault_set(fault, FAULT_MANIFEST_INVALID, "parameters.env.%s: expected a string",
                             name);
        store->env[i++] = (struct manifest_env){name, json_string_value(value)};
    }
    store->manifest.env = store->env;
    store->manifest.env_count = count;
    return 0;
}

static bool input_name_valid(const char *name)
{
    return text_in_set(name, strlen(name), 1, 128, TEXT_ALNUM "._-") && strcmp(name, ".") != 0 &&
           strcmp(name, "..") != 0;
}

static int read_input(const json_t *value, size_t index, struct manifest_input *inputs,
                      struct fault *fault)
{
    char prefix[48];
    (void)snprintf(prefix, sizeof prefix, "parameters.inputs[%zu]", index);
    if (!json_is_object(value))
        return fault_set(fault, FAULT_MANIFEST_INVALID, "%s: expected an object", prefix);
    (void)snprintf(prefix, sizeof prefix, "parameters.inputs[%zu].", index);
    const char *name = NULL, *sha256 = NULL;
    const struct json_field fields[] = {
        {"name", JSON_KIND_STRING, true, 0, 0, &name},
        {"sha256", JSON_KIND_STRING, true, 0, 0, &sha256},
    };
    if (json_read(value, prefix, fields, ARRAY_LEN(fields), true, FAULT_MANIFEST_INVALID, fault) !=
        0)
        return -1;
    if (!input_name_valid(name))
        return fault_set(fault, FAULT_MANIFEST_INVALID,
                         "%sname: expected 1 to 128 of A-Z a-z 0-9 . _ -, not . or ..", prefix);
    for (size_t i = 0; i < index; i++)
        if (strcmp(inputs[i].name, name) == 0)
            return fault_set(fault, FAULT_MANIFEST_INVALID, "%sname: is there twice", prefix);
    if (digest_parse(sha256, strlen(sha256), &inputs[index].sha256) != 0)
        return fault_set(fault, FAULT_MANIFEST_INVALID,
                         "%ssha256: expected sha256: and 64 lower-case hex digits", prefix);
    inputs[index].name = name;
    return 0;
}

static int read_inputs(const json_t *array, struct manifest_store *store, struct fault *fault)
{
    size_t count = json_array_size(array);
    if (count == 0)
        return 0;
    store->inputs = calloc(count, sizeof *store->inputs);
    if (store->inputs == NULL)
        return no_memory(fault);
    for (size_t i = 0; i < count; i++)
        if (read_input(json_array_get(array, i), i, store->inputs, fault) != 0)
            return -1;
    store->manifest.inputs = store->inputs;
    store->manifest.input_count = count;
    return 0;
}

/* Closed: a limit that is not understood must not be silently absent. */
static int read_limits(const json_t *object, const struct json_field *fields, struct fault *fault)
{
    return json_read(object, "parameters.limits.", fields + 1, LIMIT_COUNT - 1, true,
                     FAULT_MANIFEST_INVALID, fault);
}

int manifest_read_parameters(const json_t *parameters, struct manifest_store *store,
                             struct fault *fault)
{
    const json_t *args = NULL, *inputs = NULL, *limits = NULL;
    json_t *env = NULL;
    struct json_field limit[LIMIT_COUNT];
    limit_fields(&store->manifest.limits, limit);
    const struct json_field fields[] = {
        {"args", JSON_KIND_ARRAY, false, 0, MANIFEST_ARGS_MAX, &args},
        {"env", JSON_KIND_OBJECT, false, 0, 0, &env},
        {"stdin", JSON_KIND_STRING, false, 0, MANIFEST_STDIN_MAX, &store->manifest.stdin_text},
        {"inputs", JSON_KIND_ARRAY, false, 0, MANIFEST_INPUTS_MAX, &inputs},
        limit[0],
        {"limits", JSON_KIND_OBJECT, false, 0, 0, &limits},
    };
    if (json_read(parameters, "parameters.", fields, ARRAY_LEN(fields), false,
                  FAULT_MANIFEST_INVALID, fault) != 0)
        return -1;
    if (args != NULL && read_args(args, store, fault) != 0)
        return -1;
    if (env != NULL && read_env(env, store, fault) != 0)
        return -1;
    if (inputs != NULL && read_inputs(inputs, store, fault) != 0)
        return -1;
    return limits == NULL ? 0 : read_limits(limits, limit, fault);
}
