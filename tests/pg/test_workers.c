/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a lease is the database's: it is renewed until its incarnation is forgotten, and what is
 * claimed under it hears of its cancels. */
#include "base/clock.h"
#include "storage/workers.h"
#include "tests/pg/scene.h"

static int renew(struct scene *scene, const struct uuid *worker, size_t *ret_count,
                 struct worker_cancel *ret_cancels, struct fault *fault)
{
    return workers_renew(scene->worker, worker, 60000, ret_cancels, ret_count, fault);
}

/* Milliseconds its lease has left. */
static int64_t left(struct scene *scene, const struct uuid *worker)
{
    return scene_number(scene,
                        "SELECT (extract(epoch FROM lease_expires_at - now()) * 1000)::bigint FROM "
                        "worker WHERE worker_id = '%s'",
                        uuid_format(worker).text);
}

static void a_lease_is_renewed_until_it_is_forgotten(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct worker_cancel cancels[WORKER_CANCELS_MAX];
    struct uuid stranger = uuid_v7();
    size_t count = 99;
    const struct worker_row row = {
        .id = uuid_v7(), .node = "n", .slots = 1, .version = "1", .checks = "[]"};
    assert_ok(workers_register(scene->worker, &row, 30000, &fault));
    assert_in_range(left(scene, &row.id), 1, 30000);
    assert_fault(workers_register(scene->worker, &row, 30000, &fault), FAULT_STATE_CONFLICT,
                 "exists");
    assert_ok(workers_renew(scene->worker, &row.id, 600000, cancels, &count, &fault));
    assert_int_equal(count, 0);
    assert_in_range(left(scene, &row.id), 60000, 600000);
    scene_expire(scene, &row.id); /* while the database was away, say */
    assert_ok(renew(scene, &row.id, &count, cancels, &fault));
    assert_in_range(left(scene, &row.id), 1, 60000);
    count = 99;
    assert_fault(renew(scene, &stranger, &count, cancels, &fault), FAULT_STATE_CONFLICT,
                 "forgotten");
    scene_sql(scene, "DELETE FROM worker WHERE worker_id = '%s'", uuid_format(&row.id).text);
    assert_fault(renew(scene, &row.id, &count, cancels, &fault), FAULT_STATE_CONFLICT, "forgotten");
    assert_int_equal(count, 99);
}

static void a_renewal_tells_of_cancels(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct scene_order order = scene_order(scene, scene->tenant);
    struct uuid one = scene_worker(scene), two = scene_worker(scene);
    struct worker_cancel cancels[WORKER_CANCELS_MAX];
    struct claim claims[4];
    size_t count = 99;
    scene_queue(scene, &order, "job", 5);
    for (int i = 0; i < 4; i++)
        claims[i] = scene_claim(scene, i < 3 ? &one : &two);
    assert_ok(scene_start(scene->worker, &order, &claims[0], &fault));
    assert_ok(renew(scene, &one, &count, cancels, &fault));
    assert_int_equal(count, 0);
    scene_sql(scene,
              "UPDATE execution_active SET cancel_requested_at = now(), cancel_reason = CASE WHEN "
              "state = 'running' THEN 'artifact_revoked' ELSE 'cancel_requested' END WHERE "
              "execution_id <> '%s'",
              uuid_format(&claims[1].execution_id).text);
    assert_ok(renew(scene, &one, &count, cancels, &fault));
    assert_int_equal(count, 2); /* the running one and the claimed one; not what others hold */
    size_t first = uuid_equal(&cancels[0].execution_id, &claims[0].execution_id) ? 0 : 1;
    assert_true(uuid_equal(&cancels[first].execution_id, &claims[0].execution_id));
    assert_int_equal(cancels[first].reason, CANCEL_ARTIFACT_REVOKED);
    assert_true(uuid_equal(&cancels[1 - first].execution_id, &claims[2].execution_id));
    assert_int_equal(cancels[1 - first].reason, CANCEL_REQUESTED);
    assert_ok(renew(scene, &two, &count, cancels, &fault));
    assert_int_equal(count, 1);
    assert_true(uuid_equal(&cancels[0].execution_id, &claims[3].execution_id));
}

