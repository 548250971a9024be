/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: many ends share one commit, and each still has a fate of its own: what is bad fails alone,
 * what is gone or late is told apart, and outputs of any size arrive whole. */
#include "base/clock.h"
#include "storage/executions.h"
#include "storage/outputs.h"
#include "tests/pg/held.h"

#include <pthread.h>

/* Started executions of one worker, and how they would end. */
struct run {
    struct scene_order order;
    struct uuid worker;
    struct claim claims[QUEUE_FINISH_MAX];
    struct ending endings[QUEUE_FINISH_MAX], *all[QUEUE_FINISH_MAX];
    struct event *events[QUEUE_FINISH_MAX];
    size_t count;
};

static void run_begin(struct scene *scene, struct run *run, size_t count)
{
    struct fault fault;
    *run = (struct run){.order = scene_order(scene, scene->tenant), .worker = scene_worker(scene)};
    run->count = count;
    scene_queue(scene, &run->order, "job", (int)count);
    for (size_t i = 0; i < count; i++) {
        run->claims[i] = scene_claim(scene, &run->worker);
        assert_ok(scene_start(scene->worker, &run->order, &run->claims[i], &fault));
        run->events[i] = scene_event(EVENT_EXECUTION_FINISHED, scene->tenant, "task-1",
                                     &run->claims[i].execution_id);
        run->endings[i] = (struct ending){.claim = run->claims[i],
                                          .tenant_id = scene->tenant,
                                          .state = EXECUTION_SUCCEEDED,
                                          .finished_ms = clock_wall_ms(),
                                          .worker = "test/worker",
                                          .stdout_bytes = 3,
                                          .stdout_stored = span_text("out"),
                                          .usage = "{\"wall_ms\":5}",
                                          .event = run->events[i]};
        run->all[i] = &run->endings[i];
    }
}

static void run_free(struct run *run)
{
    for (size_t i = 0; i < run->count; i++)
        event_free(run->events[i]);
}

static size_t count_fates(const struct run *run, enum ending_fate fate)
{
    size_t n = 0;
    for (size_t i = 0; i < run->count; i++)
        n += run->endings[i].fate == fate;
    return n;
}

static int64_t history(struct scene *scene, const char *where)
{
    return scene_number(scene, "SELECT count(*) FROM execution WHERE tenant_id = '%s' AND %s",
                        scene->tenant, where);
}

static void a_full_batch_is_one_commit(void **state)
{
    struct scene *scene = *state;
    AUTO(run_free) struct run run;
    run_begin(scene, &run, QUEUE_FINISH_MAX);
    queue_finish(scene->worker, run.all, run.count, false);
    assert_int_equal(count_fates(&run, ENDING_STORED), run.count);
    assert_int_equal(finished_events(scene), run.count);
    assert_int_equal(history(scene, "state = 'succeeded'"), run.count);
    assert_int_equal(scene_number(scene,
                                  "SELECT count(DISTINCT xmin::text) FROM execution WHERE tenant_id"
                                  " = '%s'",
                                  scene->tenant),
                     1);
    assert_int_equal(scene_number(scene,
                                  "SELECT count(*) FROM execution_output WHERE tenant_id = '%s' AND"
                                  " data = 'out' AND stream = 'stdout' AND n = 0",
                                  scene->tenant),
                     run.count);
    assert_int_equal(scene_number(scene, "SELECT (SELECT count(*) FROM execution_active) + (SELECT "
                                         "count(*) FROM execution_queue)"),
                     0);
}

static void each_has_its_own_fate(void **state)
{
    enum { GOOD, LOST, TAKEN, BEFORE, FORGED, OTHERS_LOST, COUNT };
    struct scene *scene = *state;
    struct fault fault;
    AUTO(run_free) struct run run;
    run_begin(scene, &run, COUNT);
    assert_ok(scene_finish(scene->worker, &run.order, &run.claims[LOST], EXECUTION_LOST, "", false,
                           &fault));
    assert_ok(scene_finish(scene->worker, &run.order, &run.claims[OTHERS_LOST], EXECUTION_LOST, "",
                           false, &fault));
    run.endings[OTHERS_LOST].worker = "test/another"; /* not the run that was called lost */
    scene_sql(scene,
              "UPDATE execution_queue SET fence = nextval('fence') WHERE execution_id = '%s'",
              uuid_format(&run.claims[TAKEN].execution_id).text);
    queue_finish(scene->worker, &run.all[BEFORE], 1, false); /* and its answer was lost */
    assert_int_equal(run.endings[BEFORE].fate, ENDING_STORED);
    run.endings[FORGED].claim.worker_id = uuid_v7();
    queue_finish(scene->worker, run.all, run.count, false);
    assert_int_equal(run.endings[GOOD].fate, ENDING_STORED);
    assert_int_equal(run.endings[LOST].fate, ENDING_LATE);
    assert_int_equal(run.endings[TAKEN].fate, ENDING_GONE);
    assert_int_equal(run.endings[BEFORE].fate, ENDING_STORED);
    assert_int_equal(run.endings[FORGED].fate, ENDING_GONE);
    assert_int_equal(run.endings[OTHERS_LOST].fate, ENDING_GONE);
    assert_int_equal(run.endings[TAKEN].fault.code, FAULT_STATE_CONFLICT);
    assert_int_equal(history(scene, "true"), 4);
    assert_int_equal(finished_events(scene), 4);
    assert_int_equal(scene_number(scene,
                                  "SELECT count(*) FROM execution_output WHERE tenant_id = '%s'",
                                  scene->tenant),
                     2);
    assert_int_equal(scene_number(scene, "SELECT count(*) FROM execution_active"), 2);
}

