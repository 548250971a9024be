/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: an end is asked for once and for good, and made by a worker, wherever the execution stands.
 */
#include "base/clock.h"
#include "storage/executions.h"
#include "tests/pg/held.h"

static bool request(struct scene *scene, const char *tenant, const struct uuid *id,
                    const char *api_key_id)
{
    struct fault fault;
    bool first = false;
    AUTO_EVENT struct event *event =
        scene_event(EVENT_EXECUTION_CANCEL_REQUESTED, tenant, "task-1", id);
    assert_ok(cancels_request(scene->api, tenant, id, api_key_id, event, &first, &fault));
    return first;
}

static int64_t cancel_events(struct scene *scene)
{
    return scene_number(scene,
                        "SELECT count(*) FROM event WHERE type = "
                        "'io.sallyport.execution.cancel_requested.v1' AND tenant_id IN "
                        "('%s', '%s')",
                        scene->tenant, scene->other);
}

static void the_first_word_stands(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct held held = hold(scene, true);
    const struct uuid *id = &held.claim.execution_id, nobody = uuid_v7();
    const char *key = held.order.api_key_id;
    AUTO_QUEUED struct queued queued = {0};
    assert_false(request(scene, scene->other, id, NULL));
    assert_false(request(scene, scene->tenant, &nobody, key));
    assert_int_equal(cancel_events(scene), 0);
    assert_true(request(scene, scene->tenant, id, key));
    assert_false(request(scene, scene->tenant, id, key));
    assert_int_equal(cancel_events(scene), 1);
    assert_ok(queue_load(scene->worker, &held.claim, &queued, &fault));
    assert_int_equal(queued.cancel, CANCEL_REQUESTED);
    /* It ended by itself meanwhile; nothing is asked of what has ended. */
    assert_ok(scene_finish(scene->worker, &held.order, &held.claim, EXECUTION_SUCCEEDED, "", false,
                           &fault));
    assert_false(request(scene, scene->tenant, id, key));
    assert_ended(scene, "succeeded");
    struct execution_events events;
    assert_ok(executions_events(scene->api, scene->tenant, id, &events, &fault));
    static const enum event_type types[] = {EVENT_EXECUTION_ACCEPTED, EVENT_EXECUTION_STARTED,
                                            EVENT_EXECUTION_CANCEL_REQUESTED,
                                            EVENT_EXECUTION_FINISHED};
    assert_int_equal(events.count, ARRAY_LEN(types));
    for (size_t i = 0; i < events.count; i++) {
        assert_int_equal(events.items[i].type, types[i]);
        assert_int_equal(scene_number(scene,
                                      "SELECT count(*) FROM event WHERE event_id = '%s' AND type "
                                      "= '%s' AND execution_id = '%s'",
                                      uuid_format(&events.items[i].id).text,
                                      event_type_name(types[i]), uuid_format(id).text),
                         1);
    }
}

static void a_revoked_caller_asks_for_nothing(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    bool first = true;
    struct held held = hold(scene, false);
    const char *key = scene_api_key(scene, scene->tenant, "eve", ROLE_SUBMITTER);
    scene_sql(scene, "UPDATE api_key SET revoked_at = now() WHERE api_key_id = '%s'", key);
    AUTO_EVENT struct event *event = scene_event(EVENT_EXECUTION_CANCEL_REQUESTED, scene->tenant,
                                                 "task-1", &held.claim.execution_id);
    assert_fault(cancels_request(scene->api, scene->tenant, &held.claim.execution_id, key, event,
                                 &first, &fault),
                 FAULT_NOT_AUTHENTICATED, "");
    assert_int_equal(scene_number(scene, "SELECT count(*) FROM execution_active WHERE "
                                         "cancel_requested_at IS NOT NULL"),
                     0);
    assert_int_equal(cancel_events(scene), 0);
}

