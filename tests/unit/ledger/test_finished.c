/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/ledger/finished_sample.h"

#include <stddef.h>

/* Names and order are a contract: other people's tools read them. */
static void members_are_those_of_the_contract(void **state)
{
    (void)state;
    static const char *const names[] = {"task_id",
                                        "tenant_id",
                                        "operator_id",
                                        "correlation_id",
                                        "tool_sha256",
                                        "descriptor_sha256",
                                        "target_urn",
                                        "status",
                                        "state",
                                        "reason",
                                        "exit_code",
                                        "signal",
                                        "limits_hit",
                                        "argv",
                                        "stdout",
                                        "stderr",
                                        "stdout_sha256",
                                        "stdout_bytes",
                                        "stdout_stored_sha256",
                                        "stdout_stored_bytes",
                                        "stdout_truncated",
                                        "stderr_sha256",
                                        "stderr_bytes",
                                        "stderr_stored_sha256",
                                        "stderr_stored_bytes",
                                        "stderr_truncated",
                                        "manifest_jws",
                                        "manifest_sha256",
                                        "policy_decision",
                                        "execution_fingerprint",
                                        "execution_metadata",
                                        "started_at",
                                        "finished_at"};
    static const char *const metadata[] = {"runtime", "isolation_checks", "limits", "usage",
                                           "worker"};
    struct sample sample;
    sample_init(&sample);
    AUTO_JSON json_t *data = sample_data(&sample.facts);
    size_t i = 0;
    const char *name;
    json_t *value;
    json_object_foreach(data, name, value)
    {
        assert_in_range(i, 0, ARRAY_LEN(names) - 1);
        assert_string_equal(name, names[i++]);
    }
    assert_int_equal(i, ARRAY_LEN(names));
    i = 0;
    json_object_foreach(json_object_get(data, "execution_metadata"), name, value)
        assert_string_equal(name, metadata[i++]);
    assert_int_equal(i, ARRAY_LEN(metadata));
    sample_done(&sample);
}

static void values_are_the_facts(void **state)
{
    (void)state;
    struct sample sample;
    sample_init(&sample);
    AUTO_JSON json_t *data = sample_data(&sample.facts);
    AUTO_BUF struct buf text = BUF(EVENT_MAX);
    json_append(&text, data);
    char tool[65], descriptor[65], out[65], none[65], manifest[65], fingerprint[65];
    sample_hex(sample.facts.tool_sha256, tool);
    sample_hex(sample.descriptor, descriptor);
    sample_hex(reference_sha256("match\n", 6), out);
    sample_hex(reference_sha256("", 0), none);
    sample_hex(sample.facts.manifest_sha256, manifest);
    sample_fingerprint(data, fingerprint);
    AUTO_BUF struct buf expected = BUF(EVENT_MAX);
    buf_printf(&expected,
               "{\"task_id\":\"task-0001\",\"tenant_id\":\"acme\",\"operator_id\":\"op-7\","
               "\"correlation_id\":\"corr-1\",\"tool_sha256\":\"sha256:%s\","
               "\"descriptor_sha256\":\"sha256:%s\",\"target_urn\":\"urn:acme:host-1\","
               "\"status\":\"success\",\"state\":\"succeeded\",\"reason\":null,\"exit_code\":0,"
               "\"signal\":null,\"limits_hit\":[],\"argv\":[\"/usr/bin/yara\",\"-s\","
               "\"/in/rules.yar\"],\"stdout\":\"match\\n\",\"stderr\":\"\",",
               tool, descriptor);
    buf_printf(&expected,
               "\"stdout_sha256\":\"sha256:%s\",\"stdout_bytes\":6,\"stdout_stored_sha256\":"
               "\"sha256:%s\",\"stdout_stored_bytes\":6,\"stdout_truncated\":false,"
               "\"stderr_sha256\":\"sha256:%s\",\"stderr_bytes\":0,\"stderr_stored_sha256\":"
               "\"sha256:%s\",\"stderr_stored_bytes\":0,\"stderr_truncated\":false,",
               out, out, none, none);
    buf_printf(&expected,
               "\"manifest_jws\":\"aGVhZA.cGF5bG9hZA.c2ln\",\"manifest_sha256\":\"sha256:%s\","
               "\"policy_decision\":{\"decision\":\"permit\",\"approvals\":2},"
               "\"execution_fingerprint\":\"%s\",\"execution_metadata\":{\"runtime\":"
               "\"gVisor release-20221219.0\",\"isolation_checks\":{\"seccomp\":\"runsc\","
               "\"network_none\":true},\"limits\":{\"memory_mib\":256},\"usage\":{\"wall_ms\":170},"
               "\"worker\":\"worker-1\"},\"started_at\":\"2026-01-02T03:04:05.678Z\","
               "\"finished_at\":\"2026-01-02T03:04:05.999Z\"}",
               manifest, fingerprint);
    assert_string_equal(buf_text(&text), buf_text(&expected));
    sample_done(&sample);
}

