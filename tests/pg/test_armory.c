/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: an artifact is what it was at its ingest, is approved by enough different people that are
 * not its ingester, and moves through its states forward only. */
#include "base/clock.h"
#include "tests/pg/scene.h"

static int ingest(struct scene *scene, const char *tenant, const char *bytes,
                  const struct digest *descriptor, const struct uuid *blob,
                  enum armory_ingest_end *ret_end, struct fault *fault)
{
    const struct artifact artifact = {.sha256 = digest_of(bytes, strlen(bytes)),
                                      .blob_id = *blob,
                                      .size = (int64_t)strlen(bytes),
                                      .kind = ARTIFACT_ROOTFS,
                                      .name = "yara",
                                      .version = "4.2.3",
                                      .descriptor = span_text("{\"kind\":\"rootfs\"}"),
                                      .descriptor_sha256 = *descriptor,
                                      .ingested_by = "ingester"};
    AUTO_EVENT struct event *event = scene_event(EVENT_ARTIFACT_INGESTED, tenant, bytes, NULL);
    return armory_ingest(scene->api, tenant, &artifact, event, ret_end, fault);
}

static int64_t events_of(struct scene *scene, const char *tenant, const char *about)
{
    return scene_number(scene,
                        "SELECT count(*) FROM event WHERE tenant_id = '%s' AND subject = '%s'",
                        tenant, about);
}

static bool completed(struct scene *scene, const struct uuid *blob)
{
    return scene_number(
               scene, "SELECT count(*) FROM blob WHERE blob_id = '%s' AND completed_at IS NOT NULL",
               uuid_format(blob).text) == 1;
}

static void an_artifact_is_kept_as_it_was_ingested(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    enum armory_ingest_end end;
    struct uuid blob = scene_upload(scene, scene->tenant, "some bytes");
    struct digest descriptor = digest_of("d", 1), sha256 = digest_of("some bytes", 10);
    assert_ok(ingest(scene, scene->tenant, "some bytes", &descriptor, &blob, &end, &fault));
    assert_int_equal(end, ARMORY_CREATED);
    assert_true(completed(scene, &blob));
    assert_int_equal(events_of(scene, scene->tenant, "some bytes"), 1);
    AUTO_ARTIFACT struct artifact found = {0};
    assert_ok(armory_find(scene->api, scene->tenant, &sha256, &found, &fault));
    assert_true(digest_equal(&found.sha256, &sha256));
    assert_true(uuid_equal(&found.blob_id, &blob));
    assert_int_equal(found.size, 10);
    assert_int_equal(found.kind, ARTIFACT_ROOTFS);
    assert_string_equal(found.name, "yara");
    assert_string_equal(found.version, "4.2.3");
    assert_true(span_equal(found.descriptor, span_text("{\"kind\":\"rootfs\"}")));
    assert_true(digest_equal(&found.descriptor_sha256, &descriptor));
    assert_int_equal(found.state, ARTIFACT_INSPECTING);
    assert_string_equal(found.reason, "");
    assert_string_equal(found.ingested_by, "ingester");
    assert_int_equal(found.approvals, 0);
    assert_int_equal(found.quorum, 2);
    struct artifact none = {0};
    assert_fault(armory_find(scene->api, scene->other, &sha256, &none, &fault), FAULT_NOT_FOUND,
                 "artifact");
    assert_fault(armory_find(scene->worker, scene->other, &sha256, &none, &fault), FAULT_NOT_FOUND,
                 "artifact");
}

static void the_same_bytes_twice(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    enum armory_ingest_end end = ARMORY_CREATED;
    struct digest one = digest_of("1", 1), two = digest_of("2", 1);
    struct uuid first = scene_upload(scene, scene->tenant, "bytes");
    struct uuid second = scene_upload(scene, scene->tenant, "bytes");
    struct uuid theirs = scene_upload(scene, scene->other, "bytes");
    assert_ok(ingest(scene, scene->tenant, "bytes", &one, &first, &end, &fault));
    assert_ok(ingest(scene, scene->tenant, "bytes", &one, &second, &end, &fault));
    assert_int_equal(end, ARMORY_EXISTED);
    assert_fault(ingest(scene, scene->tenant, "bytes", &two, &second, &end, &fault),
                 FAULT_STATE_CONFLICT, "another descriptor");
    assert_false(completed(scene, &second)); /* the caller's to remove */
    assert_int_equal(events_of(scene, scene->tenant, "bytes"), 1);
    assert_ok(ingest(scene, scene->other, "bytes", &two, &theirs, &end, &fault));
    assert_int_equal(end, ARMORY_CREATED); /* another tenant, another artifact */
}

