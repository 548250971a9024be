/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: every execution ends once, whole, by whoever holds its claim, or by the reaper once its
 * worker's lease has run out and not before. */
#include "base/clock.h"
#include "storage/executions.h"
#include "storage/outputs.h"
#include "tests/pg/held.h"

static void assert_not_ended(struct scene *scene, int64_t outputs)
{
    assert_int_equal(
        scene_number(scene, "SELECT count(*) FROM execution WHERE tenant_id = '%s'", scene->tenant),
        0);
    assert_int_equal(scene_number(scene,
                                  "SELECT count(*) FROM execution_output WHERE tenant_id = '%s'",
                                  scene->tenant),
                     outputs);
    assert_int_equal(scene_number(scene,
                                  "SELECT count(*) FROM execution_queue WHERE tenant_id = "
                                  "'%s'",
                                  scene->tenant),
                     1);
}

static void an_end_is_kept_whole(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct held held = hold(scene, true);
    size_t len = (size_t)5 << 19; /* two and a half chunks */
    AUTO_FREE uint8_t *out = malloc(len);
    assert_non_null(out);
    random_bytes(out, len);
    AUTO_EVENT struct event *event =
        scene_event(EVENT_EXECUTION_FINISHED, scene->tenant, "task-1", &held.claim.execution_id);
    struct ending ending = {.claim = held.claim,
                            .tenant_id = scene->tenant,
                            .state = EXECUTION_FAILED,
                            .reason = "why",
                            .exit_code = 3,
                            .signal = 9,
                            .finished_ms = 1767323045678,
                            .worker = "test/worker",
                            .stdout_bytes = INT64_C(10000000000),
                            .stderr_bytes = 4,
                            .stdout_stored = span_of(out, len),
                            .stderr_stored = span_text("oops"),
                            .usage = "{\"wall_ms\":5}",
                            .event = event};
    assert_ok(scene_store(scene->worker, &ending, false, &fault));
    assert_ended(scene, "failed");
    AUTO_EXECUTION struct execution x = {0};
    assert_ok(executions_get(scene->api, scene->tenant, &held.claim.execution_id, &x, &fault));
    assert_int_equal(x.state, EXECUTION_FAILED);
    assert_string_equal(x.reason, "why");
    assert_true(x.has_exit_code && x.has_signal && x.has_event);
    assert_int_equal(x.exit_code, 3);
    assert_int_equal(x.signal, 9);
    assert_true(x.finished_ms == ending.finished_ms);
    assert_true(x.stdout_bytes == ending.stdout_bytes && x.stderr_bytes == 4);
    assert_string_equal(x.usage, "{\"wall_ms\":5}");
    assert_string_equal(x.worker, "test/worker");
    assert_true(uuid_equal(&x.event_id, &event->id));
    AUTO_BUF struct buf stored_out = BUF(4 << 20), stored_err = BUF(100);
    assert_ok(
        outputs_read(scene->api, scene->tenant, &x.id, "stdout", 0, 4 << 20, &stored_out, &fault));
    assert_ok(
        outputs_read(scene->api, scene->tenant, &x.id, "stderr", 0, 4 << 20, &stored_err, &fault));
    assert_true(span_equal(buf_span(&stored_out), span_of(out, len)));
    assert_string_equal(buf_text(&stored_err), "oops");
}

static void an_execution_ends_once(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct held held = hold(scene, true);
    assert_ok(scene_finish(scene->worker, &held.order, &held.claim, EXECUTION_SUCCEEDED, "out",
                           false, &fault));
    assert_ended(scene, "succeeded");
    static const enum execution_state others[] = {EXECUTION_SUCCEEDED, EXECUTION_LOST};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_fault(scene_finish(scene->worker, &held.order, &held.claim, others[i], "again",
                                  false, &fault),
                     FAULT_STATE_CONFLICT, "claim");
    assert_fault(scene_start(scene->worker, &held.order, &held.claim, &fault), FAULT_NONCE_REUSED,
                 "spent");
    assert_ended(scene, "succeeded");
    assert_int_equal(scene_number(scene,
                                  "SELECT count(*) FROM execution_output WHERE tenant_id = '%s'",
                                  scene->tenant),
                     1);
}

