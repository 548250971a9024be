/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: no daemon's role can change or remove what the ledger's tables hold, nor write what is
 * another's to write; the owner and a replica are held by triggers. */
#include "tests/support/ledger_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const char *const tables[] = {
    "event",        "ledger_entry",      "ledger_entry_0",    "ledger_tile",
    "ledger_batch", "ledger_checkpoint", "ledger_key_change", "ledger_reopening"};
static const char *const assignments[] = {"type = type",     "hash = hash", "hash = hash",
                                          "hashes = hashes", "root = root", "root = root",
                                          "size = size",     "size = size"};

/* So that each table has rows to lose. */
static void fill(struct ledger_fixture *fixture)
{
    struct fault fault;
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    assert_ok(
        ledger_fixture_insert(fixture->api, FIXTURE_TENANT, FIXTURE_ACCEPTED, "kept", 300, &fault));
    ledger_fixture_settle(sequencer);
    ledger_fixture_verify(fixture, 300);
}

/* Every way to change a table, one statement each, on connection pg. */
static void assert_all_refused(struct pg *pg, const char *words)
{
    for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
        char sql[4][160];
        (void)snprintf(sql[0], sizeof sql[0], "UPDATE %s SET %s", tables[i], assignments[i]);
        (void)snprintf(sql[1], sizeof sql[1], "DELETE FROM %s", tables[i]);
        (void)snprintf(sql[2], sizeof sql[2], "TRUNCATE %s", tables[i]);
        (void)snprintf(sql[3], sizeof sql[3], "TRUNCATE %s CASCADE", tables[i]);
        for (size_t j = 0; j < ARRAY_LEN(sql); j++) {
            struct fault fault;
            assert_fault(pg_execute(pg, sql[j], &fault), FAULT_INTERNAL, words);
        }
    }
}

static void test_each_role_is_refused_by_its_privileges(void **state)
{
    struct ledger_fixture *fixture = *state;
    static const char *const roles[] = {"sallyport_api", "sallyport_worker", "sallyport_ledger",
                                        "sallyport_read"};
    fill(fixture);
    for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
        struct fault fault;
        AUTO_PG struct pg *pg = NULL;
        assert_ok(pg_cluster_connect(fixture->cluster, roles[i], &pg, &fault));
        assert_ok(pg_execute(pg, "SET sallyport.tenants = '{acme}'", &fault));
        assert_all_refused(pg, "permission denied");
    }
    ledger_fixture_verify(fixture, 300);
}

static void test_owner_superuser_and_replica_are_refused_by_triggers(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    fill(fixture);
    assert_all_refused(fixture->super, "append-only");
    assert_ok(pg_execute(fixture->super, "SET session_replication_role = replica", &fault));
    assert_all_refused(fixture->super, "append-only");
    assert_ok(pg_execute(fixture->super, "RESET session_replication_role; SET ROLE sallyport_owner",
                         &fault));
    assert_all_refused(fixture->super, "append-only");
    ledger_fixture_verify(fixture, 300);
}

static void assert_denied(struct pg *pg, const char *sql, const char *words)
{
    struct fault fault;
    assert_fault(pg_execute(pg, sql, &fault), FAULT_INTERNAL, words);
}

#define NEW_EVENT(type)                                                                            \
    "INSERT INTO event (event_id, tenant_id, type, subject, hash, body) VALUES "                   \
    "(gen_random_uuid(), 'acme', '" type "', 's', sha256('\\x01'), '\\x01')"

static void test_nobody_writes_what_is_another_s(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    AUTO_PG struct pg *reader = NULL;
    assert_ok(pg_cluster_connect(fixture->cluster, "sallyport_read", &reader, &fault));
    /* Places, tiles, heads and checkpoints: the ledger process alone. */
    static const char *const writes[] = {
        "INSERT INTO ledger_entry VALUES (0, gen_random_uuid(), 'acme', sha256(''))",
        "INSERT INTO ledger_tile VALUES (0, 0, decode(repeat('00', 8192), 'hex'))",
        "INSERT INTO ledger_batch VALUES (1, 0, sha256(''), sha256(''), 1)",
        "INSERT INTO ledger_checkpoint VALUES (1, sha256(''), 'x')",
        "INSERT INTO ledger_key_change VALUES (9, 'o', 'o+1+k', 'added', 0, gen_random_uuid())",
        "INSERT INTO ledger_reopening VALUES ('o', 'p', 0, sha256(''), gen_random_uuid())",
        "UPDATE ledger_lease SET epoch = epoch + 1",
        "DELETE FROM event_pending",
        "SELECT ledger_partition(16777216)",
    };
    for (size_t i = 0; i < ARRAY_LEN(writes); i++) {
        assert_denied(fixture->api, writes[i], "permission denied");
        assert_denied(fixture->worker, writes[i], "permission denied");
        assert_denied(reader, writes[i], "permission denied");
    }
    /* What is pending comes from the trigger on event alone, with the hash of the event. */
    static const char pending[] = "INSERT INTO event_pending (event_id, tenant_id, hash) "
                                  "VALUES (gen_random_uuid(), 'acme', sha256(''))";
    assert_denied(fixture->api, pending, "permission denied");
    assert_denied(fixture->worker, pending, "permission denied");
    assert_denied(fixture->ledger, pending, "permission denied");
    assert_denied(fixture->ledger, "UPDATE event_pending SET hash = sha256('')",
                  "permission denied");
    /* Events: none by a reader; each other role its types; only with their hash. */
    assert_denied(fixture->ledger, NEW_EVENT(FIXTURE_ACCEPTED), "row-level security");
    assert_denied(reader, NEW_EVENT(FIXTURE_ACCEPTED), "permission denied");
    assert_ok(pg_execute(fixture->api, "SET sallyport.tenants = '{acme}'", &fault));
    assert_denied(fixture->api, NEW_EVENT(FIXTURE_STARTED), "row-level security");
    assert_denied(fixture->worker, NEW_EVENT(FIXTURE_ACCEPTED), "row-level security");
    assert_ok(pg_execute(fixture->api, NEW_EVENT(FIXTURE_ACCEPTED), &fault));
    assert_ok(pg_execute(fixture->worker, NEW_EVENT(FIXTURE_STARTED), &fault));
    assert_denied(fixture->worker,
                  "INSERT INTO event (event_id, tenant_id, type, subject, hash, body) VALUES "
                  "(gen_random_uuid(), 'acme', '" FIXTURE_STARTED "', 's', sha256('\\x02'), "
                  "'\\x01')",
                  "event_check");
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM event_pending"), 2);
}

/* The ledger process orders hashes; what they are of is none of its business. */
static void test_the_ledger_process_sees_no_event(void **state)
{
    struct ledger_fixture *fixture = *state;
    fill(fixture);
    assert_denied(fixture->ledger, "SELECT body FROM event", "permission denied");
    assert_denied(fixture->ledger, "SELECT token FROM execution", "permission denied");
}

int main(void)
{
#define LEDGER_TEST(name)                                                                          \
    cmocka_unit_test_setup_teardown(name, ledger_fixture_setup, ledger_fixture_teardown)
    const struct CMUnitTest tests[] = {
        LEDGER_TEST(test_each_role_is_refused_by_its_privileges),
        LEDGER_TEST(test_owner_superuser_and_replica_are_refused_by_triggers),
        LEDGER_TEST(test_nobody_writes_what_is_another_s),
        LEDGER_TEST(test_the_ledger_process_sees_no_event),
    };
    return cmocka_run_group_tests_name("ledger_privileges", tests, ledger_fixture_group_setup,
                                       ledger_fixture_group_teardown);
}