/* Attack: another tenant's upload named as one's own, and one that is gone. */
static void only_an_upload_of_one_s_own(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    enum armory_ingest_end end = ARMORY_EXISTED;
    struct digest descriptor = digest_of("d", 1), sha256 = digest_of("secret", 6);
    struct uuid theirs = scene_upload(scene, scene->other, "secret"), gone = uuid_v7();
    struct artifact none = {0};
    assert_fault(ingest(scene, scene->tenant, "secret", &descriptor, &theirs, &end, &fault),
                 FAULT_UNAVAILABLE, "swept");
    assert_fault(ingest(scene, scene->tenant, "secret", &descriptor, &gone, &end, &fault),
                 FAULT_UNAVAILABLE, "swept");
    assert_int_equal(end, ARMORY_EXISTED);
    assert_fault(armory_find(scene->api, scene->tenant, &sha256, &none, &fault), FAULT_NOT_FOUND,
                 "artifact");
    assert_false(completed(scene, &theirs));
    assert_int_equal(events_of(scene, scene->tenant, "secret"), 0);
    /* Nor one that is an artifact already: each has bytes of its own. */
    struct uuid used = scene_upload(scene, scene->tenant, "secret");
    assert_ok(ingest(scene, scene->tenant, "secret", &descriptor, &used, &end, &fault));
    assert_fault(ingest(scene, scene->tenant, "other", &descriptor, &used, &end, &fault),
                 FAULT_UNAVAILABLE, "swept");
}

struct listing {
    struct digest digests[16];
    size_t count, stop_after;
};

static int note(void *context, const struct artifact *artifact)
{
    struct listing *listing = context;
    assert_true(listing->count < ARRAY_LEN(listing->digests));
    listing->digests[listing->count++] = artifact->sha256;
    return listing->count == listing->stop_after ? -1 : 0;
}

static void pages_go_by_digest(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    for (int i = 0; i < 7; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "tool-%d", i);
        (void)scene_artifact(scene, scene->tenant, name);
    }
    (void)scene_artifact(scene, scene->other, "theirs");
    struct listing all = {0}, paged = {0}, stopped = {.stop_after = 2};
    assert_ok(armory_list(scene->api, scene->tenant, NULL, 100, note, &all, &fault));
    assert_int_equal(all.count, 7);
    for (size_t i = 1; i < all.count; i++)
        assert_true(memcmp(all.digests[i - 1].bytes, all.digests[i].bytes, DIGEST_LEN) < 0);
    for (size_t before = 1; paged.count != before;) {
        before = paged.count;
        const struct digest *after = before == 0 ? NULL : &paged.digests[before - 1];
        assert_ok(armory_list(scene->api, scene->tenant, after, 3, note, &paged, &fault));
        assert_in_range(paged.count - before, 0, 3);
    }
    assert_int_equal(paged.count, 7);
    assert_memory_equal(paged.digests, all.digests, 7 * sizeof all.digests[0]);
    assert_ok(armory_list(scene->api, scene->tenant, NULL, 100, note, &stopped, &fault));
    assert_int_equal(stopped.count, 2);
}

static int approve(struct scene *scene, const char *tenant, const struct digest *sha256,
                   const char *principal, const char *name, int64_t expires_ms, struct fault *fault)
{
    const struct approval approval = {.principal = principal,
                                      .api_key_id =
                                          scene_api_key(scene, tenant, principal, ROLE_APPROVER),
                                      .comment = "read it",
                                      .descriptor_sha256 = scene_descriptor_digest(name),
                                      .expires_ms = expires_ms};
    AUTO_EVENT struct event *event = scene_event(EVENT_ARTIFACT_APPROVED, tenant, "approval", NULL);
    return armory_approve(scene->api, tenant, sha256, &approval, event, fault);
}

static int approvals_of(struct scene *scene, const struct digest *sha256)
{
    struct fault fault;
    AUTO_ARTIFACT struct artifact found = {0};
    assert_ok(armory_find(scene->api, scene->tenant, sha256, &found, &fault));
    return found.approvals;
}

