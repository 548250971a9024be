/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: tenants take turns, whatever one of them has queued, and none has more claimed than its
 * ceiling, whoever claims at the same time. */
#include "tests/pg/scene.h"

#include <pthread.h>

/* Rows of the queue alone: a claim looks at nothing else. */
static void queue_rows(struct scene *scene, const char *tenant, int count)
{
    scene_sql(scene,
              "INSERT INTO execution_queue (execution_id, tenant_id)"
              " SELECT gen_random_uuid(), '%s' FROM generate_series(1, %d)",
              tenant, count);
}

static void set_ceiling(struct scene *scene, const char *tenant, const char *ceiling)
{
    scene_sql(scene, "UPDATE tenant SET max_running = %s WHERE tenant_id = '%s'", ceiling, tenant);
}

static int64_t held(struct scene *scene, const char *tenant)
{
    return scene_number(scene,
                        "SELECT count(*) FROM execution_queue WHERE tenant_id = '%s' AND worker_id "
                        "IS NOT NULL",
                        tenant);
}

static size_t claim(struct scene *scene, const struct uuid *worker, int max,
                    struct claim *ret_claims)
{
    struct fault fault;
    size_t count = 99;
    assert_ok(scene_claim_up_to(scene->worker, worker, max, ret_claims, &count, &fault));
    return count;
}

/* The tenants of the next claims, one letter each: a, o and z for acme-, other- and zeta-; '-' for
 * none. */
static void assert_turns(struct scene *scene, const struct uuid *worker, const char *expected)
{
    char turns[64] = {0};
    for (size_t i = 0; i < strlen(expected); i++) {
        struct claim next;
        turns[i] = '-';
        if (claim(scene, worker, 1, &next) == 0)
            continue;
        turns[i] = (char)scene_number(
            scene, "SELECT ascii(tenant_id) FROM execution_queue WHERE execution_id = '%s'",
            uuid_format(&next.execution_id).text);
    }
    assert_string_equal(turns, expected);
}

static const char *third_tenant(struct scene *scene)
{
    static char name[40];
    (void)snprintf(name, sizeof name, "zeta-%s", scene->tenant);
    scene_sql(scene, "INSERT INTO tenant (tenant_id) VALUES ('%s')", name);
    return name;
}

static void ten_thousand_do_not_stand_before_one(void **state)
{
    struct scene *scene = *state;
    struct uuid worker = scene_worker(scene);
    queue_rows(scene, scene->tenant, 10000);
    assert_turns(scene, &worker, "aa");
    queue_rows(scene, scene->other, 1);
    assert_turns(scene, &worker, "oa");
    queue_rows(scene, scene->other, 2);
    assert_turns(scene, &worker, "oaoaa");
}

static void tenants_take_turns_the_oldest_first(void **state)
{
    struct scene *scene = *state;
    struct uuid worker = scene_worker(scene);
    const char *zeta = third_tenant(scene);
    queue_rows(scene, scene->tenant, 4);
    queue_rows(scene, scene->other, 1);
    queue_rows(scene, zeta, 3);
    struct claim claims[8];
    assert_turns(scene, &worker, "aoz");
    assert_int_equal(scene_number(scene,
                                  "SELECT count(*) FROM execution_queue w JOIN execution_queue h "
                                  "USING (tenant_id) WHERE w.worker_id IS NULL AND h.worker_id IS "
                                  "NOT NULL AND w.execution_id < h.execution_id"),
                     0);
    assert_int_equal(claim(scene, &worker, 8, claims), 5);
    assert_turns(scene, &worker, "-");
}

/* Many at once are as many of each, and whose turn it is then is as if they had been claimed one by
 * one. */
static void many_at_once_are_equal_parts(void **state)
{
    struct scene *scene = *state;
    struct uuid worker = scene_worker(scene);
    const char *zeta = third_tenant(scene);
    struct claim claims[8];
    queue_rows(scene, scene->tenant, 6);
    queue_rows(scene, scene->other, 6);
    queue_rows(scene, zeta, 1);
    assert_int_equal(claim(scene, &worker, 6, claims), 6);
    assert_int_equal(held(scene, scene->tenant), 3);
    assert_int_equal(held(scene, scene->other), 2);
    assert_int_equal(held(scene, zeta), 1);
    for (int i = 1; i < 6; i++)
        assert_true(claims[i].fence > claims[i - 1].fence);
    assert_turns(scene, &worker, "oao");
    /* Fewer than there are tenants: those whose turn it is. */
    queue_rows(scene, zeta, 2);
    assert_int_equal(claim(scene, &worker, 2, claims), 2);
    assert_int_equal(held(scene, zeta), 2);
    assert_int_equal(held(scene, scene->tenant), 5);
    assert_int_equal(held(scene, scene->other), 4);
    /* What one has not, others get: a ceiling leaves its part to them, too. */
    set_ceiling(scene, scene->other, "5");
    assert_int_equal(claim(scene, &worker, 8, claims), 3);
    assert_int_equal(held(scene, scene->tenant), 6);
    assert_int_equal(held(scene, scene->other), 5);
    assert_int_equal(held(scene, zeta), 3);
    assert_turns(scene, &worker, "-");
}

