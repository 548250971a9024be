/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: every execution is in one worker's hands at a time, the oldest first, and only who holds
 * its claim starts it. */
#include "tests/pg/scene.h"

#include <pthread.h>

static size_t claim(struct pg *pg, const struct uuid *worker, int max, struct claim *ret_claims)
{
    struct fault fault;
    size_t count = 99;
    assert_ok(scene_claim_up_to(pg, worker, max, ret_claims, &count, &fault));
    return count;
}

/* The n-th oldest execution in the queue. */
static struct uuid oldest(struct scene *scene, int n)
{
    char sql[128];
    struct uuid id;
    (void)snprintf(sql, sizeof sql,
                   "SELECT execution_id FROM execution_queue ORDER BY 1 OFFSET %d LIMIT 1", n);
    AUTO_PGRESULT PGresult *result = PQexec(scene->sql, sql);
    assert_int_equal(PQntuples(result), 1);
    assert_int_equal(uuid_parse(PQgetvalue(result, 0, 0), UUID_TEXT_LEN, &id), 0);
    return id;
}

static void the_oldest_are_claimed_first(void **state)
{
    struct scene *scene = *state;
    struct scene_order order = scene_order(scene, scene->tenant);
    struct uuid worker = scene_worker(scene), ids[5];
    struct claim claims[8];
    assert_int_equal(claim(scene->worker, &worker, 8, claims), 0);
    scene_queue(scene, &order, "job", 5);
    for (int i = 0; i < 5; i++)
        ids[i] = oldest(scene, i);
    int64_t fence = 0;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(claim(scene->worker, &worker, 1, claims), 1);
        assert_true(uuid_equal(&claims[0].execution_id, &ids[i]));
        assert_true(uuid_equal(&claims[0].worker_id, &worker));
        assert_true(claims[0].fence > fence);
        fence = claims[0].fence;
    }
    assert_int_equal(claim(scene->worker, &worker, 8, claims), 2);
    assert_true(claims[0].fence != claims[1].fence);
    assert_int_equal(claim(scene->worker, &worker, 8, claims), 0);
    /* A claim changes no state, and says nothing. */
    assert_int_equal(scene_number(scene, "SELECT count(*) FROM execution_active WHERE state = "
                                         "'queued' AND worker IS NULL"),
                     5);
    assert_int_equal(scene_number(scene,
                                  "SELECT count(*) FROM event WHERE tenant_id = '%s' AND type = "
                                  "'io.sallyport.execution.started.v1'",
                                  scene->tenant),
                     0);
}

static void without_a_lease_nothing_is_claimed(void **state)
{
    struct scene *scene = *state;
    struct scene_order order = scene_order(scene, scene->tenant);
    struct uuid worker = scene_worker(scene), stranger = uuid_v7();
    struct claim claims[4];
    scene_queue(scene, &order, "job", 2);
    assert_int_equal(claim(scene->worker, &stranger, 4, claims), 0);
    scene_expire(scene, &worker);
    assert_int_equal(claim(scene->worker, &worker, 4, claims), 0);
    assert_int_equal(scene_number(scene, "SELECT count(*) FROM execution_queue WHERE worker_id IS "
                                         "NULL"),
                     2);
}

/* Rows that another worker is claiming are passed over without waiting. */
static void workers_do_not_wait_for_each_other(void **state)
{
    struct scene *scene = *state;
    struct scene_order order = scene_order(scene, scene->tenant);
    struct uuid worker = scene_worker(scene);
    struct claim claims[4];
    scene_queue(scene, &order, "job", 3);
    struct uuid first = oldest(scene, 0), second = oldest(scene, 1);
    scene_sql(scene, "BEGIN");
    scene_sql(scene, "SELECT FROM execution_queue WHERE execution_id = '%s' FOR UPDATE",
              uuid_format(&first).text);
    assert_int_equal(claim(scene->worker, &worker, 1, claims), 1);
    assert_true(uuid_equal(&claims[0].execution_id, &second));
    assert_int_equal(claim(scene->worker, &worker, 4, claims), 1);
    scene_sql(scene, "ROLLBACK");
    assert_int_equal(claim(scene->worker, &worker, 4, claims), 1);
    assert_true(uuid_equal(&claims[0].execution_id, &first));
}

