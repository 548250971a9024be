/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: inspection takes one artifact at a time and ends once; states move as the table of legal
 * moves says, each by the role whose move it is. */
#include "tests/pg/scene.h"

static enum artifact_state state_of(struct scene *scene, const struct digest *sha256)
{
    struct fault fault;
    AUTO_ARTIFACT struct artifact found = {0};
    assert_ok(armory_find(scene->api, scene->tenant, sha256, &found, &fault));
    return found.state;
}

/* Nothing of other tests is in the way. */
static void clear_waiting(struct scene *scene)
{
    scene_sql(scene, "UPDATE artifact SET state = 'rejected' WHERE state = 'inspecting'");
}

/* Takes the next, of whatever tenant; false if none waits. */
static bool take(struct scene *scene, const struct uuid *worker, struct digest *ret_sha256)
{
    struct fault fault;
    char tenant[TENANT_ID_MAX + 1];
    AUTO_ARTIFACT struct artifact artifact = {0};
    if (armory_inspect_next(scene->worker, worker, tenant, &artifact, &fault) != 0) {
        assert_fault(-1, FAULT_NOT_FOUND, "waits");
        return false;
    }
    assert_int_equal(artifact.state, ARTIFACT_INSPECTING);
    assert_true(span_equal(artifact.descriptor, span_text("{}")));
    *ret_sha256 = artifact.sha256;
    return true;
}

static void assert_takes(struct scene *scene, const struct uuid *worker,
                         const struct digest *expected)
{
    struct digest taken;
    assert_true(take(scene, worker, &taken));
    assert_true(digest_equal(&taken, expected));
}

static void the_oldest_is_inspected_first_and_once(void **state)
{
    struct scene *scene = *state;
    clear_waiting(scene);
    struct uuid worker = scene_worker(scene);
    struct digest taken, tools[3];
    static const char *const names[] = {"one", "two", "three"};
    for (int i = 0; i < 3; i++)
        tools[i] = scene_artifact(scene, scene->tenant, names[i]);
    for (int i = 0; i < 3; i++)
        assert_takes(scene, &worker, &tools[i]);
    assert_false(take(scene, &worker, &taken));
}

/* However long it takes; and not a moment longer. */
static void an_inspection_is_held_while_its_worker_lives(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    clear_waiting(scene);
    struct uuid one = scene_worker(scene), two = scene_worker(scene), three = scene_worker(scene);
    struct digest taken, tool = scene_artifact(scene, scene->tenant, "tool");
    assert_takes(scene, &one, &tool);
    scene_sql(scene, "UPDATE artifact SET inspect_until = inspect_until - interval '23 hours'"
                     " WHERE state = 'inspecting'");
    assert_false(take(scene, &two, &taken));
    scene_expire(scene, &one);
    assert_takes(scene, &two, &tool);
    /* Only who has it gives it back, for as long as it says. */
    assert_ok(armory_inspect_later(scene->worker, &one, scene->tenant, &tool, 0, &fault));
    assert_false(take(scene, &three, &taken));
    assert_ok(armory_inspect_later(scene->worker, &two, scene->tenant, &tool, 600, &fault));
    scene_expire(scene, &two);
    assert_false(take(scene, &three, &taken));
    scene_sql(scene, "UPDATE artifact SET inspect_until = now() - interval '1 second'"
                     " WHERE state = 'inspecting'");
    assert_takes(scene, &three, &tool);
    assert_ok(scene_inspection(scene->worker, scene->tenant, &tool, NULL, NULL, &fault));
    assert_int_equal(scene_number(scene, "SELECT count(*) FROM artifact WHERE state = 'pending'"
                                         " AND inspect_worker IS NOT NULL"),
                     0);
}

/* A publisher's pile of slow archives does not make the others wait for all of it. */
static void tenants_take_turns(void **state)
{
    struct scene *scene = *state;
    clear_waiting(scene);
    struct uuid worker = scene_worker(scene);
    struct digest taken, pile[4], few[2];
    static const char *const names[] = {"p1", "p2", "p3", "p4"};
    for (size_t i = 0; i < ARRAY_LEN(pile); i++)
        pile[i] = scene_artifact(scene, scene->tenant, names[i]);
    few[0] = scene_artifact(scene, scene->other, "f1");
    assert_takes(scene, &worker, &pile[0]);
    assert_takes(scene, &worker, &few[0]);
    assert_takes(scene, &worker, &pile[1]);
    few[1] = scene_artifact(scene, scene->other, "f2"); /* later than all of the pile */
    assert_takes(scene, &worker, &few[1]);
    assert_takes(scene, &worker, &pile[2]);
    assert_takes(scene, &worker, &pile[3]);
    assert_false(take(scene, &worker, &taken));
}

