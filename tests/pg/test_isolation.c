/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a tenant sees and writes its own rows and no other's, in every table, even where the
 * statement forgets to ask. */
#include "storage/blobs.h"
#include "storage/events.h"
#include "storage/executions.h"
#include "storage/inputs.h"
#include "storage/keys.h"
#include "storage/outputs.h"
#include "tests/pg/scene.h"

static const char *const tables[] = {
    "tenant",          "api_key",         "verification_key",  "blob",
    "blob_chunk",      "artifact",        "artifact_approval", "artifact_document",
    "input",           "execution_nonce", "execution_active",  "execution_queue",
    "execution",       "execution_late",  "execution_output",  "event",
    "event_retention", "tenant_usage"};

/* A row of the tenant in each of them but active and queue, whose rows the next worker takes. */
static struct scene_order fill(struct scene *scene, const char *tenant)
{
    struct fault fault;
    struct scene_order order = scene_order(scene, tenant);
    struct uuid worker = scene_worker(scene);
    (void)scene_input(scene, tenant, "input", INT64_MIN);
    scene_sql(scene,
              "INSERT INTO artifact_document (tenant_id, sha256, round, kind, document_sha256,"
              " format, summary, body, attached_by) VALUES ('%s', '\\x%s', 1, 'sbom', sha256('{}'),"
              " 'spdx', '{}', '{}', 'publisher')",
              tenant, digest_hex(&order.tool_sha256).text);
    scene_sql(scene, "INSERT INTO event_retention (tenant_id) VALUES ('%s')", tenant);
    static const enum execution_state ends[] = {EXECUTION_LOST, EXECUTION_SUCCEEDED};
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        scene_queue(scene, &order, i == 0 ? "lost" : "job", 1);
        struct claim claim = scene_claim(scene, &worker);
        assert_ok(scene_start(scene->worker, &order, &claim, &fault));
        assert_ok(scene_finish(scene->worker, &order, &claim, ends[i], "out", false, &fault));
    }
    scene_sql(scene,
              "INSERT INTO execution_late (execution_id, tenant_id, event_id) SELECT execution_id,"
              " tenant_id, finished_event_id FROM execution WHERE tenant_id = '%s' AND state ="
              " 'lost'",
              tenant);
    return order;
}

/* What a role sees when it acts for these tenants ("a" or "a,b"; NULL: none); -1 if it may not. */
static int64_t seen(struct scene *scene, const char *role, const char *tenants, const char *table,
                    const char *of)
{
    char sql[512];
    (void)snprintf(
        sql, sizeof sql,
        "BEGIN; SET LOCAL ROLE %s; SELECT set_config('sallyport.tenants', '%s%s%s', true)", role,
        tenants == NULL ? "" : "{", tenants == NULL ? "" : tenants, tenants == NULL ? "" : "}");
    PQclear(PQexec(scene->sql, sql));
    (void)snprintf(sql, sizeof sql, "SELECT count(tenant_id) FROM %s WHERE tenant_id LIKE '%s'",
                   table, of);
    AUTO_PGRESULT PGresult *result = PQexec(scene->sql, sql);
    PQclear(PQexec(scene->sql, "ROLLBACK"));
    if (PQresultStatus(result) == PGRES_TUPLES_OK)
        return strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    assert_string_equal(PQresultErrorField(result, PG_DIAG_SQLSTATE), "42501");
    return -1;
}

static void every_table_of_tenants_is_held(void **state)
{
    struct scene *scene = *state;
    assert_int_equal(
        scene_number(
            scene, "SELECT count(*) FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND "
                   "a.attname = 'tenant_id' WHERE c.relnamespace = 'sallyport'::regnamespace AND "
                   "c.relkind IN ('r', 'p') AND NOT (c.relrowsecurity AND c.relforcerowsecurity) "
                   "AND c.relname <> 'event_pending'"),
        0);
    /* No table of tenants is missing above: those are the ledger process's and the worker's own. */
    assert_int_equal(
        scene_number(scene, "SELECT count(*) FROM pg_class c JOIN pg_attribute a ON a.attrelid = "
                            "c.oid AND a.attname = 'tenant_id' WHERE c.relnamespace = "
                            "'sallyport'::regnamespace AND c.relkind IN ('r', 'p') AND NOT "
                            "c.relispartition AND c.relname NOT IN ('event_pending', "
                            "'ledger_entry', 'inspection_turn', 'tenant_turn')"),
        ARRAY_LEN(tables));
    /* The view sees with its reader's eyes. */
    assert_int_equal(scene_number(scene, "SELECT count(*) FROM pg_class WHERE relnamespace = "
                                         "'sallyport'::regnamespace AND relkind = 'v' AND NOT "
                                         "coalesce(reloptions::text, '') LIKE "
                                         "'%%security_invoker=true%%'"),
                     0);
    /* Nobody is exempt but the owner's definer functions, and the worker, who serves all. */
    assert_int_equal(scene_number(scene,
                                  "SELECT count(*) FROM pg_policy p, unnest(p.polroles) role "
                                  "WHERE role NOT IN ('sallyport_api'::regrole, "
                                  "'sallyport_read'::regrole, 'sallyport_worker'::regrole, "
                                  "'sallyport_owner'::regrole, 'sallyport_ledger'::regrole)"),
                     0);
}

