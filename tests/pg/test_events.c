/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: an event is kept byte for byte, for ever, is pending at once, and says only what its writer
 * may say. */
#include "storage/events.h"
#include "tests/pg/scene.h"

static int64_t pending(struct scene *scene, const struct event *event)
{
    return scene_number(scene,
                        "SELECT count(*) FROM event e JOIN event_pending p USING (event_id) WHERE "
                        "event_id = '%s' AND p.hash = e.hash AND p.tenant_id = e.tenant_id",
                        uuid_format(&event->id).text);
}

static void an_event_is_kept_byte_for_byte(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct uuid execution = uuid_v7(), unknown = uuid_v7();
    AUTO_EVENT struct event *with =
        scene_event(EVENT_MANIFEST_REFUSED, scene->tenant, "caf\xc3\xa9 \"quoted\"", &execution);
    AUTO_EVENT struct event *without = scene_event(EVENT_KEY_ADDED, scene->other, "kid", NULL);
    const struct event *const both[] = {with, without};
    assert_ok(events_insert(scene->api, both, 2, &fault));
    AUTO_BUF struct buf bytes = BUF(10000), others = BUF(10000);
    assert_ok(events_get(scene->api, scene->tenant, &with->id, false, &bytes, &fault));
    assert_true(span_equal(buf_span(&bytes), span_of(with->bytes, with->len)));
    struct digest hash = digest_of_span(buf_span(&bytes));
    assert_true(digest_equal(&hash, &with->hash));
    assert_int_equal(pending(scene, with), 1);
    assert_int_equal(pending(scene, without), 1);
    assert_int_equal(scene_number(scene,
                                  "SELECT count(*) FROM event WHERE event_id = '%s' AND "
                                  "execution_id = '%s'",
                                  uuid_format(&with->id).text, uuid_format(&execution).text),
                     1);
    assert_int_equal(scene_number(scene,
                                  "SELECT count(*) FROM event WHERE event_id = '%s' AND "
                                  "execution_id IS NULL",
                                  uuid_format(&without->id).text),
                     1);
    assert_fault(events_get(scene->api, scene->other, &with->id, false, &others, &fault),
                 FAULT_NOT_FOUND, "event");
    assert_fault(events_get(scene->api, scene->tenant, &without->id, false, &others, &fault),
                 FAULT_NOT_FOUND, "event");
    assert_fault(events_get(scene->api, scene->tenant, &unknown, false, &others, &fault),
                 FAULT_NOT_FOUND, "event");
    assert_int_equal(others.len, 0);
}

static void many_at_once_keep_their_order(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    const struct event *events[257];
    for (size_t i = 0; i < ARRAY_LEN(events); i++) {
        char subject[32];
        (void)snprintf(subject, sizeof subject, "subject-%03zu", i);
        events[i] = scene_event(EVENT_MANIFEST_REFUSED, scene->tenant, subject, NULL);
    }
    assert_fault(events_insert(scene->api, events, 257, &fault), FAULT_INTERNAL, "more than");
    assert_ok(events_insert(scene->api, events, 256, &fault));
    assert_int_equal(scene_number(scene,
                                  "SELECT count(*) FROM (SELECT e.subject, lag(e.subject) OVER "
                                  "(ORDER BY p.seq) AS before FROM event e JOIN event_pending p "
                                  "USING (event_id) WHERE e.tenant_id = '%s' AND e.type LIKE "
                                  "'%%refused.v1') s WHERE subject > before",
                                  scene->tenant),
                     255);
    for (size_t i = 0; i < ARRAY_LEN(events); i++)
        event_free((struct event *)(uintptr_t)events[i]);
}

/* All or none: one that is there already, or is not what its hash says, takes the others back. */
static void a_bad_event_takes_all_back(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    AUTO_EVENT struct event *known = scene_event(EVENT_KEY_ADDED, scene->tenant, "known", NULL);
    AUTO_EVENT struct event *good = scene_event(EVENT_KEY_ADDED, scene->tenant, "good", NULL);
    AUTO_EVENT struct event *forged = scene_event(EVENT_KEY_ADDED, scene->tenant, "forged", NULL);
    AUTO_EVENT struct event *theirs = scene_event(EVENT_KEY_ADDED, scene->other, "theirs", NULL);
    const struct event *first[] = {known}, *again[] = {good, known},
                       *with_forged[] = {good, forged};
    forged->hash.bytes[31] ^= 1;
    assert_ok(events_insert(scene->api, first, 1, &fault));
    assert_fault(events_insert(scene->api, again, 2, &fault), FAULT_STATE_CONFLICT, "exists");
    assert_fault(events_insert(scene->api, with_forged, 2, &fault), FAULT_INTERNAL, "23514");
    assert_int_equal(pending(scene, good), 0);
    /* In a transaction that acts for one tenant another's event cannot be said. */
    const struct event *other[] = {theirs};
    const char *tenants[] = {scene->tenant, NULL};
    pg_begin(scene->api, tenants);
    assert_fault(events_commit(scene->api, other, 1, &fault), FAULT_INTERNAL, "42501");
    assert_int_equal(pending(scene, theirs), 0);
    const struct event *one[] = {good};
    assert_ok(events_insert(scene->api, one, 1, &fault));
    assert_int_equal(pending(scene, good), 1);
}

