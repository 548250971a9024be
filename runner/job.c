/* SPDX-License-Identifier: Apache-2.0 */
/* One claimed execution: load, prove, fetch, start, run, end. */
#include "runner/worker_internal.h"

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "storage/inputs.h"

#include <string.h>

#define OUR_FAILING_MS (15 * 60 * 1000) /* since its submission */

static void job_free(struct job *job)
{
    struct fault ignored;
    job_clear(job);
    if (job->folder != NULL)
        (void)!dir_remove(job->folder, &ignored);
    cache_release(job->entry);
    event_free(job->started_event);
    tool_free(job->tool);
    manifest_free(job->manifest);
    token_free(job->token);
    queued_free(&job->queued);
    free(job->inputs);
    free(job->folder);
    command_free(&job->command);
    json_decref(job->checks);
}

/* What is asked, else the artifact's default, else ours; never more than its tenant may have (0: no
 * word on it) and the host allows. */
static int64_t choose(int64_t asked, int64_t artifact, int64_t fallback, int64_t tenant,
                      int64_t host)
{
    int64_t value = asked > 0 ? asked : artifact > 0 ? artifact : fallback;
    int64_t most = tenant > 0 && tenant < host ? tenant : host;
    return value < most ? value : most;
}

static void choose_limits(struct job *job)
{
    const struct worker_limits *host = &job->slot->worker->config.limits;
    const struct manifest_limits *m = &job->manifest->limits, *a = &job->tool->descriptor->limits;
    const struct manifest_limits *f = &host->fallback, *t = &job->queued.most, *h = &host->most;
#define CHOOSE(limit) choose(m->limit, a->limit, f->limit, t->limit, h->limit)
    job->limits = (struct sandbox_limits){
        .wall_ms = 1000 * CHOOSE(timeout_seconds),
        .memory_bytes = CHOOSE(memory_mib) << 20,
        .pids = CHOOSE(pids),
        .cpu_percent = CHOOSE(cpu_percent),
        .tmp_bytes = CHOOSE(tmp_mib) << 20,
        .open_files = host->open_files,
        .file_size_bytes = host->file_size_bytes,
        .stdout_bytes = host->output_bytes,
        .stderr_bytes = host->output_bytes,
    };
#undef CHOOSE
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

static int fetch_inputs(struct job *job, struct fault *fault)
{
    char *folder;
    if (asprintf(&folder, "%s/%s", job->slot->worker->config.inputs_dir,
                 uuid_format(&job->claim.execution_id).text) < 0)
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    job->folder = folder;
    if (dir_remove(folder, fault) != 0 || dir_make(folder, 0700, fault) != 0)
        return -1;
    for (size_t i = 0; i < job->manifest->input_count; i++)
        if (fetch_input(job, &job->manifest->inputs[i], fault) != 0)
            return -1;
    return 0;
}

/* The artifact unpacked and unchanged, the inputs in a folder of their own. */
static int fetch(struct job *job, struct fault *fault)
{
    const struct tool *tool = job->tool;
    struct blob_source blob = {job->slot->pg, job->queued.tenant_id, &tool->blob_id};
    struct cache_source source = {tool->size, blob_fetch, &blob, job->slot->cancel_fd, false};
    if (cache_acquire(job->slot->worker->config.cache, &job->manifest->tool_sha256,
                      tool->descriptor->kind, &source, &job->entry, fault) != 0 ||
        (job->manifest->input_count > 0 && fetch_inputs(job, fault) != 0))
        return -1;
    return cache_entry_check(job->entry, fault);
}

static int build_started(struct job *job, struct fault *fault)
{
    const struct worker *worker = job->slot->worker;
    job->checks = sandbox_checks_of(worker->config.sandbox, job->command.uid);
    AUTO_JSON json_t *data = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:O, s:O, s:o}", "task_id", job->queued.task_id, "tenant_id",
        job->queued.tenant_id, "tool_sha256", digest_format(&job->manifest->tool_sha256).text,
        "descriptor_sha256", digest_format(&job->tool->descriptor_sha256).text, "worker",
        job->worker_name, "runtime", sandbox_runtime(worker->config.sandbox), "isolation_checks",
        job->checks, "limits", limits_json(&job->limits));
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
    if (fetch(job, fault) != 0 ||
        command_build(job->tool->descriptor, cache_entry_image(job->entry), job->manifest,
                      &job->command, fault) != 0 ||
        build_started(job, fault) != 0)
        return -1;
    struct start start = {.claim = job->claim,
                          .facts = job->facts,
                          .descriptor_sha256 = job->tool->descriptor_sha256,
                          .spent = {job->manifest->nonce, job->token->signing_digest},
                          .worker_name = job->worker_name,
                          .started_ms = job->started_ms,
                          .event = job->started_event};
    starter_start(job->slot, &start);
    job->facts = start.facts;
    if (!start.started)
        *fault = start.fault;
    return start.started ? 0 : -1;
}