/* Refused and cancelled may come before a start; nothing else may. */
static void only_some_ends_come_unstarted(void **state)
{
    static const struct {
        enum execution_state end;
        bool unstarted;
    } cases[] = {{EXECUTION_REFUSED, true},    {EXECUTION_CANCELLED, true},
                 {EXECUTION_SUCCEEDED, false}, {EXECUTION_FAILED, false},
                 {EXECUTION_LOST, false},      {EXECUTION_TIMED_OUT, false},
                 {EXECUTION_QUEUED, false},    {EXECUTION_RUNNING, false}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct fault fault;
        (void)scene_begin(state);
        struct scene *scene = *state;
        struct held held = hold(scene, false);
        int status =
            scene_finish(scene->worker, &held.order, &held.claim, cases[i].end, "", false, &fault);
        if (cases[i].unstarted) {
            assert_ok(status);
            assert_ended(scene, execution_state_name(cases[i].end));
        } else {
            assert_fault(status, FAULT_INTERNAL, "23514");
            assert_not_ended(scene, 0);
        }
    }
}

/* An event that cannot be written (its id is taken) takes row and output back with it. */
static void no_end_without_its_event(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct held held = hold(scene, true);
    AUTO_EVENT struct event *event =
        scene_event(EVENT_EXECUTION_FINISHED, scene->tenant, "task-1", &held.claim.execution_id);
    scene_sql(scene,
              "INSERT INTO event (event_id, tenant_id, type, subject, hash, body) VALUES ('%s', "
              "'%s', 'io.sallyport.taken', 's', sha256(''), '')",
              uuid_format(&event->id).text, scene->tenant);
    struct ending ending = {.claim = held.claim,
                            .tenant_id = scene->tenant,
                            .state = EXECUTION_SUCCEEDED,
                            .finished_ms = clock_wall_ms(),
                            .stdout_stored = span_text("out"),
                            .event = event};
    assert_fault(scene_store(scene->worker, &ending, false, &fault), FAULT_STATE_CONFLICT,
                 "exists");
    assert_not_ended(scene, 0);
    assert_ok(scene_finish(scene->worker, &held.order, &held.claim, EXECUTION_SUCCEEDED, "out",
                           false, &fault));
    assert_ended(scene, "succeeded");
}

static void lost_only_after_the_lease(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct held held = hold(scene, true);
    struct claim lost[4];
    size_t count = 99;
    int64_t returned = 99;
    assert_ok(queue_find_lost(scene->worker, 4, lost, &count, &fault));
    assert_int_equal(count, 0);
    assert_fault(
        scene_finish(scene->worker, &held.order, &held.claim, EXECUTION_LOST, "", true, &fault),
        FAULT_STATE_CONFLICT, "claim");
    assert_not_ended(scene, 0);
    scene_expire(scene, &held.worker);
    assert_ok(queue_return_expired(scene->worker, &returned, &fault));
    assert_int_equal(returned, 0); /* it runs, perhaps: never run again */
    assert_ok(queue_find_lost(scene->worker, 4, lost, &count, &fault));
    assert_int_equal(count, 1);
    assert_memory_equal(&lost[0], &held.claim, sizeof lost[0]);
    assert_ok(scene_finish(scene->worker, &held.order, &lost[0], EXECUTION_LOST, "", true, &fault));
    assert_ended(scene, "lost");
    /* The worker was alive after all: its late result changes nothing. */
    assert_fault(scene_finish(scene->worker, &held.order, &held.claim, EXECUTION_SUCCEEDED, "late",
                              false, &fault),
                 FAULT_STATE_CONFLICT, "claim");
    assert_ended(scene, "lost");
}

static void unstarted_claims_of_the_vanished_go_back(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct scene_order order = scene_order(scene, scene->tenant);
    struct uuid gone = scene_worker(scene), forgotten = scene_worker(scene);
    struct uuid alive = scene_worker(scene);
    struct claim claims[6], lost[6];
    size_t count = 99;
    int64_t returned = 99;
    scene_queue(scene, &order, "job", 6);
    for (int i = 0; i < 6; i++)
        claims[i] = scene_claim(scene, i < 2 ? &gone : i < 4 ? &forgotten : &alive);
    assert_ok(scene_start(scene->worker, &order, &claims[0], &fault));
    assert_ok(scene_start(scene->worker, &order, &claims[4], &fault));
    assert_ok(queue_return_expired(scene->worker, &returned, &fault));
    assert_int_equal(returned, 0);
    scene_expire(scene, &gone);
    scene_sql(scene, "DELETE FROM worker WHERE worker_id = '%s'", uuid_format(&forgotten).text);
    assert_ok(
        queue_find_lost(scene->worker, 6, lost, &count, &fault)); /* what runs, nothing else */
    assert_int_equal(count, 1);
    assert_memory_equal(&lost[0], &claims[0], sizeof lost[0]);
    assert_ok(queue_return_expired(scene->worker, &returned, &fault));
    assert_int_equal(returned, 3); /* one of the expired, both of the forgotten */
    assert_ok(queue_return_expired(scene->worker, &returned, &fault));
    assert_int_equal(returned, 0);
    assert_ok(queue_find_lost(scene->worker, 6, lost, &count, &fault));
    assert_int_equal(count, 1);
    assert_ok(scene_claim_up_to(scene->worker, &alive, 6, claims, &count, &fault));
    assert_int_equal(count, 3);
}