enum { CLAIMERS = 4, JOBS = 120 };

struct claimer {
    struct pg *pg;
    struct uuid worker;
    struct claim claims[JOBS];
    size_t count;
    int status;
    struct fault fault;
};

static void *claim_all(void *context)
{
    struct claimer *claimer = context;
    for (size_t got = 1, idle = 0; idle < 3;) {
        claimer->status =
            scene_claim_up_to(claimer->pg, &claimer->worker, 3, claimer->claims + claimer->count,
                              &got, &claimer->fault);
        if (claimer->status != 0)
            return NULL;
        claimer->count += got;
        idle = got == 0 ? idle + 1 : 0; /* what others were claiming is theirs */
    }
    return NULL;
}

static void many_workers_claim_each_once(void **state)
{
    struct scene *scene = *state;
    struct scene_order order = scene_order(scene, scene->tenant);
    static struct claimer claimers[CLAIMERS];
    pthread_t threads[CLAIMERS];
    scene_queue(scene, &order, "job", JOBS);
    for (int i = 0; i < CLAIMERS; i++) {
        struct fault fault;
        claimers[i] = (struct claimer){.worker = scene_worker(scene)};
        assert_ok(pg_cluster_connect(scene->cluster, "sallyport_worker", &claimers[i].pg, &fault));
    }
    for (int i = 0; i < CLAIMERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, claim_all, &claimers[i]), 0);
    size_t total = 0;
    for (int i = 0; i < CLAIMERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        pg_free(claimers[i].pg);
        fixture_assert_ok(claimers[i].status, &claimers[i].fault, __FILE__, __LINE__);
        total += claimers[i].count;
        for (size_t c = 0; c < claimers[i].count; c++)
            assert_int_equal(scene_number(scene,
                                          "SELECT count(*) FROM execution_queue WHERE execution_id "
                                          "= '%s' AND worker_id = '%s' AND fence = %lld",
                                          uuid_format(&claimers[i].claims[c].execution_id).text,
                                          uuid_format(&claimers[i].worker).text,
                                          (long long)claimers[i].claims[c].fence),
                             1);
    }
    assert_int_equal(total, JOBS);
    assert_int_equal(scene_number(scene, "SELECT count(DISTINCT fence) FROM execution_queue"),
                     JOBS);
}

