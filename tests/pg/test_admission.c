/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what is accepted is there whole, what is refused leaves nothing, and each submission of a
 * batch gets the end it would have got alone. */
#include "base/clock.h"
#include "tests/pg/scene.h"

static void admit(struct scene *scene, struct scene_job *job)
{
    struct admission *admission = &job->admission;
    admission_commit(scene->api, &admission, 1);
}

static void assert_end(const struct scene_job *job, enum admission_end end, enum fault_code code)
{
    const struct admission *admission = &job->admission;
    if (admission->end != end || (end >= ADMISSION_REFUSED && admission->fault.code != code)) {
        print_error("%s: end %d, %s: %s\n", job->nonce, admission->end,
                    fault_name(admission->fault.code), admission->fault.detail);
        fail();
    }
}

/* Rows of a tenant that an acceptance writes. */
static int64_t written(struct scene *scene, const char *tenant)
{
    return scene_number(scene,
                        "SELECT (SELECT count(*) FROM execution_nonce WHERE tenant_id = '%1$s') +"
                        " (SELECT count(*) FROM execution_active WHERE tenant_id = '%1$s') +"
                        " (SELECT count(*) FROM execution_queue WHERE tenant_id = '%1$s') +"
                        " (SELECT count(*) FROM event WHERE tenant_id = '%1$s' AND type = "
                        "'io.sallyport.execution.accepted.v1')",
                        tenant);
}

static void an_accepted_one_is_there_whole(void **state)
{
    struct scene *scene = *state;
    struct scene_order order = scene_order(scene, scene->tenant);
    AUTO_SCENE_JOB struct scene_job job;
    scene_job_make(&order, "nonce-0001", "body", &job);
    job.admission.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    job.admission.submitted_ms = 1767323045678;
    admit(scene, &job);
    assert_end(&job, ADMISSION_ACCEPTED, FAULT_NONE);
    const struct admission *a = &job.admission;
    struct uuid_text id = uuid_format(&a->execution_id), event = uuid_format(&job.event->id);
    struct digest_text token = digest_hex(&a->token_sha256), tool = digest_hex(&order.tool_sha256);
    assert_int_equal(scene_number(scene,
                                  "SELECT count(*) FROM execution_nonce WHERE tenant_id = '%s' AND "
                                  "nonce = 'nonce-0001' AND token_sha256 = '\\x%s' AND execution_id "
                                  "= '%s'",
                                  scene->tenant, token.text, id.text),
                     1);
    assert_int_equal(
        scene_number(scene,
                     "SELECT count(*) FROM execution_active WHERE execution_id = '%s' AND tenant_id "
                     "= '%s' AND state = 'queued' AND submitted_at = '2026-01-02T03:04:05.678Z' AND "
                     "started_at IS NULL AND cancel_requested_at IS NULL AND worker IS NULL AND "
                     "task_id = 'task-1' AND operator_id = 'operator-1' AND correlation_id = "
                     "'correlation-1' AND source = 'soar' AND action = 'scan' AND target_urn = "
                     "'urn:target:host:db-01' AND tool_sha256 = '\\x%s' AND manifest_sha256 = "
                     "'\\x%s' AND api_key_id = '%s' AND kid = 'key-1' AND token = '%s' AND "
                     "traceparent = '%s' AND accepted_event_id = '%s' AND started_event_id IS NULL",
                     id.text, scene->tenant, tool.text, digest_hex(&job.manifest.sha256).text,
                     order.api_key_id, job.token, a->traceparent, event.text),
        1);
    assert_int_equal(scene_number(scene,
                                  "SELECT count(*) FROM execution_queue WHERE execution_id = '%s' "
                                  "AND tenant_id = '%s' AND worker_id IS NULL AND fence IS NULL",
                                  id.text, scene->tenant),
                     1);
    assert_int_equal(scene_number(scene,
                                  "SELECT count(*) FROM event e JOIN event_pending USING (event_id) "
                                  "WHERE e.event_id = '%s' AND e.tenant_id = '%s' AND e.subject = "
                                  "'task-1' AND e.execution_id = '%s' AND e.type = "
                                  "'io.sallyport.execution.accepted.v1' AND e.body = '\\x%s' AND "
                                  "e.hash = sha256(e.body)",
                                  event.text, scene->tenant, id.text,
                                  ({
                                      static char hex[8192];
                                      for (size_t i = 0; i < job.event->len; i++)
                                          (void)snprintf(hex + 2 * i, 3, "%02x",
                                                         (uint8_t)job.event->bytes[i]);
                                      hex;
                                  })),
                     1);
    assert_int_equal(written(scene, scene->tenant), 4);
}

