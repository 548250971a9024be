/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: events expire in one way only. No role, no superuser and no replica takes a body out, or
 * puts one back, by another; a policy that has been changed holds at once. */
#include "base/clock.h"
#include "tests/pg/aged.h"

#include <poll.h>

static const char *const roles[] = {"sallyport_api", "sallyport_worker", "sallyport_ledger",
                                    "sallyport_read"};

/* Twenty events of acme, all due; thirty of globex. */
static void begin(struct ledger_fixture *fixture)
{
    ledger_fixture_two_tenants(fixture, 1);
    aged_policy(fixture, FIXTURE_TENANT, 1);
    aged_policy(fixture, FIXTURE_OTHER, 0);
    aged_batches(fixture, 0, 2 * DAY);
}

static void refused(struct pg *pg, const char *sql, const char *words)
{
    struct fault fault;
    assert_fault(pg_execute(pg, sql, &fault), FAULT_INTERNAL, words);
}

#define EXPIRE                                                                                     \
    "UPDATE event SET body = NULL, subject = '', expired_at = now() WHERE tenant_id = 'acme'"

static void test_nobody_expires_by_hand(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    begin(fixture);
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        AUTO_PG struct pg *pg = NULL;
        assert_ok(pg_cluster_connect(fixture->cluster, roles[i], &pg, &fault));
        assert_ok(pg_execute(pg, "SET sallyport.tenants = '{acme}'", &fault));
        refused(pg, EXPIRE, "permission denied");
        refused(pg, "UPDATE event_retention SET expired_to = 50", "permission denied");
        refused(pg, "INSERT INTO event_retention VALUES ('acme', 50)", "permission denied");
        refused(pg, "UPDATE tenant SET event_retention_days = 1", "permission denied");
        if (strcmp(roles[i], "sallyport_ledger") != 0)
            refused(pg, "SELECT event_expire('acme', 10)", "permission denied");
    }
    refused(fixture->super, EXPIRE, "append-only");
    assert_ok(pg_execute(fixture->super, "SET session_replication_role = replica", &fault));
    refused(fixture->super, EXPIRE, "append-only");
    assert_ok(pg_execute(fixture->super, "RESET session_replication_role", &fault));
    assert_int_equal(aged_gone(fixture, FIXTURE_TENANT), 0);
    ledger_fixture_verify(fixture, 50);
}

/* As the migrations leave it: all of the table's triggers fire for a replica, too. */
static void test_triggers_are_always_on(void **state)
{
    struct ledger_fixture *fixture = *state;
    assert_int_equal(
        ledger_fixture_number(fixture, "SELECT count(*) FILTER (WHERE tgenabled = 'A') * 10 + "
                                       "count(*) FILTER (WHERE tgenabled <> 'A') FROM pg_trigger "
                                       "WHERE tgrelid = 'event'::regclass AND NOT tgisinternal"),
        30);
}

/* The function's owner, if somebody could log in as it: that step and no other. */
static void test_nothing_but_that_step(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    static const char *const steps[] = {
        "UPDATE event SET type = type",
        "UPDATE event SET body = '\\x00', hash = sha256('\\x00')",
        "UPDATE event SET body = NULL",
        "UPDATE event SET body = NULL, expired_at = now()",
        "UPDATE event SET subject = ''",
        "UPDATE event SET expired_at = now()",
        EXPIRE " RETURNING 1/0",
        "UPDATE event SET body = NULL, subject = '', expired_at = now() - interval '1 day'",
        "UPDATE event SET body = NULL, subject = 's', expired_at = now()",
        "UPDATE event SET body = NULL, subject = '', expired_at = now(), hash = sha256('x')",
        "UPDATE event SET body = NULL, subject = '', expired_at = now(), tenant_id = 'x'",
        "UPDATE event SET body = NULL, subject = '', expired_at = now(), event_id = "
        "gen_random_uuid()",
        "UPDATE event SET body = NULL, subject = '', expired_at = now(), type = "
        "'io.sallyport.x.v1'",
        "UPDATE event SET body = NULL, subject = '', expired_at = now(), execution_id = "
        "gen_random_uuid()",
        "DELETE FROM event",
        "TRUNCATE event"};
    begin(fixture);
    assert_ok(pg_execute(fixture->super, "SET ROLE sallyport_owner", &fault));
    for (size_t i = 0; i < ARRAY_LEN(steps); i++)
        if (strstr(steps[i], "1/0") == NULL)
            refused(fixture->super, steps[i], "append-only");
        else /* it would be possible */
            refused(fixture->super, steps[i], "22012");
    assert_ok(pg_execute(fixture->super, "RESET ROLE", &fault));
    ledger_fixture_verify(fixture, 50);
}

