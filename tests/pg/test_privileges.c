/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: each role may do to each table what its process needs and nothing else: in the catalogue,
 * and when it is tried. A change of a GRANT changes this table too. */
#include "tests/pg/scene.h"

enum { API, WORKER, LEDGER, READ, ROLE_COUNT };

static const char *const roles[ROLE_COUNT] = {"sallyport_api", "sallyport_worker",
                                              "sallyport_ledger", "sallyport_read"};

/* Privileges in alphabetical order, columns too; NULL for none. */
static const struct {
    const char *relation;
    const char *may[ROLE_COUNT]; /* api, worker, ledger, read */
} expected[] = {
    {"api_key",
     {"INSERT(api_key_id,created_at,created_by,expires_at,principal,roles,secret_hash,tenant_id) "
      "SELECT UPDATE(revoked_at)",
      "SELECT", NULL, NULL}},
    {"artifact",
     {"INSERT(blob_id,descriptor,descriptor_sha256,ingested_by,kind,name,sha256,size,tenant_id,"
      "version) SELECT "
      "UPDATE(reason,report_severity,report_sha256,revoked_at,revoked_by,round,sbom_sha256,state)",
      "SELECT UPDATE(image,inspect_until,inspect_worker,reason,state)", NULL, "SELECT"}},
    {"artifact_approval", {"INSERT SELECT", "SELECT", NULL, "SELECT"}},
    {"artifact_document",
     {"INSERT(attached_by,body,document_sha256,format,kind,round,sha256,summary,tenant_id) SELECT",
      NULL, NULL, "SELECT"}},
    {"blob", {"DELETE INSERT SELECT UPDATE(completed_at,touched_at)", "SELECT", NULL, NULL}},
    {"blob_chunk", {"INSERT SELECT", "SELECT", NULL, NULL}},
    {"event",
     {"INSERT(body,event_id,execution_id,hash,subject,tenant_id,type) SELECT",
      "INSERT(body,event_id,execution_id,hash,subject,tenant_id,type)",
      "INSERT(body,event_id,execution_id,hash,subject,tenant_id,type)", "SELECT"}},
    {"event_pending", {"SELECT(queued_at,seq)", NULL, "DELETE SELECT", NULL}},
    {"event_retention", {"SELECT", NULL, NULL, "SELECT"}},
    {"execution", {"SELECT", "INSERT SELECT", NULL, "SELECT"}},
    {"execution_active",
     {"INSERT(accepted_event_id,action,api_key_id,correlation_id,execution_id,kid,manifest_sha256,"
      "operator_id,source,submitted_at,target_urn,task_id,tenant_id,token,tool_sha256,traceparent) "
      "SELECT UPDATE(cancel_event_id,cancel_reason,cancel_requested_at)",
      "DELETE SELECT UPDATE(started_at,started_event_id,state,worker)", NULL, "SELECT"}},
    {"execution_all", {"SELECT", "SELECT", NULL, "SELECT"}},
    {"execution_late", {"SELECT", "INSERT SELECT", NULL, "SELECT"}},
    {"execution_nonce", {"INSERT SELECT", "SELECT", NULL, NULL}},
    {"execution_output", {"SELECT", "INSERT SELECT", NULL, "SELECT"}},
    {"execution_queue",
     {"INSERT(execution_id,tenant_id) SELECT", "DELETE SELECT UPDATE(fence,worker_id)", NULL,
      NULL}},
    {"fence", {NULL, "USAGE", NULL, NULL}},
    {"input", {"INSERT SELECT UPDATE(expires_at)", "SELECT", NULL, "SELECT"}},
    {"inspection_turn", {NULL, "INSERT SELECT UPDATE(taken_at)", NULL, NULL}},
    {"ledger_batch", {"SELECT", NULL, "INSERT SELECT", "SELECT"}},
    {"ledger_checkpoint", {"SELECT", NULL, "INSERT SELECT", "SELECT"}},
    {"ledger_entry", {"SELECT", NULL, "INSERT SELECT", "SELECT"}},
    {"ledger_key_change", {NULL, NULL, "INSERT SELECT", "SELECT"}},
    {"ledger_lease",
     {"SELECT", NULL, "SELECT UPDATE(epoch,expires_at,holder,problem,updated_at)", "SELECT"}},
    {"ledger_reopening", {NULL, NULL, "INSERT SELECT", "SELECT"}},
    {"ledger_tile", {"SELECT", NULL, "INSERT SELECT", "SELECT"}},
    {"schema_migration", {"SELECT", "SELECT", "SELECT", "SELECT"}},
    {"tenant", {"SELECT", "SELECT", "SELECT(event_retention_days,tenant_id)", "SELECT"}},
    {"tenant_turn", {NULL, "SELECT UPDATE(turn)", NULL, NULL}},
    {"tenant_usage", {"SELECT", NULL, NULL, "SELECT"}},
    {"verification_key",
     {"INSERT(alg,created_at,created_by,kid,not_after,not_before,public_pem,tenant_id,"
      "wrapped_secret) SELECT UPDATE(revoked_at)",
      "SELECT", NULL,
      "SELECT(alg,created_at,kid,not_after,not_before,public_pem,revoked_at,tenant_id)"}},
    {"worker", {"SELECT", "DELETE INSERT SELECT UPDATE(lease_expires_at)", NULL, "SELECT"}},
};

