/* SPDX-License-Identifier: Apache-2.0 */
/* One claimed execution: load, prove, fetch, start, run, end. */
#include "runner/worker_internal.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "storage/inputs.h"
#include "storage/notify.h"

#include <string.h>

#define OUR_FAILING_MS (15 * 60 * 1000) /* since its submission */

static void job_free(struct job *job)
{
    struct fault ignored;
    if (job->folder != NULL)
        (void)!dir_remove(job->folder, &ignored);
    cache_release(job->entry);
    event_free(job->started_event);
    descriptor_free(job->descriptor);
    artifact_free(&job->artifact);
    manifest_free(job->manifest);
    token_free(job->token);
    queued_free(&job->queued);
    free(job->inputs);
    free(job->folder);
    free(job->argv);
}

/* What is asked, else the artifact's default, else ours; never more than the host allows. */
static int64_t choose(int64_t asked, int64_t artifact, int64_t fallback, int64_t most)
{
    int64_t value = asked > 0 ? asked : artifact > 0 ? artifact : fallback;
    return value < most ? value : most;
}

static void choose_limits(struct job *job)
{
    const struct worker_limits *host = &job->slot->worker->config.limits;
    const struct manifest_limits *m = &job->manifest->limits, *a = &job->descriptor->limits;
    const struct manifest_limits *f = &host->fallback, *x = &host->most;
    job->limits = (struct sandbox_limits){
        .wall_ms = 1000 * choose(m->timeout_seconds, a->timeout_seconds, f->timeout_seconds,
                                 x->timeout_seconds),
        .memory_bytes = choose(m->memory_mib, a->memory_mib, f->memory_mib, x->memory_mib) << 20,
        .pids = choose(m->pids, a->pids, f->pids, x->pids),
        .cpu_percent = choose(m->cpu_percent, a->cpu_percent, f->cpu_percent, x->cpu_percent),
        .tmp_bytes = choose(m->tmp_mib, a->tmp_mib, f->tmp_mib, x->tmp_mib) << 20,
        .open_files = host->open_files,
        .file_size_bytes = host->file_size_bytes,
        .stdout_bytes = host->output_bytes,
        .stderr_bytes = host->output_bytes,
    };
}

