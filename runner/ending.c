/* SPDX-License-Identifier: Apache-2.0 */
/* How a run ends: the finished event, and the commit that stores it with the final state. */
#include "runner/worker_internal.h"

#include "base/clock.h"
#include "base/log.h"

#include <string.h>

bool fault_passes(const struct fault *fault)
{
    return fault->code == FAULT_UNAVAILABLE || fault->code == FAULT_SHUTTING_DOWN;
}

void worker_name_format(const struct worker *worker, const struct uuid *incarnation, char *ret_name,
                        size_t size)
{
    (void)snprintf(ret_name, size, "%s/%s", worker->config.node, uuid_format(incarnation).text);
}

json_t *limits_json(const struct sandbox_limits *limits)
{
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "timeout_seconds",
        (json_int_t)(limits->wall_ms / 1000), "memory_mib",
        (json_int_t)(limits->memory_bytes >> 20), "pids", (json_int_t)limits->pids, "cpu_percent",
        (json_int_t)limits->cpu_percent, "tmp_mib", (json_int_t)(limits->tmp_bytes >> 20),
        "open_files", (json_int_t)limits->open_files, "file_size_mib",
        (json_int_t)(limits->file_size_bytes >> 20), "stdout_bytes",
        (json_int_t)limits->stdout_bytes, "stderr_bytes", (json_int_t)limits->stderr_bytes);
}

static json_t *usage_json(const struct sandbox_usage *usage)
{
    return json_pack("{s:I, s:I, s:I, s:I, s:I}", "wall_ms", (json_int_t)usage->wall_ms, "cpu_ms",
                     (json_int_t)usage->cpu_ms, "memory_peak_bytes",
                     (json_int_t)usage->memory_peak_bytes, "pids_peak",
                     (json_int_t)usage->pids_peak, "output_bytes", (json_int_t)usage->output_bytes);
}

struct finished_facts finished_facts_of(const struct queued *queued, int64_t finished_ms)
{
    return (struct finished_facts){.task_id = queued->task_id,
                                   .tenant_id = queued->tenant_id,
                                   .operator_id = queued->operator_id,
                                   .correlation_id = queued->correlation_id,
                                   .tool_sha256 = queued->tool_sha256,
                                   .target_urn = queued->target_urn,
                                   .exit_code = -1,
                                   .manifest_jws = queued->token,
                                   .manifest_sha256 = queued->manifest_sha256,
                                   .started_ms =
                                       queued->started_ms == INT64_MIN ? 0 : queued->started_ms,
                                   .finished_ms = finished_ms};
}

int finished_event(const struct worker *worker, const struct claim *claim,
                   const struct queued *queued, const struct finished_facts *facts,
                   struct event **ret_event, struct fault *fault)
{
    AUTO_JSON json_t *data = NULL;
    if (finished_data(facts, &data, fault) != 0)
        return -1;
    struct event_head head = {.id = uuid_v7(),
                              .type = EVENT_EXECUTION_FINISHED,
                              .node = worker->config.node,
                              .subject = queued->task_id,
                              .tenant_id = queued->tenant_id,
                              .execution_id = &claim->execution_id,
                              .traceparent = queued->traceparent,
                              .time_ms = facts->finished_ms};
    return event_build(&head, data, ret_event, fault);
}

void job_clear(void *context)
{
    struct job *job = context;
    struct fault fault;
    if (sandbox_clear(&job->remains, &fault) != 0)
        log_error("a run left files behind", "{s:s, s:s}", "execution_id",
                  uuid_format(&job->claim.execution_id).text, "detail", fault.detail);
}

int job_store(struct job *job, struct ending *ending, struct fault *fault)
{
    struct worker *worker = job->slot->worker;
    ending->claim = job->claim;
    ending->tenant_id = job->queued.tenant_id;
    if (finisher_store(worker->finisher, ending, job_clear, job, fault) != 0)
        return -1;
    worker->ended++;
    if (ending->fate == ENDING_STORED) /* of the others finisher.c has spoken */
        log_info("execution ended", "{s:s, s:s, s:s}", "execution_id",
                 uuid_format(&job->claim.execution_id).text, "state",
                 execution_state_name(ending->state), "reason",
                 ending->reason == NULL ? "" : ending->reason);
    return 0;
}

