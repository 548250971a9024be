/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/event.h"

#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define EVENT_UUID "019b7c9e-8a2e-7abc-8def-0123456789ab"
#define EXECUTION_UUID "019b7c9e-0000-7000-8000-000000000001"
#define TRACEPARENT "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static struct uuid uuid_of(const char *text)
{
    struct uuid uuid;
    assert_int_equal(uuid_parse(text, strlen(text), &uuid), 0);
    return uuid;
}

static struct event_head plain_head(void)
{
    return (struct event_head){
        .id = uuid_of(EVENT_UUID), .type = EVENT_TENANT_CREATED, .node = "n", .subject = "s"};
}

static json_t *sample_data(void)
{
    json_t *data = json_pack("{s:s, s:i, s:s, s:n}", "z", "last set first", "a", 1, "text",
                             "\"\\\n\x1f/\xc3\xa9", "none");
    assert_non_null(data);
    return data;
}

/* These bytes are a contract: whoever changes them changes every hash after. */
static void exact_bytes_of_a_full_event(void **state)
{
    (void)state;
    struct uuid execution = uuid_of(EXECUTION_UUID);
    struct event_head head = {.id = uuid_of(EVENT_UUID),
                              .type = EVENT_EXECUTION_STARTED,
                              .node = "worker-1.example",
                              .subject = "task-0001",
                              .tenant_id = "acme",
                              .execution_id = &execution,
                              .traceparent = TRACEPARENT,
                              .time_ms = 1767323045678};
    AUTO_JSON json_t *data = sample_data();
    AUTO_EVENT struct event *event = NULL;
    assert_int_equal(event_build(&head, data, &event, NULL), 0);
    assert_string_equal(
        event->bytes,
        "{\"specversion\":\"1.0\",\"id\":\"" EVENT_UUID
        "\",\"source\":\"urn:sallyport:worker-1.example\",\"type\":\"io.sallyport.execution."
        "started.v1\",\"subject\":\"task-0001\",\"time\":\"2026-01-02T03:04:05.678Z\","
        "\"datacontenttype\":\"application/json\",\"tenantid\":\"acme\",\"executionid\":"
        "\"" EXECUTION_UUID "\",\"traceparent\":\"" TRACEPARENT "\",\"data\":{\"z\":\"last set "
        "first\",\"a\":1,\"text\":\"\\\"\\\\\\n\\u001F/\xc3\xa9\",\"none\":null}}");
    assert_int_equal(event->len, strlen(event->bytes));
    assert_string_equal(digest_hex(&event->hash).text,
                        "28d00a89ca20c0441e0181d28258a3ccab032c6a91cf2d793868f7f595049217");
    assert_true(uuid_equal(&event->id, &head.id));
    assert_int_equal(event->type, EVENT_EXECUTION_STARTED);
    assert_string_equal(event->subject, "task-0001");
    assert_string_equal(event->tenant_id, "acme");
    assert_true(event->has_execution_id);
    assert_true(uuid_equal(&event->execution_id, &execution));
    assert_int_equal(event->time_ms, 1767323045678);
}

static void exact_bytes_of_a_bare_event(void **state)
{
    (void)state;
    struct event_head head = plain_head();
    AUTO_JSON json_t *data = json_object();
    AUTO_EVENT struct event *event = NULL;
    assert_int_equal(event_build(&head, data, &event, NULL), 0);
    assert_string_equal(event->bytes,
                        "{\"specversion\":\"1.0\",\"id\":\"" EVENT_UUID
                        "\",\"source\":\"urn:sallyport:n\",\"type\":\"io.sallyport.tenant.created."
                        "v1\",\"subject\":\"s\",\"time\":\"1970-01-01T00:00:00.000Z\","
                        "\"datacontenttype\":\"application/json\",\"data\":{}}");
    assert_string_equal(digest_hex(&event->hash).text,
                        "13d4f95bd87aa7e72034172714708d66ba055019b28a0c3589454d6c1d8f0df1");
    assert_null(event->tenant_id);
    assert_false(event->has_execution_id);
}

static void an_event_is_one_line_of_strict_json(void **state)
{
    (void)state;
    struct event_head head = plain_head();
    head.subject = "with \"quotes\" and \\ and \xe2\x82\xac";
    AUTO_JSON json_t *data = sample_data();
    AUTO_EVENT struct event *event = NULL;
    assert_int_equal(event_build(&head, data, &event, NULL), 0);
    assert_null(strchr(event->bytes, '\n'));
    AUTO_JSON json_t *read = NULL;
    assert_int_equal(json_object_parse(span_of(event->bytes, event->len), FAULT_MALFORMED_REQUEST,
                                       "the event", &read, NULL),
                     0);
    assert_string_equal(json_string_value(json_object_get(read, "subject")), head.subject);
    assert_true(json_equal(json_object_get(read, "data"), data));
}