static int build_argv(struct job *job, struct fault *fault)
{
    const struct descriptor *d = job->descriptor;
    const struct manifest *m = job->manifest;
    job->argv = calloc(d->entrypoint_count + m->arg_count + 2, sizeof(const char *));
    if (job->argv == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    for (size_t i = 0; i < d->entrypoint_count; i++)
        job->argv[job->argv_count++] = d->entrypoint[i];
    if (job->argv_count == 0 && d->kind == ARTIFACT_BINARY)
        job->argv[job->argv_count++] = ARTIFACT_BINARY_PATH;
    if (job->argv_count == 0)
        return fault_set(fault, FAULT_ARTIFACT_INVALID, "the descriptor has no entrypoint");
    for (size_t i = 0; i < m->arg_count; i++)
        job->argv[job->argv_count++] = m->args[i];
    return 0;
}

static int fetch_input(struct job *job, const struct manifest_input *wanted, struct fault *fault)
{
    struct input input;
    const struct worker_config *config = &job->slot->worker->config;
    if (inputs_find(job->slot->pg, job->queued.tenant_id, &wanted->sha256, &input, fault) != 0)
        return fault->code == FAULT_NOT_FOUND
                   ? fault_set(fault, FAULT_INPUT_UNKNOWN, "inputs: %s is gone or has expired",
                               wanted->name)
                   : -1;
    struct blob_source source = {job->slot->pg, job->queued.tenant_id, &input.blob_id};
    return cache_input(job->folder, wanted->name, &wanted->sha256, config->input_max, blob_fetch,
                       &source, fault);
}

/* The artifact unpacked and unchanged, the inputs in a folder of their own. */
static int fetch(struct job *job, struct fault *fault)
{
    const struct worker_config *config = &job->slot->worker->config;
    struct blob_source source = {job->slot->pg, job->queued.tenant_id, &job->artifact.blob_id};
    if (cache_acquire(config->cache, &job->manifest->tool_sha256, job->descriptor->kind, blob_fetch,
                      &source, job->slot->cancel_fd, &job->entry, fault) != 0)
        return -1;
    if (asprintf(&job->folder, "%s/%s", config->inputs_dir,
                 uuid_format(&job->claim.execution_id).text) < 0) {
        job->folder = NULL;
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    }
    if (dir_remove(job->folder, fault) != 0 || dir_make(job->folder, 0700, fault) != 0)
        return -1;
    for (size_t i = 0; i < job->manifest->input_count; i++)
        if (fetch_input(job, &job->manifest->inputs[i], fault) != 0)
            return -1;
    return cache_entry_check(job->entry, fault);
}

static int build_started(struct job *job, struct fault *fault)
{
    const struct worker *worker = job->slot->worker;
    AUTO_JSON json_t *data = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:O, s:O, s:o}", "task_id", job->queued.task_id, "tenant_id",
        job->queued.tenant_id, "tool_sha256", digest_format(&job->manifest->tool_sha256).text,
        "descriptor_sha256", digest_format(&job->artifact.descriptor_sha256).text, "worker",
        job->worker_name, "runtime", sandbox_runtime(worker->config.sandbox), "isolation_checks",
        sandbox_isolation_checks(worker->config.sandbox), "limits", limits_json(&job->limits));
    if (data == NULL)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    job->started_ms = clock_wall_ms();
    struct event_head head = {.id = uuid_v7(),
                              .type = EVENT_EXECUTION_STARTED,
                              .node = worker->config.node,
                              .subject = job->queued.task_id,
                              .tenant_id = job->queued.tenant_id,
                              .execution_id = &job->claim.execution_id,
                              .traceparent = job->queued.traceparent,
                              .time_ms = job->started_ms};
    return event_build(&head, data, &job->started_event, fault);
}

/* Everything that can still say no, ending with the commit of `running`. */
static int start(struct job *job, struct fault *fault)
{
    if (job_prove(job, fault) != 0)
        return -1;
    choose_limits(job);
    if (build_argv(job, fault) != 0 || fetch(job, fault) != 0 || build_started(job, fault) != 0)
        return -1;
    struct spent_nonce spent = {job->manifest->nonce, job->token->signing_digest};
    return queue_start(job->slot->pg, &job->claim, &job->facts, &spent, job->worker_name,
                       job->started_ms, job->started_event, fault);
}

