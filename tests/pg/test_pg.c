/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: transactions end as they should whatever fails in them, faults say what to do, tenants are
 * a transaction's own, and a lost connection comes back by itself. */
#include "storage/notify.h"
#include "tests/pg/scene.h"

#include "base/clock.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>

static const struct pg_statement see_tenants = {
    "see_tenants", "SELECT coalesce(current_setting('sallyport.tenants', true), 'unset'),"
                   " tenants() IS NULL, coalesce(cardinality(tenants()), 0)"};
static const struct pg_statement add_worker = {
    "add_worker", "INSERT INTO worker (worker_id, node, slots, version, checks, lease_expires_at)"
                  " VALUES (gen_random_uuid(), $1, 1, '1', '', now())"};
static const struct pg_statement divide = {"divide", "SELECT 1 / ($1::integer)"};
static const struct pg_statement one = {"one", "SELECT 1"};
static const struct pg_statement two = {"two", "SELECT 2"};
static const struct pg_statement broken = {"broken", "SELECT 1 / (0 * random())::integer"};
static const struct pg_statement no_such = {"no_such", "SELECT nothing FROM nowhere"};

static int add(struct pg *pg, const char *node, struct fault *fault)
{
    struct pg_params params = {0};
    pg_text(&params, node);
    return pg_step(pg, &add_worker, &params, NULL, fault);
}

static int divide_by(struct pg *pg, int number, struct fault *fault)
{
    struct pg_params params = {0};
    pg_int4(&params, number);
    return pg_step(pg, &divide, &params, NULL, fault);
}

static void assert_nodes(struct scene *scene, const char *node, int count)
{
    assert_int_equal(scene_number(scene, "SELECT count(*) FROM worker WHERE node = '%s'", node),
                     count);
    /* And nobody holds anything open. */
    assert_int_equal(scene_number(scene, "SELECT count(*) FROM pg_stat_activity WHERE datname = "
                                         "current_database() AND state LIKE 'idle in%%'"),
                     0);
}

static void a_transaction_is_kept_by_its_commit(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    pg_begin(scene->super, NULL);
    assert_ok(add(scene->super, "kept", &fault));
    assert_ok(add(scene->super, "kept", &fault));
    assert_int_equal(scene_number(scene, "SELECT count(*) FROM worker"), 0);
    struct pg_params params = {0};
    pg_text(&params, "kept");
    assert_ok(pg_commit(scene->super, &add_worker, &params, NULL, &fault));
    assert_fault(add(scene->super, "kept", &fault), FAULT_UNAVAILABLE, "transaction was lost");
    assert_nodes(scene, "kept", 3);
    pg_begin(scene->super, NULL); /* the first step may be the last, or none at all */
    assert_ok(pg_commit(scene->super, &add_worker, &params, NULL, &fault));
    assert_nodes(scene, "kept", 4);
    pg_begin(scene->super, NULL);
    assert_ok(pg_commit(scene->super, NULL, NULL, NULL, &fault));
    pg_rollback(scene->super); /* of nothing */
    pg_rollback(scene->super);
    assert_nodes(scene, "kept", 4);
}

/* A function that gives up after `steps` steps, as real ones do. */
static int give_up(struct pg *pg, int steps, struct fault *fault)
{
    AUTO_PG_TX struct pg *tx = pg;
    pg_begin(tx, NULL);
    for (int i = 0; i < steps; i++)
        if (add(tx, "given up", fault) != 0)
            return -1;
    return fault_set(fault, FAULT_FORBIDDEN, "no");
}

/* A function in which step `bad` of four fails. */
static int fail_at(struct pg *pg, int bad, struct fault *fault)
{
    AUTO_PG_TX struct pg *tx = pg;
    pg_begin(tx, NULL);
    for (int i = 0; i < 3; i++)
        if (add(tx, "failed", fault) != 0 || divide_by(tx, i == bad ? 0 : 1, fault) != 0)
            return -1;
    struct pg_params params = {0};
    pg_int4(&params, bad == 3 ? 0 : 1);
    return pg_commit(tx, &divide, &params, NULL, fault);
}

