/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: when a revocation has returned nothing is accepted or started with what it took back, also
 * if both were on their way at once. */
#include "base/clock.h"
#include "storage/keys.h"
#include "storage/locks.h"
#include "tests/pg/scene.h"

#include <pthread.h>

#define AWAIT_MS 60000

enum what { API_KEY, KEY, ARTIFACT, WHAT_COUNT };

/* One side of a race, on a connection and a thread of its own. */
struct side {
    struct scene *scene;
    const struct scene_order *order;
    enum what what;
    const char *asked_by_key;
    struct pg *pg;
    pthread_t thread;
    struct claim claim;
    int status;
    struct fault fault;
};

static void *revoke_main(void *context)
{
    struct side *side = context;
    const char *tenant = side->order->tenant;
    static const enum event_type types[] = {EVENT_APIKEY_REVOKED, EVENT_KEY_REVOKED,
                                            EVENT_ARTIFACT_REVOKED};
    AUTO_EVENT struct event *event = scene_event(types[side->what], tenant, "revoked", NULL);
    if (side->what == API_KEY)
        side->status = api_keys_revoke(side->pg, tenant, side->order->api_key_id,
                                       side->asked_by_key, event, &side->fault);
    else if (side->what == KEY)
        side->status = keys_revoke(side->pg, tenant, side->order->kid, NULL, event, &side->fault);
    else
        side->status =
            scene_revoke(side->pg, tenant, &side->order->tool_sha256, NULL, false, &side->fault);
    return NULL;
}

static void *accept_main(void *context)
{
    struct side *side = context;
    AUTO_SCENE_JOB struct scene_job job;
    struct admission *admission = &job.admission;
    scene_job_make(side->order, "nonce-race", "body", &job);
    scene_commit(side->pg, &admission, 1);
    side->status = admission->end == ADMISSION_ACCEPTED ? 0 : -1;
    side->fault = admission->fault;
    return NULL;
}

static void *start_main(void *context)
{
    struct side *side = context;
    side->status = scene_start(side->pg, side->order, &side->claim, &side->fault);
    return NULL;
}

static void side_begin(struct side *side, void *(*run)(void *))
{
    struct fault fault;
    const char *role = run == start_main ? "sallyport_worker" : "sallyport_api";
    assert_ok(pg_cluster_connect(side->scene->cluster, role, &side->pg, &fault));
    assert_int_equal(pthread_create(&side->thread, NULL, run, side), 0);
}

static void side_end(struct side *side)
{
    assert_int_equal(pthread_join(side->thread, NULL), 0);
    pg_free(side->pg);
}

/* Waits until somebody waits for a lock of this kind. */
static void await_waiting(struct scene *scene, const char *locktype)
{
    int64_t deadline = clock_monotonic_ms() + AWAIT_MS;
    while (scene_number(scene,
                        "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = '%s' AND "
                        "database = (SELECT oid FROM pg_database WHERE datname = "
                        "current_database())",
                        locktype) == 0)
        assert_true(clock_monotonic_ms() < deadline);
}

static const enum fault_code codes[] = {FAULT_NOT_AUTHENTICATED, FAULT_SIGNATURE_INVALID,
                                        FAULT_ARTIFACT_REVOKED};

/* The first is held up at its last step, the insert of its event, with all its locks; the second
 * must wait for it. */
static void race(struct scene *scene, enum what what, bool start, bool revoke_first)
{
    struct scene_order order = scene_order(scene, scene->tenant);
    struct side revoke = {.scene = scene, .order = &order, .what = what}, decide = revoke;
    void *(*decide_main)(void *) = start ? start_main : accept_main;
    if (start) {
        struct uuid worker = scene_worker(scene);
        scene_queue(scene, &order, "job", 1);
        decide.claim = scene_claim(scene, &worker);
    }
    scene_sql(scene, "BEGIN");
    scene_sql(scene, "LOCK TABLE event IN EXCLUSIVE MODE");
    side_begin(revoke_first ? &revoke : &decide, revoke_first ? revoke_main : decide_main);
    await_waiting(scene, "relation");
    side_begin(revoke_first ? &decide : &revoke, revoke_first ? decide_main : revoke_main);
    await_waiting(scene, "advisory");
    scene_sql(scene, "COMMIT");
    side_end(&revoke);
    side_end(&decide);
    fixture_assert_ok(revoke.status, &revoke.fault, __FILE__, __LINE__);
    if (revoke_first)
        fixture_assert_fault(decide.status, codes[what], "", &decide.fault, __FILE__, __LINE__);
    else
        fixture_assert_ok(decide.status, &decide.fault, __FILE__, __LINE__);
    /* And from now on, each door. */
    AUTO_SCENE_JOB struct scene_job late;
    struct admission *admission = &late.admission;
    scene_job_make(&order, "nonce-late", "body", &late);
    scene_commit(scene->api, &admission, 1);
    assert_int_equal(admission->end, ADMISSION_REFUSED);
    assert_int_equal(admission->fault.code, codes[what]);
    /* The ledger tells the same order: what was accepted or started came before the revocation. */
    assert_int_equal(
        scene_number(scene,
                     "SELECT count(*) FROM event e JOIN event_pending p USING (event_id), event r "
                     "JOIN event_pending q ON q.event_id = r.event_id WHERE e.tenant_id = '%s' AND "
                     "r.tenant_id = e.tenant_id AND r.type LIKE '%%.revoked.v1' AND e.type = "
                     "'io.sallyport.execution.%s.v1' AND p.seq > q.seq",
                     scene->tenant, start ? "started" : "accepted"),
        0);
}