static const struct {
    const char *name;
    bool may[ROLE_COUNT];
} functions[] = {
    {"api_key_find", {[API] = true}},
    {"api_keys_live", {[API] = true, [WORKER] = true}},
    {"artifact_approvals", {[API] = true, [WORKER] = true, [READ] = true}},
    {"artifact_lacks", {[API] = true, [WORKER] = true, [READ] = true}},
    {"blobs_sweep", {[API] = true}},
    {"event_expire", {[LEDGER] = true}},
    {"event_last", {[LEDGER] = true}},
    {"event_places", {[LEDGER] = true}},
    {"inputs_sweep", {[API] = true}},
    {"ledger_partition", {[LEDGER] = true}},
    {"ledger_scrub", {[LEDGER] = true}},
    {"ledger_path", {[API] = true, [READ] = true}},
    {"queue_claim", {[WORKER] = true}},
    {"queue_depth", {[API] = true, [WORKER] = true}},
    {"tenants", {[API] = true, [WORKER] = true, [LEDGER] = true, [READ] = true}},
};

static PGresult *rows_of(struct scene *scene, const char *sql)
{
    PGresult *result = PQexec(scene->sql, sql);
    if (PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s", PQresultErrorMessage(result));
    return result;
}

/* "relation role privileges", of all who have any but the owner; nobody else may have one. */
static void the_catalogue_says_the_same(void **state)
{
    AUTO_PGRESULT PGresult *rows = rows_of(
        *state,
        "WITH acl AS ("
        " SELECT c.relname, a.grantee, a.privilege_type, a.is_grantable, NULL::name AS attname"
        "   FROM pg_class c, aclexplode(c.relacl) a WHERE c.relnamespace = "
        "'sallyport'::regnamespace"
        " UNION ALL"
        " SELECT c.relname, a.grantee, a.privilege_type, a.is_grantable, t.attname"
        "   FROM pg_class c JOIN pg_attribute t ON t.attrelid = c.oid, aclexplode(t.attacl) a"
        "  WHERE c.relnamespace = 'sallyport'::regnamespace"
        "), named AS ("
        " SELECT relname, grantee, privilege_type"
        "    || coalesce('(' || string_agg(attname, ',' ORDER BY attname) || ')', '')"
        "    || CASE WHEN bool_or(is_grantable) THEN '*' ELSE '' END AS privilege"
        "   FROM acl GROUP BY relname, grantee, privilege_type, attname IS NULL)"
        " SELECT relname, CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END,"
        "  string_agg(privilege, ' ' ORDER BY privilege COLLATE \"C\")"
        "  FROM named WHERE grantee <> 'sallyport_owner'::regrole GROUP BY relname, grantee");
    size_t wanted = 0;
    for (size_t i = 0; i < ARRAY_LEN(expected); i++)
        for (int role = 0; role < ROLE_COUNT; role++) {
            const char *had = NULL;
            for (int row = 0; row < PQntuples(rows); row++)
                if (strcmp(PQgetvalue(rows, row, 0), expected[i].relation) == 0 &&
                    strcmp(PQgetvalue(rows, row, 1), roles[role]) == 0)
                    had = PQgetvalue(rows, row, 2);
            const char *want = expected[i].may[role];
            wanted += want != NULL;
            if ((had == NULL) != (want == NULL) || (had != NULL && strcmp(had, want) != 0))
                fail_msg("%s, %s: has '%s', not '%s'", expected[i].relation, roles[role],
                         had == NULL ? "" : had, want == NULL ? "" : want);
        }
    for (int row = 0; wanted != (size_t)PQntuples(rows) && row < PQntuples(rows); row++)
        print_error("%s %s\n", PQgetvalue(rows, row, 0), PQgetvalue(rows, row, 1));
    assert_int_equal(PQntuples(rows), wanted); /* no other relation, no other role, no PUBLIC */
}

/* No table is missing above; the partitions of ledger_entry are reached through it only. */
static void every_relation_is_in_the_table(void **state)
{
    AUTO_PGRESULT PGresult *rows = rows_of(
        *state, "SELECT relname FROM pg_class WHERE relnamespace = 'sallyport'::regnamespace"
                " AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND NOT relispartition"
                " AND relname <> 'event_pending_seq_seq'");
    for (int row = 0; row < PQntuples(rows); row++) {
        bool known = false;
        for (size_t i = 0; i < ARRAY_LEN(expected); i++)
            known |= strcmp(PQgetvalue(rows, row, 0), expected[i].relation) == 0;
        if (!known)
            fail_msg("%s is not in the table of this test", PQgetvalue(rows, row, 0));
    }
    assert_int_equal(PQntuples(rows), ARRAY_LEN(expected));
}

/* True if the role may run this statement, which touches no row. */
static bool allowed(struct scene *scene, const char *role, const char *sql)
{
    char begin[128];
    (void)snprintf(begin, sizeof begin, "BEGIN; SET LOCAL ROLE %s", role);
    PQclear(PQexec(scene->sql, begin));
    AUTO_PGRESULT PGresult *result = PQexec(scene->sql, sql);
    ExecStatusType status = PQresultStatus(result);
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    PQclear(PQexec(scene->sql, "ROLLBACK"));
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
        return true;
    /* 42501 not allowed; 42809, 55000 not what one does to this kind of relation; 428C9 identity */
    static const char *const refusals[] = {"42501", "42809", "55000", "428C9"};
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++)
        if (strcmp(sqlstate, refusals[i]) == 0)
            return false;
    fail_msg("%s: %s", sql, PQresultErrorMessage(result));
    return false;
}

