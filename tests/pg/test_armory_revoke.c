/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: an artifact is revoked once, and what waits for it is asked to end in the same commit. */
#include "tests/pg/scene.h"

/* What waits is asked to end, held or not; what runs only if told so; what has its reason keeps it.
 */
static void what_waits_is_asked_to_end(void **state)
{
    for (int cancel_running = 0; cancel_running < 2; cancel_running++) {
        (void)scene_begin(state);
        struct scene *scene = *state;
        struct fault fault;
        struct scene_order order = scene_order(scene, scene->tenant);
        struct scene_order theirs = scene_order(scene, scene->other);
        struct uuid worker = scene_worker(scene);
        scene_queue(scene, &order, "job", 5);
        scene_queue(scene, &theirs, "job", 1);
        struct claim runs = scene_claim(scene, &worker), claimed = scene_claim(scene, &worker);
        assert_ok(scene_start(scene->worker, &order, &runs, &fault));
        scene_sql(scene,
                  "UPDATE execution_active SET cancel_requested_at = now(), cancel_reason = "
                  "'cancel_requested' WHERE execution_id = (SELECT max(execution_id::text)::uuid "
                  "FROM execution_active WHERE tenant_id = '%s')",
                  scene->tenant);
        assert_ok(scene_revoke(scene->api, scene->tenant, &order.tool_sha256, order.api_key_id,
                               cancel_running == 1, &fault));
        assert_int_equal(scene_number(scene,
                                      "SELECT count(*) FROM execution_active WHERE cancel_reason = "
                                      "'artifact_revoked' AND state = 'queued' AND tenant_id = "
                                      "'%s'",
                                      scene->tenant),
                         3);
        assert_int_equal(scene_number(scene,
                                      "SELECT count(*) FROM execution_active WHERE execution_id = "
                                      "'%s' AND cancel_reason = 'artifact_revoked'",
                                      uuid_format(&runs.execution_id).text),
                         cancel_running);
        assert_int_equal(scene_number(scene, "SELECT count(*) FROM execution_active WHERE "
                                             "cancel_reason = 'cancel_requested'"),
                         1);
        assert_int_equal(scene_number(scene,
                                      "SELECT count(*) FROM event WHERE tenant_id = '%s' AND "
                                      "subject = 'queued 3, running %d'",
                                      scene->tenant, cancel_running),
                         1);
        assert_fault(scene_start(scene->worker, &order, &claimed, &fault), FAULT_ARTIFACT_REVOKED,
                     "");
        assert_ok(
            scene_finish(scene->worker, &order, &runs, EXECUTION_SUCCEEDED, "", false, &fault));
    }
}

static void an_artifact_is_revoked_once(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    const char *tenant = scene->tenant;
    struct digest inspecting = scene_artifact(scene, tenant, "inspecting"),
                  pending = scene_artifact(scene, tenant, "pending"),
                  rejected = scene_artifact(scene, tenant, "rejected"),
                  nothing = digest_of("nothing", 7);
    scene_inspected(scene, tenant, &pending);
    assert_ok(scene_inspection(scene->worker, tenant, &rejected, "no program", NULL, &fault));
    assert_fault(scene_revoke(scene->api, tenant, &nothing, NULL, false, &fault), FAULT_NOT_FOUND,
                 "no such artifact");
    assert_fault(scene_revoke(scene->api, scene->other, &pending, NULL, false, &fault),
                 FAULT_NOT_FOUND, "no such artifact");
    assert_fault(scene_revoke(scene->api, tenant, &rejected, NULL, false, &fault),
                 FAULT_STATE_CONFLICT, "rejected already");
    const struct digest *both[] = {&inspecting, &pending};
    for (size_t i = 0; i < ARRAY_LEN(both); i++) {
        AUTO_ARTIFACT struct artifact artifact = {0};
        assert_ok(scene_revoke(scene->api, tenant, both[i], NULL, false, &fault));
        assert_fault(scene_revoke(scene->api, tenant, both[i], NULL, true, &fault),
                     FAULT_STATE_CONFLICT, "revoked already");
        assert_ok(armory_find(scene->api, tenant, both[i], &artifact, &fault));
        assert_int_equal(artifact.state, ARTIFACT_REVOKED);
        assert_string_equal(artifact.revoked_by, "admin");
        assert_string_equal(artifact.reason, "a hole");
        assert_true(artifact.revoked_ms > artifact.ingested_ms - 1000);
    }
    /* An inspection that was on its way ends without a word. */
    scene_inspected(scene, tenant, &inspecting);
    assert_int_equal(scene_number(scene,
                                  "SELECT count(*) FROM artifact WHERE tenant_id = '%s' AND "
                                  "state = 'revoked' AND reason = 'a hole'",
                                  tenant),
                     2);
    assert_int_equal(scene_number(scene,
                                  "SELECT count(*) FROM event WHERE tenant_id = '%s' AND "
                                  "type = 'io.sallyport.artifact.revoked.v1'",
                                  tenant),
                     2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(what_waits_is_asked_to_end),
        SCENE_TEST(an_artifact_is_revoked_once),
    };
    return cmocka_run_group_tests(tests, scene_open, scene_close);
}
