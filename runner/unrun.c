/* SPDX-License-Identifier: Apache-2.0 */
/* Ends without a run's result: refused or cancelled before the start, or lost. */
#include "runner/worker_internal.h"

#include "base/clock.h"
#include "base/log.h"

struct unrun {
    enum execution_state state;
    const char *reason, *detail;
    const char *worker_name;
    const struct digest *descriptor_sha256; /* NULL where it was not read */
};

static json_t *decision_json(const struct unrun *unrun)
{
    if (unrun->state == EXECUTION_LOST) /* it was started */
        return json_pack("{s:s}", "verdict", "permit");
    return json_pack("{s:s, s:s, s:s}", "verdict", execution_state_name(unrun->state), "code",
                     unrun->reason, "detail", unrun->detail);
}

/* The end and its event, which is the caller's to free; the rest is borrowed. */
static int make_end(const struct worker *worker, const struct claim *claim,
                    const struct queued *queued, const struct unrun *unrun,
                    struct ending *ret_ending, struct event **ret_event, struct fault *fault)
{
    AUTO_JSON json_t *decision = decision_json(unrun);
    struct finished_facts facts = finished_facts_of(queued, clock_wall_ms());
    facts.state = unrun->state;
    facts.reason = unrun->reason;
    facts.policy_decision = decision;
    facts.worker = unrun->worker_name;
    facts.descriptor_sha256 = unrun->descriptor_sha256;
    struct event *event;
    if (finished_event(worker, claim, queued, &facts, &event, fault) != 0)
        return -1;
    *ret_event = event;
    *ret_ending = (struct ending){.claim = *claim,
                                  .tenant_id = queued->tenant_id,
                                  .state = unrun->state,
                                  .reason = unrun->reason,
                                  .exit_code = -1,
                                  .finished_ms = facts.finished_ms,
                                  .worker = unrun->worker_name,
                                  .event = event};
    return 0;
}

static void end_unstarted(struct job *job, enum execution_state state, const char *reason,
                          const char *detail)
{
    struct worker *worker = job->slot->worker;
    struct fault fault;
    struct ending ending;
    AUTO_EVENT struct event *event = NULL;
    const struct unrun unrun = {.state = state,
                                .reason = reason,
                                .detail = detail,
                                .worker_name = job->worker_name,
                                .descriptor_sha256 =
                                    job->tool == NULL ? NULL : &job->tool->descriptor_sha256};
    if (state == EXECUTION_REFUSED)
        worker->refused++;
    if (make_end(worker, &job->claim, &job->queued, &unrun, &ending, &event, &fault) != 0 ||
        job_store(job, &ending, &fault) != 0)
        log_error("an end could not be stored", "{s:s, s:s}", "execution_id",
                  uuid_format(&job->claim.execution_id).text, "detail", fault.detail);
}

void job_refuse(struct job *job, const char *reason, const char *detail)
{
    end_unstarted(job, EXECUTION_REFUSED, reason, detail);
}

/* What was asked to end before it started: a revoked tool is refused, as its own check would. */
static struct unrun cancelled(enum cancel_reason reason, const char *worker_name)
{
    bool revoked = reason == CANCEL_ARTIFACT_REVOKED;
    return (struct unrun){.state = revoked ? EXECUTION_REFUSED : EXECUTION_CANCELLED,
                          .reason = cancel_reason_name(reason),
                          .detail = revoked ? "the artifact was revoked while this waited" : "",
                          .worker_name = worker_name};
}

void job_end_cancelled(struct job *job)
{
    const struct unrun unrun = cancelled(job->queued.cancel, job->worker_name);
    end_unstarted(job, unrun.state, unrun.reason, unrun.detail);
}

static int load_cancelled(struct worker *worker, struct pg *pg, const struct claim *claim,
                          const char *worker_name, struct queued *queued, struct ending *ending,
                          struct event **event, struct fault *fault)
{
    if (queue_load(pg, claim, queued, fault) != 0)
        return -1;
    if (queued->cancel == CANCEL_NONE)
        return fault_set(fault, FAULT_INTERNAL, "an execution is not to end early");
    const struct unrun unrun = cancelled(queued->cancel, worker_name);
    return make_end(worker, claim, queued, &unrun, ending, event, fault);
}

static void note_cancelled(struct worker *worker, const struct ending *ending)
{
    if (ending->fate != ENDING_STORED) {
        log_error("an execution that is to end could not be ended", "{s:s, s:s}", "execution_id",
                  uuid_format(&ending->claim.execution_id).text, "detail", ending->fault.detail);
        return;
    }
    worker->ended++;
    worker->refused += ending->state == EXECUTION_REFUSED;
}

int end_cancelled(struct worker *worker, struct pg *pg, const struct claim *claims, size_t count,
                  struct fault *fault)
{
    struct queued queued[QUEUE_FINISH_MAX] = {0};
    struct ending endings[QUEUE_FINISH_MAX], *all[QUEUE_FINISH_MAX];
    struct event *events[QUEUE_FINISH_MAX] = {NULL};
    char name[EVENT_NODE_MAX + UUID_TEXT_LEN + 2];
    worker_name_format(worker, &claims[0].worker_id, name, sizeof name);
    int status = 0;
    for (size_t i = 0; i < count && status == 0; i++) {
        all[i] = &endings[i];
        status = load_cancelled(worker, pg, &claims[i], name, &queued[i], &endings[i], &events[i],
                                fault);
    }
    if (status == 0)
        queue_finish(pg, all, count, false);
    for (size_t i = 0; i < count; i++) {
        if (status == 0)
            note_cancelled(worker, &endings[i]);
        queued_free(&queued[i]);
        event_free(events[i]);
    }
    if (status != 0)
        return -1;
    return 0;
}

int end_lost(struct worker *worker, struct pg *pg, const struct claim *claim, bool only_expired,
             struct fault *fault)
{
    AUTO_QUEUED struct queued queued = {0};
    AUTO_EVENT struct event *event = NULL;
    struct ending ending, *all[] = {&ending};
    if (queue_load(pg, claim, &queued, fault) != 0)
        return -1;
    const struct unrun unrun = {.state = EXECUTION_LOST,
                                .reason = "worker_vanished",
                                .detail = "",
                                .worker_name = queued.worker};
    if (make_end(worker, claim, &queued, &unrun, &ending, &event, fault) != 0)
        return -1;
    queue_finish(pg, all, 1, only_expired);
    if (ending.fate != ENDING_STORED) {
        *fault = ending.fault;
        return -1;
    }
    worker->lost++;
    return 0;
}