static void cannot_end(const struct job *job, const struct fault *fault)
{
    log_error("an end could not be stored", "{s:s, s:s}", "execution_id",
              uuid_format(&job->claim.execution_id).text, "detail", fault->detail);
}

/* The state a sandbox's end makes. A cancel that our own shutdown or lost lease asked for is told
 * apart by its reason. */
static enum execution_state state_of(const struct job *job, const struct sandbox_result *result,
                                     const char **ret_reason)
{
    *ret_reason = NULL;
    if (result == NULL) {
        *ret_reason = "no_result";
        return EXECUTION_FAILED;
    }
    switch (result->end) {
    case SANDBOX_EXITED:
        return result->exit_code == 0 ? EXECUTION_SUCCEEDED : EXECUTION_FAILED;
    case SANDBOX_SIGNALED:
        return EXECUTION_FAILED;
    case SANDBOX_TIMED_OUT:
        return EXECUTION_TIMED_OUT;
    case SANDBOX_OUT_OF_MEMORY:
        return EXECUTION_OUT_OF_MEMORY;
    case SANDBOX_CANCELLED:
        *ret_reason =
            job->slot->stop == SLOT_SHUTDOWN
                ? "worker_shutdown"
                : cancel_reason_name(job->slot->stop == SLOT_REVOKED ? CANCEL_ARTIFACT_REVOKED
                                                                     : CANCEL_REQUESTED);
        return EXECUTION_CANCELLED;
    case SANDBOX_FAILED_TO_START:
    case SANDBOX_RUNTIME_DIED:
    case SANDBOX_END_COUNT:
        break;
    }
    *ret_reason = sandbox_end_name(result->end);
    return EXECUTION_FAILED;
}

static void facts_of_stream(const struct sandbox_output *output, struct finished_stream *ret_stream)
{
    *ret_stream = (struct finished_stream){.captured = true,
                                           .stored = buf_span(&output->stored),
                                           .whole_sha256 = output->sha256,
                                           .whole_bytes = output->bytes};
}

/* "gVisor release-20221219.0" */
static char *runtime_text(const struct worker *worker)
{
    const json_t *runtime = sandbox_runtime(worker->config.sandbox);
    const char *name = json_string_value(json_object_get(runtime, "name"));
    const char *version = json_string_value(json_object_get(runtime, "version"));
    char *text = NULL;
    if (asprintf(&text, "%s %s", name == NULL ? "" : name, version == NULL ? "" : version) < 0)
        return NULL;
    return text;
}

/* The names of the limits that were hit, borrowed from the array they are read of. */
static size_t hit_names(const json_t *array, const char **ret_names, size_t max)
{
    size_t count = 0;
    for (size_t i = 0; i < json_array_size(array) && count < max; i++)
        ret_names[count++] = json_string_value(json_array_get(array, i));
    return count;
}

