/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the worker brings every job to the end its sandbox gives it, once, over a sandbox that does
 * as it is told. (Here and not in tests/pg, because the artifact is unpacked, which takes root.) */
#include "tests/support/worker_fixture.h"

#include <pthread.h>
#include <sched.h>

static int64_t count(struct scene *scene, const char *where)
{
    return scene_number(scene, "SELECT count(*) FROM execution WHERE tenant_id = '%s' AND %s",
                        scene->tenant, where);
}

static int64_t events(struct scene *scene, const char *type)
{
    return scene_number(scene,
                        "SELECT count(*) FROM event WHERE tenant_id = '%s' AND"
                        " type = 'io.sallyport.execution.%s.v1'",
                        scene->tenant, type);
}

static void test_a_hundred_jobs_on_four_slots(void **state)
{
    struct scene *scene = *state;
    struct worker_fixture *fixture = worker_fixture_open(scene);
    worker_fixture_submit(fixture, "[\"succeed\"]", 100);
    worker_fixture_start(fixture, 4);
    worker_fixture_idle(fixture);
    assert_int_equal(count(scene, "state = 'succeeded' AND exit_code = 0"), 100);
    assert_int_equal(count(scene, "true"), 100);
    assert_int_equal(events(scene, "accepted"), 100);
    assert_int_equal(events(scene, "started"), 100);
    assert_int_equal(events(scene, "finished"), 100);
    assert_int_equal(scene_number(scene, "SELECT count(*) FROM execution_queue"), 0);
    worker_fixture_close(fixture);
}

static void test_each_end(void **state)
{
    static const struct {
        const char *args, *where;
    } ends[] = {
        {"[\"fail\",\"3\"]", "state = 'failed' AND exit_code = 3"},
        {"[\"signal\",\"11\"]", "state = 'failed' AND signal = 11"},
        {"[\"memory\"]", "state = 'out_of_memory'"},
        {"[\"break\"]", "state = 'failed' AND reason = 'runtime_died'"},
        {"[\"refuse\"]", "state = 'failed' AND reason = 'no_result'"},
    };
    struct scene *scene = *state;
    struct worker_fixture *fixture = worker_fixture_open(scene);
    worker_fixture_start(fixture, 2);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        worker_fixture_submit(fixture, ends[i].args, 3);
    worker_fixture_idle(fixture);
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        if (count(scene, ends[i].where) != 3)
            fail_msg("%s did not end as %s", ends[i].args, ends[i].where);
    }
    assert_int_equal(events(scene, "finished"), 3 * ARRAY_LEN(ends));
    worker_fixture_close(fixture);
}

static void test_a_hang_is_cancelled(void **state)
{
    struct scene *scene = *state;
    struct worker_fixture *fixture = worker_fixture_open(scene);
    worker_fixture_start(fixture, 2);
    worker_fixture_submit(fixture, "[\"hang\"]", 2);
    worker_fixture_await(fixture, "SELECT count(*) FROM execution_active WHERE state = 'running'",
                         2);
    worker_fixture_submit(fixture, "[\"succeed\"]", 1); /* waits: both slots are taken */
    scene_sql(scene, "UPDATE execution_active SET cancel_requested_at = now(),"
                     " cancel_reason = 'cancel_requested' WHERE state = 'running'");
    worker_fixture_idle(fixture);
    assert_int_equal(count(scene, "state = 'cancelled' AND reason = 'cancel_requested'"), 2);
    assert_int_equal(count(scene, "state = 'succeeded'"), 1);
    worker_fixture_close(fixture);
}

static void test_a_flood_is_cut(void **state)
{
    struct scene *scene = *state;
    struct worker_fixture *fixture = worker_fixture_open(scene);
    int64_t kept = worker_limits_default().output_bytes;
    worker_fixture_submit(fixture, "[\"flood\",\"20\"]", 1);
    worker_fixture_start(fixture, 1);
    worker_fixture_idle(fixture);
    assert_int_equal(count(scene, "state = 'succeeded' AND stdout_bytes = 20 * 1048576"), 1);
    assert_int_equal(scene_number(scene,
                                  "SELECT convert_from(body, 'UTF8')::jsonb->'data'->>"
                                  "'stdout_stored_bytes' FROM event WHERE tenant_id = '%s' AND"
                                  " type = 'io.sallyport.execution.finished.v1'",
                                  scene->tenant),
                     kept);
    worker_fixture_close(fixture);
}

