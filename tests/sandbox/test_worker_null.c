/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the worker brings every job to the end its sandbox gives it, once, over a sandbox that does
 * as it is told. (Here and not in tests/pg, because the artifact is unpacked, which takes root.) */
#include "tests/support/worker_fixture.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(test_a_hundred_jobs_on_four_slots),
        SCENE_TEST(test_each_end),
        SCENE_TEST(test_a_hang_is_cancelled),
        SCENE_TEST(test_a_flood_is_cut),
        SCENE_TEST(test_a_stop_finishes_what_runs),
        SCENE_TEST(test_what_is_followed_ends_whole),
        SCENE_TEST(test_what_is_followed_is_stored_while_it_runs),
    };
    return cmocka_run_group_tests(tests, scene_open, scene_close);
}