static void who_may_approve_what(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    const char *tenant = scene->tenant;
    struct digest tool = scene_artifact(scene, tenant, "tool"), unknown = digest_of("?", 1);
    assert_fault(approve(scene, tenant, &tool, "bob", "tool", INT64_MIN, &fault),
                 FAULT_STATE_CONFLICT, "state: expected pending");
    scene_inspected(scene, tenant, &tool);
    assert_fault(approve(scene, tenant, &unknown, "bob", "tool", INT64_MIN, &fault),
                 FAULT_NOT_FOUND, "artifact");
    assert_fault(approve(scene, scene->other, &tool, "bob", "tool", INT64_MIN, &fault),
                 FAULT_NOT_FOUND, "artifact");
    assert_fault(approve(scene, tenant, &tool, "bob", "tool 2", INT64_MIN, &fault),
                 FAULT_STATE_CONFLICT, "descriptor_sha256");
    assert_fault(approve(scene, tenant, &tool, "ingester", "tool", INT64_MIN, &fault),
                 FAULT_FORBIDDEN, "ingested");
    assert_int_equal(approvals_of(scene, &tool), 0);
    assert_int_equal(events_of(scene, tenant, "approval"), 0);
    assert_ok(approve(scene, tenant, &tool, "bob", "tool", INT64_MIN, &fault));
    assert_fault(approve(scene, tenant, &tool, "bob", "tool", INT64_MIN, &fault),
                 FAULT_STATE_CONFLICT, "before");
    assert_int_equal(approvals_of(scene, &tool), 1);
    assert_int_equal(events_of(scene, tenant, "approval"), 1);
    assert_ok(approve(scene, tenant, &tool, "carol", "tool", INT64_MIN, &fault));
    assert_int_equal(approvals_of(scene, &tool), 2);
    scene_sql(scene,
              "UPDATE artifact SET state = 'revoked', revoked_at = now() WHERE tenant_id = "
              "'%s'",
              tenant);
    assert_fault(approve(scene, tenant, &tool, "dora", "tool", INT64_MIN, &fault),
                 FAULT_STATE_CONFLICT, "is revoked");
}

static void expired_approvals_do_not_count(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct digest tool = scene_artifact(scene, scene->tenant, "tool");
    int64_t now = clock_wall_ms();
    scene_inspected(scene, scene->tenant, &tool);
    assert_ok(approve(scene, scene->tenant, &tool, "bob", "tool", now - 1, &fault));
    assert_int_equal(approvals_of(scene, &tool), 0);
    assert_ok(approve(scene, scene->tenant, &tool, "carol", "tool", now + 3600000, &fault));
    assert_int_equal(approvals_of(scene, &tool), 1);
    /* Nor would the ingester's, should it ever come to be there. */
    scene_force(scene,
                "INSERT INTO artifact_approval (tenant_id, sha256, descriptor_sha256, "
                "principal, api_key_id, comment) SELECT tenant_id, sha256, "
                "descriptor_sha256, 'ingester', api_key_id, 'c' FROM artifact_approval WHERE "
                "tenant_id = '%s' AND principal = 'bob'",
                scene->tenant);
    assert_int_equal(approvals_of(scene, &tool), 1);
}

struct approvals {
    size_t count;
    char principals[4][32];
    int64_t expires_ms[4];
};

static int note_approval(void *context, const struct approval *approval)
{
    struct approvals *approvals = context;
    assert_true(approvals->count < 4);
    assert_string_equal(approval->comment, "read it");
    assert_int_equal(strlen(approval->api_key_id), API_KEY_ID_LEN);
    approvals->expires_ms[approvals->count] = approval->expires_ms;
    (void)snprintf(approvals->principals[approvals->count++], sizeof approvals->principals[0], "%s",
                   approval->principal);
    return 0;
}

static void approvals_are_listed_as_they_came(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct digest tool = scene_artifact(scene, scene->tenant, "tool");
    int64_t later = clock_wall_ms() + 3600000;
    scene_inspected(scene, scene->tenant, &tool);
    assert_ok(approve(scene, scene->tenant, &tool, "zoe", "tool", INT64_MIN, &fault));
    assert_ok(approve(scene, scene->tenant, &tool, "bob", "tool", later, &fault));
    struct approvals approvals = {0}, none = {0};
    assert_ok(
        armory_approvals(scene->api, scene->tenant, &tool, note_approval, &approvals, &fault));
    assert_int_equal(approvals.count, 2);
    assert_string_equal(approvals.principals[0], "zoe");
    assert_string_equal(approvals.principals[1], "bob");
    assert_true(approvals.expires_ms[0] == INT64_MIN && approvals.expires_ms[1] == later);
    assert_ok(armory_approvals(scene->api, scene->other, &tool, note_approval, &none, &fault));
    assert_int_equal(none.count, 0);
}

