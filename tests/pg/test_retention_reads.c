/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: where bodies have expired everything that reads goes on: pages pass over them, exports
 * rebuild the root, receipts prove; and the ledger process lets them expire by itself. */
#include "base/clock.h"
#include "ledger/audit.h"
#include "sequencer/retention.h"
#include "storage/events.h"
#include "storage/ledger_events.h"
#include "storage/ledger_proofs.h"
#include "tests/pg/aged.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Entries 0 to 14, 45 to 49, 50 to 64 and 95 to 99 are the tenant's; the first `gone` of them have
 * no body any more. */
static void begin(struct ledger_fixture *fixture, int gone)
{
    ledger_fixture_two_tenants(fixture, 2);
    aged_policy(fixture, FIXTURE_TENANT, 1);
    aged_batches(fixture, 0, 2 * DAY);
    assert_int_equal(aged_take(fixture, FIXTURE_TENANT, gone).count, gone);
}

static int hear(void *context, const struct ledger_event *event, struct fault *fault)
{
    struct buf *text = context;
    (void)fault;
    assert_non_null(event->body.data);
    buf_printf(text, "%s%d", text->len == 0 ? "" : " ", (int)event->index);
    return 0;
}

static void assert_page(struct ledger_fixture *fixture, const struct ledger_events_query *query,
                        const char *expected, int64_t next, bool more)
{
    struct fault fault;
    struct ledger_events_page page;
    AUTO_BUF struct buf text = BUF(4096);
    assert_ok(ledger_events_read(fixture->api, query, hear, &text, &page, &fault));
    assert_string_equal(buf_text(&text), expected);
    assert_int_equal(page.next, next);
    assert_int_equal(page.more, more);
}

static void test_pages_pass_over_what_has_expired(void **state)
{
    struct ledger_fixture *fixture = *state;
    begin(fixture, 17); /* up to entry 46 */
    struct ledger_events_query query = {
        .tenant = FIXTURE_TENANT, .after = -1, .limit = 4, .bytes_max = LEDGER_EVENTS_BYTES_MAX};
    assert_page(fixture, &query, "47 48 49 50", 50, true);
    query.after = 20;
    assert_page(fixture, &query, "47 48 49 50", 50, true);
    query.after = 48;
    assert_page(fixture, &query, "49 50 51 52", 52, true);
    query = (struct ledger_events_query){.tenant = FIXTURE_TENANT,
                                         .after = 3,
                                         .type = FIXTURE_STARTED,
                                         .limit = 5,
                                         .bytes_max = LEDGER_EVENTS_BYTES_MAX};
    assert_page(fixture, &query, "47 48 49 95 96", 96, true);
    query.tenant = FIXTURE_OTHER;
    assert_page(fixture, &query, "15 16 17 18 19", 19, true);
}

/* Also where nothing says how far it is: a page may be empty, but the next begins behind it. */
static void test_pages_without_a_head_start(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    begin(fixture, 17);
    assert_ok(pg_execute(fixture->super, "DELETE FROM event_retention", &fault));
    struct ledger_events_query query = {
        .tenant = FIXTURE_TENANT, .after = -1, .limit = 8, .bytes_max = LEDGER_EVENTS_BYTES_MAX};
    assert_page(fixture, &query, "", 7, true);
    query.after = 7;
    assert_page(fixture, &query, "", 45, true);
    query.after = 45;
    assert_page(fixture, &query, "47 48 49 50 51 52 53", 53, true);
    /* And what has expired already is passed over by the next batch, and not said again. */
    assert_int_equal(aged_take(fixture, FIXTURE_TENANT, 20).count, 3);
    query.after = -1;
    assert_page(fixture, &query, "50 51 52 53 54 55 56 57", 57, true);
}

static void test_all_of_it(void **state)
{
    struct ledger_fixture *fixture = *state;
    begin(fixture, 40);
    const struct ledger_events_query query = {
        .tenant = FIXTURE_TENANT, .after = -1, .limit = 4, .bytes_max = LEDGER_EVENTS_BYTES_MAX};
    assert_page(fixture, &query, "", -1, false);
}

