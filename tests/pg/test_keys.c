/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a manifest is proven with the tenant's own live keys and no others. */
#include "base/clock.h"
#include "storage/key_open.h"
#include "tests/pg/scene.h"

static int add(struct scene *scene, const char *tenant, const struct key_record *record,
               struct fault *fault)
{
    AUTO_EVENT struct event *event = scene_event(EVENT_KEY_ADDED, tenant, record->kid, NULL);
    return keys_add(scene->api, tenant, record, (const struct event *[]){event}, 1, fault);
}

static struct key_record record_of(const char *kid)
{
    return (struct key_record){.kid = kid,
                               .alg = JWS_EDDSA,
                               .public_pem = "-----BEGIN PUBLIC KEY-----",
                               .not_before_ms = INT64_MIN,
                               .not_after_ms = INT64_MIN,
                               .created_by = "admin",
                               .created_ms = clock_wall_ms()};
}

static int revoke_key(struct scene *scene, const char *tenant, const char *kid, struct fault *fault)
{
    AUTO_EVENT struct event *event = scene_event(EVENT_KEY_REVOKED, tenant, kid, NULL);
    return keys_revoke(scene->api, tenant, kid, NULL, event, fault);
}

static void assert_found(struct scene *scene, const char *tenant, const char *kid,
                         const char *found)
{
    struct fault fault;
    struct pg *const connections[] = {scene->api, scene->worker};
    for (size_t i = 0; i < ARRAY_LEN(connections); i++) {
        AUTO_KEY_RECORD struct key_record record = {0};
        if (found == NULL) {
            assert_fault(keys_find(connections[i], tenant, kid, &record, &fault), FAULT_NOT_FOUND,
                         "no such key");
            assert_null(record.kid);
        } else {
            assert_ok(keys_find(connections[i], tenant, kid, &record, &fault));
            assert_string_equal(record.kid, found);
        }
    }
}

static void a_key_is_found_as_it_was_added(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct key_record record = record_of("key-1");
    int64_t now = clock_wall_ms();
    record.not_before_ms = now - 1000;
    record.not_after_ms = now + 3600000;
    assert_ok(add(scene, scene->tenant, &record, &fault));
    AUTO_KEY_RECORD struct key_record found = {0};
    assert_ok(keys_find(scene->api, scene->tenant, "key-1", &found, &fault));
    assert_string_equal(found.kid, "key-1");
    assert_int_equal(found.alg, JWS_EDDSA);
    assert_string_equal(found.public_pem, record.public_pem);
    assert_int_equal(found.wrapped_secret.len, 0);
    assert_true(found.not_before_ms == record.not_before_ms);
    assert_true(found.not_after_ms == record.not_after_ms);
    assert_int_equal(scene_number(scene,
                                  "SELECT count(*) FROM event WHERE tenant_id = '%s' AND "
                                  "type = 'io.sallyport.key.added.v1' AND subject = 'key-1'",
                                  scene->tenant),
                     1);
    static const char *const others[] = {"key-2", "KEY-1", "key", "key-1 ", ""};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        assert_found(scene, scene->tenant, others[i], NULL);
    assert_found(scene, scene->other, "key-1", NULL);
    assert_found(scene, "nobody", "key-1", NULL);
}

static void every_algorithm_is_stored(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    for (int alg = 0; alg < JWS_ALG_COUNT; alg++) {
        char kid[32];
        (void)snprintf(kid, sizeof kid, "key-%d", alg);
        struct key_record record = record_of(kid);
        record.alg = (enum jws_alg)alg;
        record.wrapped_secret = span_text("wrapped");
        assert_ok(add(scene, scene->tenant, &record, &fault));
        AUTO_KEY_RECORD struct key_record found = {0};
        assert_ok(keys_find(scene->api, scene->tenant, kid, &found, &fault));
        assert_int_equal(found.alg, alg);
        bool hmac = jws_alg_is_hmac((enum jws_alg)alg);
        assert_string_equal(found.public_pem, hmac ? "" : record.public_pem);
        assert_true(span_equal(found.wrapped_secret, span_text(hmac ? "wrapped" : "")));
    }
}

