/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a tenant queues no more than its bound, and its full queue is nobody else's matter. */
#include "tests/pg/scene.h"

enum { FALLBACK = 5 };

static void queue_rows(struct scene *scene, const char *tenant, int waiting, int claimed)
{
    scene_sql(scene,
              "INSERT INTO execution_queue (execution_id, tenant_id, worker_id, fence)"
              " SELECT gen_random_uuid(), '%s', CASE WHEN n > %d THEN gen_random_uuid() END,"
              " CASE WHEN n > %d THEN n END FROM generate_series(1, %d) n",
              tenant, waiting, waiting, waiting + claimed);
}

/* rooms_count() of these in a transaction of its own, as the api. */
static int count_now(struct scene *scene, struct rooms *rooms, const char *const *tenants,
                     size_t count, int64_t now_ms, struct fault *fault)
{
    AUTO_PG_TX struct pg *tx = scene->api;
    pg_begin(tx, tenants);
    if (rooms_count(rooms, tx, tenants, count, now_ms, fault) != 0)
        return -1;
    return pg_commit(tx, NULL, NULL, NULL, fault);
}

/* How often room is taken until there is none. */
static int take_all(struct rooms *rooms, const char *tenant)
{
    struct fault fault;
    int taken = 0;
    while (taken < 1000 && rooms_take(rooms, tenant, &fault) == 0)
        taken++;
    assert_int_equal(fault.code, FAULT_QUEUE_FULL);
    return taken;
}

static void what_waits_and_what_runs_take_room(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    const char *tenants[] = {scene->tenant, scene->other, NULL};
    AUTO_ROOMS struct rooms *rooms = rooms_new(FALLBACK);
    scene_sql(scene, "UPDATE tenant SET queue_max = 9 WHERE tenant_id = '%s'", scene->other);
    queue_rows(scene, scene->tenant, 2, 1);
    queue_rows(scene, scene->other, 1, 2);
    assert_ok(count_now(scene, rooms, tenants, 2, 0, &fault));
    assert_int_equal(take_all(rooms, scene->tenant), 2);
    assert_int_equal(take_all(rooms, scene->other), 6);
    assert_fault(rooms_take(rooms, scene->other, &fault), FAULT_QUEUE_FULL, "9 executions");
    rooms_give(rooms, scene->other);
    assert_int_equal(take_all(rooms, scene->other), 1);
    assert_fault(rooms_take(rooms, "stranger", &fault), FAULT_INTERNAL, "not counted");
}

static void a_count_is_good_for_a_second(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    const char *tenants[] = {scene->tenant, NULL};
    AUTO_ROOMS struct rooms *rooms = rooms_new(FALLBACK);
    assert_ok(count_now(scene, rooms, tenants, 1, 5000, &fault));
    assert_int_equal(take_all(rooms, scene->tenant), FALLBACK);
    assert_ok(count_now(scene, rooms, tenants, 1, 5000 + ROOMS_COUNT_GOOD_MS - 1, &fault));
    assert_int_equal(take_all(rooms, scene->tenant), 0);
    queue_rows(scene, scene->tenant, 3, 0);
    assert_ok(count_now(scene, rooms, tenants, 1, 5000 + ROOMS_COUNT_GOOD_MS, &fault));
    assert_int_equal(take_all(rooms, scene->tenant), FALLBACK - 3);
    /* More than there is room for, as after a bound was lowered. */
    queue_rows(scene, scene->tenant, 9, 0);
    assert_ok(count_now(scene, rooms, tenants, 1, 9000, &fault));
    assert_int_equal(take_all(rooms, scene->tenant), 0);
}

/* Counts are kept of a bounded number of tenants; the others are counted again. */
static void many_tenants_are_counted(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    enum { MANY = ROOMS_TENANTS_MAX + 1, CALLS = 3 };
    static char names[CALLS][MANY][40];
    const char *tenants[MANY + 1];
    AUTO_ROOMS struct rooms *rooms = rooms_new(FALLBACK);
    scene_sql(scene,
              "INSERT INTO tenant (tenant_id) SELECT '%s-' || c || '.' || n"
              " FROM generate_series(0, %d) c, generate_series(0, %d) n",
              scene->tenant, CALLS - 1, MANY - 1);
    for (int call = 0; call < CALLS; call++) {
        for (int n = 0; n < MANY; n++) {
            (void)snprintf(names[call][n], sizeof names[call][n], "%s-%d.%d", scene->tenant, call,
                           n);
            tenants[n] = names[call][n];
        }
        tenants[MANY] = NULL;
        assert_fault(count_now(scene, rooms, tenants, MANY, 100, &fault), FAULT_INTERNAL,
                     "tenants at once");
        tenants[MANY - 1] = NULL;
        assert_ok(count_now(scene, rooms, tenants, MANY - 1, 100, &fault));
        for (int n = 0; n < MANY - 1; n++)
            assert_int_equal(take_all(rooms, tenants[n]), FALLBACK);
    }
}