static void a_claim_is_loaded_by_its_holder(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct scene_order order = scene_order(scene, scene->tenant);
    AUTO_SCENE_JOB struct scene_job job;
    scene_job_make(&order, "nonce-0001", "body", &job);
    job.admission.traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    scene_admit(scene, &job);
    struct uuid worker = scene_worker(scene);
    struct claim held = scene_claim(scene, &worker);
    AUTO_QUEUED struct queued queued = {0};
    assert_ok(queue_load(scene->worker, &held, &queued, &fault));
    assert_string_equal(queued.tenant_id, scene->tenant);
    assert_int_equal(queued.state, EXECUTION_QUEUED);
    assert_true(queued.submitted_ms == job.admission.submitted_ms);
    assert_true(queued.started_ms == INT64_MIN);
    assert_int_equal(queued.cancel, CANCEL_NONE);
    assert_string_equal(queued.api_key_id, order.api_key_id);
    assert_string_equal(queued.kid, "key-1");
    assert_true(span_equal(queued.token, span_text(job.token)));
    assert_string_equal(queued.traceparent, job.admission.traceparent);
    assert_string_equal(queued.worker, "");
    assert_string_equal(queued.task_id, "task-1");
    assert_string_equal(queued.operator_id, "operator-1");
    assert_string_equal(queued.correlation_id, "correlation-1");
    assert_string_equal(queued.target_urn, "urn:target:host:db-01");
    assert_true(digest_equal(&queued.tool_sha256, &order.tool_sha256));
    assert_true(digest_equal(&queued.manifest_sha256, &job.manifest.sha256));
    struct claim wrong[3] = {held, held, held};
    wrong[0].fence++;
    wrong[1].worker_id = uuid_v7();
    wrong[2].execution_id = uuid_v7();
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        struct queued none = {0};
        assert_fault(queue_load(scene->worker, &wrong[i], &none, &fault), FAULT_STATE_CONFLICT,
                     "claim");
        /* Of an execution that nobody accepted no nonce was spent. */
        assert_fault(scene_start(scene->worker, &order, &wrong[i], &fault),
                     i == 2 ? FAULT_NONCE_REUSED : FAULT_STATE_CONFLICT, "");
        assert_fault(
            scene_finish(scene->worker, &order, &wrong[i], EXECUTION_REFUSED, "", false, &fault),
            FAULT_STATE_CONFLICT, "claim");
        assert_ok(queue_unclaim(scene->worker, &wrong[i], &fault)); /* of nothing */
    }
    assert_int_equal(scene_number(scene, "SELECT count(*) FROM execution_queue WHERE fence = %lld",
                                  (long long)held.fence),
                     1);
}

/* Those that do not hold any more are left out, and nobody gets another's. */
static void many_claims_are_loaded_at_once(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct scene_order order = scene_order(scene, scene->tenant);
    struct scene_order other = scene_order(scene, scene->other);
    struct claim claims[4];
    struct queued queued[4];
    struct uuid worker = scene_worker(scene);
    scene_queue(scene, &order, "one", 2);
    scene_queue(scene, &other, "two", 2);
    assert_int_equal(claim(scene->worker, &worker, 4, claims), 4);
    assert_ok(queue_unclaim(scene->worker, &claims[2], &fault));
    assert_ok(queue_load_all(scene->worker, claims, 4, queued, &fault));
    for (int i = 0; i < 4; i++) {
        if (i == 2) {
            assert_null(queued[i].owner);
            continue;
        }
        assert_int_equal(scene_number(scene,
                                      "SELECT count(*) FROM execution_active WHERE execution_id = "
                                      "'%s' AND tenant_id = '%s' AND token = '%.*s'",
                                      uuid_format(&claims[i].execution_id).text,
                                      queued[i].tenant_id, (int)queued[i].token.len,
                                      (const char *)queued[i].token.data),
                         1);
        assert_int_equal(queued[i].state, EXECUTION_QUEUED);
        queued_free(&queued[i]);
    }
    assert_ok(queue_load_all(scene->worker, &claims[2], 1, queued, &fault));
    assert_null(queued[0].owner);
}

static void a_claim_given_back_is_another_s(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct scene_order order = scene_order(scene, scene->tenant);
    scene_queue(scene, &order, "job", 1);
    struct uuid one = scene_worker(scene), two = scene_worker(scene);
    struct claim first = scene_claim(scene, &one);
    assert_ok(queue_unclaim(scene->worker, &first, &fault));
    struct claim second = scene_claim(scene, &two);
    assert_true(second.fence > first.fence);
    /* The first holder, late, has nothing to say any more. */
    assert_fault(scene_start(scene->worker, &order, &first, &fault), FAULT_STATE_CONFLICT, "claim");
    assert_ok(queue_unclaim(scene->worker, &first, &fault));
    assert_ok(scene_start(scene->worker, &order, &second, &fault));
    /* What runs is not given back. */
    assert_ok(queue_unclaim(scene->worker, &second, &fault));
    assert_int_equal(scene_number(scene, "SELECT count(*) FROM execution_queue WHERE fence = %lld",
                                  (long long)second.fence),
                     1);
}

