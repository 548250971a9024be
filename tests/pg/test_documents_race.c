/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: when a document has been attached, no approval counts that was given for what was there
 * before, and nothing is accepted or started on such, also if both were on their way at once. */
#include "base/clock.h"
#include "storage/documents.h"
#include "tests/pg/scene.h"

#include <pthread.h>

#define AWAIT_MS 60000

/* One side of a race, on a connection and a thread of its own. */
struct side {
    struct scene *scene;
    struct scene_order order;
    const char *api_key_id;
    struct pg *pg;
    pthread_t thread;
    struct claim claim;
    int voided; /* what the attached event was told */
    int status;
    struct fault fault;
};

static int note_effect(void *context, const struct document_effect *effect,
                       struct event **ret_event, struct fault *fault)
{
    struct side *side = context;
    (void)fault;
    side->voided = effect->voided;
    *ret_event = scene_event(EVENT_ARTIFACT_ATTACHED, side->order.tenant, "attached", NULL);
    return 0;
}

static void *attach_main(void *context)
{
    struct side *side = context;
    enum documents_end end;
    const struct document_offer offer = {.kind = DOCUMENT_REPORT,
                                         .sha256 = digest_of("{}", 2),
                                         .format = "grype",
                                         .summary = "{}",
                                         .body = span_text("{}"),
                                         .principal = "publisher",
                                         .api_key_id = side->api_key_id};
    side->status = documents_attach(side->pg, side->order.tenant, &side->order.tool_sha256, &offer,
                                    note_effect, side, &end, &side->fault);
    return NULL;
}

/* One who saw that there was no report. */
static void *approve_main(void *context)
{
    struct side *side = context;
    const struct approval approval = {.principal = "zoe",
                                      .api_key_id = side->api_key_id,
                                      .comment = "read it",
                                      .descriptor_sha256 = scene_descriptor_digest("tool"),
                                      .expires_ms = INT64_MIN,
                                      .report = {.stated = true}};
    AUTO_EVENT struct event *event =
        scene_event(EVENT_ARTIFACT_APPROVED, side->order.tenant, "approved", NULL);
    side->status = armory_approve(side->pg, side->order.tenant, &side->order.tool_sha256, &approval,
                                  event, &side->fault);
    return NULL;
}

static void *accept_main(void *context)
{
    struct side *side = context;
    AUTO_SCENE_JOB struct scene_job job;
    struct admission *admission = &job.admission;
    scene_job_make(&side->order, "nonce-race", "body", &job);
    scene_commit(side->pg, &admission, 1);
    side->status = admission->end == ADMISSION_ACCEPTED ? 0 : -1;
    side->fault = admission->fault;
    return NULL;
}

static void *start_main(void *context)
{
    struct side *side = context;
    side->status = scene_start(side->pg, &side->order, &side->claim, &side->fault);
    return NULL;
}

/* Waits until somebody waits for a lock of this kind. */
static void await_waiting(struct scene *scene, const char *locktype)
{
    int64_t deadline = clock_monotonic_ms() + AWAIT_MS;
    while (scene_number(scene,
                        "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = '%s' AND "
                        "database = (SELECT oid FROM pg_database WHERE datname = "
                        "current_database())",
                        locktype) == 0)
        assert_true(clock_monotonic_ms() < deadline);
}

static void side_begin(struct side *side, void *(*run)(void *))
{
    struct fault fault;
    const char *role = run == start_main ? "sallyport_worker" : "sallyport_api";
    assert_ok(pg_cluster_connect(side->scene->cluster, role, &side->pg, &fault));
    assert_int_equal(pthread_create(&side->thread, NULL, run, side), 0);
}

static void side_end(struct side *side)
{
    assert_int_equal(pthread_join(side->thread, NULL), 0);
    pg_free(side->pg);
}

/* The first is held up at its last step, the insert of its event, with all its locks; the second
 * must wait for it. */
static struct side race(struct scene *scene, void *(*other_main)(void *), bool attach_first)
{
    struct side attach = {.scene = scene, .order = scene_order(scene, scene->tenant)};
    struct side other = attach;
    attach.api_key_id = scene_api_key(scene, scene->tenant, "publisher", ROLE_PUBLISHER);
    other.api_key_id = scene_api_key(scene, scene->tenant, "zoe", ROLE_APPROVER);
    if (other_main == start_main) {
        struct uuid worker = scene_worker(scene);
        scene_queue(scene, &other.order, "job", 1);
        other.claim = scene_claim(scene, &worker);
    }
    scene_sql(scene, "BEGIN");
    scene_sql(scene, "LOCK TABLE event IN EXCLUSIVE MODE");
    side_begin(attach_first ? &attach : &other, attach_first ? attach_main : other_main);
    await_waiting(scene, "relation");
    side_begin(attach_first ? &other : &attach, attach_first ? other_main : attach_main);
    await_waiting(scene, "advisory");
    scene_sql(scene, "COMMIT");
    side_end(&attach);
    side_end(&other);
    fixture_assert_ok(attach.status, &attach.fault, __FILE__, __LINE__);
    other.voided = attach.voided;
    struct fault fault;
    AUTO_ARTIFACT struct artifact artifact = {0};
    assert_ok(armory_find(scene->api, scene->tenant, &other.order.tool_sha256, &artifact, &fault));
    assert_int_equal(artifact.approvals, 0); /* whoever came first */
    return other;
}

static void an_approval_behind_a_document(void **state)
{
    struct side approve = race(*state, approve_main, true);
    fixture_assert_fault(approve.status, FAULT_STATE_CONFLICT, "report_sha256", &approve.fault,
                         __FILE__, __LINE__);
    assert_int_equal(approve.voided, 2);
}

static void an_approval_before_a_document(void **state)
{
    struct side approve = race(*state, approve_main, false);
    fixture_assert_ok(approve.status, &approve.fault, __FILE__, __LINE__);
    assert_int_equal(approve.voided, 3);
}

static void not_accepted_behind_a_document(void **state)
{
    struct side accept = race(*state, accept_main, true);
    fixture_assert_fault(accept.status, FAULT_ARTIFACT_NOT_APPROVED, "0 of 2", &accept.fault,
                         __FILE__, __LINE__);
}

static void accepted_before_a_document(void **state)
{
    struct side accept = race(*state, accept_main, false);
    fixture_assert_ok(accept.status, &accept.fault, __FILE__, __LINE__);
}

static void not_started_behind_a_document(void **state)
{
    struct side start = race(*state, start_main, true);
    fixture_assert_fault(start.status, FAULT_ARTIFACT_NOT_APPROVED, "0 of 2", &start.fault,
                         __FILE__, __LINE__);
}

static void started_before_a_document(void **state)
{
    struct side start = race(*state, start_main, false);
    fixture_assert_ok(start.status, &start.fault, __FILE__, __LINE__);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(an_approval_behind_a_document),  SCENE_TEST(an_approval_before_a_document),
        SCENE_TEST(not_accepted_behind_a_document), SCENE_TEST(accepted_before_a_document),
        SCENE_TEST(not_started_behind_a_document),  SCENE_TEST(started_before_a_document),
    };
    return cmocka_run_group_tests(tests, scene_open, scene_close);
}