static void follow_all(struct scene *scene)
{
    scene_sql(scene, "SELECT pg_notify('sallyport_follow', coalesce(string_agg("
                     "execution_id::text, ','), '')) FROM execution_active");
}

/* What is stored of each run is what its event says, word for word. */
static void assert_stored_as_told(struct scene *scene, int64_t executions)
{
    static const char *const streams[] = {"stdout", "stderr"};
    for (size_t i = 0; i < ARRAY_LEN(streams); i++)
        assert_int_equal(
            scene_number(scene,
                         "SELECT count(*) FROM event e WHERE e.tenant_id = '%s'"
                         " AND e.type = 'io.sallyport.execution.finished.v1'"
                         " AND 'sha256:' || encode((SELECT sha256(string_agg(o.data, '' ORDER BY "
                         "o.n)) FROM execution_output o WHERE o.execution_id = e.execution_id"
                         " AND o.stream = '%s'), 'hex')"
                         " = convert_from(e.body, 'UTF8')::jsonb->'data'->>'%s_stored_sha256'",
                         scene->tenant, streams[i], streams[i]),
            executions);
}

/* Ends come between whatever is being stored. */
static void test_what_is_followed_ends_whole(void **state)
{
    struct scene *scene = *state;
    struct worker_fixture *fixture = worker_fixture_open(scene);
    worker_fixture_start(fixture, 6);
    worker_fixture_submit(fixture, "[\"talk\",\"60\"]", 40);
    follow_all(scene);
    worker_fixture_idle(fixture);
    assert_int_equal(count(scene, "state = 'succeeded'"), 40);
    assert_stored_as_told(scene, 40);
    worker_fixture_close(fixture);
}

/* What it has said is there while it runs; its end stores the rest. */
static void test_what_is_followed_is_stored_while_it_runs(void **state)
{
    struct scene *scene = *state;
    struct worker_fixture *fixture = worker_fixture_open(scene);
    worker_fixture_start(fixture, 4);
    worker_fixture_submit(fixture, "[\"linger\",\"5\"]", 4);
    while (scene_number(scene,
                        "SELECT count(*) FROM (SELECT sum(octet_length(data)) AS len FROM"
                        " execution_output WHERE tenant_id = '%s' GROUP BY execution_id, stream) s"
                        " WHERE len = 75",
                        scene->tenant) < 8)
        follow_all(scene); /* as the api does, again and again */
    assert_int_equal(
        scene_number(scene, "SELECT count(*) FROM execution_active WHERE state = 'running'"), 4);
    scene_sql(scene, "UPDATE execution_active SET cancel_requested_at = now(),"
                     " cancel_reason = 'cancel_requested' WHERE state = 'running'");
    worker_fixture_idle(fixture);
    assert_int_equal(count(scene, "state = 'cancelled' AND stdout_bytes = 150"), 4);
    assert_int_equal(scene_number(scene,
                                  "SELECT sum(octet_length(data)) FROM execution_output"
                                  " WHERE tenant_id = '%s'",
                                  scene->tenant),
                     8 * 150);
    assert_stored_as_told(scene, 4);
    worker_fixture_close(fixture);
}

/* What runs is brought to its end; what has not begun is left to whoever comes next. */
static void test_a_stop_finishes_what_runs(void **state)
{
    struct scene *scene = *state;
    struct worker_fixture *fixture = worker_fixture_open(scene);
    worker_fixture_submit(fixture, "[\"succeed\"]", 20);
    worker_fixture_start(fixture, 2);
    char some[128];
    (void)snprintf(some, sizeof some,
                   "SELECT least(count(*), 1) FROM execution WHERE tenant_id = '%s'",
                   scene->tenant);
    worker_fixture_await(fixture, some, 1);
    worker_fixture_stop(fixture);
    int64_t left = scene_number(scene, "SELECT count(*) FROM execution_active");
    assert_int_equal(scene_number(scene, "SELECT count(*) FROM execution_active WHERE state ="
                                         " 'running'"),
                     0);
    assert_int_equal(count(scene, "state = 'succeeded'"), 20 - left);
    worker_fixture_start(fixture, 2); /* the rest is another's */
    worker_fixture_idle(fixture);
    assert_int_equal(count(scene, "state = 'succeeded'"), 20);
    assert_int_equal(events(scene, "finished"), 20);
    worker_fixture_close(fixture);
}