static void a_known_token_finds_its_execution(void **state)
{
    struct scene *scene = *state;
    struct fault fault, stale;
    struct scene_order order = scene_order(scene, scene->tenant);
    AUTO_SCENE_JOB struct scene_job first, again, late;
    scene_job_make(&order, "nonce-0001", "body", &first);
    scene_job_make(&order, "nonce-0001", "body", &again);
    scene_job_make(&order, "nonce-0001", "body", &late);
    scene_admit(scene, &first);
    admit(scene, &again);
    assert_end(&again, ADMISSION_KNOWN, FAULT_NONE);
    assert_true(uuid_equal(&again.admission.known_id, &first.admission.execution_id));
    /* Long after its end, outside its window, by a key that is revoked: still known. */
    struct uuid worker = scene_worker(scene);
    struct claim claim = scene_claim(scene, &worker);
    assert_ok(scene_finish(scene->worker, &order, &claim, EXECUTION_REFUSED, "", false, &fault));
    scene_sql(scene, "UPDATE api_key SET revoked_at = now() WHERE api_key_id = '%s'",
              order.api_key_id);
    (void)fault_set(&stale, FAULT_MANIFEST_STALE, "issued_at: long ago");
    late.admission.stale = &stale;
    admit(scene, &late);
    assert_end(&late, ADMISSION_KNOWN, FAULT_NONE);
    assert_true(uuid_equal(&late.admission.known_id, &first.admission.execution_id));
}

static void a_nonce_is_spent_once_in_its_tenant(void **state)
{
    struct scene *scene = *state;
    struct scene_order order = scene_order(scene, scene->tenant);
    struct scene_order other = scene_order(scene, scene->other);
    AUTO_SCENE_JOB struct scene_job first, second, theirs;
    scene_job_make(&order, "nonce-0001", "body", &first);
    scene_job_make(&order, "nonce-0001", "another body", &second);
    scene_job_make(&other, "nonce-0001", "body", &theirs);
    scene_admit(scene, &first);
    admit(scene, &second);
    assert_end(&second, ADMISSION_REFUSED, FAULT_NONCE_REUSED);
    assert_int_equal(written(scene, scene->tenant), 4);
    scene_admit(scene, &theirs);
    assert_int_equal(written(scene, scene->other), 4);
}

/* What stands between a job and its acceptance, one at a time; once it is mended the very same
 * token is accepted: a refusal spends no nonce. */
static void each_obstacle_has_its_code(void **state)
{
    struct scene *scene = *state;
    static const struct {
        const char *obstacle, *mended; /* SQL with the tenant */
        enum fault_code code;
    } cases[] = {
        {"UPDATE api_key SET revoked_at = now() WHERE principal = 'soar' AND tenant_id = '%s'",
         "UPDATE api_key SET revoked_at = NULL WHERE tenant_id = '%s'", FAULT_NOT_AUTHENTICATED},
        {"UPDATE api_key SET expires_at = now() WHERE principal = 'soar' AND tenant_id = '%s'",
         "UPDATE api_key SET expires_at = NULL WHERE tenant_id = '%s'", FAULT_NOT_AUTHENTICATED},
        {"UPDATE verification_key SET revoked_at = now() WHERE tenant_id = '%s'",
         "UPDATE verification_key SET revoked_at = NULL WHERE tenant_id = '%s'",
         FAULT_SIGNATURE_INVALID},
        {"UPDATE verification_key SET not_after = now() WHERE tenant_id = '%s'",
         "UPDATE verification_key SET not_after = NULL WHERE tenant_id = '%s'",
         FAULT_SIGNATURE_INVALID},
        {"UPDATE verification_key SET not_before = now() + interval '1 hour' WHERE tenant_id = '%s'",
         "UPDATE verification_key SET not_before = NULL WHERE tenant_id = '%s'",
         FAULT_SIGNATURE_INVALID},
        {"UPDATE tenant SET quorum = 3 WHERE tenant_id = '%s'",
         "UPDATE tenant SET quorum = 2 WHERE tenant_id = '%s'", FAULT_ARTIFACT_NOT_APPROVED},
        {"INSERT INTO artifact_approval SELECT tenant_id, sha256, descriptor_sha256, 'late', "
         "api_key_id, 'c', now(), now() FROM artifact_approval WHERE false AND tenant_id = '%s'; "
         "UPDATE tenant SET quorum = 16 WHERE tenant_id = (SELECT max(tenant_id) FROM tenant WHERE "
         "tenant_id LIKE 'acme-%%')",
         "UPDATE tenant SET quorum = 1 WHERE tenant_id = '%s'", FAULT_ARTIFACT_NOT_APPROVED},
    };
    for (size_t i = 0; i + 1 < ARRAY_LEN(cases); i++) {
        char sql[1024], nonce[32];
        (void)snprintf(nonce, sizeof nonce, "nonce-%04zu", i);
        if (i > 0)
            (void)scene_begin(state);
        struct scene_order order = scene_order(scene, scene->tenant);
        AUTO_SCENE_JOB struct scene_job job;
        scene_job_make(&order, nonce, "body", &job);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        (void)snprintf(sql, sizeof sql, cases[i].obstacle, scene->tenant);
        scene_sql(scene, "%s", sql);
        admit(scene, &job);
        assert_end(&job, ADMISSION_REFUSED, cases[i].code);
        assert_int_equal(written(scene, scene->tenant), 0);
        (void)snprintf(sql, sizeof sql, cases[i].mended, scene->tenant);
        scene_sql(scene, "%s", sql);
#pragma GCC diagnostic pop
        scene_admit(scene, &job);
        assert_int_equal(written(scene, scene->tenant), 4);
    }
}
