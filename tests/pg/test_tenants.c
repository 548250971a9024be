/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: tenants are made once by the owner; API keys are found while they live, by anybody's
 * request, and managed by their own tenant only. */
#include "base/clock.h"
#include "storage/events.h"
#include "tests/pg/scene.h"

static int create(struct pg *pg, const char *tenant, int quorum, int allow_hmac,
                  struct fault *fault)
{
    const struct tenant_policy policy = {.quorum = quorum, .allow_hmac = allow_hmac};
    AUTO_EVENT struct event *event = scene_event(EVENT_TENANT_CREATED, tenant, tenant, NULL);
    return tenants_create(pg, tenant, &policy, event, fault);
}

static int64_t events_of(struct scene *scene, const char *tenant, const char *type)
{
    return scene_number(scene, "SELECT count(*) FROM event WHERE tenant_id = '%s' AND type = '%s'",
                        tenant, type);
}

static void a_tenant_is_made_once_with_its_event(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    assert_fault(tenants_exist(scene->api, "newcomer", &fault), FAULT_NOT_FOUND, "tenant");
    assert_ok(create(scene->super, "newcomer", 0, -1, &fault));
    assert_ok(tenants_exist(scene->api, "newcomer", &fault));
    assert_fault(create(scene->super, "newcomer", 3, 0, &fault), FAULT_STATE_CONFLICT, "exists");
    assert_int_equal(events_of(scene, "newcomer", "io.sallyport.tenant.created.v1"), 1);
    assert_int_equal(scene_number(scene, "SELECT quorum FROM tenant WHERE tenant_id = 'newcomer'"),
                     2);
    static const char *const bad[] = {"", "Acme", "-a", ".a", "a b", "a\xc3\xa9", "a/b", "{a}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        scene_try(scene, "sallyport_owner", NULL, "23514",
                  "INSERT INTO tenant (tenant_id) VALUES (E'%s')", bad[i]);
    assert_fault(create(scene->api, "by-the-api", 0, -1, &fault), FAULT_INTERNAL, "42501");
    assert_fault(create(scene->worker, "by-a-worker", 0, -1, &fault), FAULT_INTERNAL, "42501");
    assert_int_equal(
        scene_number(scene, "SELECT count(*) FROM tenant WHERE tenant_id LIKE 'by-%%'"), 0);
}

static void a_policy_is_kept_and_changed(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    static const char read[] =
        "SELECT quorum * 10 + allow_hmac::integer FROM tenant WHERE tenant_id = '%s'";
    assert_ok(create(scene->super, "strict", 5, 0, &fault));
    assert_int_equal(scene_number(scene, read, "strict"), 50);
    assert_int_equal(scene_number(scene, read, scene->tenant), 21);
    static const struct {
        struct tenant_policy policy;
        int expected;
    } changes[] = {{{.quorum = 3, .allow_hmac = -1}, 30},
                   {{.quorum = 0, .allow_hmac = 1}, 31},
                   {{.quorum = 16, .allow_hmac = 0}, 160}};
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        AUTO_EVENT struct event *event = scene_event(EVENT_TENANT_CREATED, "strict", "s", NULL);
        assert_ok(tenants_change(scene->super, "strict", &changes[i].policy, event, &fault));
        assert_int_equal(scene_number(scene, read, "strict"), changes[i].expected);
    }
    AUTO_EVENT struct event *event = scene_event(EVENT_TENANT_CREATED, "strict", "s", NULL);
    const struct tenant_policy policy = {.quorum = 17, .allow_hmac = -1};
    assert_fault(tenants_change(scene->super, "strict", &policy, event, &fault), FAULT_INTERNAL,
                 "23514");
    assert_fault(tenants_change(scene->super, "nobody", &changes[0].policy, event, &fault),
                 FAULT_NOT_FOUND, "tenant");
    assert_fault(tenants_change(scene->api, "strict", &changes[0].policy, event, &fault),
                 FAULT_INTERNAL, "42501");
    assert_int_equal(scene_number(scene, read, "strict"), 160);
    assert_int_equal(events_of(scene, "strict", event_type_name(EVENT_TENANT_CREATED)), 4);
}