static void test_one_event(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct uuid ids[6];
    char hash[128], sql[160];
    AUTO_BUF struct buf body = BUF(EVENT_MAX);
    begin(fixture, 5);
    ledger_fixture_ids(fixture, FIXTURE_TENANT, 6, ids);
    struct digest entry = digest_of("{\"name\":\"acme\",\"n\":5}", 21);
    (void)snprintf(hash, sizeof hash, "its entry in the ledger is %s", digest_format(&entry).text);
    assert_fault(events_get(fixture->api, FIXTURE_TENANT, &ids[4], false, &body, &fault),
                 FAULT_EXPIRED, hash);
    assert_fault(events_get(fixture->api, FIXTURE_OTHER, &ids[4], false, &body, &fault),
                 FAULT_NOT_FOUND, "");
    /* No event of an execution: who may see only those is not told that it was there. */
    assert_fault(events_get(fixture->api, FIXTURE_TENANT, &ids[4], true, &body, &fault),
                 FAULT_NOT_FOUND, "");
    assert_int_equal(body.len, 0);
    assert_ok(events_get(fixture->api, FIXTURE_TENANT, &ids[5], false, &body, &fault));
    assert_string_equal(buf_text(&body), "{\"name\":\"acme\",\"n\":6}");
    (void)snprintf(sql, sizeof sql,
                   "UPDATE event SET execution_id = gen_random_uuid() WHERE event_id = '%s'",
                   uuid_format(&ids[4]).text);
    ledger_fixture_tamper(fixture, sql);
    assert_fault(events_get(fixture->api, FIXTURE_TENANT, &ids[4], true, &body, &fault),
                 FAULT_EXPIRED, hash);
}

/* An expired event is as much in the log as it was. */
static void test_receipts_still_prove(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct uuid ids[40];
    begin(fixture, 20);
    ledger_fixture_ids(fixture, FIXTURE_TENANT, 40, ids);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++) {
        struct ledger_inclusion inclusion;
        AUTO_BUF struct buf note = BUF(NOTE_MAX);
        assert_ok(ledger_inclusion_read(fixture->api, FIXTURE_TENANT, &ids[i], false, &inclusion,
                                        &note, &fault));
        assert_int_equal(inclusion.size, 100);
    }
}

/* What an audit is given, and how many lines were said to be the tenant's, but expired. */
struct audited {
    struct audit *audit;
    int expired;
};

static int audit_take(void *context, const struct ledger_event *event, struct fault *fault)
{
    struct audited *audited = context;
    audited->expired += event->expired;
    assert_true(!event->expired || event->body.data == NULL);
    if (event->body.data != NULL)
        return audit_line(audited->audit, event->body, &event->hash, fault);
    return audit_line(audited->audit, span_text(digest_format(&event->hash).text), &event->hash,
                      fault);
}

static void test_exports_rebuild_the_root(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    struct ledger_head head;
    static const struct {
        const char *tenants[3];
        int events, expired;
    } cases[] = {{{FIXTURE_TENANT, NULL}, 27, 13},
                 {{FIXTURE_OTHER, NULL}, 60, 0},
                 {{FIXTURE_TENANT, FIXTURE_OTHER, NULL}, 87, 13},
                 {{NULL}, 0, 0}};
    begin(fixture, 13);
    assert_ok(ledger_head_read(fixture->api, &head, &fault));
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t next;
        AUTO_AUDIT struct audit *audit = NULL;
        assert_ok(audit_new(&audit, &fault));
        struct audited audited = {.audit = audit};
        assert_ok(ledger_export_read(fixture->api, cases[i].tenants, 0, head.size, audit_take,
                                     &audited, &next, &fault));
        assert_int_equal(next, head.size);
        assert_int_equal(audit_events(audit), cases[i].events);
        assert_int_equal(audited.expired, cases[i].expired);
        assert_ok(audit_compare(audit, head.size, &head.root, &fault));
    }
}

