/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: inputs are found while they live, are renewed by a push, and go with their bytes; a tenant
 * stores what its quotas allow, and the database counts it. */
#include "base/clock.h"
#include "storage/blobs.h"
#include "storage/inputs.h"
#include "storage/usage.h"
#include "tests/pg/scene.h"

#include <pthread.h>

#define HOUR_MS ((int64_t)3600 * 1000)

static int64_t blob_rows(struct scene *scene, const struct uuid *id)
{
    return scene_number(scene,
                        "SELECT (SELECT count(*) FROM blob WHERE blob_id = '%s')"
                        " + (SELECT count(*) FROM blob_chunk WHERE blob_id = '%s')",
                        uuid_format(id).text, uuid_format(id).text);
}

/* Moves the end of an input's life, instead of waiting for it. */
static void expire(struct scene *scene, const struct digest *sha256, const char *ago)
{
    scene_sql(scene,
              "UPDATE input SET expires_at = now() - interval '%s' WHERE tenant_id = '%s'"
              " AND sha256 = '\\x%s'",
              ago, scene->tenant, digest_hex(sha256).text);
}

static struct usage usage_of(struct scene *scene, const char *tenant)
{
    struct fault fault;
    struct usage usage;
    assert_ok(usage_read(scene->api, tenant, &usage, &fault));
    return usage;
}

static void quotas(struct scene *scene, int64_t inputs, int64_t artifacts)
{
    scene_sql(scene,
              "UPDATE tenant SET input_quota_bytes = %lld, artifact_quota_bytes = %lld"
              " WHERE tenant_id = '%s'",
              (long long)inputs, (long long)artifacts, scene->tenant);
}

static void inputs_are_found_while_they_live(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    int64_t now = clock_wall_ms();
    struct digest ever = scene_input(scene, scene->tenant, "ever", INT64_MIN);
    struct digest later = scene_input(scene, scene->tenant, "later", now + 3600000);
    struct digest past = scene_input(scene, scene->tenant, "past", now - 1);
    struct digest empty = scene_input(scene, scene->tenant, "", INT64_MIN);
    struct input input;
    struct pg *const readers[] = {scene->api, scene->worker};
    for (size_t i = 0; i < ARRAY_LEN(readers); i++) {
        assert_ok(inputs_find(readers[i], scene->tenant, &ever, &input, &fault));
        assert_true(digest_equal(&input.sha256, &ever));
        assert_int_equal(input.size, 4);
        assert_true(input.expires_ms == INT64_MIN);
        assert_ok(inputs_find(readers[i], scene->tenant, &later, &input, &fault));
        assert_true(input.expires_ms == now + 3600000);
        assert_ok(inputs_find(readers[i], scene->tenant, &empty, &input, &fault));
        assert_int_equal(input.size, 0);
        assert_fault(inputs_find(readers[i], scene->tenant, &past, &input, &fault), FAULT_NOT_FOUND,
                     "input");
        assert_fault(inputs_find(readers[i], scene->other, &ever, &input, &fault), FAULT_NOT_FOUND,
                     "input");
    }
}

static void an_incomplete_upload_is_no_input(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    bool created = true;
    struct input input = {.sha256 = digest_of("bytes", 5),
                          .blob_id = scene_upload(scene, scene->tenant, "bytes"),
                          .size = 5,
                          .expires_ms = INT64_MIN};
    struct input found, stored;
    assert_fault(inputs_find(scene->api, scene->tenant, &input.sha256, &found, &fault),
                 FAULT_NOT_FOUND, "input");
    /* Attack: another tenant claims the upload; and one that was swept. */
    assert_fault(inputs_add(scene->api, scene->other, &input, "eve", &created, &stored, &fault),
                 FAULT_UNAVAILABLE, "swept");
    struct input gone = input;
    gone.blob_id = uuid_v7();
    assert_fault(inputs_add(scene->api, scene->tenant, &gone, "eve", &created, &stored, &fault),
                 FAULT_UNAVAILABLE, "swept");
    assert_true(created);
    assert_ok(inputs_add(scene->api, scene->tenant, &input, "soar", &created, &stored, &fault));
    assert_true(created);
    /* Attack by misfortune: a chunk was lost, or there is one too many. */
    struct input torn = {.sha256 = digest_of("torn", 4),
                         .blob_id = scene_upload(scene, scene->tenant, "tor"),
                         .size = 4,
                         .expires_ms = INT64_MIN};
    assert_fault(inputs_add(scene->api, scene->tenant, &torn, "eve", &created, &stored, &fault),
                 FAULT_UNAVAILABLE, "whole");
    torn.size = 2;
    assert_fault(inputs_add(scene->api, scene->tenant, &torn, "eve", &created, &stored, &fault),
                 FAULT_UNAVAILABLE, "whole");
    created = true;
    /* Again: it existed, and the new upload is the caller's to remove. */
    struct input again = input;
    again.blob_id = scene_upload(scene, scene->tenant, "bytes");
    assert_ok(inputs_add(scene->api, scene->tenant, &again, "soar", &created, &stored, &fault));
    assert_false(created);
    assert_ok(blobs_remove(scene->api, scene->tenant, &again.blob_id, &fault));
    assert_int_equal(blob_rows(scene, &again.blob_id), 0);
    assert_ok(inputs_find(scene->api, scene->tenant, &input.sha256, &found, &fault));
    assert_true(uuid_equal(&found.blob_id, &input.blob_id));
}