/* More cancels than a renewal carries: the rest comes as these end. */
static void a_renewal_carries_a_maximum(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct uuid worker = scene_worker(scene);
    struct worker_cancel cancels[WORKER_CANCELS_MAX];
    size_t count = 0;
    scene_sql(
        scene,
        "INSERT INTO execution_active (execution_id, tenant_id, submitted_at, task_id, "
        "operator_id, correlation_id, source, action, target_urn, tool_sha256, "
        "manifest_sha256, api_key_id, kid, token, accepted_event_id, "
        "cancel_requested_at, cancel_reason) SELECT gen_random_uuid(), '%s', now(), 't', 'o', 'c', "
        "'s', 'a', 'u', sha256(''), sha256(''), 'k', 'k', 't', gen_random_uuid(), now(), "
        "'cancel_requested' FROM generate_series(1, 300)",
        scene->tenant);
    scene_sql(scene,
              "INSERT INTO execution_queue SELECT execution_id, tenant_id, '%s', 1 FROM "
              "execution_active",
              uuid_format(&worker).text);
    assert_ok(renew(scene, &worker, &count, cancels, &fault));
    assert_int_equal(count, WORKER_CANCELS_MAX);
}

static void who_leaves_claims_no_more(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct scene_order order = scene_order(scene, scene->tenant);
    struct uuid worker = scene_worker(scene), gone = scene_worker(scene);
    struct worker_cancel cancels[WORKER_CANCELS_MAX];
    struct claim claim;
    size_t count = 99;
    scene_queue(scene, &order, "job", 1);
    assert_ok(workers_leave(scene->worker, &worker, &fault));
    assert_ok(scene_claim_up_to(scene->worker, &worker, 1, &claim, &count, &fault));
    assert_int_equal(count, 0);
    assert_fault(renew(scene, &worker, &count, cancels, &fault), FAULT_STATE_CONFLICT, "forgotten");
    scene_expire(scene, &gone); /* leaving late is leaving too */
    assert_ok(workers_leave(scene->worker, &gone, &fault));
    assert_fault(renew(scene, &gone, &count, cancels, &fault), FAULT_STATE_CONFLICT, "forgotten");
}

struct listing {
    size_t count;
    struct uuid ids[8];
};

static int note(void *context, const struct worker_row *worker)
{
    struct listing *listing = context;
    assert_true(listing->count < 8);
    assert_string_equal(worker->node, "test");
    assert_int_equal(worker->slots, 2);
    assert_string_equal(worker->version, "1");
    assert_string_equal(worker->checks, "[]");
    assert_in_range(worker->started_ms, clock_wall_ms() - 600000, clock_wall_ms() + 600000);
    listing->ids[listing->count++] = worker->id;
    return 0;
}

static void the_old_are_forgotten(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct scene_order order = scene_order(scene, scene->tenant);
    struct uuid alive = scene_worker(scene), lately = scene_worker(scene);
    struct uuid old = scene_worker(scene), holding = scene_worker(scene);
    scene_queue(scene, &order, "job", 1);
    (void)scene_claim(scene, &holding);
    scene_expire(scene, &lately);
    scene_sql(scene,
              "UPDATE worker SET lease_expires_at = now() - interval '25 hours' WHERE worker_id IN "
              "('%s', '%s')",
              uuid_format(&old).text, uuid_format(&holding).text);
    struct listing listing = {0};
    assert_ok(workers_list(scene->api, note, &listing, &fault));
    assert_int_equal(listing.count, 2); /* newest first */
    assert_true(uuid_equal(&listing.ids[0], &lately) && uuid_equal(&listing.ids[1], &alive));
    assert_ok(workers_forget(scene->worker, &fault));
    assert_int_equal(scene_number(scene, "SELECT count(*) FROM worker"), 3);
    assert_int_equal(scene_number(scene, "SELECT count(*) FROM worker WHERE worker_id = '%s'",
                                  uuid_format(&old).text),
                     0);
    assert_fault(workers_forget(scene->api, &fault), FAULT_INTERNAL, "42501");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(a_lease_is_renewed_until_it_is_forgotten),
        SCENE_TEST(a_renewal_tells_of_cancels),
        SCENE_TEST(a_renewal_carries_a_maximum),
        SCENE_TEST(who_leaves_claims_no_more),
        SCENE_TEST(the_old_are_forgotten),
    };
    return cmocka_run_group_tests(tests, scene_open, scene_close);
}