static void every_early_return_rolls_back(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    for (int steps = 0; steps < 3; steps++) {
        assert_fault(give_up(scene->super, steps, &fault), FAULT_FORBIDDEN, "no");
        assert_nodes(scene, "given up", 0);
        assert_ok(pg_query(scene->super, NULL, &one, NULL, NULL, &fault));
    }
    for (int bad = 0; bad < 4; bad++) {
        assert_fault(fail_at(scene->super, bad, &fault), FAULT_INTERNAL, "22012");
        assert_nodes(scene, "failed", 0);
    }
    assert_ok(fail_at(scene->super, 4, &fault));
    assert_nodes(scene, "failed", 3);
}

/* After a failed step the transaction is over: what follows must not run outside it. */
static void steps_after_a_failure_do_not_run(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    pg_begin(scene->super, NULL);
    assert_ok(add(scene->super, "stray", &fault));
    assert_fault(divide_by(scene->super, 0, &fault), FAULT_INTERNAL, "22012");
    assert_fault(add(scene->super, "stray", &fault), FAULT_UNAVAILABLE, "transaction was lost");
    struct pg_params params = {0};
    pg_text(&params, "stray");
    assert_fault(pg_commit(scene->super, &add_worker, &params, NULL, &fault), FAULT_UNAVAILABLE,
                 "transaction was lost");
    assert_nodes(scene, "stray", 0);
    pg_begin(scene->super, NULL);
    assert_fault(pg_step(scene->super, &no_such, NULL, NULL, &fault), FAULT_INTERNAL, "42P01");
    assert_fault(add(scene->super, "stray", &fault), FAULT_UNAVAILABLE, "transaction was lost");
    assert_nodes(scene, "stray", 0);
}

static void a_commit_that_fails_keeps_nothing(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    scene_sql(scene, "CREATE TABLE IF NOT EXISTS deferred (x integer UNIQUE DEFERRABLE INITIALLY "
                     "DEFERRED)");
    static const struct pg_statement insert = {"insert_deferred",
                                               "INSERT INTO deferred VALUES (1) RETURNING x"};
    pg_begin(scene->super, NULL);
    assert_ok(pg_step(scene->super, &insert, NULL, NULL, &fault));
    PGresult *untouched = NULL;
    assert_fault(pg_commit(scene->super, &insert, NULL, &untouched, &fault), FAULT_STATE_CONFLICT,
                 "exists already");
    assert_null(untouched);
    assert_int_equal(scene_number(scene, "SELECT count(*) FROM deferred"), 0);
    scene_sql(scene, "DROP TABLE deferred");
}

