/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the schema is made once, file by file and whole, whoever runs it and however often; what
 * was applied cannot change behind our back. */
#include "base/file.h"
#include "storage/migrate.h"
#include "tests/support/ledger_fixture.h"

#include <dirent.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct place {
    struct pg_cluster *cluster;
    struct pg *admin;
    char folder[64]; /* a copy of migrations/ */
    char database[64];
    char conninfo[512];
    struct pg *pg; /* of an empty database */
};

static int open_cluster(void **state)
{
    static struct place place;
    struct fault fault;
    *state = &place;
    return pg_cluster_open(false, &place.cluster, &fault) == 0 &&
                   pg_cluster_connect(place.cluster, NULL, &place.admin, &fault) == 0
               ? 0
               : -1;
}

static int close_cluster(void **state)
{
    struct place *place = *state;
    pg_free(TAKE(place->admin));
    pg_cluster_free(TAKE(place->cluster));
    return 0;
}

static void write_file(const struct place *place, const char *name, const char *text)
{
    char path[512];
    struct fault fault;
    (void)snprintf(path, sizeof path, "%s/%s", place->folder, name);
    assert_ok(file_replace(path, text, strlen(text), 0644, &fault));
}

static void remove_file(const struct place *place, const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/%s", place->folder, name);
    assert_int_equal(unlink(path), 0);
}

/* Copies the real ones; the name of migration `version` goes to ret_name where that is not NULL. */
static void copy_migrations(const struct place *place, int version, char *ret_name, size_t size)
{
    DIR *dir = opendir(SOURCE_DIR "/migrations");
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        char path[512];
        struct fault fault;
        AUTO_BUF struct buf text = BUF(1 << 20);
        if (strstr(entry->d_name, ".sql") == NULL)
            continue;
        (void)snprintf(path, sizeof path, SOURCE_DIR "/migrations/%s", entry->d_name);
        assert_ok(file_read(path, &text, &fault));
        write_file(place, entry->d_name, buf_text(&text));
        if (ret_name != NULL && strtol(entry->d_name, NULL, 10) == version)
            (void)snprintf(ret_name, size, "%s", entry->d_name);
    }
    (void)closedir(dir);
}

static void empty_database(struct place *place, const char *owner)
{
    char sql[256];
    struct fault fault;
    uint64_t unique;
    random_bytes(&unique, sizeof unique);
    (void)snprintf(place->database, sizeof place->database, "sallyport_test_%016" PRIx64, unique);
    (void)snprintf(sql, sizeof sql, "CREATE DATABASE %s OWNER %s", place->database, owner);
    assert_ok(pg_execute(place->admin, sql, &fault));
    (void)snprintf(place->conninfo, sizeof place->conninfo, "%s dbname=%s",
                   pg_cluster_conninfo(place->cluster, NULL), place->database);
    assert_ok(pg_open(place->conninfo, "test", &place->pg, &fault));
}

static int drop_database(struct place *place)
{
    struct fault fault;
    char sql[128];
    pg_free(TAKE(place->pg));
    (void)snprintf(sql, sizeof sql, "DROP DATABASE %s WITH (FORCE)", place->database);
    return pg_execute(place->admin, sql, &fault);
}