/* Which type each role may insert (DESIGN section 10). */
static void who_may_say_what(void **state)
{
    struct scene *scene = *state;
    for (int type = 0; type < EVENT_TYPE_COUNT; type++) {
        const char *name = event_type_name((enum event_type)type);
        bool worker = type == EVENT_EXECUTION_STARTED || type == EVENT_EXECUTION_FINISHED ||
                      type == EVENT_EXECUTION_RESULT_LATE || type == EVENT_ARTIFACT_INSPECTED;
        bool ledger = type == EVENT_EVENTS_EXPIRED || type == EVENT_LEDGER_KEY_ADDED ||
                      type == EVENT_LEDGER_KEY_RETIRED || type == EVENT_LEDGER_REOPENED;
        const struct {
            const char *role, *tenant, *sqlstate;
        } cases[] = {
            {"sallyport_api", scene->tenant, worker || ledger ? "42501" : "00000"},
            {"sallyport_api", scene->other, "42501"}, /* not for a tenant it does not act for */
            {"sallyport_api", NULL, "42501"},
            {"sallyport_worker", NULL, worker ? "00000" : "42501"},
            {"sallyport_ledger", NULL, ledger ? "00000" : "42501"},
            {"sallyport_read", scene->tenant, "42501"},
        };
        for (size_t i = 0; i < ARRAY_LEN(cases); i++)
            scene_try(scene, cases[i].role, cases[i].tenant, cases[i].sqlstate,
                      "INSERT INTO event (event_id, tenant_id, type, subject, hash, body) VALUES "
                      "(gen_random_uuid(), '%s', '%s', 's', sha256('x'), 'x')",
                      scene->tenant, name);
    }
}

static void nobody_changes_what_was_said(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    AUTO_EVENT struct event *event = scene_event(EVENT_KEY_ADDED, scene->tenant, "kid", NULL);
    const struct event *one[] = {event};
    assert_ok(events_insert(scene->api, one, 1, &fault));
    static const char *const roles[] = {"sallyport_api",    "sallyport_worker",
                                        "sallyport_ledger", "sallyport_read",
                                        "sallyport_owner",  "NONE" /* the superuser */};
    static const char *const changes[] = {"UPDATE event SET subject = 'other'", "DELETE FROM event",
                                          "TRUNCATE event", "TRUNCATE event CASCADE"};
    for (size_t r = 0; r < ARRAY_LEN(roles); r++)
        for (size_t c = 0; c < ARRAY_LEN(changes); c++)
            scene_try(scene, roles[r], scene->tenant, "42501", "%s", changes[c]);
    AUTO_BUF struct buf bytes = BUF(10000);
    assert_ok(events_get(scene->api, scene->tenant, &event->id, false, &bytes, &fault));
    assert_true(span_equal(buf_span(&bytes), span_of(event->bytes, event->len)));
}

/* The pending row is the database's: no role can leave it out, forge it or take it away. */
static void pending_is_not_the_writer_s(void **state)
{
    struct scene *scene = *state;
    static const char *const writers[] = {"sallyport_api", "sallyport_worker", "sallyport_read"};
    static const char *const changes[] = {
        "INSERT INTO event_pending (event_id, tenant_id, hash) VALUES (gen_random_uuid(), 'a', "
        "sha256(''))",
        "DELETE FROM event_pending",
        "UPDATE event_pending SET hash = sha256('')",
        "ALTER TABLE event DISABLE TRIGGER event_queue",
        "SET session_replication_role = replica",
        "CREATE TABLE sallyport.mine ()",
        "CREATE FUNCTION sallyport.mine() RETURNS int LANGUAGE sql "
        "RETURN 1"};
    for (size_t w = 0; w < ARRAY_LEN(writers); w++)
        for (size_t c = 0; c < ARRAY_LEN(changes); c++)
            scene_try(scene, writers[w], scene->tenant, "42501", "%s", changes[c]);
    /* Many rows by one statement are all queued. */
    scene_sql(scene,
              "INSERT INTO event (event_id, tenant_id, type, subject, hash, body) SELECT "
              "gen_random_uuid(), '%s', 'io.sallyport.many.v1', 's', sha256(b), b FROM (SELECT "
              "convert_to(n::text, 'UTF8') AS b FROM generate_series(1, 1000) n) x",
              scene->tenant);
    assert_int_equal(scene_number(scene,
                                  "SELECT count(*) FROM event JOIN event_pending USING (event_id) "
                                  "WHERE type = 'io.sallyport.many.v1' AND event.tenant_id = '%s'",
                                  scene->tenant),
                     1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(an_event_is_kept_byte_for_byte), SCENE_TEST(many_at_once_keep_their_order),
        SCENE_TEST(a_bad_event_takes_all_back),     SCENE_TEST(who_may_say_what),
        SCENE_TEST(nobody_changes_what_was_said),   SCENE_TEST(pending_is_not_the_writer_s),
    };
    return cmocka_run_group_tests(tests, scene_open, scene_close);
}