static void a_tenant_sees_its_own(void **state)
{
    struct scene *scene = *state;
    static const char *const roles[] = {"sallyport_api", "sallyport_read"};
    char both[80];
    struct scene_order own_order = fill(scene, scene->tenant);
    struct scene_order other_order = fill(scene, scene->other);
    scene_queue(scene, &own_order, "more", 1);
    scene_queue(scene, &other_order, "more", 1);
    (void)snprintf(both, sizeof both, "%s,%s", scene->tenant, scene->other);
    for (size_t t = 0; t <= ARRAY_LEN(tables); t++) {
        const char *table = t == ARRAY_LEN(tables) ? "execution_all" : tables[t];
        for (size_t r = 0; r < ARRAY_LEN(roles); r++) {
            int64_t own = seen(scene, roles[r], scene->tenant, table, scene->tenant);
            if (own == -1) {
                assert_int_equal(r, 1); /* the api reads all of these, readers fewer */
                continue;
            }
            if (own == 0)
                fail_msg("%s sees nothing of its own in %s", roles[r], table);
            assert_int_equal(seen(scene, roles[r], scene->tenant, table, "%"), own);
            assert_int_equal(seen(scene, roles[r], scene->other, table, scene->tenant), 0);
            assert_int_equal(seen(scene, roles[r], NULL, table, "%"), 0);
            assert_int_equal(seen(scene, roles[r], "", table, "%"), 0);
            assert_int_equal(seen(scene, roles[r], both, table, scene->tenant), own);
        }
    }
}

/* A row of the first tenant's, as one that the other might write. */
static void copy_row(struct scene *scene, const char *table)
{
    scene_sql(scene, "DROP TABLE IF EXISTS pg_temp.copied");
    scene_sql(scene, "CREATE TEMP TABLE copied AS SELECT * FROM %s WHERE tenant_id = '%s' LIMIT 1",
              table, scene->tenant);
    scene_sql(scene, "GRANT SELECT ON pg_temp.copied TO sallyport_api");
}

/* The columns a role may insert or update, comma-separated; "" for none. */
static void columns_of(struct scene *scene, const char *table, const char *privilege,
                       char *ret_text, size_t size)
{
    char sql[512];
    (void)snprintf(
        sql, sizeof sql,
        "SELECT coalesce(string_agg(attname, ', '), '') FROM pg_attribute WHERE attrelid "
        "= '%s'::regclass AND attnum > 0 AND has_column_privilege('sallyport_api', "
        "attrelid, attnum, '%s')",
        table, privilege);
    AUTO_PGRESULT PGresult *result = PQexec(scene->sql, sql);
    assert_int_equal(PQntuples(result), 1);
    (void)snprintf(ret_text, size, "%s", PQgetvalue(result, 0, 0));
}

