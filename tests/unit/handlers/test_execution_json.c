/* SPDX-License-Identifier: Apache-2.0 */
#include "handlers/execution_json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct execution sample(void)
{
    struct execution x = {.tenant_id = "acme",
                          .state = EXECUTION_QUEUED,
                          .reason = "",
                          .submitted_ms = 1767323045678,
                          .started_ms = INT64_MIN,
                          .finished_ms = INT64_MIN,
                          .worker = "",
                          .task_id = "task-1",
                          .operator_id = "operator \"one\"",
                          .correlation_id = "c-1",
                          .source = "soar",
                          .action = "scan",
                          .target_urn = "urn:target:host:db-01",
                          .tool_sha256 = digest_of("tool", 4),
                          .manifest_sha256 = digest_of("manifest", 8),
                          .usage = ""};
    assert_int_equal(uuid_parse("017f22e2-79b0-7cc3-98c4-dc0c0c07398f", UUID_TEXT_LEN, &x.id), 0);
    return x;
}

/* The names are a contract (the OpenAPI document says the same); null where there is nothing yet.
 */
static const char *const names[] = {
    "id",           "tenant_id",    "task_id",    "operator_id", "correlation_id",  "source",
    "action",       "tool_sha256",  "target_urn", "state",       "reason",          "exit_code",
    "signal",       "submitted_at", "started_at", "finished_at", "manifest_sha256", "stdout_bytes",
    "stderr_bytes", "usage",        "worker",     "event_id",    "ledger"};

static void assert_text(const json_t *object, const char *name, const char *expected)
{
    const json_t *value = json_object_get(object, name);
    if (!json_is_string(value) || strcmp(json_string_value(value), expected) != 0)
        fail_msg("%s is not '%s'", name, expected);
}

static void a_queued_one(void **state)
{
    (void)state;
    struct execution x = sample();
    AUTO_JSON json_t *object = execution_json(&x);
    assert_non_null(object);
    assert_int_equal(json_object_size(object), ARRAY_LEN(names));
    static const char *const nulls[] = {"reason",     "exit_code",   "signal",
                                        "started_at", "finished_at", "usage",
                                        "worker",     "event_id",    "ledger"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        assert_non_null(json_object_get(object, names[i]));
    for (size_t i = 0; i < ARRAY_LEN(nulls); i++)
        if (!json_is_null(json_object_get(object, nulls[i])))
            fail_msg("%s is not null", nulls[i]);
    assert_text(object, "id", "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    assert_text(object, "tenant_id", "acme");
    assert_text(object, "task_id", "task-1");
    assert_text(object, "operator_id", "operator \"one\"");
    assert_text(object, "correlation_id", "c-1");
    assert_text(object, "source", "soar");
    assert_text(object, "action", "scan");
    assert_text(object, "target_urn", "urn:target:host:db-01");
    assert_text(object, "state", "queued");
    assert_text(object, "submitted_at", "2026-01-02T03:04:05.678Z");
    assert_text(object, "tool_sha256", digest_format(&x.tool_sha256).text);
    assert_text(object, "manifest_sha256", digest_format(&x.manifest_sha256).text);
    assert_int_equal(json_integer_value(json_object_get(object, "stdout_bytes")), 0);
}

static void an_ended_one(void **state)
{
    (void)state;
    struct execution x = sample();
    x.state = EXECUTION_FAILED;
    x.reason = "no_result";
    x.has_exit_code = x.has_signal = x.has_event = x.has_index = true;
    x.exit_code = 0; /* zero is a value, not an absence */
    x.signal = 9;
    x.started_ms = 0;
    x.finished_ms = 1767323046000;
    x.worker = "node/1";
    x.usage = "{\"wall_ms\":12}";
    x.stdout_bytes = INT64_C(5000000000);
    x.stderr_bytes = 7;
    x.event_id = x.id;
    x.ledger_index = 0;
    AUTO_JSON json_t *object = execution_json(&x);
    assert_int_equal(json_object_size(object), ARRAY_LEN(names));
    assert_text(object, "state", "failed");
    assert_text(object, "reason", "no_result");
    assert_text(object, "worker", "node/1");
    assert_text(object, "started_at", "1970-01-01T00:00:00.000Z");
    assert_text(object, "finished_at", "2026-01-02T03:04:06.000Z");
    assert_text(object, "event_id", "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
    assert_true(json_is_integer(json_object_get(object, "exit_code")));
    assert_int_equal(json_integer_value(json_object_get(object, "exit_code")), 0);
    assert_int_equal(json_integer_value(json_object_get(object, "signal")), 9);
    assert_true(json_integer_value(json_object_get(object, "stdout_bytes")) == x.stdout_bytes);
    AUTO_JSON json_t *usage = json_pack("{s:i}", "wall_ms", 12);
    assert_true(json_equal(json_object_get(object, "usage"), usage));
    const json_t *ledger = json_object_get(object, "ledger");
    assert_true(json_is_integer(json_object_get(ledger, "index")));
    assert_true(json_is_null(json_object_get(ledger, "receipt")));
}

/* And its place before a checkpoint covers it: only then there is a receipt to be had. */
static void a_place_waits_for_its_receipt(void **state)
{
    (void)state;
    struct execution x = sample();
    x.has_event = x.has_index = true;
    x.event_id = x.id;
    x.ledger_index = 77;
    AUTO_JSON json_t *placed = execution_json(&x);
    const json_t *ledger = json_object_get(placed, "ledger");
    assert_int_equal(json_integer_value(json_object_get(ledger, "index")), 77);
    assert_true(json_is_null(json_object_get(ledger, "receipt")));
    x.has_receipt = true;
    AUTO_JSON json_t *proven = execution_json(&x);
    assert_text(json_object_get(proven, "ledger"), "receipt",
                "/v1/executions/017f22e2-79b0-7cc3-98c4-dc0c0c07398f/receipt");
}

/* Its event is there before its place is. */
static void an_event_waits_for_its_place(void **state)
{
    (void)state;
    struct execution x = sample();
    x.has_event = true;
    x.event_id = x.id;
    AUTO_JSON json_t *object = execution_json(&x);
    assert_true(json_is_string(json_object_get(object, "event_id")));
    assert_true(json_is_null(json_object_get(object, "ledger")));
}

static void parts(void **state)
{
    (void)state;
    AUTO_JSON json_t *never = json_time(INT64_MIN), *for_ever = json_time(INT64_MAX);
    AUTO_JSON json_t *epoch = json_time(0), *empty = json_text_or_null("");
    AUTO_JSON json_t *none = json_text_or_null(NULL), *text = json_text_or_null("x");
    struct digest digest = digest_of("", 0);
    AUTO_JSON json_t *of_digest = json_digest(&digest);
    assert_true(json_is_null(never) && json_is_null(for_ever));
    assert_true(json_is_null(empty) && json_is_null(none));
    assert_string_equal(json_string_value(epoch), "1970-01-01T00:00:00.000Z");
    assert_string_equal(json_string_value(text), "x");
    assert_string_equal(json_string_value(of_digest), digest_format(&digest).text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_queued_one),
        cmocka_unit_test(an_ended_one),
        cmocka_unit_test(an_event_waits_for_its_place),
        cmocka_unit_test(a_place_waits_for_its_receipt),
        cmocka_unit_test(parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