/* Attack: a taken-over api writes approvals by itself; the table knows the rules too. */
static void the_table_holds_the_four_eyes_rule(void **state)
{
    struct scene *scene = *state;
    struct digest tool = scene_artifact(scene, scene->tenant, "tool");
    scene_inspected(scene, scene->tenant, &tool);
    scene_sql(scene, "INSERT INTO api_key (api_key_id, principal, roles, secret_hash, created_by) "
                     "VALUES ('eeeeeeee00000001', 'bob', '{approver}', sha256(''), 'x') "
                     "ON CONFLICT DO NOTHING");
    const char *ingester = scene_api_key(scene, scene->tenant, "ingester", ROLE_APPROVER);
    const char *bob = scene_api_key(scene, scene->tenant, "bob", ROLE_APPROVER);
    const char *viewer = scene_api_key(scene, scene->tenant, "bob", ROLE_VIEWER | ROLE_ADMIN);
    const char *theirs = scene_api_key(scene, scene->other, "bob", ROLE_APPROVER);
    const struct {
        const char *principal, *key, *sqlstate;
    } cases[] = {{"bob", bob, "00000"},      {"ingester", ingester, "23514"},
                 {"carol", bob, "23514"},    {"bob", viewer, "23514"},
                 {"bob", theirs, "23514"},   {"bob", "eeeeeeee00000001", "23514"},
                 {"ingester", bob, "23514"}, {"bob", "ffffffffffffffff", "23514"}};
    struct digest descriptor = scene_descriptor_digest("tool");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        scene_try(scene, "sallyport_api", scene->tenant, cases[i].sqlstate,
                  "INSERT INTO artifact_approval (tenant_id, sha256, descriptor_sha256, principal,"
                  " api_key_id, comment) VALUES ('%s', '\\x%s', '\\x%s', '%s', '%s', 'c')",
                  scene->tenant, digest_hex(&tool).text, digest_hex(&descriptor).text,
                  cases[i].principal, cases[i].key);
    /* Nobody has seen yet what an artifact is that is still inspected; what was rejected is over.
     */
    struct digest unseen = scene_artifact(scene, scene->tenant, "unseen");
    struct digest rejected = scene_artifact(scene, scene->tenant, "rejected");
    struct fault fault;
    assert_ok(scene_inspection(scene->worker, scene->tenant, &rejected, "a device", NULL, &fault));
    const struct digest *const closed[] = {&unseen, &rejected};
    for (size_t i = 0; i < ARRAY_LEN(closed); i++)
        scene_try(scene, "sallyport_api", scene->tenant, "23514",
                  "INSERT INTO artifact_approval (tenant_id, sha256, descriptor_sha256, principal,"
                  " api_key_id, comment) SELECT tenant_id, sha256, descriptor_sha256, 'bob', '%s',"
                  " 'c' FROM artifact WHERE tenant_id = '%s' AND sha256 = '\\x%s'",
                  bob, scene->tenant, digest_hex(closed[i]).text);
    scene_approve(scene, scene->tenant, &tool, "bob");
    static const char *const changes[] = {"UPDATE artifact_approval SET comment = 'c'",
                                          "DELETE FROM artifact_approval",
                                          "TRUNCATE artifact_approval"};
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        scene_try(scene, "sallyport_api", scene->tenant, "42501", "%s", changes[i]);
        scene_try(scene, "sallyport_owner", scene->tenant, "42501", "%s", changes[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(an_artifact_is_kept_as_it_was_ingested),
        SCENE_TEST(the_same_bytes_twice),
        SCENE_TEST(only_an_upload_of_one_s_own),
        SCENE_TEST(pages_go_by_digest),
        SCENE_TEST(who_may_approve_what),
        SCENE_TEST(expired_approvals_do_not_count),
        SCENE_TEST(approvals_are_listed_as_they_came),
        SCENE_TEST(the_table_holds_the_four_eyes_rule),
    };
    return cmocka_run_group_tests(tests, scene_open, scene_close);
}