static void a_start_is_said_once(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct scene_order order = scene_order(scene, scene->tenant);
    scene_queue(scene, &order, "job", 1);
    struct uuid worker = scene_worker(scene);
    struct claim held = scene_claim(scene, &worker);
    assert_ok(scene_start(scene->worker, &order, &held, &fault));
    assert_fault(scene_start(scene->worker, &order, &held, &fault), FAULT_STATE_CONFLICT, "claim");
    AUTO_QUEUED struct queued queued = {0};
    assert_ok(queue_load(scene->worker, &held, &queued, &fault));
    assert_int_equal(queued.state, EXECUTION_RUNNING);
    assert_true(queued.started_ms >= queued.submitted_ms - 1000);
    assert_string_equal(queued.worker, "test/worker");
    assert_int_equal(
        scene_number(scene,
                     "SELECT count(*) FROM event e JOIN execution_active a ON a.started_event_id = "
                     "e.event_id WHERE e.tenant_id = '%s' AND e.type = "
                     "'io.sallyport.execution.started.v1'",
                     scene->tenant),
        1);
    assert_int_equal(scene_number(scene,
                                  "SELECT count(*) FROM event WHERE tenant_id = '%s' AND type LIKE "
                                  "'%%.started.v1'",
                                  scene->tenant),
                     1);
}

/* Nothing of a start that is not to be is left: no state, no event. */
static void assert_not_started(struct scene *scene)
{
    assert_int_equal(
        scene_number(scene,
                     "SELECT count(*) FROM execution_active WHERE tenant_id = '%s' AND "
                     "state = 'queued' AND started_event_id IS NULL",
                     scene->tenant),
        1);
    assert_int_equal(scene_number(scene,
                                  "SELECT count(*) FROM event WHERE tenant_id = '%s' AND type LIKE "
                                  "'%%.started.v1'",
                                  scene->tenant),
                     0);
}

static void what_came_in_between_stops_a_start(void **state)
{
    static const struct {
        const char *sql;
        enum fault_code code;
    } cases[] = {
        {"UPDATE worker SET lease_expires_at = now() - interval '1 second'", FAULT_STATE_CONFLICT},
        {"DELETE FROM worker", FAULT_STATE_CONFLICT},
        {"UPDATE execution_active SET cancel_requested_at = now(), cancel_reason = "
         "'cancel_requested'",
         FAULT_STATE_CONFLICT},
        {"UPDATE api_key SET revoked_at = now()", FAULT_NOT_AUTHENTICATED},
        {"UPDATE verification_key SET revoked_at = now()", FAULT_SIGNATURE_INVALID},
        {"UPDATE artifact SET state = 'revoked', revoked_at = now() WHERE state = 'pending'",
         FAULT_ARTIFACT_REVOKED},
        {"UPDATE tenant SET quorum = 3", FAULT_ARTIFACT_NOT_APPROVED},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fault fault;
        (void)scene_begin(state);
        struct scene *scene = *state;
        struct scene_order order = scene_order(scene, scene->tenant);
        scene_queue(scene, &order, "job", 1);
        struct uuid worker = scene_worker(scene);
        struct claim held = scene_claim(scene, &worker);
        scene_sql(scene, "%s", cases[i].sql);
        assert_fault(scene_start(scene->worker, &order, &held, &fault), cases[i].code, "");
        assert_not_started(scene);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(the_oldest_are_claimed_first),
        SCENE_TEST(without_a_lease_nothing_is_claimed),
        SCENE_TEST(workers_do_not_wait_for_each_other),
        SCENE_TEST(many_workers_claim_each_once),
        SCENE_TEST(a_claim_is_loaded_by_its_holder),
        SCENE_TEST(many_claims_are_loaded_at_once),
        SCENE_TEST(a_claim_given_back_is_another_s),
        SCENE_TEST(a_start_is_said_once),
        SCENE_TEST(what_came_in_between_stops_a_start),
    };
    return cmocka_run_group_tests(tests, scene_open, scene_close);
}