/* Attack: a taken-over api takes a cancel back, changes its reason, or ends an execution itself. */
static void the_api_only_asks(void **state)
{
    struct scene *scene = *state;
    struct held held = hold(scene, true);
    const char *id = uuid_format(&held.claim.execution_id).text;
    static const struct {
        const char *sqlstate, *sql;
    } cases[] = {
        {"23514", "UPDATE execution_active SET cancel_requested_at = NULL, cancel_reason = NULL"},
        {"23514", "UPDATE execution_active SET cancel_requested_at = NULL"},
        {"23514", "UPDATE execution_active SET cancel_requested_at = now() + interval '1 day'"},
        {"23514", "UPDATE execution_active SET cancel_reason = 'artifact_revoked'"},
        {"23514", "UPDATE execution_active SET cancel_event_id = gen_random_uuid()"},
        {"42501", "UPDATE execution_active SET state = 'queued'"},
        {"42501", "DELETE FROM execution_active"},
        {"42501", "DELETE FROM execution_queue"},
        {"42501", "UPDATE execution_queue SET worker_id = NULL, fence = NULL"},
        {"42501", "INSERT INTO execution SELECT * FROM execution"},
        {"42501", "INSERT INTO event (event_id, tenant_id, type, subject, hash, body) VALUES "
                  "(gen_random_uuid(), (sallyport.tenants())[1], "
                  "'io.sallyport.execution.finished.v1', 's', sha256(''), '')"},
    };
    assert_true(request(scene, scene->tenant, &held.claim.execution_id, held.order.api_key_id));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        scene_try(scene, "sallyport_api", scene->tenant, cases[i].sqlstate, "%s", cases[i].sql);
    /* Nor does the worker ask; and no cancel is without its reason. */
    scene_try(scene, "sallyport_worker", NULL, "42501",
              "UPDATE execution_active SET cancel_requested_at = now()");
    scene_queue(scene, &held.order, "more", 1);
    scene_try(scene, "sallyport_api", scene->tenant, "23514",
              "UPDATE execution_active SET cancel_requested_at = now() WHERE execution_id <> '%s'",
              id);
    scene_try(scene, "sallyport_api", scene->tenant, "23514",
              "UPDATE execution_active SET cancel_requested_at = now(), cancel_reason = 'tired' "
              "WHERE execution_id <> '%s'",
              id);
    scene_try(scene, "sallyport_api", scene->other, "00000",
              "UPDATE execution_active SET cancel_requested_at = now(), cancel_reason = 'tired'");
}

static size_t claim_cancelled(struct scene *scene, const struct uuid *worker, int max,
                              struct claim *ret_claims)
{
    struct fault fault;
    size_t count = 99;
    assert_ok(queue_claim_cancelled(scene->worker, worker, max, ret_claims, &count, &fault));
    return count;
}

static void cancel_all_but(struct scene *scene, int kept)
{
    scene_sql(scene,
              "UPDATE execution_active SET cancel_requested_at = now(), cancel_reason = "
              "'artifact_revoked' WHERE execution_id IN (SELECT execution_id FROM execution_active "
              "ORDER BY 1 OFFSET %d)",
              kept);
}

/* Behind others, in batches; never what somebody holds, never what is to run. */
static void what_is_to_end_is_claimed_past_the_rest(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct scene_order order = scene_order(scene, scene->tenant);
    struct uuid worker = scene_worker(scene), busy = scene_worker(scene),
                gone = scene_worker(scene);
    struct claim claims[8], held[8];
    size_t count = 0;
    scene_queue(scene, &order, "job", 9);
    assert_ok(scene_claim_up_to(scene->worker, &busy, 3, held, &count, &fault));
    assert_ok(scene_start(scene->worker, &order, &held[1], &fault));
    assert_int_equal(claim_cancelled(scene, &worker, 8, claims), 0);
    cancel_all_but(scene, 4); /* the oldest three are held, one more stays */
    scene_sql(scene,
              "UPDATE execution_active SET cancel_requested_at = now(), cancel_reason = "
              "'artifact_revoked' WHERE execution_id = '%s'",
              uuid_format(&held[0].execution_id).text);
    scene_expire(scene, &gone);
    assert_int_equal(claim_cancelled(scene, &gone, 8, claims), 0);
    assert_int_equal(claim_cancelled(scene, &worker, 3, claims), 3);
    assert_int_equal(claim_cancelled(scene, &worker, 8, claims + 3), 2);
    assert_int_equal(claim_cancelled(scene, &worker, 8, claims + 5), 0);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(scene_number(scene,
                                      "SELECT count(*) FROM execution_queue q JOIN "
                                      "execution_active a USING (execution_id) WHERE "
                                      "q.execution_id = '%s' AND q.worker_id = '%s' AND q.fence = "
                                      "%lld AND a.cancel_reason = 'artifact_revoked'",
                                      uuid_format(&claims[i].execution_id).text,
                                      uuid_format(&worker).text, (long long)claims[i].fence),
                         1);
    assert_int_equal(scene_number(scene, "SELECT count(*) FROM execution_queue WHERE worker_id IS "
                                         "NULL"),
                     1);
}