static int run(struct job *job, struct sandbox_result *ret_result, struct fault *fault)
{
    const struct manifest *m = job->manifest;
    struct sandbox_input inputs[MANIFEST_INPUTS_MAX];
    AUTO_BUF struct buf paths = BUF(MANIFEST_INPUTS_MAX * 4096);
    size_t offsets[MANIFEST_INPUTS_MAX];
    for (size_t i = 0; i < m->input_count; i++) {
        offsets[i] = paths.len;
        buf_printf(&paths, "%s/%s", job->folder, m->inputs[i].name);
        buf_append(&paths, "", 1);
    }
    if (buf_failed(&paths))
        return fault_set(fault, FAULT_INTERNAL, "out of memory");
    for (size_t i = 0; i < m->input_count; i++)
        inputs[i] =
            (struct sandbox_input){m->inputs[i].name, (const char *)paths.data + offsets[i]};
    struct uuid_text id = uuid_format(&job->claim.execution_id);
    struct worker *worker = job->slot->worker;
    struct tap tap;
    live_enter(worker->live, &job->claim, &tap);
    struct sandbox_job sandbox_job = {
        .id = id.text,
        .rootfs = cache_entry_root(job->entry),
        .argv = job->command.argv,
        .env = job->command.env,
        .workdir = job->command.workdir,
        .uid = job->command.uid,
        .gid = job->command.gid,
        .inputs = inputs,
        .input_count = m->input_count,
        .manifest = job->token->payload,
        .stdin_data = m->stdin_text == NULL ? span_of("", 0) : span_text(m->stdin_text),
        .limits = job->limits,
        .cancel_fd = job->slot->cancel_fd,
        .sink = live_sink,
        .sink_context = &tap,
        .watch = &tap.watch,
    };
    int status =
        sandbox_run(worker->config.sandbox, &sandbox_job, ret_result, &job->remains, fault);
    job->live = live_leave(&tap);
    return status;
}

/* Was it asked to end, though not when it was loaded? */
static bool is_cancelled(struct job *job)
{
    struct queued latest;
    struct fault ignored;
    if (queue_load(job->slot->pg, &job->claim, &latest, &ignored) != 0)
        return false;
    queued_free(&job->queued);
    job->queued = latest;
    return latest.cancel != CANCEL_NONE;
}

/* What stopped it before its start: gone, cancelled, refused; or, false, to be tried again. */
static bool end_unstarted(struct job *job, const struct fault *why)
{
    struct slot *slot = job->slot;
    bool told = slot->stop == SLOT_CANCELLED || slot->stop == SLOT_REVOKED;
    if ((told || why->code == FAULT_STATE_CONFLICT) && is_cancelled(job)) {
        job_end_cancelled(job);
        return true;
    }
    if (why->code == FAULT_STATE_CONFLICT) /* the claim is gone */
        return true;
    /* Our own failing is tried again, but not for ever. */
    bool ours = fault_passes(why) || (why->code == FAULT_INTERNAL &&
                                      clock_wall_ms() - job->queued.submitted_ms < OUR_FAILING_MS);
    if (!ours && slot->stop == SLOT_RUNS) {
        log_warn("execution refused", "{s:s, s:s, s:s}", "execution_id",
                 uuid_format(&job->claim.execution_id).text, "code", fault_name(why->code),
                 "detail", why->detail);
        job_refuse(job, fault_name(why->code), why->detail);
        return true;
    }
    log_warn("a claim goes back to the queue", "{s:s, s:s}", "execution_id",
             uuid_format(&job->claim.execution_id).text, "detail", why->detail);
    give_back(slot->worker, slot->pg, &job->claim);
    return false;
}

bool job_run(struct slot *slot)
{
    AUTO(job_free) struct job job = {.slot = slot, .claim = slot->claim, .queued = slot->queued};
    AUTO_SANDBOX_RESULT struct sandbox_result result = {0};
    struct fault fault;
    slot->queued = (struct queued){0};
    worker_name_format(slot->worker, &job.claim.worker_id, job.worker_name, sizeof job.worker_name);
    if (job.queued.cancel != CANCEL_NONE) {
        job_end_cancelled(&job);
        return true;
    }
    if (sandbox_ready(slot->worker->config.sandbox, &fault) != 0 || start(&job, &fault) != 0)
        return end_unstarted(&job, &fault);
    slot->worker->started++;
    slot->worker->running++;
    bool ran = run(&job, &result, &fault) == 0;
    job_end_started(&job, ran ? &result : NULL, &fault);
    slot->worker->running--;
    return true;
}