/* A token without a kid: the only live key, and none where there could be a choice. */
static void without_a_kid_there_must_be_one_live_key(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    assert_found(scene, scene->tenant, NULL, NULL);
    struct key_record first = record_of("first"), second = record_of("second");
    assert_ok(add(scene, scene->tenant, &first, &fault));
    assert_ok(add(scene, scene->other, &second, &fault)); /* another tenant's does not count */
    assert_found(scene, scene->tenant, NULL, "first");
    assert_ok(add(scene, scene->tenant, &second, &fault));
    assert_found(scene, scene->tenant, NULL, NULL);
    assert_found(scene, scene->tenant, "second", "second");
    assert_ok(revoke_key(scene, scene->tenant, "first", &fault));
    assert_found(scene, scene->tenant, NULL, "second");
    assert_ok(revoke_key(scene, scene->tenant, "second", &fault));
    assert_found(scene, scene->tenant, NULL, NULL);
    assert_found(scene, scene->other, NULL, "second");
}

static void only_live_keys_are_found(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    int64_t now = clock_wall_ms();
    struct key_record early = record_of("early"), late = record_of("late");
    early.not_before_ms = now + 3600000;
    late.not_after_ms = now - 1;
    assert_ok(add(scene, scene->tenant, &early, &fault));
    assert_ok(add(scene, scene->tenant, &late, &fault));
    assert_found(scene, scene->tenant, "early", NULL);
    assert_found(scene, scene->tenant, "late", NULL);
    assert_found(scene, scene->tenant, NULL, NULL);
    struct key_record never = record_of("never");
    never.not_before_ms = now;
    never.not_after_ms = now;
    assert_fault(add(scene, scene->tenant, &never, &fault), FAULT_INTERNAL, "23514");
}

static void a_kid_is_taken_for_ever(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct key_record record = record_of("key-1");
    assert_ok(add(scene, scene->tenant, &record, &fault));
    assert_fault(add(scene, scene->tenant, &record, &fault), FAULT_STATE_CONFLICT, "exists");
    assert_ok(revoke_key(scene, scene->tenant, "key-1", &fault));
    assert_fault(add(scene, scene->tenant, &record, &fault), FAULT_STATE_CONFLICT, "exists");
    assert_ok(add(scene, scene->other, &record, &fault));
    scene_try(scene, "sallyport_api", scene->tenant, "42501", "DELETE FROM verification_key");
    scene_try(scene, "sallyport_api", scene->tenant, "42501",
              "UPDATE verification_key SET public_pem = 'mine'");
    scene_try(scene, "sallyport_worker", NULL, "42501",
              "UPDATE verification_key SET revoked_at = NULL");
}

static void a_key_is_revoked_once_by_its_tenant(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct key_record record = record_of("key-1");
    assert_ok(add(scene, scene->tenant, &record, &fault));
    assert_fault(revoke_key(scene, scene->other, "key-1", &fault), FAULT_NOT_FOUND, "key");
    assert_fault(revoke_key(scene, scene->tenant, "key-2", &fault), FAULT_NOT_FOUND, "key");
    assert_found(scene, scene->tenant, "key-1", "key-1");
    assert_ok(revoke_key(scene, scene->tenant, "key-1", &fault));
    assert_fault(revoke_key(scene, scene->tenant, "key-1", &fault), FAULT_STATE_CONFLICT,
                 "already");
    assert_found(scene, scene->tenant, "key-1", NULL);
    assert_int_equal(scene_number(scene,
                                  "SELECT count(*) FROM event WHERE tenant_id IN ('%s', '%s')"
                                  " AND type = 'io.sallyport.key.revoked.v1'",
                                  scene->tenant, scene->other),
                     1);
}