static void status_follows_state(void **state)
{
    (void)state;
    for (int i = EXECUTION_SUCCEEDED; i < EXECUTION_STATE_COUNT; i++) {
        struct sample sample;
        sample_init(&sample);
        sample.facts.state = (enum execution_state)i;
        AUTO_JSON json_t *data = sample_data(&sample.facts);
        assert_string_equal(sample_text(data, "status"),
                            i == EXECUTION_SUCCEEDED ? "success" : "failed");
        assert_string_equal(sample_text(data, "state"), execution_state_name(sample.facts.state));
        sample_done(&sample);
    }
}

static void an_exit_a_signal_and_limits_are_told(void **state)
{
    (void)state;
    static const char *const limits[] = {"pids", "tmp"};
    struct sample sample;
    sample_init(&sample);
    sample.facts.state = EXECUTION_FAILED;
    sample.facts.exit_code = -1;
    sample.facts.signal = 11;
    sample.facts.reason = "signal";
    sample.facts.limits_hit = limits;
    sample.facts.limits_hit_count = 2;
    AUTO_JSON json_t *data = sample_data(&sample.facts);
    assert_true(json_is_null(json_object_get(data, "exit_code")));
    assert_int_equal(json_integer_value(json_object_get(data, "signal")), 11);
    assert_string_equal(sample_text(data, "reason"), "signal");
    json_t *hit = json_object_get(data, "limits_hit");
    assert_int_equal(json_array_size(hit), 2);
    assert_string_equal(json_string_value(json_array_get(hit, 1)), "tmp");
    sample_done(&sample);
}

static void what_never_ran_has_nulls(void **state)
{
    (void)state;
    static const char *const nulls[] = {"descriptor_sha256",
                                        "exit_code",
                                        "signal",
                                        "argv",
                                        "stdout",
                                        "stderr",
                                        "stdout_sha256",
                                        "stdout_bytes",
                                        "stdout_stored_sha256",
                                        "stdout_stored_bytes",
                                        "stdout_truncated",
                                        "stderr_sha256",
                                        "stderr_bytes",
                                        "stderr_stored_sha256",
                                        "stderr_stored_bytes",
                                        "stderr_truncated",
                                        "started_at"};
    static const char *const metadata[] = {"runtime", "isolation_checks", "limits", "usage",
                                           "worker"};
    struct sample sample;
    sample_init(&sample);
    struct finished_facts *facts = &sample.facts;
    facts->state = EXECUTION_CANCELLED;
    facts->descriptor_sha256 = NULL;
    facts->exit_code = -1;
    facts->argv = NULL;
    facts->argv_count = 0;
    facts->out = (struct finished_stream){.captured = false};
    facts->err = (struct finished_stream){.captured = false};
    facts->runtime = facts->worker = NULL;
    facts->isolation_checks = facts->limits = facts->usage = NULL;
    facts->started_ms = 0;
    AUTO_JSON json_t *data = sample_data(facts);
    for (size_t i = 0; i < ARRAY_LEN(nulls); i++)
        assert_true(json_is_null(json_object_get(data, nulls[i])));
    for (size_t i = 0; i < ARRAY_LEN(metadata); i++)
        assert_true(json_is_null(
            json_object_get(json_object_get(data, "execution_metadata"), metadata[i])));
    char by_hand[65];
    sample_fingerprint(data, by_hand);
    assert_string_equal(sample_text(data, "execution_fingerprint"), by_hand);
    sample_done(&sample);
}

/* Two streams that JSON makes six times as large, the largest JWS, and a manifest full of
 * arguments: the event is built all the same. */
static void the_largest_finished_event_fits(void **state)
{
    (void)state;
    struct sample sample;
    sample_init(&sample);
    AUTO_FREE char *noise = malloc(EVENT_STREAM_INLINE_MAX);
    AUTO_FREE char *jws = malloc(EVENT_JWS_MAX + 1);
    AUTO_FREE char *argument = malloc(96 * 1024 + 1);
    assert_true(noise != NULL && jws != NULL && argument != NULL);
    memset(noise, 1, EVENT_STREAM_INLINE_MAX);
    memset(jws, 'A', EVENT_JWS_MAX);
    memset(argument, 'x', 96 * 1024);
    argument[96 * 1024] = '\0';
    const char *argv[] = {argument};
    sample.facts.out = sample_stream(noise, EVENT_STREAM_INLINE_MAX);
    sample.facts.err = sample_stream(noise, EVENT_STREAM_INLINE_MAX);
    sample.facts.manifest_jws = span_of(jws, EVENT_JWS_MAX);
    sample.facts.argv = argv;
    sample.facts.argv_count = 1;
    AUTO_JSON json_t *data = sample_data(&sample.facts);
    struct event_head head = {
        .type = EVENT_EXECUTION_FINISHED, .node = "worker-1", .subject = "task-0001"};
    AUTO_EVENT struct event *event = NULL;
    assert_int_equal(event_build(&head, data, &event, NULL), 0);
    assert_in_range(event->len, 600 * 1024, EVENT_MAX);
    sample_done(&sample);
}

