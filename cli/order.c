/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/order.h"

#include "base/clock.h"
#include "cli/client.h"
#include "trust/manifest.h"
#include "trust/token.h"

#include <string.h>

#define MANIFEST_VERSION "1.0.0"

static int no_memory(struct fault *fault)
{
    return fault_set(fault, FAULT_INTERNAL, "out of memory");
}

static const char *said(const struct args *args, const char *option, const char *otherwise)
{
    const char *value = args_value(args, option);
    return value == NULL ? otherwise : value;
}

/* --param NAME=JSON: what is the tool's own. Names of ours have options of their own. */
static int add_params(const struct args *args, json_t *parameters, struct fault *fault)
{
    static const char *const ours[] = {"args",  "env", "stdin", "inputs", "timeout_seconds",
                                       "limits"};
    for (size_t i = 0; i < args_count(args, "param"); i++) {
        AUTO_FREE char *name = NULL;
        const char *text;
        if (args_pair("param", args_nth(args, "param", i), &name, &text, fault) != 0)
            return -1;
        for (size_t k = 0; k < ARRAY_LEN(ours); k++)
            if (strcmp(name, ours[k]) == 0)
                return fault_set(fault, FAULT_MALFORMED_REQUEST,
                                 "--param %s: has an option of its own", name);
        json_t *value = json_loads(text, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
        if (value == NULL || json_object_get(parameters, name) != NULL) {
            json_decref(value);
            return fault_set(fault, FAULT_MALFORMED_REQUEST,
                             "--param %s: expected JSON, once; a text needs its quotes", name);
        }
        if (json_object_set_new(parameters, name, value) != 0)
            return fault_set(fault, FAULT_MALFORMED_REQUEST, "--param: a name that is not UTF-8");
    }
    return 0;
}

static int add_args(const struct args *args, json_t *parameters, struct fault *fault)
{
    AUTO_JSON json_t *list = json_array();
    for (size_t i = 0; i < args_count(args, "arg"); i++)
        if (json_array_append_new(list, json_string(args_nth(args, "arg", i))) != 0)
            return fault_set(fault, FAULT_MANIFEST_INVALID, "--arg: expected UTF-8 text");
    if (json_array_size(list) > 0 && json_object_set(parameters, "args", list) != 0)
        return no_memory(fault);
    return 0;
}

static int add_env(const struct args *args, json_t *parameters, struct fault *fault)
{
    AUTO_JSON json_t *env = json_object();
    for (size_t i = 0; i < args_count(args, "env"); i++) {
        AUTO_FREE char *name = NULL;
        const char *value;
        if (args_pair("env", args_nth(args, "env", i), &name, &value, fault) != 0)
            return -1;
        if (json_object_get(env, name) != NULL)
            return fault_set(fault, FAULT_MALFORMED_REQUEST, "--env %s is given twice", name);
        if (json_object_set_new(env, name, json_string(value)) != 0)
            return fault_set(fault, FAULT_MANIFEST_INVALID, "--env: expected UTF-8 text");
    }
    if (json_object_size(env) > 0 && json_object_set(parameters, "env", env) != 0)
        return no_memory(fault);
    return 0;
}

static int add_limits(const struct args *args, json_t *parameters, struct fault *fault)
{
    static const char *const options[][2] = {{"memory-mib", "memory_mib"},
                                             {"pids", "pids"},
                                             {"cpu-percent", "cpu_percent"},
                                             {"tmp-mib", "tmp_mib"}};
    AUTO_JSON json_t *limits = json_object();
    int64_t value = 0;
    if (args_number(args, "timeout", 1, MANIFEST_TIMEOUT_MAX, &value, fault) != 0)
        return -1;
    if (value > 0 && json_object_set_new(parameters, "timeout_seconds", json_integer(value)) != 0)
        return no_memory(fault);
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        value = 0;
        if (args_number(args, options[i][0], 1, INT32_MAX, &value, fault) != 0)
            return -1;
        if (value > 0 && json_object_set_new(limits, options[i][1], json_integer(value)) != 0)
            return no_memory(fault);
    }
    if (json_object_size(limits) > 0 && json_object_set(parameters, "limits", limits) != 0)
        return no_memory(fault);
    return 0;
}

static int make_parameters(const struct args *args, const struct order *order,
                           json_t **ret_parameters, struct fault *fault)
{
    AUTO_JSON json_t *parameters = json_object();
    if (parameters == NULL)
        return no_memory(fault);
    if (add_args(args, parameters, fault) != 0 || add_env(args, parameters, fault) != 0)
        return -1;
    if (order->stdin_text != NULL &&
        json_object_set_new(parameters, "stdin", json_string(order->stdin_text)) != 0)
        return fault_set(fault, FAULT_MANIFEST_INVALID, "--stdin-file: expected UTF-8 text");
    if (json_array_size(order->inputs) > 0 &&
        json_object_set(parameters, "inputs", (json_t *)(uintptr_t)order->inputs) != 0)
        return no_memory(fault);
    if (add_limits(args, parameters, fault) != 0 || add_params(args, parameters, fault) != 0)
        return -1;
    *ret_parameters = TAKE(parameters);
    return 0;
}

static int make_context(const struct args *args, const struct order *order, json_t **ret_context,
                        struct fault *fault)
{
    AUTO_FREE char *task = NULL;
    if (asprintf(&task, "task-%s", order->id) < 0) {
        task = NULL;
        return no_memory(fault);
    }
    json_t *context =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "task_id", said(args, "task", task),
                  "tenant_id", order->tenant_id, "operator_id", order->operator_id, "source",
                  said(args, "source", "sallyport-cli"), "action", said(args, "action", "run"),
                  "requested_at", time_format(order->now_ms).text, "correlation_id",
                  said(args, "correlation", order->id));
    if (context == NULL)
        return fault_set(fault, FAULT_MANIFEST_INVALID, "task_context: expected UTF-8 texts");
    *ret_context = context;
    return 0;
}

int order_write(const struct args *args, const struct order *order, struct buf *ret_payload,
                struct fault *fault)
{
    const char *tool;
    struct digest digest;
    AUTO_JSON json_t *context = NULL, *parameters = NULL;
    if (args_need(args, "tool", &tool, fault) != 0 || client_digest(tool, &digest, fault) != 0 ||
        make_context(args, order, &context, fault) != 0 ||
        make_parameters(args, order, &parameters, fault) != 0)
        return -1;
    AUTO_JSON json_t *manifest =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:O, s:O}", "manifest_version", MANIFEST_VERSION,
                  "issued_at", time_format(order->now_ms).text, "nonce", order->id, "target_urn",
                  said(args, "target", "urn:sallyport:target:unspecified"), "tool_sha256",
                  digest_format(&digest).text, "task_context", context, "parameters", parameters);
    AUTO_BUF struct buf payload = BUF(TOKEN_MAX);
    AUTO_MANIFEST struct manifest *checked = NULL;
    if (manifest == NULL)
        return fault_set(fault, FAULT_MANIFEST_INVALID, "target_urn: expected UTF-8 text");
    json_append(&payload, manifest);
    if (buf_failed(&payload))
        return fault_set(fault, FAULT_TOO_LARGE, "the manifest: longer than %d bytes", TOKEN_MAX);
    if (manifest_parse(buf_span(&payload), &checked, fault) != 0)
        return -1;
    buf_append(ret_payload, payload.data, payload.len);
    return buf_failed(ret_payload) ? no_memory(fault) : 0;
}