static void a_push_renews_an_input(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct input input, found;
    bool created, stored;
    int64_t now = clock_wall_ms();
    struct digest sha256 = scene_input(scene, scene->tenant, "renewed", now + HOUR_MS);
    struct uuid again = scene_upload(scene, scene->tenant, "renewed");
    struct input pushed = {
        .sha256 = sha256, .blob_id = again, .size = 7, .expires_ms = now + 2 * HOUR_MS};
    assert_ok(inputs_add(scene->api, scene->tenant, &pushed, "b", &created, &input, &fault));
    assert_false(created);
    assert_true(input.expires_ms == now + 2 * HOUR_MS);
    assert_false(uuid_equal(&input.blob_id, &again));
    /* Never shorter than it was. */
    assert_ok(inputs_renew(scene->api, scene->tenant, &sha256, now + HOUR_MS, &input, &fault));
    assert_true(input.expires_ms == now + 2 * HOUR_MS);
    /* Expired: no job finds it, a push brings it back. */
    expire(scene, &sha256, "1 hour");
    assert_fault(inputs_find(scene->api, scene->tenant, &sha256, &found, &fault), FAULT_NOT_FOUND,
                 "input");
    assert_ok(inputs_stored(scene->api, scene->tenant, &sha256, &stored, &fault));
    assert_true(stored);
    assert_ok(inputs_add(scene->api, scene->tenant, &pushed, "b", &created, &input, &fault));
    assert_false(created);
    assert_ok(inputs_find(scene->worker, scene->tenant, &sha256, &found, &fault));
    assert_true(found.expires_ms == now + 2 * HOUR_MS);
    /* For ever, and it stays so. */
    assert_ok(inputs_renew(scene->api, scene->tenant, &sha256, INT64_MIN, &input, &fault));
    assert_true(input.expires_ms == INT64_MIN);
    assert_ok(inputs_renew(scene->api, scene->tenant, &sha256, now, &input, &fault));
    assert_true(input.expires_ms == INT64_MIN);
    assert_fault(inputs_renew(scene->api, scene->other, &sha256, now, &input, &fault),
                 FAULT_NOT_FOUND, "input");
    assert_fault(inputs_renew(scene->worker, scene->tenant, &sha256, now, &input, &fault),
                 FAULT_INTERNAL, "42501");
    assert_ok(inputs_stored(scene->api, scene->other, &sha256, &stored, &fault));
    assert_false(stored);
}

static void what_expired_goes_a_day_later_with_its_bytes(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct input going, staying;
    int64_t later = clock_wall_ms() + HOUR_MS, count = -1;
    struct digest old = scene_input(scene, scene->tenant, "old", later);
    struct digest recent = scene_input(scene, scene->tenant, "recent", later);
    (void)scene_input(scene, scene->tenant, "ever", INT64_MIN);
    assert_ok(inputs_find(scene->api, scene->tenant, &old, &going, &fault));
    assert_ok(inputs_find(scene->api, scene->tenant, &recent, &staying, &fault));
    assert_int_equal(usage_of(scene, scene->tenant).inputs, 3 + 6 + 4);
    expire(scene, &old, "25 hours");
    expire(scene, &recent, "23 hours");
    assert_ok(inputs_sweep(scene->api, &count, &fault));
    assert_int_equal(count, 1);
    assert_int_equal(usage_of(scene, scene->tenant).inputs, 6 + 4);
    assert_ok(blobs_sweep(scene->api, &count, &fault));
    assert_int_equal(count, 1);
    assert_int_equal(blob_rows(scene, &going.blob_id), 0);
    assert_int_equal(blob_rows(scene, &staying.blob_id), 2);
    assert_ok(inputs_sweep(scene->api, &count, &fault));
    assert_int_equal(count, 0);
    assert_fault(inputs_sweep(scene->worker, &count, &fault), FAULT_INTERNAL, "42501");
    /* Gone, it can be stored anew. */
    (void)scene_input(scene, scene->tenant, "old", later);
    assert_int_equal(usage_of(scene, scene->tenant).inputs, 3 + 6 + 4);
}

