/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/sandbox.h"

#include "base/uuid.h"

#include <string.h>

struct sandbox {
    const struct sandbox_backend *backend;
    void *state;
    json_t *checks, *runtime;
};

/* ---- names ---- */

const char *sandbox_end_name(enum sandbox_end end)
{
    static const char *const names[] = {
#define END_NAME(name, wire) [name] = wire,
        SANDBOX_ENDS(END_NAME)
#undef END_NAME
    };
    return (unsigned)end < SANDBOX_END_COUNT ? names[end] : "unknown";
}

json_t *sandbox_hits_json(unsigned hits)
{
    static const struct {
        enum sandbox_hit hit;
        const char *wire;
    } names[] = {
#define HIT_NAME(name, bit, wire) {name, wire},
        SANDBOX_HITS(HIT_NAME)
#undef HIT_NAME
    };
    json_t *array = json_array();
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if ((hits & names[i].hit) != 0 &&
            json_array_append_new(array, json_string(names[i].wire)) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    return array;
}

int sandbox_apparmor_parse(const char *text, enum sandbox_apparmor *ret_mode)
{
    static const char *const names[] = {
        [SANDBOX_APPARMOR_REQUIRED] = "required",
        [SANDBOX_APPARMOR_IF_AVAILABLE] = "if_available",
        [SANDBOX_APPARMOR_OFF] = "off",
    };
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strcmp(text, names[i]) == 0) {
            *ret_mode = (enum sandbox_apparmor)i;
            return 0;
        }
    }
    return -1;
}

const struct sandbox_backend *sandbox_backend_find(const char *name)
{
    return strcmp(name, sandbox_gvisor.name) == 0 ? &sandbox_gvisor : NULL;
}

struct sandbox_config sandbox_config_defaults(void)
{
    return (struct sandbox_config){
        .runsc_path = "/usr/bin/runsc",
        .runsc_platform = "ptrace",
        .runsc_versions = SANDBOX_RUNSC_VERSIONS,
        .cgroup_root = "/sys/fs/cgroup",
        .cgroup_parent = "sallyport",
        .cgroups_required = true,
        .apparmor_profile = "sallyport-runsc",
        .apparmor = SANDBOX_APPARMOR_REQUIRED,
        .uid = 65534,
        .gid = 65534,
        .runtime_memory_bytes = 64 << 20,
        .runtime_pids = 128,
        .disk_min_bytes = 512 << 20,
    };
}

void sandbox_report_add(struct sandbox_report *report, const char *name, enum sandbox_held held,
                        const char *detail)
{
    if (report->count == ARRAY_LEN(report->checks))
        return;
    struct sandbox_check *check = &report->checks[report->count++];
    *check = (struct sandbox_check){.name = name, .held = held};
    (void)snprintf(check->detail, sizeof check->detail, "%s", detail);
}

bool sandbox_report_holds(const struct sandbox_report *report)
{
    for (size_t i = 0; i < report->count; i++) {
        if (report->checks[i].held == SANDBOX_MISSING)
            return false;
    }
    return report->count > 0;
}

void sandbox_result_free(struct sandbox_result *result)
{
    if (result == NULL)
        return;
    for (int stream = 0; stream < SANDBOX_STREAMS; stream++)
        buf_free(&result->output[stream].stored);
}

/* ---- one sandbox ---- */

