/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: pages of events and exports are complete, bounded, and the tenant's own. */
#include "ledger/audit.h"
#include "storage/ledger_events.h"
#include "tests/support/ledger_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* What came, in one string: "0 1 2-", a dash where the body was withheld. */
struct heard {
    struct buf text;
    int fail_after; /* 0: never */
    int count;
};

static int hear(void *context, const struct ledger_event *event, struct fault *fault)
{
    struct heard *heard = context;
    if (heard->fail_after != 0 && ++heard->count == heard->fail_after)
        return fault_set(fault, FAULT_SHUTTING_DOWN, "enough");
    buf_printf(&heard->text, "%s%d%s", heard->text.len == 0 ? "" : " ", (int)event->index,
               event->body.data == NULL ? "-" : "");
    if (event->body.data != NULL) {
        struct digest hash = digest_of_span(event->body);
        assert_memory_equal(hash.bytes, event->hash.bytes, DIGEST_LEN);
    }
    return 0;
}

static void assert_page(struct ledger_fixture *fixture, const struct ledger_events_query *query,
                        const char *expected, int64_t next, bool more)
{
    struct fault fault;
    struct ledger_events_page page;
    struct heard heard = {.text = BUF(65536)};
    assert_ok(ledger_events_read(fixture->api, query, hear, &heard, &page, &fault));
    assert_string_equal(buf_text(&heard.text), expected);
    assert_int_equal(page.next, next);
    assert_int_equal(page.more, more);
    buf_free(&heard.text);
}

static void test_pages_of_a_tenant_s_events(void **state)
{
    struct ledger_fixture *fixture = *state;
    ledger_fixture_two_tenants(fixture, 2);
    struct ledger_events_query query = {
        .tenant = FIXTURE_TENANT, .after = -1, .limit = 5, .bytes_max = LEDGER_EVENTS_BYTES_MAX};
    assert_page(fixture, &query, "0 1 2 3 4", 4, true);
    query.after = 4;
    query.limit = 12;
    assert_page(fixture, &query, "5 6 7 8 9 10 11 12 13 14 45 46", 46, true);
    query.after = 90;
    assert_page(fixture, &query, "95 96 97 98 99", 99, false);
    query.after = 99;
    assert_page(fixture, &query, "", 99, false);
    /* Filters. */
    query = (struct ledger_events_query){.tenant = FIXTURE_TENANT,
                                         .after = -1,
                                         .type = FIXTURE_STARTED,
                                         .limit = 7,
                                         .bytes_max = LEDGER_EVENTS_BYTES_MAX};
    assert_page(fixture, &query, "45 46 47 48 49 95 96", 96, true);
    query.after = 96;
    assert_page(fixture, &query, "97 98 99", 99, false);
    query.after = -1;
    query.type = "io.sallyport.none.v1";
    assert_page(fixture, &query, "", 99, false);
    struct uuid execution = uuid_v7();
    query.type = NULL;
    query.execution_id = &execution;
    assert_page(fixture, &query, "", 99, false);
    query.tenant = "nobody";
    assert_page(fixture, &query, "", -1, false);
}

static void test_an_execution_s_events(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    assert_ok(pg_execute(fixture->super,
                         "INSERT INTO event (event_id, tenant_id, type, subject, execution_id, "
                         "hash, body) SELECT gen_random_uuid(), 'acme', '" FIXTURE_STARTED
                         "', 's', CASE WHEN n % 3 = 0 THEN "
                         "'01890000-0000-7000-8000-000000000001'::uuid END, sha256(b), b FROM "
                         "generate_series(1, 9) n, LATERAL (SELECT convert_to('{}' || n, 'UTF8') "
                         "AS b) x ORDER BY n",
                         &fault));
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    ledger_fixture_settle(sequencer);
    struct uuid execution;
    static const char text[] = "01890000-0000-7000-8000-000000000001";
    assert_int_equal(uuid_parse(text, strlen(text), &execution), 0);
    const struct ledger_events_query query = {.tenant = FIXTURE_TENANT,
                                              .after = -1,
                                              .execution_id = &execution,
                                              .limit = 10,
                                              .bytes_max = LEDGER_EVENTS_BYTES_MAX};
    assert_page(fixture, &query, "2 5 8", 8, false);
}

