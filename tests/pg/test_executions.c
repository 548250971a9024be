/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: callers see their tenant's executions, active and ended alike, newest first, by any filter
 * and page by page. */
#include "base/clock.h"
#include "storage/events.h"
#include "storage/executions.h"
#include "storage/outputs.h"
#include "tests/pg/scene.h"

#define COUNT 12

/* Twelve executions: the first four have ended, the next four run, the rest wait. */
struct history {
    struct scene_order order;
    struct uuid ids[COUNT];
    int64_t submitted_ms[COUNT];
    struct digest tool;
};

static void admit_numbered(struct scene *scene, struct history *history, int i)
{
    AUTO_SCENE_JOB struct scene_job job;
    char nonce[32], text[6][32];
    static const char *const names[] = {"task",   "operator", "correlation",
                                        "source", "action",   "urn:target:host"};
    (void)snprintf(nonce, sizeof nonce, "nonce-%04d", i);
    for (int t = 0; t < 6; t++)
        (void)snprintf(text[t], sizeof text[t], "%s%c%d", names[t], t == 5 ? ':' : '-',
                       i % (t + 2));
    scene_job_make(&history->order, nonce, "body", &job);
    job.manifest.task_id = text[0];
    job.manifest.operator_id = text[1];
    job.manifest.correlation_id = text[2];
    job.manifest.source = text[3];
    job.manifest.action = text[4];
    job.manifest.target_urn = text[5];
    job.admission.submitted_ms = INT64_C(1767323045000) + i * 1000;
    job.admission.execution_id = uuid_v7();
    while (i > 0 && memcmp(job.admission.execution_id.bytes, history->ids[i - 1].bytes, 16) <= 0)
        job.admission.execution_id = uuid_v7(); /* ids of one millisecond have no order */
    history->ids[i] = job.admission.execution_id;
    history->submitted_ms[i] = job.admission.submitted_ms;
    scene_admit(scene, &job);
}

static struct history make_history(struct scene *scene)
{
    struct fault fault;
    struct history history = {.order = scene_order(scene, scene->tenant)};
    history.tool = history.order.tool_sha256;
    for (int i = 0; i < COUNT; i++)
        admit_numbered(scene, &history, i);
    struct uuid worker = scene_worker(scene);
    for (int i = 0; i < 8; i++) {
        struct claim claim = scene_claim(scene, &worker);
        assert_true(uuid_equal(&claim.execution_id, &history.ids[i]));
        assert_ok(scene_start(scene->worker, &history.order, &claim, &fault));
        if (i < 4)
            assert_ok(scene_finish(scene->worker, &history.order, &claim,
                                   i % 2 == 0 ? EXECUTION_SUCCEEDED : EXECUTION_TIMED_OUT, "output",
                                   false, &fault));
    }
    return history;
}

static void each_is_seen_as_it_stands(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct history history = make_history(scene);
    for (int i = 0; i < COUNT; i++) {
        AUTO_EXECUTION struct execution x = {0};
        assert_ok(executions_get(scene->api, scene->tenant, &history.ids[i], &x, &fault));
        assert_true(uuid_equal(&x.id, &history.ids[i]));
        assert_string_equal(x.tenant_id, scene->tenant);
        assert_int_equal(x.state, i >= 8   ? EXECUTION_QUEUED
                                  : i >= 4 ? EXECUTION_RUNNING
                                  : i % 2  ? EXECUTION_TIMED_OUT
                                           : EXECUTION_SUCCEEDED);
        assert_true(x.submitted_ms == history.submitted_ms[i]);
        assert_int_equal(x.started_ms == INT64_MIN, i >= 8);
        assert_int_equal(x.finished_ms == INT64_MIN, i >= 4);
        assert_int_equal(x.has_exit_code, i < 4 && i % 2 == 0);
        assert_false(x.has_signal);
        assert_string_equal(x.worker, i < 8 ? "test/worker" : "");
        assert_string_equal(x.usage, i < 4 ? "{\"wall_ms\":5}" : "");
        assert_int_equal(x.stdout_bytes, i < 4 ? 6 : 0);
        assert_int_equal(x.has_event, i < 4);
        assert_false(x.has_index);
        assert_true(digest_equal(&x.tool_sha256, &history.tool));
    }
    struct execution none = {0};
    struct uuid unknown = uuid_v7();
    assert_fault(executions_get(scene->api, scene->tenant, &unknown, &none, &fault),
                 FAULT_NOT_FOUND, "execution");
    assert_fault(executions_get(scene->api, scene->other, &history.ids[0], &none, &fault),
                 FAULT_NOT_FOUND, "execution");
    assert_fault(executions_get(scene->api, scene->other, &history.ids[11], &none, &fault),
                 FAULT_NOT_FOUND, "execution");
}