/* A quota of bytes alone would let in a row for every byte. */
static void there_is_an_end_to_small_things(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct input stored;
    bool created = true;
    (void)scene_input(scene, scene->tenant, "a", INT64_MIN);
    assert_int_equal(scene_number(scene,
                                  "SELECT input_count * 10 + artifact_count FROM tenant_usage"
                                  " WHERE tenant_id = '%s'",
                                  scene->tenant),
                     10);
    scene_sql(scene,
              "UPDATE tenant_usage SET input_count = 999999, artifact_count = 99999"
              " WHERE tenant_id = '%s'",
              scene->tenant);
    (void)scene_input(scene, scene->tenant, "b", INT64_MIN);
    (void)scene_artifact(scene, scene->tenant, "last");
    struct input input = {.sha256 = digest_of("c", 1),
                          .blob_id = scene_upload(scene, scene->tenant, "c"),
                          .size = 1,
                          .expires_ms = INT64_MIN};
    assert_fault(inputs_add(scene->api, scene->tenant, &input, "a", &created, &stored, &fault),
                 FAULT_QUOTA_EXCEEDED, "1000000 inputs");
    scene_try(scene, "sallyport_owner", NULL, "SP001",
              "INSERT INTO artifact (tenant_id, sha256, blob_id, size, kind, name, version,"
              " descriptor, descriptor_sha256, ingested_by) SELECT tenant_id, sha256('x'), blob_id,"
              " size, kind, name, version, descriptor, descriptor_sha256, ingested_by FROM artifact"
              " WHERE tenant_id = '%s'",
              scene->tenant);
    scene_sql(scene, "DELETE FROM input WHERE tenant_id = '%s' AND sha256 = sha256('b')",
              scene->tenant);
    assert_ok(inputs_add(scene->api, scene->tenant, &input, "a", &created, &stored, &fault));
}

static void a_quota_of_inputs_holds(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct input stored;
    bool created = true;
    quotas(scene, 10, 0); /* the other quota is not asked */
    (void)scene_input(scene, scene->tenant, "123456", INT64_MIN);
    struct input input = {.sha256 = digest_of("abcde", 5),
                          .blob_id = scene_upload(scene, scene->tenant, "abcde"),
                          .size = 5,
                          .expires_ms = INT64_MIN};
    assert_fault(inputs_add(scene->api, scene->tenant, &input, "a", &created, &stored, &fault),
                 FAULT_QUOTA_EXCEEDED, "10 bytes of inputs");
    assert_int_equal(usage_of(scene, scene->tenant).inputs, 6);
    (void)scene_input(scene, scene->tenant, "1234", INT64_MIN); /* exactly full */
    struct usage usage = usage_of(scene, scene->tenant);
    assert_int_equal(usage.inputs, 10);
    assert_int_equal(usage.inputs_quota, 10);
    assert_int_equal(usage.artifacts, 0);
    /* What is there is renewed all the same; another tenant has its own. */
    struct digest full = digest_of("1234", 4);
    assert_ok(inputs_renew(scene->api, scene->tenant, &full, INT64_MIN, &stored, &fault));
    (void)scene_input(scene, scene->other, "abcde", INT64_MIN);
    assert_int_equal(usage_of(scene, scene->other).inputs, 5);
    assert_int_equal(usage_of(scene, scene->other).inputs_quota, (int64_t)10 << 30);
    assert_fault(usage_read(scene->api, "nobody", &usage, &fault), FAULT_NOT_FOUND, "tenant");
}