static void what_is_asked_of_documents(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    static const char read[] = "SELECT require_sbom::integer * 100 + require_report::integer * 10"
                               " + coalesce(max_severity, 9) FROM tenant WHERE tenant_id = '%s'";
    static const struct {
        struct tenant_policy policy;
        int expected;
    } changes[] = {
        {{.allow_hmac = -1}, 9},
        {{.allow_hmac = -1, .require_sbom = TENANT_ON}, 109},
        {{.allow_hmac = -1,
          .require_report = TENANT_ON,
          .limit_severity = TENANT_ON,
          .max_severity = SEVERITY_HIGH},
         114},
        {{.allow_hmac = -1}, 114},
        {{.allow_hmac = -1, .require_sbom = TENANT_OFF, .limit_severity = TENANT_ON}, 10},
        {{.allow_hmac = -1, .require_report = TENANT_OFF, .limit_severity = TENANT_OFF}, 9},
    };
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        AUTO_EVENT struct event *event =
            scene_event(EVENT_TENANT_CHANGED, scene->tenant, "policy", NULL);
        assert_ok(tenants_change(scene->super, scene->tenant, &changes[i].policy, event, &fault));
        assert_int_equal(scene_number(scene, read, scene->tenant), changes[i].expected);
    }
    AUTO_EVENT struct event *event = scene_event(EVENT_TENANT_CREATED, "careful", "careful", NULL);
    assert_ok(tenants_create(scene->super, "careful", &changes[2].policy, event, &fault));
    assert_int_equal(scene_number(scene, read, "careful"), 14);
    assert_int_equal(scene_number(scene, read, scene->other), 9);
}

static void what_is_shared_is_bounded(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    static const char read[] = "SELECT coalesce(max_running, 0) * 100 + coalesce(queue_max, 0)"
                               " FROM tenant WHERE tenant_id = '%s'";
    static const struct {
        struct tenant_policy policy;
        int expected;
    } changes[] = {
        {{.allow_hmac = -1}, 0},
        {{.allow_hmac = -1, .max_running = 3}, 300},
        {{.allow_hmac = -1, .queue_max = 50}, 350},
        {{.allow_hmac = -1, .max_running = TENANT_UNBOUNDED}, 50},
        {{.allow_hmac = -1, .max_running = 4, .queue_max = TENANT_UNBOUNDED}, 400},
    };
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        AUTO_EVENT struct event *event =
            scene_event(EVENT_TENANT_CHANGED, scene->tenant, "shares", NULL);
        assert_ok(tenants_change(scene->super, scene->tenant, &changes[i].policy, event, &fault));
        assert_int_equal(scene_number(scene, read, scene->tenant), changes[i].expected);
    }
    AUTO_EVENT struct event *event = scene_event(EVENT_TENANT_CREATED, "shared", "shared", NULL);
    assert_ok(tenants_create(scene->super, "shared", &changes[1].policy, event, &fault));
    assert_int_equal(scene_number(scene, read, "shared"), 300);
    assert_int_equal(scene_number(scene, read, scene->other), 0);
}

static void how_long_events_are_kept(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    static const char read[] = "SELECT coalesce(event_retention_days, 0) FROM tenant"
                               " WHERE tenant_id = '%s'";
    static const int steps[][2] = {{0, 0}, {90, 90}, {0, 90}, {1, 1}, {TENANT_UNBOUNDED, 0}};
    for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
        const struct tenant_policy policy = {.allow_hmac = -1, .event_retention_days = steps[i][0]};
        AUTO_EVENT struct event *event =
            scene_event(EVENT_TENANT_CHANGED, scene->tenant, "retention", NULL);
        assert_ok(tenants_change(scene->super, scene->tenant, &policy, event, &fault));
        assert_int_equal(scene_number(scene, read, scene->tenant), steps[i][1]);
    }
    static const char *const bad[] = {"0", "-1", "36501"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        scene_try(scene, "sallyport_owner", NULL, "23514",
                  "UPDATE tenant SET event_retention_days = %s", bad[i]);
}

