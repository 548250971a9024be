/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/gvisor.h"

#include "base/clock.h"
#include "base/file.h"
#include "sandbox/path.h"
#include "sandbox/runtime.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

/* What one guest process costs on the host at most: its stub's threads and the sentry's that
 * trace it. Measured 7.2 (and 1.8 MiB of memory); RLIMIT_NPROC holds the tool to its number, so
 * this limit only has to be high enough for the sentry to live, and bounds the sentry itself. */
#define HOST_TASKS_PER_PID 10

/* ---- opening ---- */

static void gvisor_close(void *state)
{
    struct gvisor *gvisor = state;
    if (gvisor == NULL)
        return;
    cgroup_host_free(gvisor->cgroups);
    cleanup_close(&gvisor->runsc);
    cleanup_close(&gvisor->lock);
    outer_close(&gvisor->outer);
    free(gvisor->state_dir);
    free(gvisor->run_dir);
    free(gvisor->probe_dir);
    free(gvisor->runsc_path);
    free(gvisor->runsc_platform);
    free(gvisor->apparmor_profile);
    free(gvisor->runsc_versions);
    free(gvisor);
}

static void gvisor_cleanup(struct gvisor **gvisor)
{
    gvisor_close(*gvisor);
}

static int copy_settings(struct gvisor *gvisor, const struct sandbox_config *config)
{
    gvisor->state_dir = strdup(config->state_dir);
    gvisor->runsc_path = strdup(config->runsc_path);
    gvisor->runsc_platform = strdup(config->runsc_platform);
    gvisor->apparmor_profile = strdup(config->apparmor_profile);
    gvisor->runsc_versions = strdup(config->runsc_versions);
    gvisor->run_dir = path_join(config->state_dir, "run");
    gvisor->probe_dir = path_join(config->state_dir, "probe");
    gvisor->uid = config->uid;
    gvisor->gid = config->gid;
    gvisor->runtime_memory_bytes = config->runtime_memory_bytes;
    gvisor->runtime_pids = config->runtime_pids;
    gvisor->apparmor_mode = config->apparmor;
    gvisor->disk_min_bytes = config->disk_min_bytes;
    return gvisor->state_dir == NULL || gvisor->runsc_path == NULL ||
                   gvisor->runsc_platform == NULL || gvisor->apparmor_profile == NULL ||
                   gvisor->runsc_versions == NULL || gvisor->run_dir == NULL ||
                   gvisor->probe_dir == NULL
               ? -1
               : 0;
}