static void run_races(void **state, bool start, bool revoke_first)
{
    for (int what = 0; what < WHAT_COUNT; what++) {
        (void)scene_begin(state);
        race(*state, (enum what)what, start, revoke_first);
    }
}

static void accepted_before_a_revocation(void **state)
{
    run_races(state, false, false);
}

static void not_accepted_behind_a_revocation(void **state)
{
    run_races(state, false, true);
}

static void started_before_a_revocation(void **state)
{
    run_races(state, true, false);
}

static void not_started_behind_a_revocation(void **state)
{
    run_races(state, true, true);
}

/* Those who decide share their locks: none waits for another. */
static void deciders_do_not_wait_for_each_other(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct scene_order order = scene_order(scene, scene->tenant);
    int64_t keys[] = {lock_of_artifact(order.tenant, &order.tool_sha256),
                      lock_of_key(order.tenant, order.kid), lock_of_api_key(order.api_key_id)};
    const char *tenants[] = {order.tenant, NULL};
    pg_begin(scene->super, tenants);
    assert_ok(locks_share(scene->super, keys, ARRAY_LEN(keys), &fault));
    scene_queue(scene, &order, "job", 1);
    struct uuid worker = scene_worker(scene);
    struct claim claim = scene_claim(scene, &worker);
    assert_ok(scene_start(scene->worker, &order, &claim, &fault));
    pg_rollback(scene->super);
}

/* Whose key is revoked does nothing more that asks for it, at once and in every tenant's table. */
static void a_revoked_caller_does_nothing_more(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    enum armory_ingest_end end;
    const char *tenant = scene->tenant;
    const char *id =
        scene_api_key(scene, tenant, "eve", ROLE_APPROVER | ROLE_ADMIN | ROLE_PUBLISHER);
    struct digest tool = scene_artifact(scene, tenant, "tool");
    scene_inspected(scene, tenant, &tool);
    AUTO_EVENT struct event *revoked = scene_event(EVENT_APIKEY_REVOKED, tenant, id, NULL);
    AUTO_EVENT struct event *event = scene_event(EVENT_KEY_ADDED, tenant, "by eve", NULL);
    assert_ok(api_keys_revoke(scene->api, tenant, id, NULL, revoked, &fault));
    struct api_key api_key = {.id = "abababababababab",
                              .principal = "mallory",
                              .roles = ROLE_ADMIN,
                              .created_by = "eve",
                              .created_by_key = id,
                              .expires_ms = INT64_MIN};
    (void)snprintf(api_key.tenant_id, sizeof api_key.tenant_id, "%s", tenant);
    assert_fault(api_keys_create(scene->api, &api_key, event, &fault), FAULT_NOT_AUTHENTICATED, "");
    const struct key_record key = {.kid = "by-eve",
                                   .alg = JWS_ES256,
                                   .public_pem = "p",
                                   .not_before_ms = INT64_MIN,
                                   .not_after_ms = INT64_MIN,
                                   .created_by = "eve",
                                   .created_by_key = id,
                                   .created_ms = clock_wall_ms()};
    assert_fault(keys_add(scene->api, tenant, &key, (const struct event *[]){event}, 1, &fault),
                 FAULT_NOT_AUTHENTICATED, "");
    const struct artifact artifact = {.sha256 = digest_of("eve", 3),
                                      .blob_id = scene_upload(scene, tenant, "eve"),
                                      .size = 3,
                                      .name = "eve",
                                      .version = "1",
                                      .descriptor = span_text("{}"),
                                      .ingested_by = "eve",
                                      .ingested_by_key = id};
    assert_fault(armory_ingest(scene->api, tenant, &artifact, event, &end, &fault),
                 FAULT_NOT_AUTHENTICATED, "");
    const struct approval approval = {.principal = "eve",
                                      .api_key_id = id,
                                      .comment = "yes",
                                      .descriptor_sha256 = scene_descriptor_digest("tool"),
                                      .expires_ms = INT64_MIN};
    assert_fault(armory_approve(scene->api, tenant, &tool, &approval, event, &fault),
                 FAULT_NOT_AUTHENTICATED, "");
    assert_int_equal(scene_number(scene,
                                  "SELECT count(*) FROM event WHERE subject = 'by eve' AND "
                                  "tenant_id = '%s'",
                                  tenant),
                     0);
}