static void refused(const struct finished_facts *facts)
{
    json_t *data = NULL;
    struct fault fault = {.code = FAULT_NONE};
    assert_int_equal(finished_data(facts, &data, &fault), -1);
    assert_int_equal(fault.code, FAULT_INTERNAL);
    assert_null(data);
}

static void an_outcome_that_contradicts_itself_is_refused(void **state)
{
    (void)state;
    struct sample sample;
    sample_init(&sample);
    struct finished_facts facts = sample.facts;
    facts.state = EXECUTION_RUNNING;
    refused(&facts);
    facts.state = EXECUTION_STATE_COUNT;
    refused(&facts);
    facts = sample.facts;
    facts.exit_code = 1; /* succeeded all the same */
    refused(&facts);
    facts = sample.facts;
    facts.finished_ms = 0;
    refused(&facts);
    sample_done(&sample);
}

static void streams_that_contradict_their_sums_are_refused(void **state)
{
    (void)state;
    struct sample sample;
    sample_init(&sample);
    struct finished_facts facts = sample.facts;
    facts.out.whole_bytes = 5; /* of which 6 were stored */
    refused(&facts);
    facts.out.whole_bytes = UINT64_MAX;
    refused(&facts);
    facts = sample.facts;
    facts.err.whole_sha256.bytes[0] ^= 1; /* and stored whole */
    refused(&facts);
    sample_done(&sample);
}

static void missing_evidence_is_refused(void **state)
{
    (void)state;
    struct sample sample;
    sample_init(&sample);
    AUTO_JSON json_t *array = json_array();
    AUTO_FREE char *jws = malloc(EVENT_JWS_MAX + 1);
    assert_non_null(jws);
    memset(jws, 'A', EVENT_JWS_MAX + 1);
    struct finished_facts facts = sample.facts;
    facts.policy_decision = NULL;
    refused(&facts);
    facts.policy_decision = array;
    refused(&facts);
    facts = sample.facts;
    facts.manifest_jws = span_of(jws, 0);
    refused(&facts);
    facts.manifest_jws = span_of(jws, EVENT_JWS_MAX + 1);
    refused(&facts);
    sample_done(&sample);
}

/* Each text missing where it may not be, and each not UTF-8. */
static void texts_that_are_none_are_refused(void **state)
{
    (void)state;
    static const size_t required[] = {offsetof(struct finished_facts, task_id),
                                      offsetof(struct finished_facts, tenant_id),
                                      offsetof(struct finished_facts, operator_id),
                                      offsetof(struct finished_facts, correlation_id),
                                      offsetof(struct finished_facts, target_urn)};
    static const size_t optional[] = {offsetof(struct finished_facts, reason),
                                      offsetof(struct finished_facts, runtime),
                                      offsetof(struct finished_facts, worker)};
    static const char *const bad[] = {"\xff", "\xc3", "\xed\xa0\x80"};
    struct sample sample;
    sample_init(&sample);
    for (size_t i = 0; i < ARRAY_LEN(required) + ARRAY_LEN(optional); i++) {
        bool must = i < ARRAY_LEN(required);
        size_t offset = must ? required[i] : optional[i - ARRAY_LEN(required)];
        for (size_t k = 0; k <= ARRAY_LEN(bad); k++) {
            struct finished_facts facts = sample.facts;
            const char *text = k < ARRAY_LEN(bad) ? bad[k] : NULL;
            memcpy((char *)&facts + offset, &text, sizeof text);
            if (text != NULL || must)
                refused(&facts);
        }
    }
    sample_done(&sample);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_those_of_the_contract),
        cmocka_unit_test(values_are_the_facts),
        cmocka_unit_test(status_follows_state),
        cmocka_unit_test(an_exit_a_signal_and_limits_are_told),
        cmocka_unit_test(what_never_ran_has_nulls),
        cmocka_unit_test(the_largest_finished_event_fits),
        cmocka_unit_test(an_outcome_that_contradicts_itself_is_refused),
        cmocka_unit_test(streams_that_contradict_their_sums_are_refused),
        cmocka_unit_test(missing_evidence_is_refused),
        cmocka_unit_test(texts_that_are_none_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