/* What the loop tells; fd becomes readable once so many have expired. */
struct told {
    int fd;
    uint64_t wanted;
    struct retention_counts counts;
};

static void tell(void *context, const struct retention_counts *counts)
{
    struct told *told = context;
    uint64_t one = 1;
    if (counts->events == told->wanted && told->counts.events != told->wanted)
        assert_int_equal(write(told->fd, &one, sizeof one), sizeof one);
    told->counts = *counts;
}

static bool readable(int fd, int milliseconds)
{
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    return poll(&wanted, 1, milliseconds) > 0;
}

/* The loop of the leader: all that is due, batch by batch and tenant by tenant, then it waits. One
 * tenant's trouble is no other's. */
static void test_the_leader_does_it(void **state)
{
    struct ledger_fixture *fixture = *state;
    struct fault fault;
    AUTO_CLOSE int stop = eventfd(0, EFD_CLOEXEC);
    struct told told = {.fd = eventfd(0, EFD_CLOEXEC), .wanted = 100};
    struct retention *retention = NULL;
    ledger_fixture_two_tenants(fixture, 2);
    aged_policy(fixture, FIXTURE_TENANT, 1);
    aged_policy(fixture, FIXTURE_OTHER, 1);
    aged_policy(fixture, "aaa", 1); /* the first to be asked, and in trouble */
    AUTO_SEQUENCER struct sequencer *sequencer = ledger_fixture_sequencer(fixture);
    assert_ok(ledger_fixture_insert(fixture->super, "aaa", FIXTURE_ACCEPTED, "aaa", 3, &fault));
    const struct retention_config config = {
        .conninfo = pg_cluster_conninfo(fixture->cluster, "sallyport_ledger"),
        .node = "test",
        .sequencer = sequencer,
        .stop_fd = stop,
        .every_ms = 600000,
        .pause_ms = 1,
        .batch = 7,
        .observer = tell,
        .context = &told};
    assert_ok(retention_start(&config, &retention, &fault));
    ledger_fixture_tamper(fixture, "DELETE FROM event WHERE tenant_id = 'aaa' AND subject = 'aaa' "
                                   "AND event_id = (SELECT event_id FROM event_pending LIMIT 1)");
    ledger_fixture_tamper(fixture,
                          "ALTER TABLE ledger_batch ALTER created_at SET DEFAULT now() - interval "
                          "'2 days'; UPDATE ledger_batch SET created_at = now() - interval '2 "
                          "days'");
    ledger_fixture_settle(sequencer);
    assert_true(readable(told.fd, 60000));
    uint64_t one = 1;
    assert_int_equal(write(stop, &one, sizeof one), sizeof one);
    retention_join(retention);
    (void)close(told.fd);
    assert_int_equal(told.counts.events, 100);
    assert_int_equal(told.counts.passed_ms, 0); /* not with a tenant in trouble */
    assert_int_equal(told.counts.batches, 40 / 7 + 1 + 60 / 7 + 1);
    assert_int_equal(aged_gone(fixture, FIXTURE_TENANT), 40);
    assert_int_equal(aged_gone(fixture, FIXTURE_OTHER), 60);
    assert_int_equal(aged_gone(fixture, "aaa"), 0);
    assert_int_equal(ledger_fixture_number(fixture, "SELECT count(*) FROM event WHERE type = "
                                                    "'" NOTICE "' AND body IS NOT NULL"),
                     told.counts.batches);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        AGED_TEST(test_pages_pass_over_what_has_expired),
        AGED_TEST(test_pages_without_a_head_start),
        AGED_TEST(test_all_of_it),
        AGED_TEST(test_one_event),
        AGED_TEST(test_receipts_still_prove),
        AGED_TEST(test_exports_rebuild_the_root),
        AGED_TEST(test_the_leader_does_it),
    };
    return cmocka_run_group_tests_name("retention_reads", tests, ledger_fixture_group_setup,
                                       ledger_fixture_group_teardown);
}