static void sqlstates_become_faults(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    static const struct {
        const char *sqlstate;
        enum fault_code code;
        const char *words;
    } cases[] = {
        {"23505", FAULT_STATE_CONFLICT, "exists already"},
        {"40001", FAULT_UNAVAILABLE, "try again"},
        {"40P01", FAULT_UNAVAILABLE, "try again"},
        {"55P03", FAULT_UNAVAILABLE, "try again"},
        {"57014", FAULT_UNAVAILABLE, "try again"},
        {"53300", FAULT_UNAVAILABLE, "try again"},
        {"53100", FAULT_UNAVAILABLE, "try again"},
        {"08006", FAULT_UNAVAILABLE, "try again"},
        {"42501", FAULT_INTERNAL, "42501"},
        {"23514", FAULT_INTERNAL, "23514"},
        {"23503", FAULT_INTERNAL, "23503"},
        {"55000", FAULT_INTERNAL, "55000"},
        {"XX000", FAULT_INTERNAL, "XX000"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char sql[200];
        (void)snprintf(sql, sizeof sql, "DO $$ BEGIN RAISE 'said so' USING ERRCODE = '%s'; END $$",
                       cases[i].sqlstate);
        assert_fault(pg_execute(scene->super, sql, &fault), cases[i].code, cases[i].words);
        assert_ok(pg_query(scene->super, NULL, &one, NULL, NULL, &fault));
    }
    assert_ok(pg_execute(scene->super, "SET statement_timeout = '20ms'", &fault));
    assert_fault(pg_execute(scene->super, "SELECT pg_sleep(60)", &fault), FAULT_UNAVAILABLE,
                 "57014");
    assert_ok(pg_execute(scene->super, "SET statement_timeout = '30s'", &fault));
}

static void assert_tenants(struct pg *pg, const char *const *tenants, const char *literal)
{
    struct fault fault;
    AUTO_PGRESULT PGresult *row = NULL;
    assert_ok(pg_query(pg, tenants, &see_tenants, NULL, &row, &fault));
    assert_string_equal(pg_get_text(row, 0, 0), literal);
}

/* Nothing of one call's tenants is there in the next: the setting ends with its transaction. */
static void tenants_are_a_transaction_s_own(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    AUTO_PG struct pg *pg = NULL;
    AUTO_PGRESULT PGresult *between = NULL, *inside = NULL, *after = NULL;
    assert_ok(pg_cluster_connect(scene->cluster, "sallyport_api", &pg, &fault));
    assert_tenants(pg, NULL, "{}"); /* as it begins */
    assert_tenants(pg, (const char *const[]){"a", "b.c-d_e", NULL}, "{\"a\",\"b.c-d_e\"}");
    assert_tenants(pg, NULL, "{}");
    scene_cut_off(scene, "sallyport_api");
    while (pg_query(pg, NULL, &see_tenants, NULL, NULL, &fault) != 0)
        assert_int_equal(fault.code, FAULT_UNAVAILABLE);
    assert_tenants(pg, NULL, "{}"); /* as another begins */
    assert_tenants(pg, (const char *const[]){NULL}, "{}");
    pg_begin(pg, (const char *const[]){"a", NULL});
    assert_ok(pg_step(pg, &see_tenants, NULL, &inside, &fault));
    assert_string_equal(pg_get_text(inside, 0, 0), "{\"a\"}");
    assert_int_equal(pg_get_int(inside, 0, 2), 1);
    pg_rollback(pg);
    assert_tenants(pg, NULL, "{}");
    pg_begin(pg, (const char *const[]){"a", NULL});
    assert_ok(pg_commit(pg, &see_tenants, NULL, &after, &fault));
    assert_string_equal(pg_get_text(after, 0, 0), "{\"a\"}");
    static const struct pg_statement none = {
        "tenants_left", "SELECT count(*) FROM tenant WHERE tenant_id = ANY (tenants())"};
    assert_ok(pg_query(pg, NULL, &none, NULL, &between, &fault));
    assert_int_equal(pg_get_int(between, 0, 0), 0);
    /* Nor does plain SQL that follows a call for a tenant see it. */
    const char *const own[] = {scene->tenant, NULL};
    static const char look[] =
        "DO $$ BEGIN IF EXISTS (SELECT FROM tenant) THEN RAISE 'seen'; END IF; END $$";
    AUTO_PGRESULT PGresult *seen = NULL;
    static const struct pg_statement count = {"count_tenants", "SELECT count(*) FROM tenant"};
    assert_ok(pg_query(pg, own, &count, NULL, &seen, &fault));
    assert_int_equal(pg_get_int(seen, 0, 0), 1);
    assert_ok(pg_execute(pg, look, &fault));
    pg_begin(pg, own);
    assert_ok(pg_step(pg, &count, NULL, NULL, &fault));
    assert_ok(pg_commit(pg, &count, NULL, NULL, &fault));
    assert_ok(pg_execute(pg, look, &fault));
}

static void many_tenants_have_a_maximum(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    static const char *many[2001];
    char longest[65];
    memset(longest, 'x', 64);
    longest[64] = '\0';
    for (size_t i = 0; i < 2000; i++)
        many[i] = longest;
    assert_fault(pg_query(scene->api, many, &one, NULL, NULL, &fault), FAULT_INTERNAL,
                 "too many tenants");
    many[256] = NULL;
    assert_ok(pg_query(scene->api, many, &one, NULL, NULL, &fault));
}

/* Lost between calls it is made anew unnoticed; lost in a transaction, that one is over. */
static void a_lost_connection_comes_back(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    AUTO_PG struct pg *pg = NULL;
    assert_ok(pg_cluster_connect(scene->cluster, "sallyport_worker", &pg, &fault));
    for (int way = 0; way < 5; way++) {
        assert_ok(pg_query(pg, NULL, &see_tenants, NULL, NULL, &fault));
        if (way >= 3) { /* in the midst of a transaction */
            pg_begin(pg, NULL);
            assert_ok(add(pg, "lost", &fault));
        }
        scene_cut_off(scene, "sallyport_worker");
        if (way == 0) {
            assert_ok(pg_query(pg, NULL, &see_tenants, NULL, NULL, &fault));
        } else if (way == 1) {
            assert_ok(pg_execute(pg, "SELECT 1", &fault));
        } else if (way == 2) {
            pg_begin(pg, NULL);
            assert_ok(add(pg, "kept", &fault));
            assert_ok(pg_commit(pg, NULL, NULL, NULL, &fault));
        } else if (way == 3) {
            assert_fault(pg_execute(pg, "SELECT 1", &fault), FAULT_UNAVAILABLE,
                         "transaction was lost");
        } else {
            assert_fault(add(pg, "lost", &fault), FAULT_UNAVAILABLE, "");
            assert_fault(pg_commit(pg, NULL, NULL, NULL, &fault), FAULT_UNAVAILABLE,
                         "transaction was lost");
        }
        AUTO_PGRESULT PGresult *row = NULL;
        static const struct pg_statement settings = {
            "settings", "SELECT current_schema(), current_setting('statement_timeout'),"
                        " current_setting('application_name'), current_user::text"};
        assert_ok(pg_query(pg, NULL, &settings, NULL, &row, &fault));
        assert_string_equal(pg_get_text(row, 0, 0), "sallyport");
        assert_string_equal(pg_get_text(row, 0, 1), "30s");
        assert_string_equal(pg_get_text(row, 0, 2), "sallyport test");
        assert_string_equal(pg_get_text(row, 0, 3), "sallyport_worker");
    }
    assert_nodes(scene, "kept", 1);
    assert_nodes(scene, "lost", 0);
    pg_begin(pg, NULL); /* and transactions work anew */
    assert_ok(add(pg, "back", &fault));
    assert_ok(pg_commit(pg, NULL, NULL, NULL, &fault));
    assert_nodes(scene, "back", 1);
}

/* Whatever the server says, stderr is the log's. */
static void nothing_is_written_to_stderr(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    char path[] = "/tmp/sallyport-pg.XXXXXX";
    AUTO_CLOSE int caught = mkostemp(path, O_CLOEXEC);
    AUTO_CLOSE int saved = dup(STDERR_FILENO);
    assert_true(caught >= 0 && saved >= 0);
    assert_int_equal(unlink(path), 0);
    assert_true(dup2(caught, STDERR_FILENO) >= 0);
    AUTO_PG struct pg *pg = NULL;
    int opened = pg_cluster_connect(scene->cluster, "sallyport_worker", &pg, &fault);
    int warned =
        opened != 0 ? -1 : pg_execute(pg, "DO $$ BEGIN RAISE WARNING 'heard'; END $$", &fault);
    scene_cut_off(scene, "sallyport_worker");
    int back = opened != 0 ? -1 : pg_execute(pg, "SELECT 1", &fault);
    assert_true(dup2(saved, STDERR_FILENO) >= 0);
    assert_int_equal(opened, 0);
    assert_int_equal(warned, 0);
    assert_int_equal(back, 0);
    assert_int_equal(lseek(caught, 0, SEEK_END), 0);
}

static void nobody_there_is_a_fault(void **state)
{
    (void)state;
    struct fault fault;
    struct pg *untouched = NULL;
    assert_fault(pg_open("host=/nonexistent dbname=x user=y", "test", &untouched, &fault),
                 FAULT_UNAVAILABLE, "cannot connect");
    assert_null(untouched);
    assert_fault(pg_open("nonsense", "test", &untouched, &fault), FAULT_UNAVAILABLE, "cannot");
    assert_null(untouched);
}

/* Waits for a notification with a deadline; 1, or the test fails. */
static void assert_notified(struct pg *pg)
{
    struct fault fault;
    int64_t deadline = clock_monotonic_ms() + 30000;
    int news = 0;
    while ((news = pg_wait_notify(pg, -1, 1000, &fault)) == 0)
        assert_true(clock_monotonic_ms() < deadline);
    assert_int_equal(news, 1);
}

static void assert_keyed(struct pg *pg, bool keyed)
{
    static const struct pg_statement read = {
        "test_keyed", "SELECT current_setting('plan_cache_mode') = 'force_generic_plan',"
                      " current_setting('enable_seqscan') = 'off'"};
    struct fault fault;
    AUTO_PGRESULT PGresult *result = NULL;
    assert_ok(pg_query_as(pg, NULL, &read, NULL, &result, &fault));
    assert_int_equal(pg_get_bool(result, 0, 0), keyed);
    assert_int_equal(pg_get_bool(result, 0, 1), keyed);
}

/* Only where it was asked for, and there after each reconnect. */
static void keyed_connections_stay_so(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    AUTO_PG struct pg *pg = NULL;
    assert_ok(pg_open_keyed(pg_cluster_conninfo(scene->cluster, "sallyport_worker"), "test", &pg,
                            &fault));
    assert_keyed(scene->worker, false);
    assert_keyed(pg, true);
    scene_cut_off(scene, "sallyport_worker");
    assert_keyed(pg, true);
    assert_keyed(scene->worker, false);
}

static void notifications_arrive_also_after_a_reconnect(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    AUTO_PG struct pg *listener = NULL;
    static const char *const queue[] = {NOTIFY_QUEUE, NOTIFY_CANCEL, NULL};
    static const char *const ended[] = {NOTIFY_ENDED, NULL};
    assert_ok(pg_cluster_connect(scene->cluster, "sallyport_worker", &listener, &fault));
    assert_ok(pg_listen(listener, NOTIFY_QUEUE, &fault));
    assert_int_equal(pg_wait_notify(listener, -1, 0, &fault), 0);
    assert_ok(notify_send(scene->api, queue, &fault));
    assert_notified(listener);
    assert_ok(notify_send(scene->api, ended, &fault)); /* not for us */
    assert_int_equal(pg_wait_notify(listener, -1, 20, &fault), 0);
    for (int i = 0; i < 5; i++) /* many are one news */
        assert_ok(notify_send(scene->api, queue, &fault));
    assert_ok(pg_query(listener, NULL, &one, NULL, NULL, &fault)); /* they came with this */
    assert_int_equal(pg_wait_notify(listener, -1, 0, &fault), 1);
    AUTO_CLOSE int wake = eventfd(1, EFD_CLOEXEC);
    assert_int_equal(pg_wait_notify(listener, wake, 60000, &fault), 0);
    scene_cut_off(scene, "sallyport_worker");
    int news; /* the server's farewell may come before the end of the connection */
    while ((news = pg_wait_notify(listener, -1, 30000, &fault)) == 0)
        ;
    assert_fault(news, FAULT_UNAVAILABLE, "");
    assert_int_equal(pg_wait_notify(listener, -1, 0, &fault), 0); /* reconnects, listens again */
    assert_ok(notify_send(scene->api, queue, &fault));
    assert_notified(listener);
}

/* Told by a commit, and not by what was rolled back, failed or came after it. */
static void a_commit_tells(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    AUTO_PG struct pg *listener = NULL;
    assert_ok(pg_cluster_connect(scene->cluster, "sallyport_worker", &listener, &fault));
    assert_ok(pg_listen(listener, NOTIFY_QUEUE, &fault));
    assert_ok(pg_listen(listener, NOTIFY_ENDED, &fault));
    pg_begin(scene->api, NULL);
    pg_tell(scene->api, NOTIFY_QUEUE);
    pg_tell(scene->api, NOTIFY_CANCEL);
    assert_ok(pg_step(scene->api, &one, NULL, NULL, &fault));
    assert_int_equal(pg_wait_notify(listener, -1, 20, &fault), 0);
    assert_ok(pg_commit(scene->api, &one, NULL, NULL, &fault));
    assert_notified(listener);
    pg_begin(scene->api, NULL);
    assert_ok(pg_commit(scene->api, &one, NULL, NULL, &fault));
    pg_begin(scene->api, NULL);
    pg_tell(scene->api, NOTIFY_QUEUE);
    pg_rollback(scene->api);
    pg_begin(scene->api, NULL);
    pg_tell(scene->api, NOTIFY_QUEUE);
    assert_fault(pg_commit(scene->api, &broken, NULL, NULL, &fault), FAULT_INTERNAL, "");
    assert_int_equal(pg_wait_notify(listener, -1, 20, &fault), 0);
    pg_begin(scene->api, NULL);
    for (int i = 0; i < 20; i++)
        pg_tell(scene->api, NOTIFY_ENDED);
    assert_fault(pg_commit(scene->api, &one, NULL, NULL, &fault), FAULT_INTERNAL, "channels");
    assert_int_equal(pg_wait_notify(listener, -1, 20, &fault), 0);
}

/* Another database's commit, a slow one, holds the lock that each NOTIFY takes. */
struct holder {
    PGconn *conn;
    atomic_bool stop;
};

static void *hold_notify(void *context)
{
    struct holder *holder = context;
    while (!atomic_load(&holder->stop))
        PQclear(
            PQexec(holder->conn, "BEGIN; INSERT INTO held VALUES (1); NOTIFY elsewhere; COMMIT"));
    return NULL;
}

static bool is_told(struct pg *listener)
{
    struct fault fault;
    int64_t until = clock_monotonic_ms() + 20;
    while (clock_monotonic_ms() < until)
        if (pg_wait_notify(listener, -1, 5, &fault) == 1)
            return true;
    return false;
}

/* A commit is a commit, and soon answered, also where nobody can be told of it. */
static void who_cannot_be_told_polls(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    AUTO_PG struct pg *listener = NULL;
    struct holder holder = {.conn = PQconnectdb(pg_cluster_conninfo(scene->cluster, NULL))};
    pthread_t thread;
    int untold = 0;
    PQclear(PQexec(holder.conn, "CREATE TABLE held (n integer);"
                                "SET commit_delay = 100000; SET commit_siblings = 0"));
    assert_ok(pg_cluster_connect(scene->cluster, "sallyport_worker", &listener, &fault));
    assert_ok(pg_listen(listener, NOTIFY_QUEUE, &fault));
    assert_int_equal(pthread_create(&thread, NULL, hold_notify, &holder), 0);
    uint64_t session = pg_session(scene->api);
    for (int i = 0; i < 200 && untold < 3; i++) {
        pg_begin(scene->api, NULL);
        pg_tell(scene->api, NOTIFY_QUEUE);
        int64_t began = clock_monotonic_ms();
        int committed = pg_commit(scene->api, &one, NULL, NULL, &fault);
        fixture_assert_ok(committed, &fault, __FILE__, __LINE__);
        assert_true(clock_monotonic_ms() - began < 5000);
        assert_ok(pg_query(scene->api, NULL, &one, NULL, NULL, &fault));
        untold += !is_told(listener);
    }
    atomic_store(&holder.stop, true);
    (void)pthread_join(thread, NULL);
    PQfinish(holder.conn);
    assert_int_equal(untold, 3);
    assert_int_equal(pg_session(scene->api), session);
}

/* Each of several steps has its own answer; where one fails there is none of any. */
static void several_steps_in_one_go(void **state)
{
    struct scene *scene = *state;
    struct fault fault;
    struct pg_call calls[] = {{.statement = &one}, {.statement = &two}, {.statement = &one}};
    AUTO_PG_TX struct pg *tx = scene->api;
    pg_begin(tx, NULL);
    assert_ok(pg_steps(tx, calls, ARRAY_LEN(calls), &fault));
    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        assert_int_equal(pg_get_int(calls[i].result, 0, 0), i == 1 ? 2 : 1);
        PQclear(calls[i].result);
    }
    calls[1].statement = &broken;
    assert_fault(pg_steps(tx, calls, ARRAY_LEN(calls), &fault), FAULT_INTERNAL, "");
    for (size_t i = 0; i < ARRAY_LEN(calls); i++)
        assert_null(calls[i].result);
    assert_fault(pg_step(tx, &one, NULL, NULL, &fault), FAULT_UNAVAILABLE, "lost");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SCENE_TEST(a_commit_tells),
        SCENE_TEST(who_cannot_be_told_polls),
        SCENE_TEST(several_steps_in_one_go),
        SCENE_TEST(a_transaction_is_kept_by_its_commit),
        SCENE_TEST(every_early_return_rolls_back),
        SCENE_TEST(steps_after_a_failure_do_not_run),
        SCENE_TEST(a_commit_that_fails_keeps_nothing),
        SCENE_TEST(sqlstates_become_faults),
        SCENE_TEST(tenants_are_a_transaction_s_own),
        SCENE_TEST(many_tenants_have_a_maximum),
        SCENE_TEST(a_lost_connection_comes_back),
        SCENE_TEST(nothing_is_written_to_stderr),
        SCENE_TEST(nobody_there_is_a_fault),
        SCENE_TEST(keyed_connections_stay_so),
        SCENE_TEST(notifications_arrive_also_after_a_reconnect),
    };
    return cmocka_run_group_tests(tests, scene_open, scene_close);
}