/* Attack: an api that acts for one tenant writes, changes and deletes another's rows. */
static void a_tenant_writes_its_own(void **state)
{
    struct scene *scene = *state;
    int inserted = 0, updated = 0;
    struct scene_order order = fill(scene, scene->tenant);
    scene_queue(scene, &order, "more", 1);
    for (size_t t = 0; t < ARRAY_LEN(tables); t++) {
        char columns[1024];
        columns_of(scene, tables[t], "INSERT", columns, sizeof columns);
        if (columns[0] != '\0') {
            /* An approval's own rules look first, and do not see another tenant's keys. */
            bool approval = strcmp(tables[t], "artifact_approval") == 0;
            const char *const others[] = {scene->other, NULL};
            copy_row(scene, tables[t]);
            for (size_t o = 0; o < ARRAY_LEN(others); o++)
                scene_try(scene, "sallyport_api", others[o], approval ? "23514" : "42501",
                          "INSERT INTO %s (%s) SELECT %s FROM pg_temp.copied", tables[t], columns,
                          columns);
            inserted++;
        }
        columns_of(scene, tables[t], "UPDATE", columns, sizeof columns);
        if (columns[0] != '\0') {
            columns[strcspn(columns, ",")] = '\0';
            scene_try(
                scene, "sallyport_api", scene->other, "00000",
                "WITH touched AS (UPDATE %s SET %s = DEFAULT WHERE tenant_id = '%s' RETURNING "
                "1) SELECT 1 / (CASE count(*) WHEN 0 THEN 1 ELSE 0 END) FROM touched",
                tables[t], columns, scene->tenant);
            updated++;
        }
        if (scene_number(scene,
                         "SELECT has_table_privilege('sallyport_api', '%s', "
                         "'DELETE')::integer",
                         tables[t]) == 1)
            scene_try(scene, "sallyport_api", scene->other, "00000",
                      "WITH gone AS (DELETE FROM %s RETURNING tenant_id) SELECT 1 / (CASE count(*) "
                      "WHEN 0 THEN 1 ELSE 0 END) FROM gone WHERE tenant_id = '%s'",
                      tables[t], scene->tenant);
    }
    assert_true(inserted >= 9 && updated >= 4);
}

/* Approvals of another tenant's artifact do not count, nor do its inputs or keys. */
static void functions_see_with_the_callers_eyes(void **state)
{
    struct scene *scene = *state;
    (void)fill(scene, scene->tenant);
    static const char count[] = "SELECT 1 / (artifact_approvals(tenant_id, sha256) - %d) FROM "
                                "(SELECT '%s'::text AS tenant_id, '\\x%s'::bytea AS sha256) a";
    struct digest tool = digest_of("the bytes of tool", 17);
    for (int of_own = 0; of_own < 2; of_own++) {
        const char *tenant = of_own ? scene->tenant : scene->other;
        scene_try(scene, "sallyport_api", tenant, "22012", count, of_own ? 2 : 0, scene->tenant,
                  digest_hex(&tool).text);
    }
}

static int none_artifact(void *context, const struct artifact *artifact)
{
    fail_msg("%s %p", artifact->name, context);
    return 0;
}

static int none_approval(void *context, const struct approval *approval)
{
    fail_msg("%s %p", approval->principal, context);
    return 0;
}

static int none_key(void *context, const struct key_record *key)
{
    fail_msg("%s %p", key->kid, context);
    return 0;
}

static int none_api_key(void *context, const struct api_key *key)
{
    fail_msg("%s %p", key->principal, context);
    return 0;
}

static void count_end(void *context, size_t n, const struct execution *execution)
{
    (void)n, (void)execution;
    *(int *)context += 1;
}

static int none_execution(void *context, const struct execution *execution)
{
    fail_msg("%s %p", execution->task_id, context);
    return 0;
}

static int none_chunk(void *context, struct span data, struct fault *fault)
{
    (void)context;
    return fault_set(fault, FAULT_INTERNAL, "%zu bytes of another's", data.len);
}