/* Whether "SELECT UPDATE(a,b)" gives a privilege on the whole relation, or on a column. */
static bool gives(const char *may, const char *privilege, const char *column)
{
    char text[512], *rest = text;
    (void)snprintf(text, sizeof text, "%s", may == NULL ? "" : may);
    for (char *word; (word = strsep(&rest, " ")) != NULL;) {
        char *columns = strchr(word, '(');
        if (columns != NULL)
            *columns++ = '\0';
        if (strcmp(word, privilege) != 0)
            continue;
        if (columns == NULL)
            return true;
        for (char *name; column != NULL && (name = strsep(&columns, ",)")) != NULL;)
            if (strcmp(name, column) == 0)
                return true;
    }
    return false;
}

static void expect(struct scene *scene, int role, bool want, const char *sql)
{
    if (allowed(scene, roles[role], sql) != want)
        fail_msg("%s %s: %s", roles[role], want ? "cannot" : "can", sql);
}

static void try_relation(struct scene *scene, size_t i, int role)
{
    const char *name = expected[i].relation, *may = expected[i].may[role];
    char sql[256];
    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM %s WHERE false", name);
    bool any = gives(may, "SELECT", "seq") || gives(may, "SELECT", "kid") ||
               gives(may, "SELECT", "tenant_id");
    expect(scene, role, any, sql);
    (void)snprintf(sql, sizeof sql, "SELECT * FROM %s WHERE false", name);
    expect(scene, role, gives(may, "SELECT", NULL), sql);
    (void)snprintf(sql, sizeof sql, "INSERT INTO %s SELECT (NULL::%s).* WHERE false", name, name);
    expect(scene, role, gives(may, "INSERT", NULL), sql);
    (void)snprintf(sql, sizeof sql, "DELETE FROM %s WHERE false", name);
    expect(scene, role, gives(may, "DELETE", NULL), sql);
    (void)snprintf(sql, sizeof sql, "TRUNCATE %s", name);
    expect(scene, role, false, sql);
    (void)snprintf(sql, sizeof sql, "LOCK TABLE %s IN ACCESS EXCLUSIVE MODE", name);
    expect(scene, role, gives(may, "DELETE", NULL) || gives(may, "UPDATE", NULL), sql);
    (void)snprintf(sql, sizeof sql, "ALTER TABLE %s ADD mine integer", name);
    expect(scene, role, false, sql);
    (void)snprintf(sql, sizeof sql,
                   "SELECT attname FROM pg_attribute WHERE attnum > 0 AND NOT "
                   "attisdropped AND attrelid = '%s'::regclass",
                   name);
    AUTO_PGRESULT PGresult *columns = rows_of(scene, sql);
    for (int c = 0; c < PQntuples(columns); c++) {
        const char *column = PQgetvalue(columns, c, 0);
        (void)snprintf(sql, sizeof sql, "UPDATE %s SET %s = NULL WHERE false", name, column);
        expect(scene, role, gives(may, "UPDATE", column), sql);
        (void)snprintf(sql, sizeof sql, "SELECT %s FROM %s WHERE false", column, name);
        expect(scene, role, gives(may, "SELECT", column), sql);
        (void)snprintf(sql, sizeof sql, "INSERT INTO %s (%s) SELECT (NULL::%s).%s WHERE false",
                       name, column, name, column);
        expect(scene, role, gives(may, "INSERT", column), sql);
    }
}