/* Sweeping would kill another worker's runs: a state folder has one. */
static int lock_state(struct gvisor *gvisor, const struct sandbox_config *config, char *ret_detail,
                      size_t size, struct fault *fault)
{
    (void)config;
    (void)snprintf(ret_detail, size, "%s", gvisor->state_dir);
    if (dir_make(gvisor->state_dir, 0700, fault) != 0 ||
        dir_make(gvisor->run_dir, 0700, fault) != 0)
        return -1;
    gvisor->lock = open(gvisor->run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (gvisor->lock < 0)
        return fault_errno(fault, "cannot open %s", gvisor->run_dir);
    if (fchmod(gvisor->lock, 0700) != 0)
        return fault_errno(fault, "cannot close %s to others", gvisor->run_dir);
    if (flock(gvisor->lock, LOCK_EX | LOCK_NB) != 0)
        return fault_set(fault, FAULT_UNAVAILABLE,
                         "another worker uses %s: each needs a state folder of its own",
                         gvisor->state_dir);
    return 0;
}

static int find_runtime(struct gvisor *gvisor, const struct sandbox_config *config,
                        char *ret_detail, size_t size, struct fault *fault)
{
    const char *pinned = config->runsc_sha256;
    struct digest expected;
    if (runtime_copy(gvisor->runsc_path, &gvisor->runsc, &gvisor->runsc_sha256, fault) != 0)
        return -1;
    (void)snprintf(ret_detail, size, "%s, %s%s", gvisor->runsc_path,
                   digest_format(&gvisor->runsc_sha256).text, pinned == NULL ? "" : " as pinned");
    if (pinned == NULL)
        return 0;
    if (digest_parse(pinned, strlen(pinned), &expected) != 0)
        return fault_set(fault, FAULT_UNAVAILABLE, "the pinned digest of runsc is not one");
    if (!digest_equal(&expected, &gvisor->runsc_sha256))
        return fault_set(fault, FAULT_UNAVAILABLE, "%s is %s, which is not the pinned digest",
                         gvisor->runsc_path, digest_format(&gvisor->runsc_sha256).text);
    return 0;
}

/* ---- sweeping ---- */

static void close_dir(DIR **dir)
{
    if (*dir != NULL)
        (void)closedir(*dir);
}

/* The processes of a worker that crashed died with it (their parent-death signal); groups first
 * all the same, for a folder can go only when nothing runs in it. Mounts died with them. */
static int gvisor_sweep(void *state, struct fault *fault)
{
    struct gvisor *gvisor = state;
    if (cgroup_host_sweep(gvisor->cgroups, fault) != 0 || dir_remove(gvisor->probe_dir, fault) != 0)
        return -1;
    AUTO(close_dir) DIR *dir = opendir(gvisor->run_dir);
    if (dir == NULL)
        return fault_errno(fault, "cannot list %s", gvisor->run_dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        AUTO_FREE char *path = path_join(gvisor->run_dir, entry->d_name);
        if (path == NULL)
            return fault_set(fault, FAULT_INTERNAL, "out of memory");
        if (dir_remove(path, fault) != 0)
            return -1;
    }
    return 0;
}

static int sweep_step(struct gvisor *gvisor, const struct sandbox_config *config, char *ret_detail,
                      size_t size, struct fault *fault)
{
    (void)config;
    (void)snprintf(ret_detail, size, "none, or removed");
    return gvisor_sweep(gvisor, fault);
}

/* ---- running ---- */

static void fill_result(struct process_result *process, const struct cgroup_usage *used,
                        struct sandbox_result *result)
{
    result->started_ms = process->started_ms;
    result->finished_ms = process->finished_ms;
    result->usage = (struct sandbox_usage){
        .wall_ms = process->wall_ms,
        .cpu_ms = used->cpu_ms,
        .memory_peak_bytes = used->memory_peak_bytes,
        .pids_peak = used->pids_peak,
    };
    static const enum sandbox_hit full[] = {SANDBOX_HIT_STDOUT, SANDBOX_HIT_STDERR};
    for (int stream = 0; stream < SANDBOX_STREAMS; stream++) {
        result->output[stream] = process->output[stream];
        process->output[stream] = (struct sandbox_output){0};
        result->usage.output_bytes += result->output[stream].bytes;
        if (result->output[stream].truncated)
            result->limits_hit |= full[stream];
    }
    if (used->pids_refused > 0)
        result->limits_hit |= SANDBOX_HIT_PIDS;
}

/* Everything in a made bundle. */
static int run_in_bundle(const struct gvisor *gvisor, const struct sandbox_job *job,
                         const struct bundle *bundle, struct gvisor_watched *watched,
                         struct sandbox_result *ret_result, struct fault *fault)
{
    struct cgroup_limits limits = {
        .memory_bytes = job->limits.memory_bytes + gvisor->runtime_memory_bytes,
        .pids = job->limits.pids * HOST_TASKS_PER_PID + gvisor->runtime_pids,
        .cpu_percent = job->limits.cpu_percent,
    };
    struct cgroup *cgroup = NULL;
    if (cgroup_new(gvisor->cgroups, job->id, &limits, &cgroup, fault) != 0)
        return -1;
    if (watched != NULL)
        watched->cgroup = cgroup;
    AUTO_PROCESS_RESULT struct process_result process = {0};
    struct gvisor_seen seen = {0};
    int result = gvisor_execute(gvisor, job, bundle, cgroup, &process, &seen, fault);
    struct cgroup_usage used = cgroup_usage(cgroup);
    struct fault left = {0};
    int removed = cgroup_remove(cgroup, &left);
    if (watched != NULL)
        *watched = (struct gvisor_watched){.told = seen.told};
    if (result != 0)
        return -1;
    *ret_result = (struct sandbox_result){0};
    fill_result(&process, &used, ret_result);
    ret_result->limits_hit |= seen.hits;
    gvisor_judge(bundle, &process, used.oom_kills > 0, ret_result);
    if (removed != 0 && ret_result->detail[0] == '\0')
        (void)snprintf(ret_result->detail, sizeof ret_result->detail, "left behind: %.200s",
                       left.detail);
    return 0;
}

int gvisor_run(const struct gvisor *gvisor, const struct sandbox_job *job,
               struct gvisor_watched *watched, struct sandbox_result *ret_result,
               struct bundle **ret_bundle, struct fault *fault)
{
    *ret_bundle = NULL;
    if (bundle_make(gvisor->run_dir, job, gvisor->uid, gvisor->gid, ret_bundle, fault) != 0)
        return -1;
    return run_in_bundle(gvisor, job, *ret_bundle, watched, ret_result, fault);
}

static int run(void *state, const struct sandbox_job *job, struct sandbox_result *ret_result,
               void **ret_remains, struct fault *fault)
{
    struct bundle *bundle;
    int status = gvisor_run(state, job, NULL, ret_result, &bundle, fault);
    *ret_remains = bundle;
    return status;
}

static int clear(void *remains, struct fault *fault)
{
    return bundle_remove(remains, fault);
}

/* ---- opening and checking ---- */

static const struct gvisor_step steps[] = {
    {"state folder", 0, GVISOR_FOLDER, lock_state},
    {"cgroups", GVISOR_FOLDER, GVISOR_CGROUPS, gvisor_cgroups_step},
    {"runtime", 0, GVISOR_RUNTIME, find_runtime},
    {"leftovers", GVISOR_FOLDER | GVISOR_CGROUPS, GVISOR_CLEAN, sweep_step},
    {"AppArmor", 0, GVISOR_CONFINED, gvisor_apparmor_step},
    {"runtime version", GVISOR_RUNTIME, GVISOR_VERSION, gvisor_version_step},
    {"free disk", GVISOR_FOLDER, 0, gvisor_disk_step},
};

/* How many of them are open's; sweep is the next, the rest are the probe's. */
#define OPENING 3

static int gvisor_new(const struct sandbox_config *config, struct gvisor **ret_gvisor,
                      struct fault *fault)
{
    if (config->state_dir == NULL || config->state_dir[0] != '/')
        return fault_set(fault, FAULT_UNAVAILABLE, "the state folder has to be an absolute path");
    if (geteuid() != 0)
        return fault_set(fault, FAULT_UNAVAILABLE, "gVisor sandboxes need a worker run as root");
    AUTO(gvisor_cleanup) struct gvisor *gvisor = calloc(1, sizeof *gvisor);
    if (gvisor == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    gvisor->lock = gvisor->runsc = -1;
    gvisor->outer = outer_none();
    if (copy_settings(gvisor, config) != 0)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    if (outer_make(&gvisor->outer, fault) != 0)
        return -1;
    *ret_gvisor = TAKE(gvisor);
    return 0;
}

static int gvisor_open(const struct sandbox_config *config, void **ret_state, struct fault *fault)
{
    AUTO(gvisor_cleanup) struct gvisor *gvisor = NULL;
    char detail[sizeof(struct sandbox_check)];
    if (gvisor_new(config, &gvisor, fault) != 0)
        return -1;
    for (size_t i = 0; i < OPENING; i++) {
        if (steps[i].take(gvisor, config, detail, sizeof detail, fault) != 0)
            return -1;
    }
    *ret_state = TAKE(gvisor);
    return 0;
}

static int probe(void *state, json_t **ret_checks, json_t **ret_runtime, struct fault *fault)
{
    struct gvisor *gvisor = state;
    char detail[sizeof(struct sandbox_check)];
    for (size_t i = OPENING + 1; i < ARRAY_LEN(steps); i++) {
        if (steps[i].take(gvisor, NULL, detail, sizeof detail, fault) != 0)
            return -1;
    }
    if (gvisor_look(gvisor, NULL, fault) != 0)
        return -1;
    return gvisor_describe(gvisor, ret_checks, ret_runtime, fault);
}

/* One step's line; returns what it gives. */
static unsigned check_step(struct gvisor *gvisor, const struct gvisor_step *step,
                           const struct sandbox_config *config, unsigned given,
                           struct sandbox_report *report)
{
    struct fault fault = {0};
    char detail[200] = "";
    if ((step->needs & ~given) != 0) {
        sandbox_report_add(report, step->name, SANDBOX_MISSING, "not looked at: see above");
        return 0;
    }
    int taken = step->take(gvisor, config, detail, sizeof detail, &fault);
    bool absent = (step->gives == GVISOR_CONFINED && !gvisor->apparmor) ||
                  (step->gives == GVISOR_CGROUPS && gvisor->cgroups_missing[0] != '\0');
    sandbox_report_add(report, step->name,
                       taken != 0 ? SANDBOX_MISSING
                       : absent   ? SANDBOX_NOT_REQUIRED
                                  : SANDBOX_HELD,
                       taken != 0 ? fault.detail : detail);
    return taken != 0 ? 0 : step->gives;
}

static void check(const struct sandbox_config *config, struct sandbox_report *report)
{
    AUTO(gvisor_cleanup) struct gvisor *gvisor = NULL;
    struct fault fault = {0};
    unsigned given = 0, needed = 0;
    if (gvisor_new(config, &gvisor, &fault) != 0) {
        sandbox_report_add(report, "worker", SANDBOX_MISSING, fault.detail);
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        given |= check_step(gvisor, &steps[i], config, given, report);
        needed |= steps[i].gives;
    }
    /* Looked at as far as it can be started, also where its version is not allowed. */
    if ((needed & ~given & ~(unsigned)GVISOR_VERSION & ~(unsigned)GVISOR_CONFINED) != 0)
        sandbox_report_add(report, "a sandbox", SANDBOX_MISSING, "not started: see above");
    else if (gvisor_look(gvisor, report, &fault) != 0 && sandbox_report_holds(report))
        sandbox_report_add(report, "a sandbox", SANDBOX_MISSING, fault.detail);
}

static int ready(void *state, struct fault *fault)
{
    return gvisor_ready(state, fault);
}

const struct sandbox_backend sandbox_gvisor = {
    .name = "gvisor",
    .open = gvisor_open,
    .sweep = gvisor_sweep,
    .probe = probe,
    .run = run,
    .clear = clear,
    .ready = ready,
    .check = check,
    .close = gvisor_close,
};