static int build_started_end(struct job *job, struct sandbox_result *result,
                             enum execution_state state, const char *reason, json_t *usage,
                             int64_t finished_ms, bool whole, struct event **ret_event,
                             struct fault *fault)
{
    struct worker *worker = job->slot->worker;
    AUTO_BUF struct buf decision_text = BUF(4096);
    verdict_describe(&job->facts.facts, job->queued.kid, jws_alg_name(job->alg),
                     &job->facts.descriptor_sha256, &decision_text);
    AUTO_JSON json_t *decision = NULL;
    AUTO_JSON json_t *limits = limits_json(&job->limits);
    AUTO_JSON json_t *hits = sandbox_hits_json(result == NULL ? 0 : result->limits_hit);
    AUTO_FREE char *runtime = runtime_text(worker);
    const char *names[16];
    struct finished_facts facts = finished_facts_of(&job->queued, finished_ms);
    if (json_object_parse(buf_span(&decision_text), FAULT_INTERNAL, "policy_decision", &decision,
                          fault) != 0)
        return -1;
    facts.started_ms = job->started_ms;
    facts.descriptor_sha256 = &job->tool->descriptor_sha256;
    facts.state = state;
    facts.reason = reason;
    facts.exit_code = result == NULL ? -1 : result->exit_code;
    facts.signal = result == NULL ? 0 : result->signal;
    facts.limits_hit = names;
    facts.limits_hit_count = hit_names(hits, names, ARRAY_LEN(names));
    facts.argv = whole ? job->command.argv : NULL;
    facts.argv_count = whole ? job->command.argv_count : 0;
    if (result != NULL && whole) {
        facts_of_stream(&result->output[SANDBOX_STDOUT], &facts.out);
        facts_of_stream(&result->output[SANDBOX_STDERR], &facts.err);
    }
    facts.policy_decision = decision;
    facts.runtime = runtime;
    facts.isolation_checks = job->checks;
    facts.limits = limits;
    facts.usage = usage;
    facts.worker = job->worker_name;
    return finished_event(worker, &job->claim, &job->queued, &facts, ret_event, fault);
}

/* Not `whole`: without output and argv, which may be what could not be told. */
static int end_started(struct job *job, struct sandbox_result *result, bool whole,
                       struct fault *fault)
{
    const char *reason;
    AUTO_EVENT struct event *event = NULL;
    AUTO_BUF struct buf usage_text = BUF(4096);
    enum execution_state state = state_of(job, result, &reason);
    AUTO_JSON json_t *usage = result == NULL ? NULL : usage_json(&result->usage);
    int64_t finished_ms = result == NULL ? clock_wall_ms() : result->finished_ms;
    if (!whole && reason == NULL)
        reason = "output_lost";
    if (build_started_end(job, result, state, reason, usage, finished_ms, whole, &event, fault) !=
        0)
        return -1;
    if (usage != NULL)
        json_append(&usage_text, usage);
    struct ending ending = {.state = state,
                            .reason = reason,
                            .exit_code = result == NULL ? -1 : result->exit_code,
                            .signal = result == NULL ? 0 : result->signal,
                            .finished_ms = finished_ms,
                            .worker = job->worker_name,
                            .usage = usage == NULL ? NULL : buf_text(&usage_text),
                            .event = event};
    if (result != NULL && whole) {
        const struct sandbox_output *output = result->output;
        ending.stdout_bytes = (int64_t)output[SANDBOX_STDOUT].bytes;
        ending.stderr_bytes = (int64_t)output[SANDBOX_STDERR].bytes;
        ending.stdout_stored = buf_span(&output[SANDBOX_STDOUT].stored);
        ending.stderr_stored = buf_span(&output[SANDBOX_STDERR].stored);
        ending.live = job->live;
    }
    return job_store(job, &ending, fault);
}

void job_end_started(struct job *job, struct sandbox_result *result, const struct fault *why)
{
    struct fault fault;
    const char *detail = result == NULL ? why->detail : result->detail;
    if (detail[0] != '\0')
        log_warn("the sandbox reports", "{s:s, s:s}", "execution_id",
                 uuid_format(&job->claim.execution_id).text, "detail", detail);
    if (result != NULL && result->end == SANDBOX_CANCELLED && job->slot->stop == SLOT_LEASE_LOST)
        return; /* killed because the claim is not ours any more: whoever reaps says lost */
    if (end_started(job, result, true, &fault) == 0)
        return;
    cannot_end(job, &fault);
    /* An end that cannot be told in full is told without its output, rather than never. */
    if (!fault_passes(&fault) && fault.code != FAULT_STATE_CONFLICT &&
        end_started(job, result, false, &fault) != 0)
        cannot_end(job, &fault);
}