/* Reads as the superuser, whom row-level security does not bind: the second wall by itself. */
static void reads_ask_for_their_tenant(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct pg *pg = scene->super;
    const char *other = scene->other;
    struct scene_order order = fill(scene, scene->tenant);
    struct execution execution = {0};
    struct execution_events events;
    struct artifact artifact = {0};
    struct key_record key = {0};
    struct input input, theirs;
    AUTO_BUF struct buf buf = BUF(10000);
    const struct execution_filter all = {.from_ms = INT64_MIN, .to_ms = INT64_MIN, .limit = 100};
    struct digest bytes = digest_of("input", 5);
    struct uuid ids[2];
    AUTO_PGRESULT PGresult *row =
        PQexec(scene->sql,
               "SELECT execution_id, finished_event_id FROM execution ORDER BY 1 DESC LIMIT 1");
    for (int i = 0; i < 2; i++)
        assert_int_equal(uuid_parse(PQgetvalue(row, 0, i), UUID_TEXT_LEN, &ids[i]), 0);
    assert_ok(inputs_find(pg, scene->tenant, &bytes, &input, &fault));
    assert_ok(executions_get(pg, scene->tenant, &ids[0], &execution, &fault));
    execution_free(&execution);
    assert_fault(executions_get(pg, other, &ids[0], &execution, &fault), FAULT_NOT_FOUND, "");
    assert_fault(executions_token(pg, other, &ids[0], &buf, &fault), FAULT_NOT_FOUND, "");
    assert_fault(executions_events(pg, other, &ids[0], &events, &fault), FAULT_NOT_FOUND, "");
    assert_ok(outputs_read(pg, other, &ids[0], "stdout", 0, 4096, &buf, &fault));
    assert_ok(executions_list(pg, other, &all, none_execution, NULL, &fault));
    assert_fault(events_get(pg, other, &ids[1], false, &buf, &fault), FAULT_NOT_FOUND, "");
    assert_fault(inputs_find(pg, other, &bytes, &theirs, &fault), FAULT_NOT_FOUND, "");
    assert_ok(blobs_read(pg, other, &input.blob_id, none_chunk, NULL, &fault));
    assert_fault(armory_find(pg, other, &order.tool_sha256, &artifact, &fault), FAULT_NOT_FOUND,
                 "");
    assert_ok(armory_list(pg, other, NULL, 100, none_artifact, NULL, &fault));
    assert_ok(armory_approvals(pg, other, &order.tool_sha256, none_approval, NULL, &fault));
    assert_fault(keys_find(pg, other, order.kid, &key, &fault), FAULT_NOT_FOUND, "");
    assert_ok(keys_list(pg, other, none_key, NULL, &fault));
    assert_ok(api_keys_list(pg, other, none_api_key, NULL, &fault));
    assert_int_equal(buf.len, 0);
    const char *const others[] = {other, NULL}, *const own[] = {scene->tenant, NULL};
    int ended = 0;
    assert_ok(executions_ended(pg, others, ids, 1, count_end, &ended, &fault));
    assert_int_equal(ended, 0);
    assert_ok(executions_ended(pg, own, ids, 1, count_end, &ended, &fault));
    assert_int_equal(ended, 1);
}

/* Writes alike. */
static void writes_ask_for_their_tenant(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct pg *pg = scene->super;
    const char *other = scene->other;
    bool created;
    struct input stored;
    struct scene_order order = fill(scene, scene->tenant);
    struct uuid upload = scene_upload(scene, scene->tenant, "bytes");
    AUTO_EVENT struct event *event = scene_event(EVENT_KEY_REVOKED, other, "x", NULL);
    assert_fault(api_keys_revoke(pg, other, order.api_key_id, NULL, event, &fault), FAULT_NOT_FOUND,
                 "");
    assert_fault(keys_revoke(pg, other, order.kid, NULL, event, &fault), FAULT_NOT_FOUND, "");
    assert_fault(blobs_append(pg, other, &upload, 1, span_text("x"), &fault), FAULT_UNAVAILABLE,
                 "");
    assert_ok(blobs_remove(pg, other, &upload, &fault));
    const struct input input = {
        .sha256 = digest_of("bytes", 5), .blob_id = upload, .size = 5, .expires_ms = INT64_MIN};
    assert_fault(inputs_add(pg, other, &input, "eve", &created, &stored, &fault), FAULT_UNAVAILABLE,
                 "");
    const struct digest theirs = digest_of("input", 5);
    assert_fault(inputs_renew(pg, other, &theirs, INT64_MIN, &stored, &fault), FAULT_NOT_FOUND, "");
    assert_ok(scene_inspection(pg, other, &order.tool_sha256, "eve", NULL, &fault));
    const char *approver = scene_api_key(scene, scene->tenant, "dora", ROLE_APPROVER);
    const struct approval approval = {.principal = "dora",
                                      .api_key_id = approver,
                                      .comment = "yes",
                                      .descriptor_sha256 = scene_descriptor_digest("tool"),
                                      .expires_ms = INT64_MIN};
    assert_fault(armory_approve(pg, other, &order.tool_sha256, &approval, event, &fault),
                 FAULT_NOT_FOUND, "");
    assert_int_equal(scene_number(scene,
                                  "SELECT (SELECT count(*) FROM blob_chunk WHERE blob_id = '%s') + "
                                  "(SELECT count(*) FROM api_key WHERE api_key_id = '%s' AND "
                                  "revoked_at IS NULL) + (SELECT count(*) FROM verification_key "
                                  "WHERE tenant_id = '%s' AND revoked_at IS NULL)",
                                  uuid_format(&upload).text, order.api_key_id, scene->tenant),
                     3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(every_table_of_tenants_is_held), SCENE_TEST(a_tenant_sees_its_own),
        SCENE_TEST(a_tenant_writes_its_own),        SCENE_TEST(functions_see_with_the_callers_eyes),
        SCENE_TEST(reads_ask_for_their_tenant),     SCENE_TEST(writes_ask_for_their_tenant),
    };
    return cmocka_run_group_tests(tests, scene_open, scene_close);
}