/* And revokes nothing either. But its own key it may: that is its last word. */
static void a_revoked_caller_revokes_nothing(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    const char *tenant = scene->tenant;
    struct scene_order order = scene_order(scene, tenant);
    const char *id = scene_api_key(scene, tenant, "eve", ROLE_ADMIN);
    AUTO_EVENT struct event *event = scene_event(EVENT_APIKEY_REVOKED, tenant, id, NULL);
    AUTO_EVENT struct event *late = scene_event(EVENT_APIKEY_REVOKED, tenant, "late", NULL);
    assert_ok(api_keys_revoke(scene->api, tenant, id, id, event, &fault));
    assert_fault(api_keys_revoke(scene->api, tenant, order.api_key_id, id, late, &fault),
                 FAULT_NOT_AUTHENTICATED, "");
    assert_fault(keys_revoke(scene->api, tenant, order.kid, id, late, &fault),
                 FAULT_NOT_AUTHENTICATED, "");
    assert_fault(scene_revoke(scene->api, tenant, &order.tool_sha256, id, true, &fault),
                 FAULT_NOT_AUTHENTICATED, "");
    scene_queue(scene, &order, "job", 1);
}

/* Two admins at once, each with the other's key in hand: the locks have one order, so one wins. */
static void who_revoke_each_other(void **state)
{
    struct scene *scene = *state;
    struct scene_order orders[2];
    struct side sides[2];
    for (int i = 0; i < 2; i++)
        orders[i] = (struct scene_order){
            .tenant = scene->tenant,
            .api_key_id = scene_api_key(scene, scene->tenant, i == 0 ? "ann" : "ben", ROLE_ADMIN)};
    scene_sql(scene, "BEGIN");
    scene_sql(scene, "LOCK TABLE event IN EXCLUSIVE MODE");
    for (int i = 0; i < 2; i++) {
        sides[i] = (struct side){.scene = scene,
                                 .order = &orders[i],
                                 .what = API_KEY,
                                 .asked_by_key = orders[1 - i].api_key_id};
        side_begin(&sides[i], revoke_main);
        await_waiting(scene, i == 0 ? "relation" : "advisory");
    }
    scene_sql(scene, "COMMIT");
    side_end(&sides[0]);
    side_end(&sides[1]);
    fixture_assert_ok(sides[0].status, &sides[0].fault, __FILE__, __LINE__);
    fixture_assert_fault(sides[1].status, FAULT_NOT_AUTHENTICATED, "", &sides[1].fault, __FILE__,
                         __LINE__);
}

/* Attack: a taken-over api takes a revocation back. */
static void a_revocation_is_final(void **state)
{
    struct scene *scene = *state;
    struct scene_order order = scene_order(scene, scene->tenant);
    static const char *const tables[] = {"api_key", "verification_key", "artifact"};
    static const char *const again[] = {"NULL", "now() + interval '1 day'"};
    scene_sql(scene,
              "UPDATE artifact SET state = 'revoked', revoked_at = now() WHERE tenant_id = "
              "'%s'",
              scene->tenant);
    scene_sql(scene, "UPDATE api_key SET revoked_at = now() WHERE api_key_id = '%s'",
              order.api_key_id);
    scene_sql(scene, "UPDATE verification_key SET revoked_at = now() WHERE tenant_id = '%s'",
              scene->tenant);
    for (size_t t = 0; t < ARRAY_LEN(tables); t++)
        for (size_t a = 0; a < ARRAY_LEN(again); a++) {
            if (t == 2 && a == 1)
                continue; /* of an artifact only the state counts */
            scene_try(scene, "sallyport_api", scene->tenant, "23514",
                      "UPDATE %s SET revoked_at = %s WHERE revoked_at IS NOT NULL", tables[t],
                      again[a]);
            scene_try(scene, "sallyport_owner", NULL, "23514",
                      "UPDATE %s SET revoked_at = %s WHERE revoked_at IS NOT NULL", tables[t],
                      again[a]);
        }
    scene_try(scene, "sallyport_api", scene->tenant, "23514",
              "UPDATE artifact SET state = 'pending', revoked_at = NULL WHERE tenant_id = '%s'",
              scene->tenant);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(accepted_before_a_revocation),
        SCENE_TEST(not_accepted_behind_a_revocation),
        SCENE_TEST(started_before_a_revocation),
        SCENE_TEST(not_started_behind_a_revocation),
        SCENE_TEST(deciders_do_not_wait_for_each_other),
        SCENE_TEST(a_revoked_caller_does_nothing_more),
        SCENE_TEST(a_revoked_caller_revokes_nothing),
        SCENE_TEST(who_revoke_each_other),
        SCENE_TEST(a_revocation_is_final),
    };
    return cmocka_run_group_tests(tests, scene_open, scene_close);
}