/* A tenant's own bounds lower what its runs get, and never raise it; the events say what held. */
static void test_a_tenant_bounds_its_runs(void **state)
{
    static const char limit[] =
        "SELECT convert_from(body, 'UTF8')::jsonb->'data'->%s->>'%s' FROM event WHERE tenant_id = "
        "'%s' AND type = 'io.sallyport.execution.%s.v1'";
    static const struct {
        const char *name;
        int64_t is;
    } limits[] = {{"timeout_seconds", 7},
                  {"memory_mib", 32},
                  {"pids", 64},
                  {"cpu_percent", 50},
                  {"tmp_mib", 64}};
    struct scene *scene = *state;
    struct worker_fixture *fixture = worker_fixture_open(scene);
    scene_sql(scene,
              "UPDATE tenant SET max_timeout_seconds = 7, max_memory_mib = 32, max_pids = 60000,"
              " max_cpu_percent = 50 WHERE tenant_id = '%s'",
              scene->tenant);
    worker_fixture_submit(fixture, "[\"succeed\"]", 1);
    worker_fixture_start(fixture, 1);
    worker_fixture_idle(fixture);
    for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
        assert_int_equal(
            scene_number(scene, limit, "'limits'", limits[i].name, scene->tenant, "started"),
            limits[i].is);
        assert_int_equal(scene_number(scene, limit, "'execution_metadata'->'limits'",
                                      limits[i].name, scene->tenant, "finished"),
                         limits[i].is);
    }
    worker_fixture_close(fixture);
}

/* Under a ceiling the next one is claimed when one ends, not when somebody looks by the clock: at
 * one a second this would not be over before the fixture's patience is. */
static void test_a_ceiling_does_not_wait_for_the_clock(void **state)
{
    enum { JOBS = 130 };
    struct scene *scene = *state;
    struct worker_fixture *fixture = worker_fixture_open(scene);
    scene_sql(scene, "UPDATE tenant SET max_running = 1 WHERE tenant_id = '%s'", scene->tenant);
    worker_fixture_submit(fixture, "[\"succeed\"]", JOBS);
    worker_fixture_start(fixture, 4);
    worker_fixture_idle(fixture);
    assert_int_equal(count(scene, "state = 'succeeded'"), JOBS);
    assert_int_equal(scene_number(scene,
                                  "SELECT count(*) FROM execution a JOIN execution b ON "
                                  "a.execution_id < b.execution_id AND a.started_at < "
                                  "b.finished_at AND b.started_at < a.finished_at WHERE "
                                  "a.tenant_id = '%s' AND b.tenant_id = a.tenant_id",
                                  scene->tenant),
                     0);
    worker_fixture_close(fixture);
}

/* ---- between the claim and the start ---- */

static const char held_claims[] =
    "SELECT count(*) FROM execution_queue WHERE worker_id IS NOT NULL";
/* Somebody waits for the table that a test has locked. */
static const char waiters[] =
    "SELECT least(count(*), 1) FROM pg_locks WHERE NOT granted AND relation ="
    " '%s'::regclass";

static void await_waiter(struct worker_fixture *fixture, const char *table)
{
    char query[256];
    (void)snprintf(query, sizeof query, waiters, table);
    worker_fixture_await(fixture, query, 1);
}

static void assert_each_once(struct scene *scene, int64_t jobs)
{
    assert_int_equal(count(scene, "state = 'succeeded'"), jobs);
    assert_int_equal(events(scene, "started"), jobs);
    assert_int_equal(events(scene, "finished"), jobs);
    assert_int_equal(scene_number(scene, "SELECT count(*) FROM execution_queue"), 0);
}

static void *stop_main(void *fixture)
{
    worker_fixture_stop(fixture);
    return NULL;
}

