/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what is accepted is there whole, what is refused leaves nothing and spends nothing. */
#include "base/clock.h"
#include "tests/pg/scene.h"

static void admit(struct scene *scene, struct scene_job *job)
{
    struct admission *admission = &job->admission;
    scene_commit(scene->api, &admission, 1);
}

static void assert_end(const struct scene_job *job, enum admission_end end, enum fault_code code)
{
    const struct admission *admission = &job->admission;
    if (admission->end == end && (end < ADMISSION_REFUSED || admission->fault.code == code))
        return;
    print_error("%s: end %d, %s: %s\n", job->nonce, admission->end,
                fault_name(admission->fault.code), admission->fault.detail);
    fail();
}

/* Rows of a tenant that an acceptance writes. */
static int64_t written(struct scene *scene, const char *tenant)
{
    return scene_number(scene,
                        "WITH t AS (SELECT '%s'::text AS id) SELECT"
                        " (SELECT count(*) FROM execution_nonce, t WHERE tenant_id = id) +"
                        " (SELECT count(*) FROM execution_active, t WHERE tenant_id = id) +"
                        " (SELECT count(*) FROM execution_queue, t WHERE tenant_id = id) +"
                        " (SELECT count(*) FROM event, t WHERE tenant_id = id AND type = "
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
    assert_int_equal(
        scene_number(scene,
                     "SELECT count(*) FROM execution_nonce WHERE tenant_id = '%s' AND "
                     "nonce = 'nonce-0001' AND token_sha256 = '\\x%s' AND execution_id "
                     "= '%s'",
                     scene->tenant, token.text, id.text),
        1);
    assert_int_equal(
        scene_number(
            scene,
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
    assert_int_equal(
        scene_number(scene,
                     "SELECT count(*) FROM event e JOIN event_pending USING (event_id) "
                     "WHERE e.event_id = '%s' AND e.tenant_id = '%s' AND e.subject = "
                     "'task-1' AND e.execution_id = '%s' AND e.type = "
                     "'io.sallyport.execution.accepted.v1' AND e.hash = '\\x%s' AND "
                     "octet_length(e.body) = %zu",
                     event.text, scene->tenant, id.text, digest_hex(&job.event->hash).text,
                     job.event->len),
        1);
    assert_int_equal(written(scene, scene->tenant), 4);
    /* What is not there is null, not empty. */
    AUTO_SCENE_JOB struct scene_job bare;
    scene_job_make(&order, "nonce-0002", "body", &bare);
    scene_admit(scene, &bare);
    assert_int_equal(
        scene_number(scene,
                     "SELECT count(*) FROM execution_active WHERE tenant_id = '%s' AND "
                     "traceparent IS NULL",
                     scene->tenant),
        1);
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
    /* Long after its end, outside its window, its key revoked: still known. */
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

/* Refused, it leaves nothing; what was in its way is cleared, the very same token is accepted. */
static void assert_obstacle(struct scene *scene, const char *table, const char *set,
                            const char *clear, enum fault_code code)
{
    static int number;
    char nonce[32];
    struct scene_order order = scene_order(scene, scene->tenant);
    AUTO_SCENE_JOB struct scene_job job;
    (void)snprintf(nonce, sizeof nonce, "nonce-%04d", number++);
    scene_job_make(&order, nonce, "body", &job);
    scene_force(scene, "UPDATE %s SET %s WHERE tenant_id = '%s'", table, set, scene->tenant);
    admit(scene, &job);
    assert_end(&job, ADMISSION_REFUSED, code);
    assert_int_equal(written(scene, scene->tenant), 0);
    scene_force(scene, "UPDATE %s SET %s WHERE tenant_id = '%s'", table, clear, scene->tenant);
    scene_admit(scene, &job);
    assert_int_equal(written(scene, scene->tenant), 4);
}

static void each_obstacle_has_its_code(void **state)
{
    static const struct {
        const char *table, *set, *clear;
        enum fault_code code;
    } cases[] = {
        {"api_key", "revoked_at = now()", "revoked_at = NULL", FAULT_NOT_AUTHENTICATED},
        {"api_key", "expires_at = now()", "expires_at = NULL", FAULT_NOT_AUTHENTICATED},
        {"verification_key", "revoked_at = now()", "revoked_at = NULL", FAULT_SIGNATURE_INVALID},
        {"verification_key", "not_after = now()", "not_after = NULL", FAULT_SIGNATURE_INVALID},
        {"verification_key", "not_before = now() + interval '1 hour'", "not_before = NULL",
         FAULT_SIGNATURE_INVALID},
        {"tenant", "quorum = 3", "quorum = 2", FAULT_ARTIFACT_NOT_APPROVED},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        (void)scene_begin(state);
        assert_obstacle(*state, cases[i].table, cases[i].set, cases[i].clear, cases[i].code);
    }
}

/* The key that asks must be of this tenant, or the platform's, and may submit. */
static void an_api_key_must_be_a_submitter_s_of_this_tenant(void **state)
{
    struct scene *scene = *state;
    struct scene_order order = scene_order(scene, scene->tenant);
    const struct {
        const char *id;
        bool accepted;
    } cases[] = {
        {scene_api_key(scene, scene->tenant, "eve", ROLE_SUBMITTER), true},
        {scene_api_key(scene, scene->tenant, "eve", ROLE_VIEWER | ROLE_ADMIN), false},
        {scene_api_key(scene, scene->other, "eve", ROLE_SUBMITTER), false},
        {"ffffffffffffff01", true},
        {"ffffffffffffff02", false},
        {"ffffffffffffff03", false}, /* there is none */
        {"", false},
    };
    scene_sql(scene, "INSERT INTO api_key (api_key_id, principal, roles, secret_hash, created_by) "
                     "VALUES ('ffffffffffffff01', 'p', '{submitter}', sha256(''), 'operator'), "
                     "('ffffffffffffff02', 'p', '{auditor}', sha256(''), 'operator')");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char nonce[32];
        AUTO_SCENE_JOB struct scene_job job;
        (void)snprintf(nonce, sizeof nonce, "nonce-%04zu", i);
        order.api_key_id = cases[i].id;
        scene_job_make(&order, nonce, "body", &job);
        admit(scene, &job);
        assert_end(&job, cases[i].accepted ? ADMISSION_ACCEPTED : ADMISSION_REFUSED,
                   FAULT_NOT_AUTHENTICATED);
    }
}

static void an_artifact_must_be_approved(void **state)
{
    struct scene *scene = *state;
    struct scene_order order = scene_order(scene, scene->tenant), tried = order;
    static const struct {
        const char *name;
        int approvers;
        bool inspected;
        const char *state;
        enum fault_code code;
    } cases[] = {
        {"inspecting", 0, false, NULL, FAULT_ARTIFACT_NOT_APPROVED},
        {"rejected", 0, false, "rejected", FAULT_ARTIFACT_NOT_APPROVED},
        {"nobody", 0, true, NULL, FAULT_ARTIFACT_NOT_APPROVED},
        {"one", 1, true, NULL, FAULT_ARTIFACT_NOT_APPROVED},
        {"revoked", 2, true, "revoked", FAULT_ARTIFACT_REVOKED},
    };
    static const char *const approvers[] = {"bob", "carol"};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        AUTO_SCENE_JOB struct scene_job job;
        tried.tool_sha256 = scene_artifact(scene, scene->tenant, cases[i].name);
        if (cases[i].inspected)
            scene_inspected(scene, scene->tenant, &tried.tool_sha256);
        for (int a = 0; a < cases[i].approvers; a++)
            scene_approve(scene, scene->tenant, &tried.tool_sha256, approvers[a]);
        if (cases[i].state != NULL)
            scene_sql(
                scene,
                "UPDATE artifact SET state = '%s', revoked_at = CASE '%s' WHEN 'revoked' THEN "
                "now() END WHERE tenant_id = '%s' AND name = '%s'",
                cases[i].state, cases[i].state, scene->tenant, cases[i].name);
        scene_job_make(&tried, cases[i].name, "body", &job);
        job.manifest.nonce = "nonce-0001";
        admit(scene, &job);
        assert_end(&job, ADMISSION_REFUSED, cases[i].code);
    }
    AUTO_SCENE_JOB struct scene_job unknown, theirs, good;
    tried.tool_sha256 = digest_of("unknown", 7);
    scene_job_make(&tried, "nonce-0001", "unknown", &unknown);
    admit(scene, &unknown);
    assert_end(&unknown, ADMISSION_REFUSED, FAULT_ARTIFACT_UNKNOWN);
    /* Another tenant's approved artifact is unknown here. */
    struct scene_order other = scene_order(scene, scene->other);
    other.tool_sha256 = scene_artifact(scene, scene->other, "theirs");
    scene_inspected(scene, scene->other, &other.tool_sha256);
    scene_approve(scene, scene->other, &other.tool_sha256, "bob");
    scene_approve(scene, scene->other, &other.tool_sha256, "carol");
    tried.tool_sha256 = other.tool_sha256;
    scene_job_make(&tried, "nonce-0001", "theirs", &theirs);
    admit(scene, &theirs);
    assert_end(&theirs, ADMISSION_REFUSED, FAULT_ARTIFACT_UNKNOWN);
    assert_int_equal(written(scene, scene->tenant), 0);
    scene_job_make(&order, "nonce-0001", "good", &good);
    scene_admit(scene, &good);
}

static void inputs_must_be_there(void **state)
{
    struct scene *scene = *state;
    struct scene_order order = scene_order(scene, scene->tenant);
    const struct digest good = scene_input(scene, scene->tenant, "good", INT64_MIN);
    const struct digest later =
        scene_input(scene, scene->tenant, "later", clock_wall_ms() + 3600000);
    const struct digest past = scene_input(scene, scene->tenant, "past", clock_wall_ms() - 1);
    const struct digest theirs = scene_input(scene, scene->other, "theirs", INT64_MIN);
    const struct digest unknown = digest_of("unknown", 7);
    const struct {
        struct digest inputs[3];
        size_t count;
        bool accepted;
    } cases[] = {{{good}, 1, true},     {{good, later, good}, 3, true},
                 {{unknown}, 1, false}, {{good, past}, 2, false},
                 {{theirs}, 1, false},  {{good, later, unknown}, 3, false}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char nonce[32];
        AUTO_SCENE_JOB struct scene_job job;
        (void)snprintf(nonce, sizeof nonce, "nonce-%04zu", i);
        scene_job_make(&order, nonce, "body", &job);
        memcpy(job.inputs, cases[i].inputs, sizeof cases[i].inputs);
        job.manifest.input_count = cases[i].count;
        admit(scene, &job);
        assert_end(&job, cases[i].accepted ? ADMISSION_ACCEPTED : ADMISSION_REFUSED,
                   FAULT_INPUT_UNKNOWN);
    }
}

/* The window is judged before nonce and digest, and after a known token. */
static void a_stale_one_is_judged_in_its_order(void **state)
{
    struct scene *scene = *state;
    struct scene_order order = scene_order(scene, scene->tenant), unapproved = order;
    struct fault stale;
    (void)fault_set(&stale, FAULT_MANIFEST_STALE, "issued_at: long ago");
    unapproved.tool_sha256 = digest_of("unknown", 7);
    AUTO_SCENE_JOB struct scene_job first, new_nonce, spent, unknown_tool;
    scene_job_make(&order, "nonce-0001", "body", &first);
    scene_job_make(&order, "nonce-0002", "body", &new_nonce);
    scene_job_make(&order, "nonce-0001", "another body", &spent);
    scene_job_make(&unapproved, "nonce-0003", "body", &unknown_tool);
    scene_admit(scene, &first);
    struct scene_job *const jobs[] = {&new_nonce, &spent, &unknown_tool};
    for (size_t i = 0; i < ARRAY_LEN(jobs); i++) {
        jobs[i]->admission.stale = &stale;
        admit(scene, jobs[i]);
        assert_end(jobs[i], ADMISSION_REFUSED, FAULT_MANIFEST_STALE);
        assert_string_equal(jobs[i]->admission.fault.detail, "issued_at: long ago");
    }
    assert_int_equal(written(scene, scene->tenant), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(an_accepted_one_is_there_whole),
        SCENE_TEST(a_known_token_finds_its_execution),
        SCENE_TEST(a_nonce_is_spent_once_in_its_tenant),
        SCENE_TEST(each_obstacle_has_its_code),
        SCENE_TEST(an_api_key_must_be_a_submitter_s_of_this_tenant),
        SCENE_TEST(an_artifact_must_be_approved),
        SCENE_TEST(inputs_must_be_there),
        SCENE_TEST(a_stale_one_is_judged_in_its_order),
    };
    return cmocka_run_group_tests(tests, scene_open, scene_close);
}