static void admit(struct scene *scene, struct rooms *rooms, struct scene_job *jobs, size_t count)
{
    struct admission *items[16];
    assert_true(count <= ARRAY_LEN(items));
    for (size_t i = 0; i < count; i++)
        items[i] = &jobs[i].admission;
    admission_commit(scene->api, rooms, items, count);
}

static void make_jobs(const struct scene_order *order, const char *prefix, struct scene_job *jobs,
                      size_t count)
{
    for (size_t i = 0; i < count; i++) {
        char nonce[64];
        (void)snprintf(nonce, sizeof nonce, "%s-nonce-%zu", prefix, i);
        scene_job_make(order, nonce, "body", &jobs[i]);
    }
}

static void free_jobs(struct scene_job *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        scene_job_free(&jobs[i]);
}

/* In one batch: as many as there is room for, in their order; a known token is known all the same,
 * what the verdict refuses takes no room, another tenant's is accepted. */
static void a_batch_is_accepted_as_far_as_there_is_room(void **state)
{
    struct scene *scene = *state;
    struct scene_order order = scene_order(scene, scene->tenant), refused = order;
    struct scene_order other = scene_order(scene, scene->other);
    AUTO_ROOMS struct rooms *rooms = rooms_new(FALLBACK);
    struct scene_job jobs[10];
    refused.kid = "unknown";
    make_jobs(&refused, "bad", jobs, 2);
    make_jobs(&order, "job", jobs + 2, 7);
    make_jobs(&other, "job", jobs + 9, 1);
    admit(scene, rooms, jobs, 10);
    for (size_t i = 0; i < 10; i++) {
        const struct admission *item = &jobs[i].admission;
        bool full = i == 7 || i == 8;
        assert_int_equal(item->end, i < 2 || full ? ADMISSION_REFUSED : ADMISSION_ACCEPTED);
        if (i < 2 || full)
            assert_int_equal(item->fault.code, full ? FAULT_QUEUE_FULL : FAULT_SIGNATURE_INVALID);
    }
    assert_int_equal(scene_number(scene,
                                  "SELECT count(*) FROM execution_queue WHERE tenant_id = '%s'",
                                  scene->tenant),
                     FALLBACK);
    /* Again: the accepted are known, the others spent nothing and are refused until there is room.
     */
    admit(scene, rooms, jobs + 2, 7);
    for (size_t i = 2; i < 9; i++)
        assert_int_equal(jobs[i].admission.end, i < 7 ? ADMISSION_KNOWN : ADMISSION_REFUSED);
    scene_sql(scene, "DELETE FROM execution_queue");
    AUTO_ROOMS struct rooms *later = rooms_new(FALLBACK);
    admit(scene, later, jobs + 7, 2);
    assert_int_equal(jobs[7].admission.end, ADMISSION_ACCEPTED);
    assert_int_equal(jobs[8].admission.end, ADMISSION_ACCEPTED);
    free_jobs(jobs, ARRAY_LEN(jobs));
}

/* Room taken for what could not be committed is given back: the good ones of a batch that had to be
 * split, and one after it, fill the queue exactly. */
static void a_commit_that_fails_gives_its_room_back(void **state)
{
    struct scene *scene = *state;
    struct scene_order order = scene_order(scene, scene->tenant);
    AUTO_ROOMS struct rooms *rooms = rooms_new(FALLBACK);
    struct scene_job jobs[FALLBACK + 2];
    make_jobs(&order, "job", jobs, ARRAY_LEN(jobs));
    struct uuid taken = jobs[0].admission.execution_id;
    jobs[2].admission.execution_id = taken; /* what the database refuses */
    admit(scene, rooms, jobs, FALLBACK);
    for (size_t i = 0; i < FALLBACK; i++)
        assert_int_equal(jobs[i].admission.end, i == 2 ? ADMISSION_FAILED : ADMISSION_ACCEPTED);
    admit(scene, rooms, jobs + FALLBACK, 2);
    assert_int_equal(jobs[FALLBACK].admission.end, ADMISSION_ACCEPTED);
    assert_int_equal(jobs[FALLBACK + 1].admission.end, ADMISSION_REFUSED);
    assert_int_equal(jobs[FALLBACK + 1].admission.fault.code, FAULT_QUEUE_FULL);
    free_jobs(jobs, ARRAY_LEN(jobs));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(what_waits_and_what_runs_take_room),
        SCENE_TEST(a_count_is_good_for_a_second),
        SCENE_TEST(many_tenants_are_counted),
        SCENE_TEST(a_batch_is_accepted_as_far_as_there_is_room),
        SCENE_TEST(a_commit_that_fails_gives_its_room_back),
    };
    return cmocka_run_group_tests(tests, scene_open, scene_close);
}