/* One that the database refuses, at each place of a batch: it alone fails. */
static void what_is_bad_fails_alone(void **state)
{
    static const size_t places[] = {0, 6, 12};
    for (size_t p = 0; p < ARRAY_LEN(places); p++) {
        (void)scene_begin(state);
        struct scene *scene = *state;
        AUTO(run_free) struct run run;
        run_begin(scene, &run, 13);
        run.endings[places[p]].exit_code = 7; /* and succeeded: a CHECK of the history */
        queue_finish(scene->worker, run.all, run.count, false);
        assert_int_equal(count_fates(&run, ENDING_STORED), 12);
        assert_int_equal(run.endings[places[p]].fate, ENDING_FAILED);
        assert_int_equal(run.endings[places[p]].fault.code, FAULT_INTERNAL);
        assert_int_equal(finished_events(scene), 12);
        run.endings[places[p]].exit_code = 0;
        queue_finish(scene->worker, run.all, run.count, false);
        assert_int_equal(count_fates(&run, ENDING_STORED), 13);
        assert_int_equal(finished_events(scene), 13);
    }
}

/* More than one statement may carry, and more than one chunk a stream. */
static void outputs_of_any_size_arrive_whole(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    AUTO(run_free) struct run run;
    run_begin(scene, &run, 4);
    size_t len = ((size_t)4 << 20) - 1;
    AUTO_FREE uint8_t *bytes = malloc(len);
    assert_non_null(bytes);
    random_bytes(bytes, len);
    for (size_t i = 0; i < run.count; i++) {
        run.endings[i].stdout_stored = span_of(bytes, len - i);
        run.endings[i].stderr_stored = span_of(bytes, i << 19);
    }
    queue_finish(scene->worker, run.all, run.count, false);
    assert_int_equal(count_fates(&run, ENDING_STORED), run.count);
    for (size_t i = 0; i < run.count; i++) {
        AUTO_BUF struct buf out = BUF(8 << 20), err = BUF(8 << 20);
        const struct uuid *id = &run.claims[i].execution_id;
        assert_ok(outputs_read(scene->api, scene->tenant, id, "stdout", 0, 8 << 20, &out, &fault));
        assert_ok(outputs_read(scene->api, scene->tenant, id, "stderr", 0, 8 << 20, &err, &fault));
        assert_true(span_equal(buf_span(&out), run.endings[i].stdout_stored));
        assert_true(span_equal(buf_span(&err), run.endings[i].stderr_stored));
    }
}

static void an_outage_fails_all_of_it(void **state)
{
    struct scene *scene = *state;
    AUTO(run_free) struct run run;
    run_begin(scene, &run, 5);
    scene_let_in(scene, false);
    scene_cut_off(scene, "sallyport_worker");
    queue_finish(scene->worker, run.all, run.count, false);
    assert_int_equal(count_fates(&run, ENDING_FAILED), run.count);
    for (size_t i = 0; i < run.count; i++)
        assert_int_equal(run.endings[i].fault.code, FAULT_UNAVAILABLE);
    scene_let_in(scene, true);
    queue_finish(scene->worker, run.all, run.count, false);
    assert_int_equal(count_fates(&run, ENDING_STORED), run.count);
    assert_int_equal(finished_events(scene), run.count);
}

/* ---- late results ---- */

static int64_t late_events(struct scene *scene)
{
    return scene_number(scene,
                        "SELECT count(*) FROM event e JOIN execution_late l USING (event_id) WHERE"
                        " e.tenant_id = '%s' AND e.type = 'io.sallyport.execution.result_late.v1'",
                        scene->tenant);
}