/* What another worker has in its hands is passed over without waiting. */
static void workers_do_not_wait_for_each_other(void **state)
{
    struct scene *scene = *state;
    clear_waiting(scene);
    struct uuid worker = scene_worker(scene);
    struct digest taken, first = scene_artifact(scene, scene->tenant, "one");
    struct digest second = scene_artifact(scene, scene->tenant, "two");
    scene_sql(scene, "BEGIN");
    scene_sql(scene, "SELECT FROM artifact WHERE sha256 = '\\x%s' FOR UPDATE",
              digest_hex(&first).text);
    assert_takes(scene, &worker, &second);
    assert_false(take(scene, &worker, &taken));
    scene_sql(scene, "ROLLBACK");
    assert_takes(scene, &worker, &first);
}

static void an_inspection_ends_once(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    clear_waiting(scene);
    struct digest good = scene_artifact(scene, scene->tenant, "good"), taken;
    struct digest bad = scene_artifact(scene, scene->tenant, "bad");
    struct digest gone = scene_artifact(scene, scene->tenant, "gone");
    assert_ok(scene_inspection(scene->worker, scene->tenant, &good, NULL, NULL, &fault));
    assert_int_equal(state_of(scene, &good), ARTIFACT_PENDING);
    assert_ok(scene_inspection(scene->worker, scene->tenant, &bad, "a device file", NULL, &fault));
    assert_int_equal(state_of(scene, &bad), ARTIFACT_REJECTED);
    AUTO_ARTIFACT struct artifact rejected = {0};
    assert_ok(armory_find(scene->api, scene->tenant, &bad, &rejected, &fault));
    assert_string_equal(rejected.reason, "a device file");
    assert_string_equal(rejected.image, "");
    /* A second worker, late, changes nothing; nor one for another tenant. */
    assert_ok(scene_inspection(scene->worker, scene->tenant, &good, "late", NULL, &fault));
    assert_int_equal(state_of(scene, &good), ARTIFACT_PENDING);
    assert_ok(scene_inspection(scene->worker, scene->tenant, &bad, NULL, NULL, &fault));
    assert_int_equal(state_of(scene, &bad), ARTIFACT_REJECTED);
    assert_ok(scene_inspection(scene->worker, scene->other, &gone, NULL, NULL, &fault));
    assert_int_equal(state_of(scene, &gone), ARTIFACT_INSPECTING);
    /* Revoked meanwhile, it stays so. */
    scene_sql(scene,
              "UPDATE artifact SET state = 'revoked', revoked_at = now() WHERE sha256 = "
              "'\\x%s'",
              digest_hex(&gone).text);
    assert_ok(scene_inspection(scene->worker, scene->tenant, &gone, NULL, NULL, &fault));
    assert_int_equal(state_of(scene, &gone), ARTIFACT_REVOKED);
    struct uuid worker = scene_worker(scene);
    assert_false(take(scene, &worker, &taken));
    assert_fault(scene_inspection(scene->api, scene->tenant, &good, NULL, NULL, &fault),
                 FAULT_INTERNAL, "42501");
}

static int inspected_events(struct scene *scene, const struct digest *sha256)
{
    return (int)scene_number(scene,
                             "SELECT count(*) FROM event WHERE subject = '%s' AND type = "
                             "'io.sallyport.artifact.inspected.v1'",
                             digest_format(sha256).text);
}

/* State, image and event are one commit; and the database holds what was said to it. */
static void an_inspection_says_how_an_image_starts(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    clear_waiting(scene);
    struct digest plain = scene_artifact(scene, scene->tenant, "plain");
    struct digest image = scene_artifact(scene, scene->tenant, "image");
    scene_sql(scene, "ALTER TABLE artifact DISABLE TRIGGER artifact_moves");
    scene_sql(scene, "UPDATE artifact SET kind = 'oci' WHERE sha256 = '\\x%s'",
              digest_hex(&image).text);
    scene_sql(scene, "ALTER TABLE artifact ENABLE TRIGGER artifact_moves");
    assert_fault(
        scene_inspection(scene->worker, scene->tenant, &plain, NULL, "{\"cmd\":[]}", &fault),
        FAULT_INTERNAL, "23514");
    assert_int_equal(state_of(scene, &plain), ARTIFACT_INSPECTING);
    assert_int_equal(inspected_events(scene, &plain), 0);
    assert_ok(scene_inspection(scene->worker, scene->tenant, &image, NULL, "{\"cmd\":[]}", &fault));
    AUTO_ARTIFACT struct artifact found = {0};
    assert_ok(armory_find(scene->api, scene->tenant, &image, &found, &fault));
    assert_string_equal(found.image, "{\"cmd\":[]}");
    assert_int_equal(inspected_events(scene, &image), 1);
    /* A second one is not told of; and what was shown cannot be changed. */
    assert_ok(scene_inspection(scene->worker, scene->tenant, &image, NULL, "{}", &fault));
    assert_int_equal(inspected_events(scene, &image), 1);
    AUTO_PGRESULT PGresult *changed =
        PQexec(scene->sql, "UPDATE artifact SET image = '{}' WHERE kind = 'oci'");
    assert_string_equal(PQresultErrorField(changed, PG_DIAG_SQLSTATE), "23514");
}