/* What has expired does not come back, and does not go twice. */
static void test_a_tombstone_stays(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    static const char *const steps[] = {
        "UPDATE event SET body = '\\x00', expired_at = NULL, subject = 's' WHERE body IS NULL",
        "UPDATE event SET expired_at = now() WHERE body IS NULL",
        "UPDATE event SET expired_at = NULL WHERE body IS NULL", EXPIRE,
        "DELETE FROM event WHERE body IS NULL"};
    begin(fixture);
    assert_int_equal(aged_take(fixture, FIXTURE_TENANT, 1000).count, 20);
    assert_ok(pg_execute(fixture->super, "SET ROLE sallyport_owner", &fault));
    for (size_t i = 0; i < ARRAY_LEN(steps); i++)
        refused(fixture->super, steps[i], "append-only");
    assert_ok(pg_execute(fixture->super, "RESET ROLE", &fault));
    assert_int_equal(aged_gone(fixture, FIXTURE_TENANT), 20);
}

/* Nobody says an event that has no body and never had one. */
static void test_no_event_is_born_expired(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    static const struct {
        const char *role, *type;
    } writers[] = {{"sallyport_api", FIXTURE_ACCEPTED},
                   {"sallyport_worker", FIXTURE_STARTED},
                   {"sallyport_ledger", NOTICE}};
    begin(fixture);
    for (size_t i = 0; i < ARRAY_LEN(writers); i++) {
        AUTO_PG struct pg *pg = NULL;
        char sql[320];
        assert_ok(pg_cluster_connect(fixture->cluster, writers[i].role, &pg, &fault));
        assert_ok(pg_execute(pg, "SET sallyport.tenants = '{acme}'", &fault));
        for (int dated = 0; dated < 2; dated++) {
            (void)snprintf(sql, sizeof sql,
                           "INSERT INTO event (event_id, tenant_id, type, subject, hash%s) SELECT "
                           "gen_random_uuid(), 'acme', '%s', '', sha256('x')%s",
                           dated ? ", expired_at" : "", writers[i].type, dated ? ", now()" : "");
            refused(pg, sql, dated ? "permission denied" : "event_tombstone");
        }
    }
    /* A body's time is not kept beside it, whoever writes. */
    refused(fixture->super,
            "INSERT INTO event (event_id, tenant_id, type, subject, hash, body, expired_at) SELECT "
            "gen_random_uuid(), 'acme', '" NOTICE "', '', sha256('x'), 'x', now()",
            "event_tombstone");
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM event"), 50);
}

/* A session of its own, in which something is under way. */
static PGconn *session(struct ledger_fixture *fixture, const char *role)
{
    PGconn *conn = PQconnectdb(pg_cluster_conninfo(fixture->cluster, role));
    if (PQstatus(conn) != CONNECTION_OK)
        fail_msg("%s", PQerrorMessage(conn));
    PQclear(PQexec(conn, "SET search_path = sallyport"));
    return conn;
}

static void run(PGconn *conn, const char *sql)
{
    AUTO_PGRESULT PGresult *result = PQexec(conn, sql);
    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s: %s", sql, PQresultErrorMessage(result));
}

/* Sends a statement and returns once its session waits for another's lock. */
static void send_and_wait(struct ledger_fixture *fixture, PGconn *conn, const char *sql)
{
    char waits[160];
    int64_t deadline = clock_monotonic_ms() + 30000;
    assert_int_equal(PQsendQuery(conn, sql), 1);
    (void)snprintf(waits, sizeof waits,
                   "SELECT cardinality(pg_blocking_pids(%d))::bigint FROM (SELECT 1) one",
                   PQbackendPID(conn));
    while (ledger_fixture_number(fixture, waits) == 0) {
        assert_true(clock_monotonic_ms() < deadline);
        (void)poll(NULL, 0, 10);
    }
}