/* The worker is told to stop while it holds claims that it has not even read. */
static void test_claims_in_hand_are_given_back(void **state)
{
    struct scene *scene = *state;
    struct worker_fixture *fixture = worker_fixture_open(scene);
    pthread_t stopper;
    struct fault fault;
    worker_fixture_submit(fixture, "[\"succeed\"]", 10);
    scene_sql(scene, "BEGIN");
    scene_sql(scene, "LOCK TABLE execution_active IN ACCESS EXCLUSIVE MODE");
    worker_fixture_start(fixture, 4);
    struct worker *worker = worker_fixture_worker(fixture);
    await_waiter(fixture, "execution_active");
    assert_int_equal(pthread_create(&stopper, NULL, stop_main, fixture), 0);
    while (worker_ready(worker, &fault) == 0 || fault.code != FAULT_SHUTTING_DOWN)
        (void)sched_yield();
    scene_sql(scene, "ROLLBACK");
    assert_int_equal(pthread_join(stopper, NULL), 0);
    assert_int_equal(scene_number(scene, held_claims), 0);
    assert_int_equal(events(scene, "started"), 0);
    worker_fixture_start(fixture, 4);
    worker_fixture_idle(fixture);
    assert_each_once(scene, 10);
    worker_fixture_close(fixture);
}

/* Attack: every connection of the worker is cut while starts are on their way to their commit. */
static void test_starts_that_were_cut_off_start_later(void **state)
{
    struct scene *scene = *state;
    struct worker_fixture *fixture = worker_fixture_open(scene);
    worker_fixture_submit(fixture, "[\"succeed\"]", 12);
    scene_sql(scene, "BEGIN");
    scene_sql(scene, "LOCK TABLE execution_nonce IN ACCESS EXCLUSIVE MODE");
    worker_fixture_start(fixture, 4);
    worker_fixture_await(fixture, held_claims, 4);
    await_waiter(fixture, "execution_nonce");
    scene_cut_off(scene, "sallyport_worker");
    scene_sql(scene, "ROLLBACK");
    worker_fixture_idle(fixture);
    assert_each_once(scene, 12);
    worker_fixture_close(fixture);
}

/* Attack: the same, again and again at any moment. A start or an end whose answer was lost may make
 * an execution lost; none starts twice, none is forgotten. */
static void test_cut_off_again_and_again(void **state)
{
    enum { JOBS = 120, CUTS = 12 };
    struct scene *scene = *state;
    struct worker_fixture *fixture = worker_fixture_open(scene);
    worker_fixture_submit(fixture, "[\"succeed\"]", JOBS);
    worker_fixture_start(fixture, 8);
    for (int i = 1; i <= CUTS; i++) {
        char some[160];
        (void)snprintf(some, sizeof some,
                       "SELECT least(count(*), %d) FROM execution WHERE tenant_id = '%s'",
                       i * JOBS / CUTS / 2, scene->tenant);
        worker_fixture_await(fixture, some, i * JOBS / CUTS / 2);
        scene_cut_off(scene, "sallyport_worker");
    }
    worker_fixture_idle(fixture);
    assert_int_equal(count(scene, "state IN ('succeeded', 'lost')"), JOBS);
    assert_int_equal(events(scene, "started"), JOBS);
    assert_int_equal(events(scene, "finished"), JOBS);
    assert_int_equal(scene_number(scene,
                                  "SELECT count(DISTINCT execution_id) FROM event WHERE tenant_id "
                                  "= '%s' AND type = 'io.sallyport.execution.started.v1'",
                                  scene->tenant),
                     JOBS);
    worker_fixture_close(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(test_a_hundred_jobs_on_four_slots),
        SCENE_TEST(test_each_end),
        SCENE_TEST(test_a_hang_is_cancelled),
        SCENE_TEST(test_a_flood_is_cut),
        SCENE_TEST(test_a_stop_finishes_what_runs),
        SCENE_TEST(test_a_tenant_bounds_its_runs),
        SCENE_TEST(test_a_ceiling_does_not_wait_for_the_clock),
        SCENE_TEST(test_claims_in_hand_are_given_back),
        SCENE_TEST(test_starts_that_were_cut_off_start_later),
        SCENE_TEST(test_cut_off_again_and_again),
        SCENE_TEST(test_what_is_followed_ends_whole),
        SCENE_TEST(test_what_is_followed_is_stored_while_it_runs),
    };
    return cmocka_run_group_tests(tests, scene_open, scene_close);
}