static void a_quota_of_artifacts_holds(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    quotas(scene, 0, 20);
    (void)scene_artifact(scene, scene->tenant, "a"); /* 14 bytes */
    const char *bytes = "the bytes of b";
    const struct artifact artifact = {.sha256 = digest_of(bytes, strlen(bytes)),
                                      .blob_id = scene_upload(scene, scene->tenant, bytes),
                                      .size = (int64_t)strlen(bytes),
                                      .kind = ARTIFACT_BINARY,
                                      .name = "b",
                                      .version = "1",
                                      .descriptor = span_text("{}"),
                                      .descriptor_sha256 = scene_descriptor_digest("b"),
                                      .ingested_by = "ingester"};
    enum armory_ingest_end end;
    AUTO_EVENT struct event *event = scene_event(EVENT_ARTIFACT_INGESTED, scene->tenant, "b", NULL);
    assert_fault(armory_ingest(scene->api, scene->tenant, &artifact, event, &end, &fault),
                 FAULT_QUOTA_EXCEEDED, "20 bytes of artifacts");
    assert_int_equal(usage_of(scene, scene->tenant).artifacts, 14);
    quotas(scene, 0, 28);
    assert_ok(armory_ingest(scene->api, scene->tenant, &artifact, event, &end, &fault));
    assert_int_equal(usage_of(scene, scene->tenant).artifacts, 28);
}

/* Attack: the api's role counts otherwise, or gives its tenant room. */
static void nobody_writes_the_count(void **state)
{
    struct scene *scene = *state;
    const char *tenant = scene->tenant;
    (void)scene_input(scene, tenant, "counted", INT64_MIN);
    static const char *const roles[] = {"sallyport_api", "sallyport_worker"};
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        scene_try(scene, roles[i], tenant, "42501", "UPDATE tenant_usage SET input_bytes = 0");
        scene_try(scene, roles[i], tenant, "42501", "DELETE FROM tenant_usage");
        scene_try(scene, roles[i], tenant, "42501", "UPDATE tenant SET input_quota_bytes = 1");
        scene_try(scene, roles[i], tenant, "42501", "DELETE FROM input");
    }
    scene_try(scene, "sallyport_api", tenant, "42501", "UPDATE input SET size = 0");
    scene_try(scene, "sallyport_api", tenant, "42501", "UPDATE input SET created_by = 'eve'");
}

struct adder {
    struct pg *pg;
    const char *tenant;
    struct input input;
    bool created;
    int status;
    struct fault fault;
};

static void *add_one(void *context)
{
    struct adder *adder = context;
    struct input stored;
    adder->status = inputs_add(adder->pg, adder->tenant, &adder->input, "a", &adder->created,
                               &stored, &adder->fault);
    return NULL;
}

/* Several push the same bytes at once: one input, counted once, and each has its answer. */
static void the_same_bytes_at_once(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct adder adders[6];
    pthread_t threads[ARRAY_LEN(adders)];
    for (size_t i = 0; i < ARRAY_LEN(adders); i++) {
        adders[i] = (struct adder){.tenant = scene->tenant,
                                   .input = {.sha256 = digest_of("same", 4),
                                             .blob_id = scene_upload(scene, scene->tenant, "same"),
                                             .size = 4,
                                             .expires_ms = INT64_MIN}};
        assert_ok(pg_cluster_connect(scene->cluster, "sallyport_api", &adders[i].pg, &fault));
    }
    for (size_t i = 0; i < ARRAY_LEN(adders); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_one, &adders[i]), 0);
    int created = 0;
    for (size_t i = 0; i < ARRAY_LEN(adders); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        pg_free(adders[i].pg);
        fault = adders[i].fault;
        assert_ok(adders[i].status);
        created += adders[i].created;
    }
    assert_int_equal(created, 1);
    assert_int_equal(usage_of(scene, scene->tenant).inputs, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(inputs_are_found_while_they_live),
        SCENE_TEST(an_incomplete_upload_is_no_input),
        SCENE_TEST(a_push_renews_an_input),
        SCENE_TEST(what_expired_goes_a_day_later_with_its_bytes),
        SCENE_TEST(there_is_an_end_to_small_things),
        SCENE_TEST(a_quota_of_inputs_holds),
        SCENE_TEST(a_quota_of_artifacts_holds),
        SCENE_TEST(nobody_writes_the_count),
        SCENE_TEST(the_same_bytes_at_once),
    };
    return cmocka_run_group_tests(tests, scene_open, scene_close);
}