struct listing {
    struct uuid ids[COUNT + 1];
    size_t count, stop_after;
};

static int note(void *context, const struct execution *execution)
{
    struct listing *listing = context;
    assert_true(listing->count < ARRAY_LEN(listing->ids));
    listing->ids[listing->count++] = execution->id;
    return listing->count == listing->stop_after ? -1 : 0;
}

static struct listing list(struct scene *scene, const struct execution_filter *filter)
{
    struct fault fault;
    struct listing listing = {0};
    assert_ok(executions_list(scene->api, scene->tenant, filter, note, &listing, &fault));
    return listing;
}

#define FILTER(...)                                                                                \
    (struct execution_filter)                                                                      \
    {                                                                                              \
        .from_ms = INT64_MIN, .to_ms = INT64_MIN, .limit = 100, __VA_ARGS__                        \
    }

/* Those and only those for which the number is wanted, newest first. */
static void assert_listed(struct scene *scene, const struct history *history,
                          struct execution_filter filter, bool (*wanted)(int i))
{
    struct listing listing = list(scene, &filter);
    size_t at = 0;
    for (int i = COUNT - 1; i >= 0; i--)
        if (wanted(i)) {
            assert_true(at < listing.count);
            assert_true(uuid_equal(&listing.ids[at++], &history->ids[i]));
        }
    assert_int_equal(listing.count, at);
}

static bool every(int i)
{
    return i >= 0;
}

static bool queued(int i)
{
    return i >= 8;
}

static bool running(int i)
{
    return i >= 4 && i < 8;
}

static bool timed_out(int i)
{
    return i == 1 || i == 3;
}

static bool none(int i)
{
    return i < 0;
}

static bool task_1(int i)
{
    return i % 2 == 1;
}

static bool operator_2(int i)
{
    return i % 3 == 2;
}

static bool correlation_3(int i)
{
    return i % 4 == 3;
}

static bool source_4(int i)
{
    return i % 5 == 4;
}

static bool action_5(int i)
{
    return i % 6 == 5;
}

static bool target_6(int i)
{
    return i % 7 == 6;
}

static bool from_3_to_9(int i)
{
    return i >= 3 && i < 9;
}

static bool running_odd(int i)
{
    return running(i) && task_1(i);
}

static bool before_6(int i)
{
    return i < 6;
}