/* What it finds it still holds when the database comes back. */
static void an_incarnation_asks_what_it_holds(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct scene_order order = scene_order(scene, scene->tenant);
    struct uuid worker = scene_worker(scene), other = scene_worker(scene);
    struct claim claims[4];
    struct held_claim held[4];
    size_t count = 99;
    int64_t returned;
    assert_ok(queue_held(scene->worker, &worker, 4, held, &count, &fault));
    assert_int_equal(count, 0);
    scene_queue(scene, &order, "job", 4);
    for (int i = 0; i < 4; i++)
        claims[i] = scene_claim(scene, i < 3 ? &worker : &other);
    assert_ok(scene_start(scene->worker, &order, &claims[1], &fault));
    assert_ok(queue_held(scene->worker, &worker, 4, held, &count, &fault));
    assert_int_equal(count, 3);
    for (size_t i = 0; i < count; i++) {
        size_t c = 0;
        while (c < 3 && !uuid_equal(&held[i].claim.execution_id, &claims[c].execution_id))
            c++;
        assert_true(c < 3);
        assert_memory_equal(&held[i].claim, &claims[c], sizeof claims[c]);
        assert_int_equal(held[i].running, c == 1);
    }
    assert_ok(queue_held(scene->worker, &worker, 2, held, &count, &fault));
    assert_int_equal(count, 2);
    /* The reaper was there: the unstarted are gone, then the running one too. */
    scene_expire(scene, &worker);
    assert_ok(queue_return_expired(scene->worker, &returned, &fault));
    assert_ok(queue_held(scene->worker, &worker, 4, held, &count, &fault));
    assert_int_equal(count, 1);
    assert_true(held[0].running);
    assert_ok(scene_finish(scene->worker, &order, &claims[1], EXECUTION_LOST, "", true, &fault));
    assert_ok(queue_held(scene->worker, &worker, 4, held, &count, &fault));
    assert_int_equal(count, 0);
}

/* Attack: a taken-over api writes rows of its own to have a token run again, or one never accepted.
 */
static void only_who_spent_the_nonce_runs(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct held held = hold(scene, true);
    assert_ok(scene_finish(scene->worker, &held.order, &held.claim, EXECUTION_SUCCEEDED, "", false,
                           &fault));
    static const char token[] = "job-nonce-000.body.signature";
    static const char again[] =
        "INSERT INTO execution_active (execution_id, tenant_id, submitted_at, task_id, "
        "operator_id, "
        "correlation_id, source, action, target_urn, tool_sha256, manifest_sha256, api_key_id, "
        "kid, "
        "token, accepted_event_id) SELECT %s, tenant_id, submitted_at, task_id, operator_id, "
        "correlation_id, source, action, target_urn, tool_sha256, manifest_sha256, api_key_id, "
        "kid, "
        "token, accepted_event_id FROM execution WHERE tenant_id = '%s'";
    static const char *const ids[] = {"execution_id", "gen_random_uuid()"};
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        scene_sql(scene, again, ids[i], scene->tenant);
        scene_sql(scene,
                  "INSERT INTO execution_queue (execution_id, tenant_id) SELECT execution_id, "
                  "tenant_id FROM execution_active");
        struct claim claim = scene_claim(scene, &held.worker);
        struct start start, *items[] = {&start};
        AUTO_EVENT struct event *event =
            scene_event(EVENT_EXECUTION_STARTED, scene->tenant, "task-1", &claim.execution_id);
        scene_start_make(&held.order, &claim, event, &start);
        start.spent = (struct spent_nonce){"job-nonce-000", digest_of(token, strlen(token))};
        queue_start(scene->worker, items, 1);
        assert_refused(&start, FAULT_NONCE_REUSED, "spent");
        scene_sql(scene, "DELETE FROM execution_queue");
        scene_sql(scene, "DELETE FROM execution_active");
    }
    assert_ended(scene, "succeeded");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(an_end_is_kept_whole),
        SCENE_TEST(an_execution_ends_once),
        SCENE_TEST(only_some_ends_come_unstarted),
        SCENE_TEST(no_end_without_its_event),
        SCENE_TEST(lost_only_after_the_lease),
        SCENE_TEST(unstarted_claims_of_the_vanished_go_back),
        SCENE_TEST(an_incarnation_asks_what_it_holds),
        SCENE_TEST(only_who_spent_the_nonce_runs),
    };
    return cmocka_run_group_tests(tests, scene_open, scene_close);
}