static void types_have_the_wire_names(void **state)
{
    (void)state;
    static const char *const names[] = {"io.sallyport.execution.accepted.v1",
                                        "io.sallyport.execution.started.v1",
                                        "io.sallyport.execution.finished.v1",
                                        "io.sallyport.execution.cancel_requested.v1",
                                        "io.sallyport.manifest.refused.v1",
                                        "io.sallyport.artifact.ingested.v1",
                                        "io.sallyport.artifact.inspected.v1",
                                        "io.sallyport.artifact.attached.v1",
                                        "io.sallyport.artifact.approved.v1",
                                        "io.sallyport.artifact.revoked.v1",
                                        "io.sallyport.key.added.v1",
                                        "io.sallyport.key.revoked.v1",
                                        "io.sallyport.apikey.created.v1",
                                        "io.sallyport.apikey.revoked.v1",
                                        "io.sallyport.tenant.created.v1",
                                        "io.sallyport.tenant.changed.v1",
                                        "io.sallyport.execution.result_late.v1",
                                        "io.sallyport.events.expired.v1",
                                        "io.sallyport.ledger.key_added.v1",
                                        "io.sallyport.ledger.key_retired.v1",
                                        "io.sallyport.ledger.reopened.v1"};
    assert_int_equal(ARRAY_LEN(names), EVENT_TYPE_COUNT);
    for (int i = 0; i < EVENT_TYPE_COUNT; i++) {
        enum event_type type = EVENT_TYPE_COUNT;
        assert_string_equal(event_type_name((enum event_type)i), names[i]);
        assert_int_equal(event_type_parse(names[i], strlen(names[i]), &type), 0);
        assert_int_equal(type, i);
        assert_int_equal(event_type_parse(names[i], strlen(names[i]) - 1, &type), -1);
    }
    enum event_type type = EVENT_KEY_ADDED;
    assert_int_equal(event_type_parse("key.added.v1", 12, &type), -1);
    assert_int_equal(event_type_parse("", 0, &type), -1);
    assert_int_equal(type, EVENT_KEY_ADDED);
    assert_string_equal(event_type_name(EVENT_TYPE_COUNT), "");
}

static void refused(const struct event_head *head, const json_t *data, enum fault_code code,
                    const char *named)
{
    struct event *event = NULL;
    struct fault fault = {.code = FAULT_NONE};
    assert_int_equal(event_build(head, data, &event, &fault), -1);
    assert_int_equal(fault.code, code);
    assert_non_null(strstr(fault.detail, named));
    assert_null(event);
}

static void a_head_out_of_bounds_is_refused(void **state)
{
    (void)state;
    char longest[EVENT_SUBJECT_MAX + 2];
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    static const char *const bad_nodes[] = {NULL, "", "a b", "a/b", "a\nb", "n\xc3\xa9"};
    static const char *const bad_subjects[] = {NULL, "", "a\nb", "a\x7f", "\xff", "a\xed\xa0\x80"};
    static const char *const bad_traces[] = {
        "",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        TRACEPARENT "0",
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c_b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c8031-9c-b7ad6b716920333101"};
    AUTO_JSON json_t *data = json_object();
    struct event_head head = plain_head();
    for (size_t i = 0; i < ARRAY_LEN(bad_nodes); i++) {
        head.node = bad_nodes[i];
        refused(&head, data, FAULT_INTERNAL, "source");
    }
    head.node = longest;
    refused(&head, data, FAULT_INTERNAL, "source");
    head = plain_head();
    for (size_t i = 0; i < ARRAY_LEN(bad_subjects); i++) {
        head.subject = bad_subjects[i];
        refused(&head, data, FAULT_INTERNAL, "subject");
        head.subject = "s";
        if (bad_subjects[i] != NULL) {
            head.tenant_id = bad_subjects[i];
            refused(&head, data, FAULT_INTERNAL, "tenantid");
            head.tenant_id = NULL;
        }
    }
    head.subject = longest;
    refused(&head, data, FAULT_INTERNAL, "subject");
    head = plain_head();
    head.tenant_id = longest;
    refused(&head, data, FAULT_INTERNAL, "tenantid");
    head = plain_head();
    for (size_t i = 0; i < ARRAY_LEN(bad_traces); i++) {
        head.traceparent = bad_traces[i];
        refused(&head, data, FAULT_INTERNAL, "traceparent");
    }
    head = plain_head();
    head.type = EVENT_TYPE_COUNT;
    refused(&head, data, FAULT_INTERNAL, "type");
}

static void data_is_an_object(void **state)
{
    (void)state;
    struct event_head head = plain_head();
    AUTO_JSON json_t *array = json_array();
    refused(&head, NULL, FAULT_INTERNAL, "data");
    refused(&head, array, FAULT_INTERNAL, "data");
    refused(&head, json_null(), FAULT_INTERNAL, "data");
}

static void an_event_has_a_maximum(void **state)
{
    (void)state;
    struct event_head head = plain_head();
    AUTO_FREE char *text = malloc(EVENT_MAX + 1);
    assert_non_null(text);
    memset(text, 'x', EVENT_MAX);
    AUTO_JSON json_t *empty = json_pack("{s:s}", "x", "");
    AUTO_EVENT struct event *small = NULL;
    assert_int_equal(event_build(&head, empty, &small, NULL), 0);
    size_t room = EVENT_MAX - small->len;
    text[room] = '\0';
    AUTO_JSON json_t *fits = json_pack("{s:s}", "x", text);
    AUTO_EVENT struct event *largest = NULL;
    assert_int_equal(event_build(&head, fits, &largest, NULL), 0);
    assert_int_equal(largest->len, EVENT_MAX);
    text[room] = 'x';
    text[room + 1] = '\0';
    AUTO_JSON json_t *over = json_pack("{s:s}", "x", text);
    refused(&head, over, FAULT_TOO_LARGE, "larger");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_bytes_of_a_full_event),
        cmocka_unit_test(exact_bytes_of_a_bare_event),
        cmocka_unit_test(an_event_is_one_line_of_strict_json),
        cmocka_unit_test(types_have_the_wire_names),
        cmocka_unit_test(a_head_out_of_bounds_is_refused),
        cmocka_unit_test(data_is_an_object),
        cmocka_unit_test(an_event_has_a_maximum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