static void a_late_result_is_kept_once(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    AUTO(run_free) struct run run;
    run_begin(scene, &run, 1);
    const struct uuid *id = &run.claims[0].execution_id;
    AUTO_EVENT struct event *late =
        scene_event(EVENT_EXECUTION_RESULT_LATE, scene->tenant, "task-1", id);
    AUTO_EVENT struct event *later =
        scene_event(EVENT_EXECUTION_RESULT_LATE, scene->tenant, "task-1", id);
    /* Not of what runs, and not of what ended otherwise. */
    assert_fault(queue_finish_late(scene->worker, run.all[0], late, &fault), FAULT_INTERNAL,
                 "23514");
    assert_ok(
        scene_finish(scene->worker, &run.order, &run.claims[0], EXECUTION_LOST, "", false, &fault));
    assert_ok(queue_finish_late(scene->worker, run.all[0], late, &fault));
    assert_fault(queue_finish_late(scene->worker, run.all[0], later, &fault), FAULT_STATE_CONFLICT,
                 "exists");
    assert_int_equal(late_events(scene), 1);
    assert_ended(scene, "lost"); /* as before */
    struct execution_events events;
    assert_ok(executions_events(scene->api, scene->tenant, id, &events, &fault));
    assert_int_equal(events.count, 4);
    assert_int_equal(events.items[3].type, EVENT_EXECUTION_RESULT_LATE);
    assert_true(uuid_equal(&events.items[3].id, &late->id));
}

static void nobody_else_makes_one(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    AUTO(run_free) struct run run;
    run_begin(scene, &run, 1);
    const struct uuid_text text = uuid_format(&run.claims[0].execution_id);
    const char *id = text.text;
    static const char insert[] = "INSERT INTO execution_late VALUES ('%s', '%s', "
                                 "gen_random_uuid())";
    assert_ok(
        scene_finish(scene->worker, &run.order, &run.claims[0], EXECUTION_LOST, "", false, &fault));
    scene_try(scene, "sallyport_worker", NULL, "00000", insert, id, scene->tenant);
    scene_try(scene, "sallyport_worker", NULL, "23514", insert, id, scene->other);
    scene_try(scene, "sallyport_api", scene->tenant, "42501", insert, id, scene->tenant);
    scene_try(scene, "sallyport_ledger", scene->tenant, "42501", insert, id, scene->tenant);
    scene_sql(scene, insert, id, scene->tenant);
    scene_try(scene, "sallyport_worker", NULL, "42501", "DELETE FROM execution_late");
    scene_try(scene, "postgres", NULL, "42501", "DELETE FROM execution_late");
}

/* ---- two at once ---- */

struct racer {
    struct pg *pg;
    struct ending *all[QUEUE_FINISH_MAX];
    size_t count;
};

static void *race(void *context)
{
    struct racer *racer = context;
    queue_finish(racer->pg, racer->all, racer->count, false);
    return NULL;
}

/* The same ends by two connections, in opposite orders: each is stored by one of them, and neither
 * waits for the other in a circle. */
static void opposite_orders_do_not_block_each_other(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    AUTO_PG struct pg *second = NULL;
    AUTO(run_free) struct run run;
    run_begin(scene, &run, QUEUE_FINISH_MAX);
    struct ending twins[QUEUE_FINISH_MAX];
    struct event *events[QUEUE_FINISH_MAX];
    struct racer racers[2] = {{.pg = scene->worker, .count = run.count}, {.count = run.count}};
    pthread_t threads[2];
    assert_ok(pg_cluster_connect(scene->cluster, "sallyport_worker", &second, &fault));
    racers[1].pg = second;
    for (size_t i = 0; i < run.count; i++) {
        twins[i] = run.endings[i];
        events[i] = scene_event(EVENT_EXECUTION_FINISHED, scene->tenant, "task-1",
                                &run.claims[i].execution_id);
        twins[i].event = events[i];
        racers[0].all[i] = &run.endings[i];
        racers[1].all[run.count - 1 - i] = &twins[i];
    }
    for (int t = 0; t < 2; t++)
        assert_int_equal(pthread_create(&threads[t], NULL, race, &racers[t]), 0);
    for (int t = 0; t < 2; t++)
        assert_int_equal(pthread_join(threads[t], NULL), 0);
    for (size_t i = 0; i < run.count; i++) {
        assert_int_equal((run.endings[i].fate == ENDING_STORED) + (twins[i].fate == ENDING_STORED),
                         1);
        assert_int_equal((run.endings[i].fate == ENDING_GONE) + (twins[i].fate == ENDING_GONE), 1);
        event_free(events[i]);
    }
    assert_int_equal(finished_events(scene), run.count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(a_full_batch_is_one_commit), SCENE_TEST(each_has_its_own_fate),
        SCENE_TEST(what_is_bad_fails_alone),    SCENE_TEST(outputs_of_any_size_arrive_whole),
        SCENE_TEST(an_outage_fails_all_of_it),  SCENE_TEST(a_late_result_is_kept_once),
        SCENE_TEST(nobody_else_makes_one),      SCENE_TEST(opposite_orders_do_not_block_each_other),
    };
    return cmocka_run_group_tests(tests, scene_open, scene_close);
}