static const char *const states[] = {"inspecting", "pending", "rejected", "revoked"};

/* [from][to]: the role whose move it is, NULL where there is none. */
static const char *const moves[4][4] = {
    {"any", "worker", "worker", "api"},
    {NULL, "any", NULL, "api"},
    {NULL, NULL, "any", NULL},
    {NULL, NULL, NULL, "any"},
};

static void set_state(struct scene *scene, const struct digest *sha256, const char *to)
{
    scene_sql(scene,
              "UPDATE artifact SET state = '%s', revoked_at = CASE '%s' WHEN 'revoked' THEN now() "
              "END WHERE sha256 = '\\x%s' AND tenant_id = '%s'",
              to, to, digest_hex(sha256).text, scene->tenant);
}

static void states_move_as_the_table_says(void **state)
{
    struct scene *scene = *state;
    for (size_t from = 0; from < 4; from++) {
        struct digest tool = scene_artifact(scene, scene->tenant, states[from]);
        set_state(scene, &tool, states[from]);
        for (size_t to = 0; to < 4; to++) {
            const char *mover = moves[from][to];
            bool revokes = strcmp(states[to], "revoked") == 0;
            /* The owner's only bound is the order of states. */
            scene_try(
                scene, "sallyport_owner", NULL, mover == NULL ? "23514" : "00000",
                "UPDATE artifact SET state = '%s', revoked_at = CASE '%s' WHEN 'revoked' THEN "
                "now() END WHERE sha256 = '\\x%s'",
                states[to], states[to], digest_hex(&tool).text);
            if (from == to)
                continue;
            const char *api = mover == NULL               ? "23514"
                              : strcmp(mover, "api") == 0 ? "00000"
                                                          : "42501";
            scene_try(scene, "sallyport_api", scene->tenant, api,
                      "UPDATE artifact SET state = '%s'%s WHERE sha256 = '\\x%s'", states[to],
                      revokes ? ", revoked_at = now(), revoked_by = 'a'" : "",
                      digest_hex(&tool).text);
            if (revokes) { /* a worker cannot even say when */
                scene_try(
                    scene, "sallyport_worker", NULL, "42501",
                    "UPDATE artifact SET state = 'revoked', revoked_at = now() WHERE sha256 = "
                    "'\\x%s'",
                    digest_hex(&tool).text);
                continue;
            }
            const char *worker = mover == NULL                  ? "23514"
                                 : strcmp(mover, "worker") == 0 ? "00000"
                                                                : "42501";
            scene_try(scene, "sallyport_worker", NULL, worker,
                      "UPDATE artifact SET state = '%s' WHERE sha256 = '\\x%s'", states[to],
                      digest_hex(&tool).text);
        }
    }
}

/* Not even the owner changes what an artifact is. */
static void what_it_is_never_changes(void **state)
{
    struct scene *scene = *state;
    struct digest tool = scene_artifact(scene, scene->tenant, "tool");
    struct uuid other = scene_upload(scene, scene->tenant, "other");
    static const char *const changes[] = {"sha256 = sha256('')", "size = size + 1",
                                          "kind = 'oci'",        "descriptor = '{\"a\":1}'",
                                          "ingested_by = 'bob'", "descriptor_sha256 = sha256('')"};
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        scene_try(scene, "sallyport_owner", NULL, "23514",
                  "UPDATE artifact SET %s WHERE sha256 = '\\x%s'", changes[i],
                  digest_hex(&tool).text);
        scene_try(scene, "sallyport_api", scene->tenant, "42501",
                  "UPDATE artifact SET %s WHERE sha256 = '\\x%s'", changes[i],
                  digest_hex(&tool).text);
        scene_try(scene, "sallyport_worker", NULL, "42501",
                  "UPDATE artifact SET %s WHERE sha256 = '\\x%s'", changes[i],
                  digest_hex(&tool).text);
    }
    scene_try(scene, "sallyport_owner", NULL, "23514",
              "UPDATE artifact SET blob_id = '%s' WHERE sha256 = '\\x%s'", uuid_format(&other).text,
              digest_hex(&tool).text);
    scene_try(scene, "sallyport_owner", NULL, "23514",
              "UPDATE artifact SET tenant_id = '%s' WHERE sha256 = '\\x%s'", scene->other,
              digest_hex(&tool).text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(the_oldest_is_inspected_first_and_once),
        SCENE_TEST(an_inspection_is_held_while_its_worker_lives),
        SCENE_TEST(tenants_take_turns),
        SCENE_TEST(workers_do_not_wait_for_each_other),
        SCENE_TEST(an_inspection_ends_once),
        SCENE_TEST(an_inspection_says_how_an_image_starts),
        SCENE_TEST(states_move_as_the_table_says),
        SCENE_TEST(what_it_is_never_changes),
    };
    return cmocka_run_group_tests(tests, scene_open, scene_close);
}
