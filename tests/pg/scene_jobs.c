/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/pg/scene.h"

#include "base/clock.h"
#include "storage/workers.h"

struct scene_order scene_order(struct scene *scene, const char *tenant)
{
    struct scene_order order = {.tenant = tenant, .kid = "key-1"};
    order.api_key_id = scene_api_key(scene, tenant, "soar", ROLE_SUBMITTER);
    scene_key(scene, tenant, order.kid);
    order.tool_sha256 = scene_artifact(scene, tenant, "tool");
    order.descriptor_sha256 = scene_descriptor_digest("tool");
    scene_inspected(scene, tenant, &order.tool_sha256);
    scene_approve(scene, tenant, &order.tool_sha256, "bob");
    scene_approve(scene, tenant, &order.tool_sha256, "carol");
    return order;
}

void scene_job_make(const struct scene_order *order, const char *nonce, const char *body,
                    struct scene_job *ret_job)
{
    struct scene_job *job = ret_job;
    *job = (struct scene_job){0};
    (void)snprintf(job->nonce, sizeof job->nonce, "%s", nonce);
    (void)snprintf(job->token, sizeof job->token, "%s.%s.signature", nonce, body);
    job->manifest = (struct manifest){.sha256 = digest_of(job->token, strlen(job->token)),
                                      .nonce = job->nonce,
                                      .target_urn = "urn:target:host:db-01",
                                      .tool_sha256 = order->tool_sha256,
                                      .task_id = "task-1",
                                      .tenant_id = order->tenant,
                                      .operator_id = "operator-1",
                                      .source = "soar",
                                      .action = "scan",
                                      .correlation_id = "correlation-1"};
    struct admission *admission = &job->admission;
    admission->execution_id = uuid_v7();
    job->event = scene_event(EVENT_EXECUTION_ACCEPTED, order->tenant, job->manifest.task_id,
                             &admission->execution_id);
    admission->api_key_id = order->api_key_id;
    admission->kid = order->kid;
    admission->token = span_text(job->token);
    admission->token_sha256 = digest_of(job->token, strlen(job->token));
    admission->manifest = &job->manifest;
    admission->inputs = job->inputs;
    admission->submitted_ms = clock_wall_ms();
    admission->event = job->event;
}

void scene_job_free(struct scene_job *job)
{
    event_free(TAKE(job->event));
}

/* What scene_admit() spent, so that scene_start() can say it. */
static struct {
    struct uuid execution_id;
    char nonce[64];
    struct digest token_sha256;
} spent[4096];
static size_t spent_count;

void scene_commit(struct pg *pg, struct admission *const *items, size_t count)
{
    AUTO_ROOMS struct rooms *rooms = rooms_new(100000);
    assert_non_null(rooms);
    admission_commit(pg, rooms, items, count);
}

void scene_admit(struct scene *scene, struct scene_job *job)
{
    struct admission *admission = &job->admission;
    scene_commit(scene->api, &admission, 1);
    if (admission->end != ADMISSION_ACCEPTED) {
        print_error("%d: %s\n", admission->end, admission->fault.detail);
        fail();
    }
    size_t i = spent_count++ % ARRAY_LEN(spent);
    spent[i].execution_id = admission->execution_id;
    spent[i].token_sha256 = admission->token_sha256;
    (void)snprintf(spent[i].nonce, sizeof spent[i].nonce, "%s", job->nonce);
}

void scene_queue(struct scene *scene, const struct scene_order *order, const char *prefix,
                 int count)
{
    for (int i = 0; i < count; i++) {
        AUTO_SCENE_JOB struct scene_job job;
        char nonce[64];
        (void)snprintf(nonce, sizeof nonce, "%s-nonce-%03d", prefix, i);
        scene_job_make(order, nonce, "body", &job);
        scene_admit(scene, &job);
    }
}

/* ---- workers ---- */

struct uuid scene_worker(struct scene *scene)
{
    struct fault fault;
    const struct worker_row row = {
        .id = uuid_v7(), .node = "test", .slots = 2, .version = "1", .checks = "[]"};
    assert_ok(workers_register(scene->worker, &row, 60000, &fault));
    return row.id;
}

void scene_expire(struct scene *scene, const struct uuid *worker)
{
    scene_sql(scene,
              "UPDATE worker SET lease_expires_at = now() - interval '1 second'"
              " WHERE worker_id = '%s'",
              uuid_format(worker).text);
}

int scene_claim_up_to(struct pg *pg, const struct uuid *worker, int max, struct claim *ret_claims,
                      size_t *ret_count, struct fault *fault)
{
    struct queued queued[64];
    if (max > (int)ARRAY_LEN(queued))
        abort();
    int status = queue_claim(pg, worker, max, ret_claims, queued, ret_count, fault);
    for (size_t i = 0; i < *ret_count && status == 0; i++)
        queued_free(&queued[i]);
    return status;
}

struct claim scene_claim(struct scene *scene, const struct uuid *worker)
{
    struct fault fault;
    struct claim claim;
    size_t count = 0;
    assert_ok(scene_claim_up_to(scene->worker, worker, 1, &claim, &count, &fault));
    assert_int_equal(count, 1);
    return claim;
}

void scene_start_make(const struct scene_order *order, const struct claim *claim,
                      const struct event *event, struct start *ret_start)
{
    *ret_start = (struct start){.claim = *claim,
                                .facts = {.tenant_id = order->tenant,
                                          .api_key_id = order->api_key_id,
                                          .kid = order->kid,
                                          .tool_sha256 = order->tool_sha256},
                                .descriptor_sha256 = order->descriptor_sha256,
                                .spent = {.nonce = "spent by nobody"},
                                .worker_name = "test/worker",
                                .started_ms = clock_wall_ms(),
                                .event = event};
    for (size_t i = 0; i < ARRAY_LEN(spent); i++)
        if (uuid_equal(&spent[i].execution_id, &claim->execution_id))
            ret_start->spent = (struct spent_nonce){spent[i].nonce, spent[i].token_sha256};
}

int scene_start(struct pg *pg, const struct scene_order *order, const struct claim *claim,
                struct fault *fault)
{
    struct start start, *items[] = {&start};
    AUTO_EVENT struct event *event =
        scene_event(EVENT_EXECUTION_STARTED, order->tenant, "task-1", &claim->execution_id);
    scene_start_make(order, claim, event, &start);
    queue_start(pg, items, 1);
    if (!start.started)
        *fault = start.fault;
    return start.started ? 0 : -1;
}

int scene_finish(struct pg *pg, const struct scene_order *order, const struct claim *claim,
                 enum execution_state state, const char *out, bool only_expired,
                 struct fault *fault)
{
    AUTO_EVENT struct event *event =
        scene_event(EVENT_EXECUTION_FINISHED, order->tenant, "task-1", &claim->execution_id);
    struct ending ending = {.claim = *claim,
                            .tenant_id = order->tenant,
                            .state = state,
                            .exit_code = state == EXECUTION_SUCCEEDED ? 0 : -1,
                            .finished_ms = clock_wall_ms(),
                            .worker = "test/worker",
                            .stdout_bytes = (int64_t)strlen(out),
                            .stdout_stored = span_text(out),
                            .usage = "{\"wall_ms\":5}",
                            .event = event};
    return scene_store(pg, &ending, only_expired, fault);
}

int scene_store(struct pg *pg, struct ending *ending, bool only_expired, struct fault *fault)
{
    queue_finish(pg, &ending, 1, only_expired);
    if (ending->fate == ENDING_STORED)
        return 0;
    *fault = ending->fault;
    return -1;
}