static const char **build_env(const struct manifest *manifest, struct buf *text)
{
    static const char *const fixed[] = {"PATH=/usr/bin:/bin", "HOME=/tmp", "LANG=C.UTF-8"};
    const char **env = calloc(ARRAY_LEN(fixed) + manifest->env_count + 1, sizeof *env);
    if (env == NULL)
        return NULL;
    size_t offsets[MANIFEST_ENV_MAX];
    for (size_t i = 0; i < manifest->env_count; i++) {
        offsets[i] = text->len;
        buf_printf(text, "%s=%s", manifest->env[i].name, manifest->env[i].value);
        buf_append(text, "", 1);
    }
    if (buf_failed(text)) {
        free(env);
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        env[i] = fixed[i];
    for (size_t i = 0; i < manifest->env_count; i++)
        env[ARRAY_LEN(fixed) + i] = (const char *)text->data + offsets[i];
    return env;
}

static int run(struct job *job, struct sandbox_result *ret_result, struct fault *fault)
{
    const struct manifest *m = job->manifest;
    struct sandbox_input inputs[MANIFEST_INPUTS_MAX];
    AUTO_BUF struct buf paths = BUF(MANIFEST_INPUTS_MAX * 4096);
    AUTO_BUF struct buf env_text = BUF(256 * 1024);
    AUTO_FREE const char **env = build_env(m, &env_text);
    size_t offsets[MANIFEST_INPUTS_MAX];
    for (size_t i = 0; i < m->input_count; i++) {
        offsets[i] = paths.len;
        buf_printf(&paths, "%s/%s", job->folder, m->inputs[i].name);
        buf_append(&paths, "", 1);
    }
    if (env == NULL || buf_failed(&paths))
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    for (size_t i = 0; i < m->input_count; i++)
        inputs[i] =
            (struct sandbox_input){m->inputs[i].name, (const char *)paths.data + offsets[i]};
    struct uuid_text id = uuid_format(&job->claim.execution_id);
    struct sandbox_job sandbox_job = {
        .id = id.text,
        .rootfs = cache_entry_root(job->entry),
        .argv = job->argv,
        .env = env,
        .inputs = inputs,
        .input_count = m->input_count,
        .manifest = job->token->payload,
        .stdin_data = m->stdin_text == NULL ? span_of("", 0) : span_text(m->stdin_text),
        .limits = job->limits,
        .cancel_fd = job->slot->cancel_fd,
    };
    return sandbox_run(job->slot->worker->config.sandbox, &sandbox_job, ret_result, fault);
}

/* What stopped it before its start: gone, cancelled, refused; or, false, to be tried again. */
static bool end_unstarted(struct job *job, const struct fault *why)
{
    struct worker *worker = job->slot->worker;
    struct fault fault;
    if (why->code == FAULT_STATE_CONFLICT) { /* the claim is gone, or a cancel came first */
        queued_free(&job->queued);
        if (queue_load(job->slot->pg, &job->claim, &job->queued, &fault) == 0 &&
            job->queued.cancel_requested)
            job_end_unstarted(job, EXECUTION_CANCELLED, "cancel_requested", "");
        return true;
    }
    /* Our own failing is tried again, but not for ever. */
    bool ours = fault_passes(why) || (why->code == FAULT_INTERNAL &&
                                      clock_wall_ms() - job->queued.submitted_ms < OUR_FAILING_MS);
    if (!ours && job->slot->stop == SLOT_RUNS) {
        log_warn("execution refused", "{s:s, s:s, s:s}", "execution_id",
                 uuid_format(&job->claim.execution_id).text, "code", fault_name(why->code),
                 "detail", why->detail);
        job_end_unstarted(job, EXECUTION_REFUSED, fault_name(why->code), why->detail);
        return true;
    }
    log_warn("a claim goes back to the queue", "{s:s, s:s}", "execution_id",
             uuid_format(&job->claim.execution_id).text, "detail", why->detail);
    worker->returned++;
    if (queue_unclaim(job->slot->pg, &job->claim, &fault) != 0)
        log_warn("a claim could not be given back", "{s:s}", "detail", fault.detail);
    return false;
}

/* The started event's own wake-up; the api's waiters do not need it. */
static void announce_start(struct pg *pg)
{
    static const char *const channels[] = {NOTIFY_EVENT, NULL};
    struct fault ignored;
    (void)!notify_send(pg, channels, &ignored);
}

bool job_run(struct slot *slot, const struct claim *claim)
{
    AUTO(job_free) struct job job = {.slot = slot, .claim = *claim};
    AUTO_SANDBOX_RESULT struct sandbox_result result = {0};
    struct fault fault;
    worker_name_format(slot->worker, claim, job.worker_name, sizeof job.worker_name);
    if (queue_load(slot->pg, claim, &job.queued, &fault) != 0) {
        log_warn("a claim could not be loaded", "{s:s}", "detail", fault.detail);
        return fault.code == FAULT_STATE_CONFLICT;
    }
    if (job.queued.cancel_requested) {
        job_end_unstarted(&job, EXECUTION_CANCELLED, "cancel_requested", "");
        return true;
    }
    if (sandbox_ready(slot->worker->config.sandbox, &fault) != 0 || start(&job, &fault) != 0)
        return end_unstarted(&job, &fault);
    slot->worker->started++;
    slot->worker->running++;
    announce_start(slot->pg);
    bool ran = run(&job, &result, &fault) == 0;
    job_end_started(&job, ran ? &result : NULL, &fault);
    slot->worker->running--;
    return true;
}