/* A page ends before the body that would be too much, but never before its first. */
static void test_pages_are_bounded_by_bytes(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    assert_ok(pg_execute(fixture->super,
                         "INSERT INTO event (event_id, tenant_id, type, subject, hash, body) "
                         "SELECT gen_random_uuid(), 'acme', '" FIXTURE_STARTED
                         "', 's', sha256(b), b FROM generate_series(1, 6) n, LATERAL (SELECT "
                         "decode(repeat('0' || n, 100000), 'hex') AS b) x ORDER BY n",
                         &fault));
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    ledger_fixture_settle(sequencer);
    struct ledger_events_query query = {
        .tenant = FIXTURE_TENANT, .after = -1, .limit = 100, .bytes_max = 250000};
    assert_page(fixture, &query, "0 1", 1, true);
    query.bytes_max = 300000;
    assert_page(fixture, &query, "0 1 2", 2, true);
    query.bytes_max = 299999;
    assert_page(fixture, &query, "0 1", 1, true);
    query.bytes_max = 1;
    query.after = 2;
    assert_page(fixture, &query, "3", 3, true);
    query.after = 4;
    assert_page(fixture, &query, "5", 5, false);
    query.limit = 1;
    query.after = 3;
    assert_page(fixture, &query, "4", 4, true);
}

/* So does a part of an export, at eight MiB. */
static void test_exports_are_bounded_by_bytes(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    uint64_t next;
    const char *const tenants[] = {FIXTURE_TENANT, NULL};
    assert_ok(pg_execute(fixture->super,
                         "INSERT INTO event (event_id, tenant_id, type, subject, hash, body) "
                         "SELECT gen_random_uuid(), 'acme', '" FIXTURE_STARTED
                         "', 's', sha256(b), b FROM generate_series(0, 9) n, LATERAL (SELECT "
                         "decode(repeat('0' || n, 1048576), 'hex') AS b) x ORDER BY n",
                         &fault));
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    ledger_fixture_settle(sequencer);
    struct heard heard = {.text = BUF(65536)};
    assert_ok(ledger_export_read(fixture->api, tenants, 0, 10, hear, &heard, &next, &fault));
    assert_string_equal(buf_text(&heard.text), "0 1 2 3 4 5 6 7");
    assert_int_equal(next, 8);
    buf_reset(&heard.text);
    assert_ok(ledger_export_read(fixture->api, tenants, next, 10, hear, &heard, &next, &fault));
    assert_string_equal(buf_text(&heard.text), "8 9");
    assert_int_equal(next, 10);
    buf_free(&heard.text);
}

/* Tenants are apart in code too, not by row-level security alone: this connection is bound by
 * none. */
static void test_tenants_are_apart_without_row_level_security(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    uint64_t next;
    const char *const tenants[] = {FIXTURE_TENANT, NULL};
    ledger_fixture_two_tenants(fixture, 1);
    struct heard heard = {.text = BUF(65536)};
    assert_ok(ledger_export_read(fixture->super, tenants, 13, 18, hear, &heard, &next, &fault));
    assert_string_equal(buf_text(&heard.text), "13 14 15- 16- 17-");
    buf_reset(&heard.text);
    struct ledger_events_page page;
    const struct ledger_events_query query = {
        .tenant = FIXTURE_TENANT, .after = 13, .limit = 3, .bytes_max = LEDGER_EVENTS_BYTES_MAX};
    assert_ok(ledger_events_read(fixture->super, &query, hear, &heard, &page, &fault));
    assert_string_equal(buf_text(&heard.text), "14 45 46");
    buf_free(&heard.text);
}

static void test_a_reader_that_has_had_enough(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct ledger_events_page page;
    uint64_t next;
    ledger_fixture_two_tenants(fixture, 1);
    const char *const tenants[] = {FIXTURE_TENANT, NULL};
    const struct ledger_events_query query = {
        .tenant = FIXTURE_TENANT, .after = -1, .limit = 10, .bytes_max = LEDGER_EVENTS_BYTES_MAX};
    struct heard heard = {.text = BUF(65536), .fail_after = 3};
    assert_fault(ledger_events_read(fixture->api, &query, hear, &heard, &page, &fault),
                 FAULT_SHUTTING_DOWN, "enough");
    assert_string_equal(buf_text(&heard.text), "0 1");
    heard.count = 0;
    assert_fault(ledger_export_read(fixture->api, tenants, 0, 50, hear, &heard, &next, &fault),
                 FAULT_SHUTTING_DOWN, "enough");
    buf_free(&heard.text);
}