static void hmac_only_where_the_tenant_allows_it(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct key_record hmac = record_of("shared"), pem = record_of("public");
    hmac.alg = JWS_HS256;
    hmac.wrapped_secret = span_text("wrapped");
    assert_ok(add(scene, scene->tenant, &hmac, &fault));
    assert_ok(add(scene, scene->tenant, &pem, &fault));
    assert_found(scene, scene->tenant, "shared", "shared");
    assert_found(scene, scene->tenant, NULL, NULL);
    scene_sql(scene, "UPDATE tenant SET allow_hmac = false WHERE tenant_id = '%s'", scene->tenant);
    assert_found(scene, scene->tenant, "shared", NULL);
    assert_found(scene, scene->tenant, NULL, "public");
    static const char *const bad[] = {"'HS256', 'pem', NULL",   "'HS256', NULL, NULL",
                                      "'ES256', NULL, '\\x00'", "'ES256', 'pem', '\\x00'",
                                      "'none', 'pem', NULL",    "'ES512', 'pem', NULL"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        scene_try(scene, "sallyport_api", scene->tenant, "23514",
                  "INSERT INTO verification_key (tenant_id, kid, created_by, alg, public_pem, "
                  "wrapped_secret) VALUES ('%s', 'bad', 'a', %s)",
                  scene->tenant, bad[i]);
}

struct listing {
    char kids[8][32];
    bool revoked[8];
    size_t count;
};

static int note(void *context, const struct key_record *record)
{
    struct listing *listing = context;
    assert_true(listing->count < 8);
    assert_string_equal(record->public_pem, "");
    assert_int_equal(record->wrapped_secret.len, 0);
    assert_string_equal(record->created_by, "admin");
    listing->revoked[listing->count] = record->revoked_ms != INT64_MIN;
    (void)snprintf(listing->kids[listing->count++], sizeof listing->kids[0], "%s", record->kid);
    return 0;
}

static void a_tenant_lists_its_own_newest_first(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    static const char *const kids[] = {"one", "two", "three"};
    for (size_t i = 0; i < ARRAY_LEN(kids); i++) {
        struct key_record record = record_of(kids[i]);
        record.created_ms += (int64_t)i;
        assert_ok(add(scene, scene->tenant, &record, &fault));
    }
    struct key_record others = record_of("theirs");
    assert_ok(add(scene, scene->other, &others, &fault));
    assert_ok(revoke_key(scene, scene->tenant, "two", &fault));
    struct listing listing = {0}, theirs = {0};
    assert_ok(keys_list(scene->api, scene->tenant, note, &listing, &fault));
    assert_int_equal(listing.count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_string_equal(listing.kids[i], kids[2 - i]);
        assert_int_equal(listing.revoked[i], i == 1);
    }
    assert_ok(keys_list(scene->api, scene->other, note, &theirs, &fault));
    assert_int_equal(theirs.count, 1);
    assert_string_equal(theirs.kids[0], "theirs");
}

static int count_one(void *context, const struct key_record *record)
{
    struct listing *listing = context;
    listing->count++;
    listing->revoked[0] |= record->revoked_ms != INT64_MIN;
    return 0;
}

/* Revoked and expired ones do not count; and every one that counts is listed. */
static void a_tenant_has_a_thousand_live_keys_at_most(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    static const char fill[] =
        "INSERT INTO verification_key (tenant_id, kid, alg, public_pem, created_by, created_at,"
        " not_after, revoked_at) SELECT '%s', '%s-' || n, 'EdDSA', 'pem', 'admin', now() - "
        "interval '1 hour', %s, %s FROM generate_series(1, %d) n";
    const char *tenant = scene->tenant;
    scene_sql(scene, fill, tenant, "live", "now() + interval '1 hour'", "NULL", KEYS_LIVE_MAX - 1);
    scene_sql(scene, fill, tenant, "expired", "now() - interval '1 minute'", "NULL", 20);
    scene_sql(scene, fill, tenant, "revoked", "NULL", "now()", 20);
    struct key_record last = record_of("last"), more = record_of("more");
    assert_ok(add(scene, tenant, &last, &fault));
    assert_fault(add(scene, tenant, &more, &fault), FAULT_QUOTA_EXCEEDED, "1000");
    assert_ok(add(scene, scene->other, &more, &fault));
    struct listing listing = {0};
    assert_ok(keys_list(scene->api, tenant, count_one, &listing, &fault));
    assert_int_equal(listing.count, KEYS_LIVE_MAX);
    assert_false(listing.revoked[0]);
    assert_ok(revoke_key(scene, tenant, "live-1", &fault));
    assert_ok(add(scene, tenant, &more, &fault));
}

/* A wrapped secret moved to another tenant or kid does not open. */
static void a_wrapped_secret_opens_in_its_place_only(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    static const char secret[] = "a shared secret of enough bytes for HS256 ";
    struct master_key master;
    random_bytes(master.bytes, sizeof master.bytes);
    AUTO_BUF struct buf context = BUF(512), wrapped = BUF(1024);
    key_wrap_context(scene->tenant, "shared", &context);
    assert_ok(secret_wrap(&master, buf_span(&context), span_text(secret), &wrapped, &fault));
    struct key_record record = record_of("shared"), moved = record_of("moved");
    record.alg = moved.alg = JWS_HS256;
    record.wrapped_secret = moved.wrapped_secret = buf_span(&wrapped);
    assert_ok(add(scene, scene->tenant, &record, &fault));
    assert_ok(add(scene, scene->tenant, &moved, &fault));
    assert_ok(add(scene, scene->other, &record, &fault));
    AUTO_KEY_RECORD struct key_record good = {0}, other_kid = {0}, other_tenant = {0};
    assert_ok(keys_find(scene->worker, scene->tenant, "shared", &good, &fault));
    assert_ok(keys_find(scene->worker, scene->tenant, "moved", &other_kid, &fault));
    assert_ok(keys_find(scene->worker, scene->other, "shared", &other_tenant, &fault));
    AUTO_TRUST_KEY struct trust_key *key = NULL, *none = NULL;
    assert_ok(key_open(&good, scene->tenant, &master, &key, &fault));
    assert_non_null(key);
    assert_int_equal(key_open(&other_kid, scene->tenant, &master, &none, &fault), -1);
    assert_int_equal(key_open(&other_tenant, scene->other, &master, &none, &fault), -1);
    assert_fault(key_open(&good, scene->tenant, NULL, &none, &fault), FAULT_NOT_FOUND, "HMAC");
    assert_null(none);
}

static int add_all(struct scene *scene, const struct key_record *records, size_t count,
                   struct fault *fault)
{
    struct event *events[8] = {NULL};
    assert_true(count <= ARRAY_LEN(events));
    for (size_t i = 0; i < count; i++)
        events[i] = scene_event(EVENT_KEY_ADDED, scene->tenant, records[i].kid, NULL);
    int status = keys_add(scene->api, scene->tenant, records, (const struct event *const *)events,
                          count, fault);
    for (size_t i = 0; i < count; i++)
        event_free(events[i]);
    return status;
}

static int64_t added_events(struct scene *scene)
{
    return scene_number(scene,
                        "SELECT count(*) FROM event WHERE tenant_id = '%s' AND "
                        "type = 'io.sallyport.key.added.v1'",
                        scene->tenant);
}

static void a_set_is_added_whole_or_not_at_all(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct key_record set[] = {record_of("set-c"), record_of("set-a"), record_of("set-b")};
    set[0].not_after_ms = clock_wall_ms() + 3600000;
    set[1].alg = JWS_ES256;
    set[2].alg = JWS_HS256;
    set[2].wrapped_secret = span_text("wrapped");
    assert_ok(add_all(scene, set, 3, &fault));
    assert_int_equal(added_events(scene), 3);
    for (size_t i = 0; i < ARRAY_LEN(set); i++) {
        AUTO_KEY_RECORD struct key_record found = {0};
        assert_ok(keys_find(scene->api, scene->tenant, set[i].kid, &found, &fault));
        assert_int_equal(found.alg, set[i].alg);
        assert_true(found.not_after_ms == set[i].not_after_ms);
        assert_int_equal(found.wrapped_secret.len, i == 2 ? 7 : 0);
    }
    /* One name that is taken, also by a key that is revoked, and none of the others comes. */
    assert_ok(revoke_key(scene, scene->tenant, "set-b", &fault));
    struct key_record again[] = {record_of("new-1"), record_of("set-b"), record_of("new-2")};
    assert_fault(add_all(scene, again, 3, &fault), FAULT_STATE_CONFLICT, "set-b exists");
    struct key_record twice[] = {record_of("new-1"), record_of("new-2"), record_of("new-1")};
    assert_fault(add_all(scene, twice, 3, &fault), FAULT_STATE_CONFLICT, "twice");
    struct key_record bad[] = {record_of("new-1"), record_of("new 2")};
    assert_fault(add_all(scene, bad, 2, &fault), FAULT_INTERNAL, "23514");
    assert_found(scene, scene->tenant, "new-1", NULL);
    assert_found(scene, scene->tenant, "new-2", NULL);
    assert_int_equal(added_events(scene), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(a_key_is_found_as_it_was_added),
        SCENE_TEST(every_algorithm_is_stored),
        SCENE_TEST(without_a_kid_there_must_be_one_live_key),
        SCENE_TEST(only_live_keys_are_found),
        SCENE_TEST(a_kid_is_taken_for_ever),
        SCENE_TEST(a_set_is_added_whole_or_not_at_all),
        SCENE_TEST(a_key_is_revoked_once_by_its_tenant),
        SCENE_TEST(hmac_only_where_the_tenant_allows_it),
        SCENE_TEST(a_tenant_lists_its_own_newest_first),
        SCENE_TEST(a_tenant_has_a_thousand_live_keys_at_most),
        SCENE_TEST(a_wrapped_secret_opens_in_its_place_only),
    };
    return cmocka_run_group_tests(tests, scene_open, scene_close);
}