static void what_a_run_gets_is_bounded(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    static const char read[] =
        "SELECT coalesce(max_timeout_seconds, 0) * 10000 + coalesce(max_memory_mib, 0) * 1000"
        " + coalesce(max_pids, 0) * 100 + coalesce(max_cpu_percent, 0) * 10"
        " + coalesce(max_tmp_mib, 0) FROM tenant WHERE tenant_id = '%s'";
    static const struct {
        struct manifest_limits most;
        int expected;
    } changes[] = {
        {{0}, 0},
        {{.timeout_seconds = 1, .memory_mib = 2, .pids = 3, .cpu_percent = 4, .tmp_mib = 5}, 12345},
        {{.pids = 7}, 12745},
        {{.timeout_seconds = -1, .tmp_mib = 6}, 2746},
        {{.memory_mib = -1, .pids = -1, .cpu_percent = -1, .tmp_mib = -1}, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        const struct tenant_policy policy = {.allow_hmac = -1, .most = changes[i].most};
        AUTO_EVENT struct event *event =
            scene_event(EVENT_TENANT_CHANGED, scene->tenant, "limits", NULL);
        assert_ok(tenants_change(scene->super, scene->tenant, &policy, event, &fault));
        assert_int_equal(scene_number(scene, read, scene->tenant), changes[i].expected);
    }
    const struct tenant_policy policy = {.allow_hmac = -1, .most = changes[1].most};
    AUTO_EVENT struct event *event = scene_event(EVENT_TENANT_CREATED, "limited", "limited", NULL);
    assert_ok(tenants_create(scene->super, "limited", &policy, event, &fault));
    assert_int_equal(scene_number(scene, read, "limited"), 12345);
    assert_int_equal(scene_number(scene, read, scene->other), 0);
}

/* The row and its event are one: an event that cannot be written takes the row with it. */
static void no_row_without_its_event(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    const struct tenant_policy policy = {.allow_hmac = -1};
    AUTO_EVENT struct event *event = scene_event(EVENT_TENANT_CREATED, "first", "first", NULL);
    assert_ok(tenants_create(scene->super, "first", &policy, event, &fault));
    assert_fault(tenants_create(scene->super, "second", &policy, event, &fault),
                 FAULT_STATE_CONFLICT, "exists");
    assert_fault(tenants_exist(scene->super, "second", &fault), FAULT_NOT_FOUND, "tenant");
}

static struct api_key key_of(const char *tenant, const char *id, unsigned roles, int64_t expires_ms)
{
    struct api_key key = {.roles = roles, .expires_ms = expires_ms, .revoked_ms = INT64_MIN};
    (void)snprintf(key.id, sizeof key.id, "%s", id);
    (void)snprintf(key.tenant_id, sizeof key.tenant_id, "%s", tenant);
    (void)snprintf(key.principal, sizeof key.principal, "alice@example");
    (void)snprintf(key.created_by, sizeof key.created_by, "operator");
    key.secret_hash = digest_of(id, strlen(id));
    return key;
}

static int create_key(struct pg *pg, const struct api_key *key, struct fault *fault)
{
    AUTO_EVENT struct event *event =
        scene_event(EVENT_APIKEY_CREATED, key->tenant_id, key->id, NULL);
    return api_keys_create(pg, key, event, fault);
}

static int revoke_key(struct pg *pg, const char *tenant, const char *id, struct fault *fault)
{
    AUTO_EVENT struct event *event = scene_event(EVENT_APIKEY_REVOKED, tenant, id, NULL);
    return api_keys_revoke(pg, tenant, id, NULL, event, fault);
}

static void an_api_key_is_found_as_it_was_made(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    for (unsigned roles = 1; roles < 64; roles++) {
        char id[17];
        (void)snprintf(id, sizeof id, "aaaaaaaa%08x", roles);
        struct api_key key = key_of(scene->tenant, id, roles, INT64_MIN), found;
        assert_ok(create_key(scene->api, &key, &fault));
        assert_ok(api_keys_find(scene->api, id, &found, &fault));
        assert_string_equal(found.id, id);
        assert_string_equal(found.tenant_id, scene->tenant);
        assert_string_equal(found.principal, "alice@example");
        assert_int_equal(found.roles, (roles & ROLE_SUBMITTER) != 0 ? roles | ROLE_VIEWER : roles);
        assert_true(digest_equal(&found.secret_hash, &key.secret_hash));
    }
    struct api_key same = key_of(scene->other, "aaaaaaaa00000001", ROLE_ADMIN, INT64_MIN), found;
    assert_fault(create_key(scene->api, &same, &fault), FAULT_STATE_CONFLICT, "exists");
    assert_ok(api_keys_find(scene->api, "aaaaaaaa00000001", &found, &fault));
    assert_string_equal(found.tenant_id, scene->tenant);
    assert_int_equal(events_of(scene, scene->tenant, "io.sallyport.apikey.created.v1"), 63);
    assert_int_equal(events_of(scene, scene->other, "io.sallyport.apikey.created.v1"), 0);
}

static void only_live_api_keys_are_found(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct api_key untouched = {.roles = 77}, found = untouched;
    int64_t now = clock_wall_ms();
    struct api_key future = key_of(scene->tenant, "bbbbbbbb00000001", ROLE_VIEWER, now + 3600000);
    struct api_key past = key_of(scene->tenant, "bbbbbbbb00000002", ROLE_VIEWER, now - 1);
    assert_ok(create_key(scene->api, &future, &fault));
    assert_ok(create_key(scene->api, &past, &fault));
    static const char *const none[] = {"bbbbbbbb00000002", "bbbbbbbb00000003", "",
                                       "bbbbbbbb0000000",  "BBBBBBBB00000001", "%",
                                       "bbbbbbbb0000000_"};
    for (size_t i = 0; i < ARRAY_LEN(none); i++)
        assert_fault(api_keys_find(scene->api, none[i], &found, &fault), FAULT_NOT_FOUND,
                     "API key");
    assert_memory_equal(&found, &untouched, sizeof found);
    assert_ok(api_keys_find(scene->api, "bbbbbbbb00000001", &found, &fault));
    assert_ok(revoke_key(scene->api, scene->tenant, "bbbbbbbb00000001", &fault));
    assert_fault(api_keys_find(scene->api, "bbbbbbbb00000001", &found, &fault), FAULT_NOT_FOUND,
                 "API key");
    assert_fault(api_keys_find(scene->worker, "bbbbbbbb00000001", &found, &fault), FAULT_INTERNAL,
                 "42501");
}

static void a_key_is_revoked_once_by_its_tenant(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct api_key found;
    const char *id = scene_api_key(scene, scene->tenant, "alice", ROLE_VIEWER);
    const char *type = event_type_name(EVENT_APIKEY_REVOKED);
    assert_fault(revoke_key(scene->api, scene->other, id, &fault), FAULT_NOT_FOUND, "API key");
    assert_fault(revoke_key(scene->api, scene->tenant, "0000000000000000", &fault), FAULT_NOT_FOUND,
                 "API key");
    assert_ok(api_keys_find(scene->api, id, &found, &fault));
    assert_int_equal(events_of(scene, scene->tenant, type), 0);
    assert_ok(revoke_key(scene->api, scene->tenant, id, &fault));
    assert_fault(revoke_key(scene->api, scene->tenant, id, &fault), FAULT_STATE_CONFLICT,
                 "already");
    assert_int_equal(events_of(scene, scene->tenant, type), 1);
    assert_int_equal(events_of(scene, scene->other, type), 0);
    scene_try(scene, "sallyport_api", scene->tenant, "42501",
              "UPDATE api_key SET roles = '{admin}' WHERE api_key_id = '%s'", id);
}

struct listing {
    size_t count;
    struct api_key keys[16];
    size_t stop_after;
};

static int note(void *context, const struct api_key *key)
{
    struct listing *listing = context;
    assert_true(listing->count < ARRAY_LEN(listing->keys));
    listing->keys[listing->count++] = *key;
    return listing->count == listing->stop_after ? -1 : 0;
}

static void a_tenant_lists_its_own_newest_first(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    const char *ids[3];
    static const struct digest zero;
    for (int i = 0; i < 3; i++)
        ids[i] = scene_api_key(scene, scene->tenant, "alice", ROLE_PUBLISHER | ROLE_APPROVER);
    (void)scene_api_key(scene, scene->other, "mallory", ROLE_ADMIN);
    assert_ok(revoke_key(scene->api, scene->tenant, ids[1], &fault));
    struct listing all = {0}, two = {.stop_after = 2}, none = {0};
    assert_ok(api_keys_list(scene->api, scene->tenant, note, &all, &fault));
    assert_int_equal(all.count, 3);
    for (int i = 0; i < 3; i++) {
        const struct api_key *key = &all.keys[i];
        assert_string_equal(key->id, ids[2 - i]);
        assert_string_equal(key->tenant_id, scene->tenant);
        assert_string_equal(key->principal, "alice");
        assert_string_equal(key->created_by, "operator");
        assert_int_equal(key->roles, ROLE_PUBLISHER | ROLE_APPROVER);
        assert_true(key->expires_ms == INT64_MIN);
        assert_int_equal(key->revoked_ms != INT64_MIN, i == 1);
        assert_true(digest_equal(&key->secret_hash, &zero));
        assert_in_range(key->created_ms, clock_wall_ms() - 600000, clock_wall_ms() + 600000);
    }
    assert_ok(api_keys_list(scene->api, scene->tenant, note, &two, &fault));
    assert_int_equal(two.count, 2);
    assert_ok(api_keys_list(scene->api, "nobody", note, &none, &fault));
    assert_int_equal(none.count, 0);
}

/* A key of the platform has no tenant: found by its id, no tenant's to see or to revoke. */
static int count_one(void *context, const struct api_key *key)
{
    assert_true(key->revoked_ms == INT64_MIN);
    ++*(int *)context;
    return 0;
}

/* Revoked and expired ones do not count; and every one that counts is listed. */
static void a_tenant_has_a_thousand_live_keys_at_most(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    static const char fill[] =
        "INSERT INTO api_key (api_key_id, tenant_id, principal, roles, secret_hash, created_by,"
        " created_at, expires_at, revoked_at) SELECT 'dd' || lpad(to_hex(%d + n), 14, '0'), '%s',"
        " 'alice', '{viewer}', sha256(''), 'x', now() - interval '1 hour', %s, %s"
        " FROM generate_series(1, %d) n";
    scene_sql(scene, fill, 0, scene->tenant, "now() + interval '1 hour'", "NULL",
              API_KEYS_LIVE_MAX - 1);
    scene_sql(scene, fill, 10000, scene->tenant, "now() - interval '1 minute'", "NULL", 20);
    scene_sql(scene, fill, 20000, scene->tenant, "NULL", "now()", 20);
    struct api_key last = key_of(scene->tenant, "eeeeeeeeeeeeeee1", ROLE_ADMIN, INT64_MIN);
    struct api_key more = key_of(scene->tenant, "eeeeeeeeeeeeeee2", ROLE_ADMIN, INT64_MIN);
    AUTO_EVENT struct event *one = scene_event(EVENT_APIKEY_CREATED, scene->tenant, "1", NULL);
    AUTO_EVENT struct event *two = scene_event(EVENT_APIKEY_CREATED, scene->tenant, "2", NULL);
    assert_ok(api_keys_create(scene->api, &last, one, &fault));
    assert_fault(api_keys_create(scene->api, &more, two, &fault), FAULT_QUOTA_EXCEEDED, "1000");
    int count = 0;
    assert_ok(api_keys_list(scene->api, scene->tenant, count_one, &count, &fault));
    assert_int_equal(count, API_KEYS_LIVE_MAX);
    scene_sql(scene, "UPDATE api_key SET revoked_at = now() WHERE api_key_id = '%s'", last.id);
    assert_ok(api_keys_create(scene->api, &more, two, &fault));
}

static void a_platform_key_is_no_tenant_s(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct api_key found;
    scene_sql(scene,
              "INSERT INTO api_key (api_key_id, principal, roles, secret_hash, created_by)"
              " VALUES ('cccccccc00000001', 'operator', '{viewer}', sha256(''), 'operator')");
    assert_ok(api_keys_find(scene->api, "cccccccc00000001", &found, &fault));
    assert_string_equal(found.tenant_id, "");
    assert_fault(revoke_key(scene->api, scene->tenant, "cccccccc00000001", &fault), FAULT_NOT_FOUND,
                 "");
    struct listing listing = {0};
    assert_ok(api_keys_list(scene->api, scene->tenant, note, &listing, &fault));
    assert_int_equal(listing.count, 0);
    scene_try(scene, "sallyport_api", scene->tenant, "42501",
              "INSERT INTO api_key (api_key_id, principal, roles, secret_hash, created_by)"
              " VALUES ('cccccccc00000002', 'alice', '{admin}', sha256(''), 'alice')");
}

static void the_table_refuses_what_is_no_key(void **state)
{
    struct scene *scene = *state;
    static const char *const bad[] = {"'CCCCCCCC00000001', 'a', '{viewer}', sha256('')",
                                      "'cccc', 'a', '{viewer}', sha256('')",
                                      "'dddddddd00000001', '', '{viewer}', sha256('')",
                                      "'dddddddd00000001', '-a', '{viewer}', sha256('')",
                                      "'dddddddd00000001', 'a', '{}', sha256('')",
                                      "'dddddddd00000001', 'a', '{root}', sha256('')",
                                      "'dddddddd00000001', 'a', '{viewer,root}', sha256('')",
                                      "'dddddddd00000001', 'a', '{viewer}', '\\x00'"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        scene_try(scene, "sallyport_api", scene->tenant, "23514",
                  "INSERT INTO api_key (tenant_id, created_by, api_key_id, principal, roles, "
                  "secret_hash) VALUES ('%s', 'a', %s)",
                  scene->tenant, bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(a_tenant_is_made_once_with_its_event),
        SCENE_TEST(a_policy_is_kept_and_changed),
        SCENE_TEST(what_is_asked_of_documents),
        SCENE_TEST(what_is_shared_is_bounded),
        SCENE_TEST(how_long_events_are_kept),
        SCENE_TEST(what_a_run_gets_is_bounded),
        SCENE_TEST(no_row_without_its_event),
        SCENE_TEST(an_api_key_is_found_as_it_was_made),
        SCENE_TEST(only_live_api_keys_are_found),
        SCENE_TEST(a_key_is_revoked_once_by_its_tenant),
        SCENE_TEST(a_tenant_lists_its_own_newest_first),
        SCENE_TEST(a_tenant_has_a_thousand_live_keys_at_most),
        SCENE_TEST(a_platform_key_is_no_tenant_s),
        SCENE_TEST(the_table_refuses_what_is_no_key),
    };
    return cmocka_run_group_tests(tests, scene_open, scene_close);
}
