/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: of many starts in one transaction each has its own outcome, and none is spoiled by another.
 */
#include "tests/pg/scene.h"

enum { BATCH_MAX = 12 };

/* Claimed executions on their way to a start, each of an order of its own. */
struct batch {
    struct scene *scene;
    struct uuid worker;
    size_t count;
    struct scene_order orders[BATCH_MAX];
    struct event *events[BATCH_MAX];
    struct start starts[BATCH_MAX], *items[BATCH_MAX];
};

static void batch_add(struct batch *batch, const struct scene_order *order)
{
    size_t i = batch->count++;
    char prefix[32];
    (void)snprintf(prefix, sizeof prefix, "start-%zu", i);
    scene_queue(batch->scene, order, prefix, 1);
    struct claim claim = scene_claim(batch->scene, &batch->worker);
    batch->orders[i] = *order;
    batch->events[i] =
        scene_event(EVENT_EXECUTION_STARTED, order->tenant, "task-1", &claim.execution_id);
    scene_start_make(&batch->orders[i], &claim, batch->events[i], &batch->starts[i]);
    batch->items[i] = &batch->starts[i];
}

static struct batch batch_new(struct scene *scene)
{
    return (struct batch){.scene = scene, .worker = scene_worker(scene)};
}

static void batch_free(struct batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
        event_free(batch->events[i]);
}

/* What the database has of one: state, event and worker belong together. */
static void assert_stored(const struct batch *batch, size_t i, bool running)
{
    struct uuid_text id = uuid_format(&batch->starts[i].claim.execution_id);
    assert_int_equal(
        scene_number(batch->scene,
                     "SELECT count(*) FROM execution_active a JOIN event e ON e.event_id = "
                     "a.started_event_id AND e.execution_id = a.execution_id WHERE a.execution_id "
                     "= '%s' AND a.state = 'running' AND a.worker = 'test/worker'",
                     id.text),
        running ? 1 : 0);
    assert_int_equal(scene_number(batch->scene,
                                  "SELECT count(*) FROM event WHERE execution_id = '%s' AND type = "
                                  "'io.sallyport.execution.started.v1'",
                                  id.text),
                     running ? 1 : 0);
}

static void assert_started(const struct batch *batch, size_t i)
{
    if (!batch->starts[i].started)
        fail_msg("%zu: %s", i, batch->starts[i].fault.detail);
    assert_stored(batch, i, true);
}

static struct digest approved(struct scene *scene, const char *name)
{
    struct digest sha256 = scene_artifact(scene, scene->tenant, name);
    scene_inspected(scene, scene->tenant, &sha256);
    scene_approve(scene, scene->tenant, &sha256, "bob");
    scene_approve(scene, scene->tenant, &sha256, "carol");
    return sha256;
}

static void each_has_its_own_outcome(void **state)
{
    enum { FIRST, CANCELLED, KEY, ARTIFACT, API_KEY, NONCE, CLAIM, DESCRIPTOR, OTHER, LAST };
    static const struct {
        enum fault_code code;
        const char *words;
    } expected[] = {[CANCELLED] = {FAULT_STATE_CONFLICT, "claim"},
                    [KEY] = {FAULT_SIGNATURE_INVALID, ""},
                    [ARTIFACT] = {FAULT_ARTIFACT_REVOKED, ""},
                    [API_KEY] = {FAULT_NOT_AUTHENTICATED, ""},
                    [NONCE] = {FAULT_NONCE_REUSED, "spent"},
                    [CLAIM] = {FAULT_STATE_CONFLICT, "claim"},
                    [DESCRIPTOR] = {FAULT_ARTIFACT_INVALID, "descriptor"},
                    [LAST] = {FAULT_NONE, ""}};
    struct scene *scene = *state;
    struct batch batch = batch_new(scene);
    const struct scene_order order = scene_order(scene, scene->tenant);
    const struct scene_order other = scene_order(scene, scene->other);
    for (int i = FIRST; i <= LAST; i++) {
        struct scene_order of = i == OTHER ? other : order;
        if (i == KEY) {
            of.kid = "key-2";
            scene_key(scene, scene->tenant, of.kid);
        } else if (i == ARTIFACT) {
            of.tool_sha256 = approved(scene, "tool-2");
            of.descriptor_sha256 = scene_descriptor_digest("tool-2");
        } else if (i == API_KEY) {
            of.api_key_id = scene_api_key(scene, scene->tenant, "soar-2", ROLE_SUBMITTER);
        }
        batch_add(&batch, &of);
    }
    scene_sql(scene,
              "UPDATE execution_active SET cancel_requested_at = now(), cancel_reason = "
              "'cancel_requested' WHERE execution_id = '%s'",
              uuid_format(&batch.starts[CANCELLED].claim.execution_id).text);
    scene_sql(scene, "UPDATE verification_key SET revoked_at = now() WHERE kid = 'key-2'");
    scene_sql(scene, "UPDATE artifact SET state = 'revoked', revoked_at = now() WHERE name = "
                     "'tool-2'");
    scene_sql(scene, "UPDATE api_key SET revoked_at = now() WHERE principal = 'soar-2'");
    batch.starts[NONCE].spent = batch.starts[FIRST].spent; /* another's */
    batch.starts[CLAIM].claim.fence++;
    batch.starts[DESCRIPTOR].descriptor_sha256 = scene_descriptor_digest("another");
    queue_start(scene->worker, batch.items, batch.count);
    for (size_t i = 0; i < batch.count; i++) {
        if (expected[i].code == FAULT_NONE) {
            assert_started(&batch, i);
            continue;
        }
        assert_refused(&batch.starts[i], expected[i].code, expected[i].words);
        assert_stored(&batch, i, false);
    }
    /* What was refused is still the worker's to end, and what was not can run on. */
    assert_int_equal(scene_number(scene, "SELECT count(*) FROM execution_queue WHERE worker_id IS "
                                         "NOT NULL"),
                     LAST + 1);
    batch_free(&batch);
}