static void trying_it_gives_the_same(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(expected); i++)
        for (int role = 0; role < ROLE_COUNT; role++)
            if (strcmp(expected[i].relation, "fence") != 0)
                try_relation(*state, i, role);
    for (int role = 0; role < ROLE_COUNT; role++) {
        expect(*state, role, role == WORKER, "SELECT nextval('fence')");
        expect(*state, role, false, "SELECT setval('fence', 1)");
        expect(*state, role, false, "SELECT setval('event_pending_seq_seq', 1)");
        expect(*state, role, false, "SELECT nextval('event_pending_seq_seq')");
        expect(*state, role, false, "SELECT FROM ledger_entry_0 WHERE false");
        expect(*state, role, false, "DELETE FROM ledger_entry_0");
    }
}

static void functions_are_called_by_who_needs_them(void **state)
{
    struct scene *scene = *state;
    AUTO_PGRESULT PGresult *rows =
        rows_of(scene, "SELECT proname, oid, prosecdef, proconfig::text FROM pg_proc WHERE "
                       "pronamespace = 'sallyport'::regnamespace");
    assert_true(PQntuples(rows) > (int)ARRAY_LEN(functions));
    for (int row = 0; row < PQntuples(rows); row++) {
        const char *name = PQgetvalue(rows, row, 0);
        for (int role = 0; role < ROLE_COUNT; role++) {
            bool want = false;
            for (size_t i = 0; i < ARRAY_LEN(functions); i++)
                want |= strcmp(functions[i].name, name) == 0 && functions[i].may[role];
            if (scene_number(scene, "SELECT has_function_privilege('%s', %s, 'EXECUTE')::integer",
                             roles[role], PQgetvalue(rows, row, 1)) != want)
                fail_msg("%s %s call %s", roles[role], want ? "cannot" : "can", name);
        }
        /* Who runs as its owner chooses its own objects. */
        if (strcmp(PQgetvalue(rows, row, 2), "t") == 0)
            assert_string_equal(PQgetvalue(rows, row, 3), "{\"search_path=sallyport, pg_temp\"}");
    }
}

/* The roles themselves: no power over the server, no way to become another. */
static void roles_are_nothing_more(void **state)
{
    struct scene *scene = *state;
    for (int role = 0; role < ROLE_COUNT; role++) {
        assert_int_equal(scene_number(scene,
                                      "SELECT count(*) FROM pg_roles WHERE rolname = '%s' AND NOT "
                                      "(rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication "
                                      "OR rolbypassrls OR rolinherit) AND rolcanlogin",
                                      roles[role]),
                         1);
        assert_int_equal(scene_number(scene,
                                      "SELECT count(*) FROM pg_auth_members WHERE member = "
                                      "'%s'::regrole",
                                      roles[role]),
                         0);
        scene_try(scene, roles[role], NULL, "42501", "CREATE TABLE sallyport.mine ()");
        scene_try(scene, roles[role], NULL, "42501", "CREATE SCHEMA mine");
        scene_try(scene, roles[role], NULL, "42501", "SET session_replication_role = replica");
        scene_try(scene, roles[role], NULL, "42501", "SELECT pg_read_file('/etc/passwd')");
    }
    assert_int_equal(scene_number(scene,
                                  "SELECT rolcanlogin::integer FROM pg_roles WHERE rolname = "
                                  "'sallyport_owner'"),
                     0);
    assert_int_equal(scene_number(scene, "SELECT has_schema_privilege('public', 'sallyport', "
                                         "'USAGE')::integer"),
                     0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(the_catalogue_says_the_same), SCENE_TEST(every_relation_is_in_the_table),
        SCENE_TEST(trying_it_gives_the_same),    SCENE_TEST(functions_are_called_by_who_needs_them),
        SCENE_TEST(roles_are_nothing_more),
    };
    return cmocka_run_group_tests(tests, scene_open, scene_close);
}