static int audit_line_of(void *context, const struct ledger_event *event, struct fault *fault)
{
    if (event->body.data != NULL)
        return audit_line(context, event->body, &event->hash, fault);
    return audit_line(context, span_text(digest_format(&event->hash).text), &event->hash, fault);
}

/* Each tenant's export gives every entry, its own events only, and rebuilds the root. */
static void test_exports_rebuild_the_root(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct ledger_head head;
    static const char *const whose[][3] = {{FIXTURE_TENANT, NULL},
                                           {FIXTURE_OTHER, NULL},
                                           {NULL},
                                           {FIXTURE_TENANT, FIXTURE_OTHER, NULL}};
    static const uint64_t events[] = {30 * 20, 30 * 30, 0, 30 * 50};
    ledger_fixture_two_tenants(fixture, 30);
    assert_ok(ledger_head_read(fixture->api, &head, &fault));
    for (size_t i = 0; i < ARRAY_LEN(whose); i++) {
        AUTO_AUDIT struct audit *audit = NULL;
        int calls = 0;
        assert_ok(audit_new(&audit, &fault));
        for (uint64_t next = 0; next < head.size; calls++)
            assert_ok(ledger_export_read(fixture->api, whose[i], next, head.size, audit_line_of,
                                         audit, &next, &fault));
        assert_int_equal(calls, 2); /* 1024 entries a call */
        assert_int_equal(audit_count(audit), head.size);
        assert_int_equal(audit_events(audit), events[i]);
        assert_ok(audit_compare(audit, head.size, &head.root, &fault));
    }
}

/* An edited event is exported as it stands: the one who verifies finds it, and names it. */
static void test_an_edited_event_is_named(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    uint64_t next = 0;
    const char *const tenants[] = {FIXTURE_TENANT, NULL};
    AUTO_AUDIT struct audit *audit = NULL;
    ledger_fixture_two_tenants(fixture, 1);
    ledger_fixture_tamper(fixture, "UPDATE event SET body = '{\"forged\":1}', "
                                   "hash = sha256('{\"forged\":1}') "
                                   "WHERE event_id = (SELECT event_id FROM ledger_entry "
                                   "WHERE idx = 7)");
    assert_ok(audit_new(&audit, &fault));
    assert_fault(
        ledger_export_read(fixture->api, tenants, 0, 50, audit_line_of, audit, &next, &fault),
        FAULT_CONTENT_MISMATCH, "line 8");
    ledger_fixture_tamper(fixture, "DELETE FROM ledger_entry WHERE idx = 20");
    struct heard heard = {.text = BUF(65536)};
    assert_fault(ledger_export_read(fixture->api, tenants, 10, 50, hear, &heard, &next, &fault),
                 FAULT_CONTENT_MISMATCH, "entry 20");
    assert_fault(ledger_export_read(fixture->api, tenants, 20, 50, hear, &heard, &next, &fault),
                 FAULT_CONTENT_MISMATCH, "entry 20");
    buf_free(&heard.text);
}

int main(void)
{
#define LEDGER_TEST(name)                                                                          \
    cmocka_unit_test_setup_teardown(name, ledger_fixture_setup, ledger_fixture_teardown)
    const struct CMUnitTest tests[] = {
        LEDGER_TEST(test_pages_of_a_tenant_s_events),
        LEDGER_TEST(test_an_execution_s_events),
        LEDGER_TEST(test_pages_are_bounded_by_bytes),
        LEDGER_TEST(test_exports_are_bounded_by_bytes),
        LEDGER_TEST(test_tenants_are_apart_without_row_level_security),
        LEDGER_TEST(test_a_reader_that_has_had_enough),
        LEDGER_TEST(test_exports_rebuild_the_root),
        LEDGER_TEST(test_an_edited_event_is_named),
    };
    return cmocka_run_group_tests_name("ledger_events", tests, ledger_fixture_group_setup,
                                       ledger_fixture_group_teardown);
}