static void filters_choose(void **state)
{
    struct scene *scene = *state;
    struct history history = make_history(scene);
    struct digest unknown = digest_of("unknown", 7);
    const struct {
        struct execution_filter filter;
        bool (*wanted)(int i);
    } cases[] = {
        {FILTER(.state = NULL), every},
        {FILTER(.state = "queued"), queued},
        {FILTER(.state = "running"), running},
        {FILTER(.state = "timed_out"), timed_out},
        {FILTER(.state = "lost"), none},
        {FILTER(.state = "Queued"), none},
        {FILTER(.tool_sha256 = &history.tool), every},
        {FILTER(.tool_sha256 = &unknown), none},
        {FILTER(.task_id = "task-1"), task_1},
        {FILTER(.operator_id = "operator-2"), operator_2},
        {FILTER(.correlation_id = "correlation-3"), correlation_3},
        {FILTER(.source = "source-4"), source_4},
        {FILTER(.action = "action-5"), action_5},
        {FILTER(.target_urn = "urn:target:host:6"), target_6},
        {FILTER(.task_id = "task-%"), none},
        {FILTER(.task_id = ""), none},
        {FILTER(.state = "running", .task_id = "task-1"), running_odd},
        {FILTER(.before = &history.ids[6]), before_6},
        {FILTER(.before = &history.ids[0]), none},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        assert_listed(scene, &history, cases[i].filter, cases[i].wanted);
    struct execution_filter times = FILTER(.state = NULL); /* from inclusive, to exclusive */
    times.from_ms = history.submitted_ms[3];
    times.to_ms = history.submitted_ms[9];
    assert_listed(scene, &history, times, from_3_to_9);
    struct fault fault;
    struct listing theirs = {0}, stopped = {.stop_after = 3};
    struct execution_filter all = FILTER(.state = NULL);
    assert_ok(executions_list(scene->api, scene->other, &all, note, &theirs, &fault));
    assert_int_equal(theirs.count, 0);
    assert_ok(executions_list(scene->api, scene->tenant, &all, note, &stopped, &fault));
    assert_int_equal(stopped.count, 3);
}

/* Pages of every size, over the seam between active and ended ones; and while executions end and
 * come in between, none is seen twice and none that was there is missed. */
static void pages_meet(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct history history = make_history(scene);
    for (int limit = 1; limit <= COUNT + 1; limit++) {
        struct listing all = {0};
        for (size_t before = 1; all.count != before;) {
            struct execution_filter filter = FILTER(.state = NULL);
            before = all.count;
            filter.limit = limit;
            filter.before = before == 0 ? NULL : &all.ids[before - 1];
            assert_ok(executions_list(scene->api, scene->tenant, &filter, note, &all, &fault));
            assert_in_range(all.count - before, 0, limit);
        }
        assert_int_equal(all.count, COUNT);
        for (int i = 0; i < COUNT; i++)
            assert_true(uuid_equal(&all.ids[i], &history.ids[COUNT - 1 - i]));
    }
    struct execution_filter filter = FILTER(.state = NULL);
    struct listing moving = {0};
    filter.limit = 5;
    assert_ok(executions_list(scene->api, scene->tenant, &filter, note, &moving, &fault));
    struct uuid worker = scene_worker(scene);
    struct claim claim = scene_claim(scene, &worker); /* the oldest that waits: seen already */
    assert_ok(scene_finish(scene->worker, &history.order, &claim, EXECUTION_CANCELLED, "", false,
                           &fault));
    scene_queue(scene, &history.order, "new", 1);
    filter.before = &moving.ids[4];
    filter.limit = 100;
    assert_ok(executions_list(scene->api, scene->tenant, &filter, note, &moving, &fault));
    assert_int_equal(moving.count, COUNT);
    for (int i = 0; i < COUNT; i++)
        assert_true(uuid_equal(&moving.ids[i], &history.ids[COUNT - 1 - i]));
}

static void what_belongs_to_one(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct history history = make_history(scene);
    static const int which[] = {0, 4, 8};
    for (size_t i = 0; i < ARRAY_LEN(which); i++) {
        const struct uuid *id = &history.ids[which[i]];
        AUTO_BUF struct buf token = BUF(1000), out = BUF(1000), err = BUF(1000),
                            none_of = BUF(1000);
        char expected[64];
        (void)snprintf(expected, sizeof expected, "nonce-%04d.body.signature", which[i]);
        assert_ok(executions_token(scene->api, scene->tenant, id, &token, &fault));
        assert_string_equal(buf_text(&token), expected);
        assert_fault(executions_token(scene->api, scene->other, id, &token, &fault),
                     FAULT_NOT_FOUND, "execution");
        assert_ok(outputs_read(scene->api, scene->tenant, id, "stdout", 0, 4096, &out, &fault));
        assert_string_equal(buf_text(&out), which[i] < 4 ? "output" : "");
        assert_ok(outputs_read(scene->api, scene->tenant, id, "stderr", 0, 4096, &err, &fault));
        assert_int_equal(err.len, 0);
        assert_ok(outputs_read(scene->api, scene->other, id, "stdout", 0, 4096, &none_of, &fault));
        assert_int_equal(none_of.len, 0);
        struct execution_events events;
        assert_ok(executions_events(scene->api, scene->tenant, id, &events, &fault));
        assert_int_equal(events.count, 3 - i);
        static const char *const types[] = {"accepted", "started", "finished"};
        for (size_t e = 0; e < events.count; e++)
            assert_int_equal(
                scene_number(scene,
                             "SELECT count(*) FROM event WHERE event_id = '%s' AND type LIKE "
                             "'%%.%s.v1'",
                             uuid_format(&events.items[e].id).text, types[e]),
                1);
        assert_fault(executions_events(scene->api, scene->other, id, &events, &fault),
                     FAULT_NOT_FOUND, "execution");
    }
}

/* Which of five have ended; what is told must be what is asked for. */
struct ended {
    const struct uuid *ids;
    const char *const *tenants;
    bool told[5];
};

static void note_end(void *context, size_t n, const struct execution *execution)
{
    struct ended *ended = context;
    assert_true(n < ARRAY_LEN(ended->told) && !ended->told[n]);
    assert_true(uuid_equal(&execution->id, &ended->ids[n]));
    assert_string_equal(execution->tenant_id, ended->tenants[n]);
    assert_true(execution_state_is_end(execution->state));
    assert_true(execution->has_event);
    ended->told[n] = true;
}

static void waiters_learn_who_has_ended(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct history history = make_history(scene);
    struct uuid ids[] = {history.ids[11], history.ids[0], uuid_v7(), history.ids[3],
                         history.ids[5]};
    const char *const own[] = {scene->tenant, scene->tenant, scene->tenant,
                               scene->tenant, scene->tenant, NULL};
    /* The tenant of the fourth is asked for too, but not as the second's and its own. */
    const char *const mixed[] = {scene->tenant, scene->other,  scene->tenant,
                                 scene->other,  scene->tenant, NULL};
    const char *const none[] = {NULL};
    static const bool expected[] = {false, true, false, true, false};
    struct ended ended = {.ids = ids, .tenants = own};
    assert_ok(executions_ended(scene->api, own, ids, 5, note_end, &ended, &fault));
    assert_memory_equal(ended.told, expected, sizeof expected);
    struct ended apart = {.ids = ids, .tenants = mixed};
    assert_ok(executions_ended(scene->api, mixed, ids, 5, note_end, &apart, &fault));
    for (int i = 0; i < 5; i++)
        assert_false(apart.told[i]);
    assert_ok(executions_ended(scene->api, none, ids, 0, note_end, &ended, &fault));
    int64_t depth = 0;
    static const struct {
        int64_t at_most, expected;
    } depths[] = {{100, 8}, {8, 8}, {5, 5}, {0, 0}};
    for (size_t i = 0; i < ARRAY_LEN(depths); i++) {
        assert_ok(executions_depth(scene->api, depths[i].at_most, &depth, &fault));
        assert_int_equal(depth, depths[i].expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(each_is_seen_as_it_stands),
        SCENE_TEST(filters_choose),
        SCENE_TEST(pages_meet),
        SCENE_TEST(what_belongs_to_one),
        SCENE_TEST(waiters_learn_who_has_ended),
    };
    return cmocka_run_group_tests(tests, scene_open, scene_close);
}