int sandbox_open(const struct sandbox_backend *backend, const struct sandbox_config *config,
                 struct sandbox **ret_sandbox, struct fault *fault)
{
    AUTO_SANDBOX struct sandbox *sandbox = calloc(1, sizeof *sandbox);
    if (sandbox == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (backend->open(config, &sandbox->state, fault) != 0)
        return -1;
    sandbox->backend = backend;
    if (backend->sweep(sandbox->state, fault) != 0 ||
        backend->probe(sandbox->state, &sandbox->checks, &sandbox->runtime, fault) != 0)
        return -1;
    *ret_sandbox = TAKE(sandbox);
    return 0;
}

const char *sandbox_name(const struct sandbox *sandbox)
{
    return sandbox->backend->name;
}

const json_t *sandbox_isolation_checks(const struct sandbox *sandbox)
{
    return sandbox->checks;
}

const json_t *sandbox_runtime(const struct sandbox *sandbox)
{
    return sandbox->runtime;
}

json_t *sandbox_checks_of(const struct sandbox *sandbox, uid_t uid)
{
    if (uid == 0)
        return json_incref(sandbox->checks);
    AUTO_JSON json_t *checks = json_deep_copy(sandbox->checks);
    if (json_object_set_new(checks, "uid", json_integer(uid)) != 0)
        return NULL;
    return TAKE(checks);
}

void sandbox_free(struct sandbox *sandbox)
{
    if (sandbox == NULL)
        return;
    if (sandbox->backend != NULL)
        sandbox->backend->close(sandbox->state);
    json_decref(sandbox->checks);
    json_decref(sandbox->runtime);
    free(sandbox);
}

void sandbox_cleanup(struct sandbox **sandbox)
{
    sandbox_free(*sandbox);
}

/* ---- one job ---- */

static int limits_check(const struct sandbox_limits *limits, struct fault *fault)
{
    const struct {
        const char *name;
        int64_t value, min, max;
    } bounds[] = {
        {"timeout", limits->wall_ms, 1, INT64_C(1000) * 86400 * 30},
        {"memory", limits->memory_bytes, 1 << 20, INT64_C(1) << 50},
        {"pids", limits->pids, 1, 1 << 20},
        {"cpu_percent", limits->cpu_percent, 1, 100 * 4096},
        {"tmp", limits->tmp_bytes, 4096, INT64_C(1) << 50},
        {"open files", limits->open_files, 3, 1 << 20},
        {"file size", limits->file_size_bytes, 1, INT64_C(1) << 60},
        {"stdout", limits->stdout_bytes, 1, INT32_MAX},
        {"stderr", limits->stderr_bytes, 1, INT32_MAX},
    };
    for (size_t i = 0; i < ARRAY_LEN(bounds); i++) {
        if (bounds[i].value < bounds[i].min || bounds[i].value > bounds[i].max)
            return fault_set(fault, FAULT_MANIFEST_INVALID,
                             "the limit on %s is %lld, expected %lld to %lld", bounds[i].name,
                             (long long)bounds[i].value, (long long)bounds[i].min,
                             (long long)bounds[i].max);
    }
    return 0;
}

static int command_check(const struct sandbox_job *job, struct fault *fault)
{
    size_t count = 0;
    while (job->argv != NULL && job->argv[count] != NULL)
        count++;
    if (count == 0 || job->argv[0][0] != '/')
        return fault_set(fault, FAULT_MANIFEST_INVALID,
                         "the program has to be an absolute path inside the root");
    for (size_t i = 0; job->env != NULL && job->env[i] != NULL; i++, count++) {
        const char *equals = strchr(job->env[i], '=');
        if (equals == NULL || equals == job->env[i])
            return fault_set(fault, FAULT_MANIFEST_INVALID, "env has to be NAME=value");
    }
    if (count > SANDBOX_ARGS_MAX)
        return fault_set(fault, FAULT_MANIFEST_INVALID, "more than %d args and env together",
                         SANDBOX_ARGS_MAX);
    if (job->uid > INT32_MAX || job->gid > INT32_MAX)
        return fault_set(fault, FAULT_MANIFEST_INVALID, "a user or group number out of range");
    if (job->workdir != NULL && job->workdir[0] != '/')
        return fault_set(fault, FAULT_MANIFEST_INVALID, "the working folder has to be absolute");
    return 0;
}

static int inputs_check(const struct sandbox_job *job, struct fault *fault)
{
    if (job->input_count > SANDBOX_INPUTS_MAX)
        return fault_set(fault, FAULT_MANIFEST_INVALID, "more than %d inputs", SANDBOX_INPUTS_MAX);
    for (size_t i = 0; i < job->input_count; i++) {
        const char *name = job->inputs[i].name;
        if (name[0] == '\0' || strlen(name) > 255 || strchr(name, '/') != NULL ||
            strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
            return fault_set(fault, FAULT_MANIFEST_INVALID,
                             "input %zu: its name has to be one path component", i);
    }
    return 0;
}

/* What no backend has to think of again. */
static int job_check(const struct sandbox_job *job, struct fault *fault)
{
    struct uuid id;
    if (uuid_parse(job->id, strlen(job->id), &id) != 0)
        return fault_set(fault, FAULT_INTERNAL, "a job's id has to be a UUID");
    if (job->rootfs == NULL || job->rootfs[0] != '/')
        return fault_set(fault, FAULT_INTERNAL, "a job's root has to be an absolute path");
    if (job->stdin_data.len > SANDBOX_STDIN_MAX)
        return fault_set(fault, FAULT_MANIFEST_INVALID, "stdin has more than %u bytes",
                         SANDBOX_STDIN_MAX);
    if (command_check(job, fault) != 0 || inputs_check(job, fault) != 0)
        return -1;
    return limits_check(&job->limits, fault);
}

int sandbox_ready(struct sandbox *sandbox, struct fault *fault)
{
    return sandbox->backend->ready(sandbox->state, fault);
}

int sandbox_run(struct sandbox *sandbox, const struct sandbox_job *job,
                struct sandbox_result *ret_result, struct sandbox_remains *ret_remains,
                struct fault *fault)
{
    struct sandbox_remains remains = {.backend = sandbox->backend};
    struct fault left;
    if (ret_remains != NULL)
        *ret_remains = (struct sandbox_remains){0};
    if (job_check(job, fault) != 0)
        return -1;
    int status = sandbox->backend->run(sandbox->state, job, ret_result, &remains.what, fault);
    if (ret_remains != NULL)
        *ret_remains = remains;
    else if (sandbox_clear(&remains, &left) != 0 && status == 0 && ret_result->detail[0] == '\0')
        (void)snprintf(ret_result->detail, sizeof ret_result->detail, "left behind: %.200s",
                       left.detail);
    return status;
}

int sandbox_clear(struct sandbox_remains *remains, struct fault *fault)
{
    struct sandbox_remains taken = *remains;
    *remains = (struct sandbox_remains){0};
    return taken.what == NULL ? 0 : taken.backend->clear(taken.what, fault);
}