/* Who had no turn for long comes first, once: turns are not saved up. */
static void a_turn_not_taken_is_not_saved(void **state)
{
    struct scene *scene = *state;
    struct uuid worker = scene_worker(scene);
    queue_rows(scene, scene->other, 1);
    assert_turns(scene, &worker, "o");
    queue_rows(scene, scene->tenant, 9);
    assert_turns(scene, &worker, "aaaaa");
    queue_rows(scene, scene->other, 9);
    assert_turns(scene, &worker, "oaoa");
}

static void who_has_nothing_to_claim_is_passed_over(void **state)
{
    struct scene *scene = *state;
    struct uuid worker = scene_worker(scene);
    queue_rows(scene, scene->tenant, 3);
    assert_turns(scene, &worker, "aaa-");
    queue_rows(scene, scene->other, 2);
    assert_turns(scene, &worker, "oo-");
    /* All that the first in turn has is being claimed by somebody else. */
    queue_rows(scene, scene->tenant, 1);
    queue_rows(scene, scene->other, 1);
    scene_sql(scene, "BEGIN");
    scene_sql(scene,
              "SELECT FROM execution_queue WHERE tenant_id = '%s' AND worker_id IS NULL "
              "FOR UPDATE",
              scene->tenant);
    assert_turns(scene, &worker, "o-");
    scene_sql(scene, "ROLLBACK");
    assert_turns(scene, &worker, "a-");
}

/* A turn that another claim is noting is neither waited for nor in the way. */
static void nobody_waits_for_a_turn_without_a_ceiling(void **state)
{
    struct scene *scene = *state;
    struct uuid worker = scene_worker(scene);
    queue_rows(scene, scene->tenant, 3);
    scene_sql(scene, "BEGIN");
    scene_sql(scene, "SELECT FROM tenant_turn FOR UPDATE");
    assert_turns(scene, &worker, "aaa-");
    scene_sql(scene, "ROLLBACK");
}

static void a_ceiling_holds_for_what_is_claimed(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct uuid worker = scene_worker(scene), second = scene_worker(scene);
    struct scene_order order = scene_order(scene, scene->tenant);
    struct claim claims[8], last;
    scene_queue(scene, &order, "job", 6);
    set_ceiling(scene, scene->tenant, "2");
    assert_int_equal(claim(scene, &worker, 1, &claims[0]), 1);
    assert_int_equal(claim(scene, &second, 8, &claims[1]), 1);
    assert_int_equal(claim(scene, &worker, 8, claims + 2), 0);
    assert_int_equal(claim(scene, &second, 1, claims + 2), 0);
    /* Others go on, and one given back, or ended, makes room. */
    queue_rows(scene, scene->other, 2);
    assert_turns(scene, &worker, "oo-");
    assert_ok(queue_unclaim(scene->worker, &claims[0], &fault));
    assert_int_equal(claim(scene, &second, 8, &claims[0]), 1);
    assert_ok(scene_start(scene->worker, &order, &claims[0], &fault));
    assert_turns(scene, &worker, "-");
    assert_ok(
        scene_finish(scene->worker, &order, &claims[0], EXECUTION_SUCCEEDED, "out", false, &fault));
    assert_int_equal(claim(scene, &worker, 8, &last), 1);
    /* Lowered it ends nothing; raised, or lifted, it lets more in. */
    set_ceiling(scene, scene->tenant, "1");
    assert_turns(scene, &worker, "-");
    assert_int_equal(held(scene, scene->tenant), 2);
    set_ceiling(scene, scene->tenant, "3");
    assert_turns(scene, &worker, "a-");
    set_ceiling(scene, scene->tenant, "NULL");
    assert_turns(scene, &worker, "aa-");
}

/* What is to end without a run uses no room of those that run. */
static void what_is_cancelled_asks_for_no_room(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct uuid worker = scene_worker(scene);
    struct scene_order order = scene_order(scene, scene->tenant);
    struct claim claims[4];
    size_t count = 0;
    scene_queue(scene, &order, "job", 3);
    set_ceiling(scene, scene->tenant, "1");
    assert_turns(scene, &worker, "a-");
    scene_sql(scene, "UPDATE execution_active SET cancel_requested_at = now(), cancel_reason = "
                     "'cancel_requested'");
    assert_ok(queue_claim_cancelled(scene->worker, &worker, 4, claims, &count, &fault));
    assert_int_equal(count, 2);
}

enum { CLAIMERS = 8, ROUNDS = 60, CEILING = 3 };

struct claimer {
    const struct scene *scene;
    struct pg *pg, *eyes;
    struct uuid worker;
    int most;
    int claimed, worst;
    int status;
    struct fault fault;
};