/* The first column of the statement sent, -1 for no row. */
static int64_t answer(PGconn *conn)
{
    AUTO_PGRESULT PGresult *result = PQgetResult(conn);
    if (PQresultStatus(result) != PGRES_TUPLES_OK && PQresultStatus(result) != PGRES_COMMAND_OK)
        fail_msg("%s", PQresultErrorMessage(result));
    assert_null(PQgetResult(conn));
    return PQntuples(result) == 0 ? -1 : strtoll(PQgetvalue(result, 0, 0), NULL, 10);
}

/* A policy that has just been made longer holds: a batch that began under the old one waits, and
 * reads the new. */
static void test_a_longer_policy_holds_at_once(void **state)
{
    struct ledger_fixture *fixture = *state;
    static const char *const policies[] = {"NULL", "3"};
    begin(fixture);
    for (size_t i = 0; i < ARRAY_LEN(policies); i++) {
        char change[96];
        PGconn *operator= session(fixture, NULL), *ledger = session(fixture, "sallyport_ledger");
        aged_policy(fixture, FIXTURE_TENANT, 1);
        (void)snprintf(change, sizeof change,
                       "UPDATE tenant SET event_retention_days = %s WHERE tenant_id = 'acme'",
                       policies[i]);
        run(operator, "BEGIN");
        run(operator, change);
        send_and_wait(fixture, ledger, "SELECT gone FROM event_expire('acme', 1000)");
        run(operator, "COMMIT");
        assert_int_equal(answer(ledger), -1);
        PQfinish(operator);
        PQfinish(ledger);
    }
    assert_int_equal(aged_gone(fixture, FIXTURE_TENANT), 0);
}

/* And a change waits for the batch under way: once it has been made, nothing more goes. */
static void test_a_change_waits_for_the_batch(void **state)
{
    struct ledger_fixture *fixture = *state;
    PGconn *operator= session(fixture, NULL), *ledger = session(fixture, "sallyport_ledger");
    begin(fixture);
    run(ledger, "BEGIN");
    run(ledger, "SELECT event_expire('acme', 5)");
    send_and_wait(fixture, operator,
                  "UPDATE tenant SET event_retention_days = NULL WHERE tenant_id = 'acme'");
    run(ledger, "COMMIT");
    assert_int_equal(answer(operator), -1);
    assert_int_equal(aged_take(fixture, FIXTURE_TENANT, 1000).count, 0);
    assert_int_equal(aged_gone(fixture, FIXTURE_TENANT), 5);
    PQfinish(operator);
    PQfinish(ledger);
}

/* Two ledger processes that both believe to lead: each body goes once, and is said once. */
static void test_two_at_once_take_turns(void **state)
{
    struct ledger_fixture *fixture = *state;
    PGconn *one = session(fixture, "sallyport_ledger"), *two = session(fixture, "sallyport_ledger");
    begin(fixture);
    run(one, "BEGIN");
    run(one, "SELECT event_expire('acme', 12)");
    send_and_wait(fixture, two, "SELECT gone FROM event_expire('acme', 12)");
    run(one, "COMMIT");
    assert_int_equal(answer(two), 8);
    assert_int_equal(aged_gone(fixture, FIXTURE_TENANT), 20);
    PQfinish(one);
    PQfinish(two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        AGED_TEST(test_nobody_expires_by_hand),       AGED_TEST(test_triggers_are_always_on),
        AGED_TEST(test_nothing_but_that_step),        AGED_TEST(test_a_tombstone_stays),
        AGED_TEST(test_no_event_is_born_expired),     AGED_TEST(test_a_longer_policy_holds_at_once),
        AGED_TEST(test_a_change_waits_for_the_batch), AGED_TEST(test_two_at_once_take_turns),
    };
    return cmocka_run_group_tests_name("retention_rights", tests, ledger_fixture_group_setup,
                                       ledger_fixture_group_teardown);
}