static int begin(void **state)
{
    struct place *place = *state;
    (void)snprintf(place->folder, sizeof place->folder, "/tmp/sallyport-migrate.XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    copy_migrations(place, 0, NULL, 0);
    empty_database(place, "DEFAULT");
    return 0;
}

static int end(void **state)
{
    struct place *place = *state;
    struct fault fault;
    return drop_database(place) == 0 ? dir_remove(place->folder, &fault) : -1;
}

static void assert_run(const struct place *place, int applied, int version)
{
    struct fault fault;
    struct migrate_report report = {-1, -1};
    assert_ok(migrate_run(place->pg, place->folder, &report, &fault));
    assert_int_equal(report.applied, applied);
    assert_int_equal(report.version, version);
}

static void assert_refused(const struct place *place, enum fault_code code, const char *words)
{
    struct fault fault;
    struct migrate_report report = {-1, -1};
    assert_fault(migrate_run(place->pg, place->folder, &report, &fault), code, words);
    assert_int_equal(report.applied, -1);
    assert_int_equal(report.version, -1);
}

static int64_t number(const struct place *place, const char *sql)
{
    struct fault fault;
    AUTO_PG struct pg *pg = NULL; /* its own: a statement is prepared once by its address */
    const struct pg_statement read = {"number", sql};
    AUTO_PGRESULT PGresult *row = NULL;
    assert_ok(pg_open(place->conninfo, "test", &pg, &fault));
    assert_ok(pg_query(pg, NULL, &read, NULL, &row, &fault));
    return pg_get_int(row, 0, 0);
}

static void a_fresh_database_and_again(void **state)
{
    struct place *place = *state;
    struct fault fault;
    assert_fault(migrate_check(place->pg, &fault), FAULT_UNAVAILABLE, "run sallyportd migrate");
    assert_run(place, SCHEMA_VERSION, SCHEMA_VERSION);
    assert_ok(migrate_check(place->pg, &fault));
    assert_int_equal(number(place, "SELECT count(*) FROM schema_migration"), SCHEMA_VERSION);
    assert_run(place, 0, SCHEMA_VERSION);
    /* Nothing is left locked, nor anybody's role taken on. */
    assert_int_equal(number(place, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), 0);
    assert_ok(pg_execute(place->pg, "CREATE TABLE public.by_me ()", &fault));
    assert_int_equal(number(place, "SELECT count(*) FROM pg_class WHERE relname = 'by_me' "
                                   "AND relowner = current_user::regrole"),
                     1);
    /* All that migrations made is the owner's. */
    assert_int_equal(number(place, "SELECT count(*) FROM pg_class WHERE relnamespace = "
                                   "'sallyport'::regnamespace AND relowner <> "
                                   "'sallyport_owner'::regrole"),
                     0);
}

static void one_more_file_is_applied_alone(void **state)
{
    struct place *place = *state;
    char name[32];
    assert_run(place, SCHEMA_VERSION, SCHEMA_VERSION);
    (void)snprintf(name, sizeof name, "%04d_more.sql", SCHEMA_VERSION + 1);
    write_file(place, name, "SET ROLE sallyport_owner; CREATE TABLE sallyport.more (x integer);");
    write_file(place, "README", "not SQL");
    write_file(place, "99_short.sql", "not SQL");
    write_file(place, "0099_kept.sql~", "not SQL");
    write_file(place, "x0099_kept.sql", "not SQL");
    assert_run(place, 1, SCHEMA_VERSION + 1);
    assert_int_equal(number(place, "SELECT count(*) FROM more"), 0);
    /* The role that a file takes on, even for the session, is not kept. */
    struct fault fault;
    assert_ok(pg_execute(place->pg, "CREATE TABLE public.by_me ()", &fault));
}

/* A file that fails half way leaves nothing of itself, and can be mended. */
static void a_failing_file_leaves_nothing(void **state)
{
    struct place *place = *state;
    char name[32];
    (void)snprintf(name, sizeof name, "%04d_bad.sql", SCHEMA_VERSION + 1);
    write_file(place, name,
               "SET LOCAL ROLE sallyport_owner; CREATE TABLE sallyport.half ();"
               "SELECT 1/0; CREATE TABLE sallyport.other_half ();");
    assert_refused(place, FAULT_INTERNAL, name);
    assert_int_equal(number(place, "SELECT count(*) FROM schema_migration"), SCHEMA_VERSION);
    assert_int_equal(number(place, "SELECT count(*) FROM pg_class WHERE relname LIKE '%half'"), 0);
    assert_refused(place, FAULT_INTERNAL, "22012");
    write_file(place, name, "SET LOCAL ROLE sallyport_owner; CREATE TABLE sallyport.half ();");
    assert_run(place, 1, SCHEMA_VERSION + 1);
    assert_int_equal(number(place, "SELECT count(*) FROM pg_class WHERE relname LIKE '%half'"), 1);
}

static void a_changed_file_is_refused_and_nothing_after_it_applied(void **state)
{
    struct place *place = *state;
    char name[256], more[32];
    assert_run(place, SCHEMA_VERSION, SCHEMA_VERSION);
    copy_migrations(place, 3, name, sizeof name);
    write_file(place, name, "SELECT 1;");
    (void)snprintf(more, sizeof more, "%04d_more.sql", SCHEMA_VERSION + 1);
    write_file(place, more, "CREATE TABLE sallyport.more ();");
    assert_refused(place, FAULT_STATE_CONFLICT, "was changed after");
    assert_int_equal(number(place, "SELECT count(*) FROM pg_class WHERE relname = 'more'"), 0);
    copy_migrations(place, 0, NULL, 0);
    assert_run(place, 1, SCHEMA_VERSION + 1);
}

static void gaps_and_doubles_are_refused(void **state)
{
    struct place *place = *state;
    char name[256], first[256];
    copy_migrations(place, 4, name, sizeof name);
    remove_file(place, name);
    assert_refused(place, FAULT_STATE_CONFLICT, "migration 4 is missing or doubled");
    assert_int_equal(number(place, "SELECT count(*) FROM pg_namespace WHERE nspname = 'sallyport'"),
                     0);
    copy_migrations(place, 1, first, sizeof first);
    write_file(place, "0004_again.sql", "SELECT 1;");
    assert_refused(place, FAULT_STATE_CONFLICT, "missing or doubled");
    remove_file(place, "0004_again.sql");
    remove_file(place, first);
    assert_refused(place, FAULT_STATE_CONFLICT, "migration 1 is missing");
    struct fault fault;
    struct migrate_report report;
    assert_fault(migrate_run(place->pg, "/nonexistent", &report, &fault), FAULT_INTERNAL,
                 "cannot open the migrations");
    assert_fault(migrate_run(place->pg, SOURCE_DIR "/tests/pg", &report, &fault), FAULT_NOT_FOUND,
                 "no migrations");
}

static void a_newer_schema_is_left_alone(void **state)
{
    struct place *place = *state;
    struct fault fault;
    assert_run(place, SCHEMA_VERSION, SCHEMA_VERSION);
    for (int version = SCHEMA_VERSION + 1; version <= SCHEMA_VERSION + 2; version++) {
        char sql[200];
        (void)snprintf(sql, sizeof sql,
                       "INSERT INTO schema_migration VALUES (%d, 'later', sha256('later'))",
                       version);
        assert_ok(pg_execute(place->pg, sql, &fault));
        assert_refused(place, FAULT_STATE_CONFLICT, "newer than these migrations");
        if (version == SCHEMA_VERSION + 1)
            assert_ok(migrate_check(place->pg, &fault)); /* the daemons of before an upgrade */
        else
            assert_fault(migrate_check(place->pg, &fault), FAULT_UNAVAILABLE, "this build needs");
    }
}

static void daemons_refuse_an_older_schema(void **state)
{
    struct place *place = *state;
    struct fault fault;
    char sql[100];
    assert_run(place, SCHEMA_VERSION, SCHEMA_VERSION);
    assert_ok(migrate_check(place->pg, &fault));
    for (int version = SCHEMA_VERSION; version > 0; version--) {
        (void)snprintf(sql, sizeof sql, "DELETE FROM schema_migration WHERE version = %d", version);
        assert_ok(pg_execute(place->pg, sql, &fault));
        assert_fault(migrate_check(place->pg, &fault), FAULT_UNAVAILABLE, "this build needs");
    }
}

struct runner {
    const struct place *place;
    int status;
    struct migrate_report report;
    struct fault fault;
};

static void *run_main(void *context)
{
    struct runner *runner = context;
    AUTO_PG struct pg *pg = NULL;
    runner->status = pg_open(runner->place->conninfo, "test", &pg, &runner->fault);
    if (runner->status == 0)
        runner->status = migrate_run(pg, runner->place->folder, &runner->report, &runner->fault);
    return NULL;
}

static void many_at_once_apply_each_file_once(void **state)
{
    struct place *place = *state;
    enum { RUNNERS = 6 };
    struct runner runners[RUNNERS];
    pthread_t threads[RUNNERS];
    int applied = 0;
    for (int i = 0; i < RUNNERS; i++) {
        runners[i] = (struct runner){.place = place};
        assert_int_equal(pthread_create(&threads[i], NULL, run_main, &runners[i]), 0);
    }
    for (int i = 0; i < RUNNERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < RUNNERS; i++) {
        fixture_assert_ok(runners[i].status, &runners[i].fault, __FILE__, __LINE__);
        assert_int_equal(runners[i].report.version, SCHEMA_VERSION);
        applied += runners[i].report.applied;
    }
    assert_int_equal(applied, SCHEMA_VERSION);
}

/* What 0001 says of the migrating role: no superuser is needed. */
static void a_role_that_may_make_roles_is_enough(void **state)
{
    struct place *place = *state;
    struct fault fault;
    assert_ok(pg_execute(place->admin,
                         "DROP ROLE IF EXISTS sallyport_test_migrator;"
                         "CREATE ROLE sallyport_test_migrator LOGIN CREATEROLE",
                         &fault));
    assert_int_equal(drop_database(place), 0);
    empty_database(place, "sallyport_test_migrator");
    assert_ok(pg_execute(place->pg, "SET SESSION AUTHORIZATION sallyport_test_migrator", &fault));
    assert_run(place, SCHEMA_VERSION, SCHEMA_VERSION);
    assert_run(place, 0, SCHEMA_VERSION);
    assert_int_equal(drop_database(place), 0);
    assert_ok(pg_execute(place->admin, "DROP ROLE sallyport_test_migrator", &fault));
    empty_database(place, "DEFAULT");
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(a_fresh_database_and_again),
        TEST(one_more_file_is_applied_alone),
        TEST(a_failing_file_leaves_nothing),
        TEST(a_changed_file_is_refused_and_nothing_after_it_applied),
        TEST(gaps_and_doubles_are_refused),
        TEST(a_newer_schema_is_left_alone),
        TEST(daemons_refuse_an_older_schema),
        TEST(many_at_once_apply_each_file_once),
        TEST(a_role_that_may_make_roles_is_enough),
    };
    return cmocka_run_group_tests(tests, open_cluster, close_cluster);
}
