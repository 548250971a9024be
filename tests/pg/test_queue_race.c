/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: of those who end or take back an execution at one moment exactly one has its way. */
#include "base/clock.h"
#include "tests/pg/held.h"

#include <pthread.h>

#define AWAIT_MS 60000

struct rival {
    struct pg *pg;
    struct held *held;
    struct event *event; /* of a start */
    bool reaper;
    pthread_barrier_t *barrier;
    int status;
    struct fault fault;
};

static void *end_it(void *context)
{
    struct rival *rival = context;
    (void)pthread_barrier_wait(rival->barrier);
    rival->status = scene_finish(rival->pg, &rival->held->order, &rival->held->claim,
                                 rival->reaper ? EXECUTION_LOST : EXECUTION_SUCCEEDED, "out",
                                 rival->reaper, &rival->fault);
    return NULL;
}

/* A worker that comes back and two reapers, all at once: one of them ends it. */
static void rivals_for_an_end(void **state)
{
    enum { RIVALS = 3, ROUNDS = 10 };
    struct rival rivals[RIVALS];
    struct scene *scene = *state;
    for (int i = 0; i < RIVALS; i++) {
        struct fault fault;
        rivals[i] = (struct rival){.reaper = i > 0};
        assert_ok(pg_cluster_connect(scene->cluster, "sallyport_worker", &rivals[i].pg, &fault));
    }
    for (int round = 0; round < ROUNDS; round++) {
        (void)scene_begin(state);
        struct held held = hold(scene, true);
        pthread_t threads[RIVALS];
        pthread_barrier_t barrier;
        assert_int_equal(pthread_barrier_init(&barrier, NULL, RIVALS), 0);
        scene_expire(scene, &held.worker);
        for (int i = 0; i < RIVALS; i++) {
            rivals[i].held = &held;
            rivals[i].barrier = &barrier;
            assert_int_equal(pthread_create(&threads[i], NULL, end_it, &rivals[i]), 0);
        }
        const char *end = NULL;
        for (int i = 0; i < RIVALS; i++)
            assert_int_equal(pthread_join(threads[i], NULL), 0);
        for (int i = 0; i < RIVALS; i++) {
            if (rivals[i].status == 0) {
                assert_null(end);
                end = rivals[i].reaper ? "lost" : "succeeded";
            } else {
                assert_int_equal(rivals[i].fault.code, FAULT_STATE_CONFLICT);
            }
        }
        assert_non_null(end);
        assert_ended(scene, end);
        (void)pthread_barrier_destroy(&barrier);
    }
    for (int i = 0; i < RIVALS; i++)
        pg_free(rivals[i].pg);
}

static struct event *started_event(const struct held *held)
{
    return scene_event(EVENT_EXECUTION_STARTED, held->order.tenant, "task-1",
                       &held->claim.execution_id);
}

static void *start_it(void *context)
{
    struct rival *rival = context;
    struct start start, *items[] = {&start};
    scene_start_make(&rival->held->order, &rival->held->claim, rival->event, &start);
    queue_start(rival->pg, items, 1);
    rival->status = start.started ? 0 : -1;
    rival->fault = start.fault;
    return NULL;
}

/* Begins a start in a thread and waits until it is held up by what scene->sql has locked. */
static void begin_start(struct scene *scene, struct rival *starter, pthread_t *ret_thread)
{
    struct fault fault;
    int64_t deadline = clock_monotonic_ms() + AWAIT_MS;
    assert_ok(pg_cluster_connect(scene->cluster, "sallyport_worker", &starter->pg, &fault));
    assert_int_equal(pthread_create(ret_thread, NULL, start_it, starter), 0);
    while (scene_number(scene, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = "
                               "'Lock' AND usename = 'sallyport_worker' AND datname = "
                               "current_database()") == 0)
        assert_true(clock_monotonic_ms() < deadline);
}

/* Running in the hands of the claim, or queued in nobody's. */
static void assert_state(struct scene *scene, bool runs)
{
    assert_int_equal(scene_number(scene,
                                  "SELECT count(*) FROM execution_active a JOIN execution_queue q "
                                  "USING (execution_id) WHERE a.state = '%s' AND q.fence IS %s "
                                  "AND a.started_event_id IS %s",
                                  runs ? "running" : "queued", runs ? "NOT NULL" : "NULL",
                                  runs ? "NOT NULL" : "NULL"),
                     1);
}

/* The lease runs out while its worker's start is at its last step: the reaper leaves it alone. */
static void a_start_before_the_reaper(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct held held = hold(scene, false);
    struct rival starter = {.held = &held, .event = started_event(&held)};
    pthread_t thread;
    size_t count;
    struct claim lost;
    int64_t returned = 99;
    AUTO_PG struct pg *super = NULL;
    assert_ok(pg_cluster_connect(scene->cluster, NULL, &super, &fault));
    scene_sql(scene, "BEGIN");
    scene_sql(scene,
              "INSERT INTO event (event_id, tenant_id, type, subject, hash, body)"
              " VALUES ('%s', '', 'io.sallyport.test', 'the same id', sha256('x'), 'x')",
              uuid_format(&starter.event->id).text);
    begin_start(scene, &starter, &thread);
    assert_ok(pg_execute(super, "UPDATE worker SET lease_expires_at = now() - interval '1 second'",
                         &fault));
    int reaped = queue_return_expired(scene->worker, &returned, &fault);
    scene_sql(scene, "ROLLBACK");
    assert_int_equal(pthread_join(thread, NULL), 0);
    pg_free(starter.pg);
    event_free(starter.event);
    assert_ok(reaped);
    assert_int_equal(returned, 0);
    fixture_assert_ok(starter.status, &starter.fault, __FILE__, __LINE__);
    assert_state(scene, true);
    /* From now on it is lost, like any that runs under a lease that ran out. */
    assert_ok(queue_find_lost(scene->worker, 1, &lost, &count, &fault));
    assert_int_equal(count, 1);
    assert_memory_equal(&lost, &held.claim, sizeof lost);
}

/* The reaper's statement is first: the start waits for it, and then does not hold any more. */
static void the_reaper_before_a_start(void **state)
{
    struct scene *scene = *state;
    struct held held = hold(scene, false);
    struct rival starter = {.held = &held, .event = started_event(&held)};
    pthread_t thread;
    scene_sql(scene, "BEGIN");
    scene_sql(scene, "UPDATE execution_queue SET worker_id = NULL, fence = NULL");
    begin_start(scene, &starter, &thread);
    scene_sql(scene, "COMMIT");
    assert_int_equal(pthread_join(thread, NULL), 0);
    pg_free(starter.pg);
    event_free(starter.event);
    fixture_assert_fault(starter.status, FAULT_STATE_CONFLICT, "claim", &starter.fault, __FILE__,
                         __LINE__);
    assert_state(scene, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(rivals_for_an_end),
        SCENE_TEST(a_start_before_the_reaper),
        SCENE_TEST(the_reaper_before_a_start),
    };
    return cmocka_run_group_tests(tests, scene_open, scene_close);
}