/* The facts the verdict rested on are each item's own. */
static void facts_are_not_mixed_up(void **state)
{
    struct scene *scene = *state;
    struct batch batch = batch_new(scene);
    const struct scene_order order = scene_order(scene, scene->tenant);
    const struct scene_order other = scene_order(scene, scene->other);
    scene_sql(scene, "UPDATE tenant SET quorum = 1 WHERE tenant_id = '%s'", scene->other);
    for (int i = 0; i < 6; i++)
        batch_add(&batch, i % 2 == 0 ? &order : &other);
    queue_start(scene->worker, batch.items, batch.count);
    for (size_t i = 0; i < batch.count; i++) {
        assert_started(&batch, i);
        assert_int_equal(batch.starts[i].facts.facts.quorum, i % 2 == 0 ? 2 : 1);
        assert_int_equal(batch.starts[i].facts.facts.approvals, 2);
    }
    batch_free(&batch);
}

/* A row that the database refuses (here an event that no worker may insert) fails alone. */
static void the_database_refuses_one(void **state)
{
    for (size_t bad = 0; bad < 5; bad += 2) {
        (void)scene_begin(state);
        struct scene *scene = *state;
        const struct scene_order order = scene_order(scene, scene->tenant);
        struct batch batch = batch_new(scene);
        for (int i = 0; i < 5; i++)
            batch_add(&batch, &order);
        event_free(batch.events[bad]);
        batch.events[bad] = scene_event(EVENT_KEY_ADDED, scene->tenant, "task-1",
                                        &batch.starts[bad].claim.execution_id);
        batch.starts[bad].event = batch.events[bad];
        queue_start(scene->worker, batch.items, batch.count);
        for (size_t i = 0; i < batch.count; i++) {
            if (i != bad) {
                assert_started(&batch, i);
                continue;
            }
            assert_refused(&batch.starts[i], FAULT_INTERNAL, "");
            assert_stored(&batch, i, false);
        }
        batch_free(&batch);
    }
}

/* Nobody starts while the database is away, and all can start when it is back. */
static void the_database_is_away(void **state)
{
    struct scene *scene = *state;
    struct batch batch = batch_new(scene);
    const struct scene_order order = scene_order(scene, scene->tenant);
    for (int i = 0; i < 4; i++)
        batch_add(&batch, &order);
    scene_let_in(scene, false);
    scene_cut_off(scene, "sallyport_worker");
    queue_start(scene->worker, batch.items, batch.count);
    scene_let_in(scene, true);
    for (size_t i = 0; i < batch.count; i++) {
        assert_refused(&batch.starts[i], FAULT_UNAVAILABLE, "");
        assert_stored(&batch, i, false);
    }
    queue_start(scene->worker, batch.items, batch.count);
    for (size_t i = 0; i < batch.count; i++)
        assert_started(&batch, i);
    batch_free(&batch);
}

/* Attack on ourselves: a claim that stands in a batch twice starts once. */
static void a_claim_twice_starts_once(void **state)
{
    struct scene *scene = *state;
    struct batch batch = batch_new(scene);
    const struct scene_order order = scene_order(scene, scene->tenant);
    batch_add(&batch, &order);
    batch_add(&batch, &order);
    struct event *second = scene_event(EVENT_EXECUTION_STARTED, scene->tenant, "task-1",
                                       &batch.starts[0].claim.execution_id);
    event_free(batch.events[1]);
    batch.events[1] = second;
    batch.starts[1] = batch.starts[0];
    batch.starts[1].event = second;
    queue_start(scene->worker, batch.items, batch.count);
    assert_int_equal(batch.starts[0].started + batch.starts[1].started, 1);
    assert_stored(&batch, 0, true);
    batch_free(&batch);
}

/* The lease of one incarnation says nothing of another's. */
static void a_lease_that_ran_out_starts_nothing(void **state)
{
    struct scene *scene = *state;
    struct batch batch = batch_new(scene);
    const struct scene_order order = scene_order(scene, scene->tenant);
    batch_add(&batch, &order);
    struct uuid gone = batch.worker;
    batch.worker = scene_worker(scene);
    batch_add(&batch, &order);
    scene_expire(scene, &gone);
    queue_start(scene->worker, batch.items, batch.count);
    assert_refused(&batch.starts[0], FAULT_STATE_CONFLICT, "claim");
    assert_stored(&batch, 0, false);
    assert_started(&batch, 1);
    batch_free(&batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(each_has_its_own_outcome),  SCENE_TEST(facts_are_not_mixed_up),
        SCENE_TEST(the_database_refuses_one),  SCENE_TEST(the_database_is_away),
        SCENE_TEST(a_claim_twice_starts_once), SCENE_TEST(a_lease_that_ran_out_starts_nothing),
    };
    return cmocka_run_group_tests(tests, scene_open, scene_close);
}