/* The most that a ceilinged tenant has claimed, as committed now. */
static int look(struct claimer *claimer)
{
    static const struct pg_statement read = {
        "test_worst", "SELECT coalesce(max(n), 0) FROM (SELECT count(*) AS n FROM execution_queue"
                      " JOIN tenant USING (tenant_id) WHERE worker_id IS NOT NULL AND max_running "
                      "IS NOT NULL GROUP BY tenant_id) h"};
    AUTO_PGRESULT PGresult *result = NULL;
    if (pg_query_as(claimer->eyes, NULL, &read, NULL, &result, &claimer->fault) != 0)
        return -1;
    int worst = (int)pg_get_int(result, 0, 0);
    if (worst > claimer->worst)
        claimer->worst = worst;
    return 0;
}

static void *claim_and_give_back(void *context)
{
    struct claimer *claimer = context;
    struct claim claims[4];
    claimer->status = -1;
    for (int round = 0; round < ROUNDS; round++) {
        size_t count = 0;
        if (scene_claim_up_to(claimer->pg, &claimer->worker, claimer->most, claims, &count,
                              &claimer->fault) != 0 ||
            look(claimer) != 0)
            return NULL;
        claimer->claimed += (int)count;
        for (size_t i = 0; i < count; i++)
            if (queue_unclaim(claimer->pg, &claims[i], &claimer->fault) != 0)
                return NULL;
    }
    claimer->status = 0;
    return NULL;
}

static void run_claimers(struct scene *scene, struct claimer *claimers)
{
    pthread_t threads[CLAIMERS];
    for (int i = 0; i < CLAIMERS; i++) {
        struct fault fault;
        claimers[i] =
            (struct claimer){.scene = scene, .worker = scene_worker(scene), .most = 1 + i % 4};
        assert_ok(pg_cluster_connect(scene->cluster, "sallyport_worker", &claimers[i].pg, &fault));
        assert_ok(
            pg_cluster_connect(scene->cluster, "sallyport_worker", &claimers[i].eyes, &fault));
    }
    for (int i = 0; i < CLAIMERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, claim_and_give_back, &claimers[i]), 0);
    for (int i = 0; i < CLAIMERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        pg_free(claimers[i].pg);
        pg_free(claimers[i].eyes);
    }
}

/* Two tenants with a ceiling, each in the other's way, and one without. */
static void a_ceiling_holds_among_many_claimers(void **state)
{
    struct scene *scene = *state;
    static struct claimer claimers[CLAIMERS];
    struct scene_order order = scene_order(scene, scene->tenant);
    struct scene_order other = scene_order(scene, scene->other);
    const char *zeta = third_tenant(scene);
    struct scene_order third = scene_order(scene, zeta);
    scene_queue(scene, &order, "job", 20);
    scene_queue(scene, &other, "job", 20);
    scene_queue(scene, &third, "job", 4);
    set_ceiling(scene, scene->tenant, "3");
    set_ceiling(scene, scene->other, "3");
    run_claimers(scene, claimers);
    int claimed = 0;
    for (int i = 0; i < CLAIMERS; i++) {
        fixture_assert_ok(claimers[i].status, &claimers[i].fault, __FILE__, __LINE__);
        assert_in_range(claimers[i].worst, 0, CEILING);
        claimed += claimers[i].claimed;
    }
    assert_true(claimed >= CLAIMERS); /* or nothing was tried */
    /* Nothing is stuck: what they left is claimed, as far as the ceilings go. */
    struct uuid worker = scene_worker(scene);
    struct claim claims[44];
    assert_int_equal(claim(scene, &worker, 44, claims), CEILING + CEILING + 4);
    assert_int_equal(held(scene, scene->tenant), CEILING);
    assert_int_equal(held(scene, scene->other), CEILING);
}

static void what_is_no_ceiling_is_refused(void **state)
{
    struct scene *scene = *state;
    static const char *const bad[] = {"max_running = 0", "max_running = -1", "queue_max = 0",
                                      "queue_max = -1"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        scene_try(scene, "sallyport_owner", NULL, "23514",
                  "UPDATE tenant SET %s WHERE tenant_id = '%s'", bad[i], scene->tenant);
    scene_try(scene, "sallyport_worker", NULL, "42501",
              "UPDATE tenant SET max_running = NULL WHERE tenant_id = '%s'", scene->tenant);
    scene_try(scene, "sallyport_api", scene->tenant, "42501", "SELECT FROM tenant_turn");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(ten_thousand_do_not_stand_before_one),
        SCENE_TEST(tenants_take_turns_the_oldest_first),
        SCENE_TEST(many_at_once_are_equal_parts),
        SCENE_TEST(a_turn_not_taken_is_not_saved),
        SCENE_TEST(who_has_nothing_to_claim_is_passed_over),
        SCENE_TEST(nobody_waits_for_a_turn_without_a_ceiling),
        SCENE_TEST(a_ceiling_holds_for_what_is_claimed),
        SCENE_TEST(what_is_cancelled_asks_for_no_room),
        SCENE_TEST(a_ceiling_holds_among_many_claimers),
        SCENE_TEST(what_is_no_ceiling_is_refused),
    };
    return cmocka_run_group_tests(tests, scene_open, scene_close);
}