/* `count` ends of `state`, as the reaper makes them; how many were stored, the others being gone.
 */
static size_t finish(struct scene *scene, const struct claim *claims, size_t count,
                     enum execution_state state)
{
    struct ending endings[QUEUE_FINISH_MAX], *all[QUEUE_FINISH_MAX];
    struct event *events[QUEUE_FINISH_MAX];
    size_t stored = 0;
    for (size_t i = 0; i < count; i++) {
        events[i] =
            scene_event(EVENT_EXECUTION_FINISHED, scene->tenant, "task-1", &claims[i].execution_id);
        endings[i] = (struct ending){.claim = claims[i],
                                     .tenant_id = scene->tenant,
                                     .state = state,
                                     .reason = "artifact_revoked",
                                     .exit_code = -1,
                                     .finished_ms = clock_wall_ms(),
                                     .worker = "test/worker",
                                     .event = events[i]};
        all[i] = &endings[i];
    }
    queue_finish(scene->worker, all, count, false);
    for (size_t i = 0; i < count; i++) {
        stored += endings[i].fate == ENDING_STORED;
        if (endings[i].fate != ENDING_STORED)
            assert_int_equal(endings[i].fate, ENDING_GONE);
        event_free(events[i]);
    }
    return stored;
}

static void a_batch_ends_what_it_holds(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct scene_order order = scene_order(scene, scene->tenant);
    struct uuid worker = scene_worker(scene), reaper = scene_worker(scene);
    struct claim claims[QUEUE_FINISH_MAX];
    scene_queue(scene, &order, "job", 5);
    cancel_all_but(scene, 0);
    assert_int_equal(claim_cancelled(scene, &worker, QUEUE_FINISH_MAX, claims), 5);
    /* One of them was taken away, and is another's now: the fence tells. */
    assert_ok(queue_unclaim(scene->worker, &claims[3], &fault));
    struct claim taken = scene_claim(scene, &reaper);
    assert_int_equal(finish(scene, claims, 5, EXECUTION_REFUSED), 4);
    assert_int_equal(finish(scene, claims, 5, EXECUTION_REFUSED), 0);
    assert_int_equal(finished_events(scene), 4);
    assert_int_equal(finish(scene, &taken, 1, EXECUTION_CANCELLED), 1);
    assert_int_equal(finished_events(scene), 5);
    assert_int_equal(scene_number(scene,
                                  "SELECT count(*) FROM execution WHERE tenant_id = '%s' AND "
                                  "state = 'refused' AND reason = 'artifact_revoked' AND "
                                  "started_at IS NULL",
                                  scene->tenant),
                     4);
    assert_int_equal(scene_number(scene, "SELECT (SELECT count(*) FROM execution_active) + (SELECT "
                                         "count(*) FROM execution_queue)"),
                     0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(the_first_word_stands),      SCENE_TEST(a_revoked_caller_asks_for_nothing),
        SCENE_TEST(the_api_only_asks),          SCENE_TEST(what_is_to_end_is_claimed_past_the_rest),
        SCENE_TEST(a_batch_ends_what_it_holds),
    };
    return cmocka_run_group_tests(tests, scene_open, scene_close);
}
