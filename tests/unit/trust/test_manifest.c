/* SPDX-License-Identifier: Apache-2.0 */
#include "manifest_support.h"

#include "base/clock.h"

static void a_good_manifest_is_read_whole(void **state)
{
    (void)state;
    AUTO_MANIFEST struct manifest *m = manifest_good(span_text(GOOD_MANIFEST));
    struct digest payload = digest_of(GOOD_MANIFEST, strlen(GOOD_MANIFEST));
    assert_true(digest_equal(&m->sha256, &payload));
    assert_string_equal(m->nonce, "nonce-0001");
    assert_string_equal(m->target_urn, "urn:target:host:db-01");
    assert_string_equal(digest_format(&m->tool_sha256).text, SHA_TEXT);
    assert_string_equal(m->task_id, "task-1");
    assert_string_equal(m->tenant_id, "acme");
    assert_string_equal(m->operator_id, "operator-1");
    assert_string_equal(m->source, "soar");
    assert_string_equal(m->action, "scan");
    assert_string_equal(m->correlation_id, "c-1");
    assert_string_equal(time_format(m->issued_at_ms).text, "2026-01-02T03:04:05.000Z");
    assert_string_equal(time_format(m->requested_at_ms).text, "2026-01-02T02:04:00.000Z");
    assert_true(m->not_before_ms == INT64_MIN && m->expires_at_ms == INT64_MAX);
    assert_true(m->arg_count == 0 && m->env_count == 0 && m->input_count == 0);
    assert_null(m->stdin_text);
    assert_int_equal(m->limits.timeout_seconds, 0);
}

static void unknown_members_are_kept_never_used(void **state)
{
    (void)state;
    AUTO_BUF struct buf top = manifest_with("x_future", "{\"tool_sha256\":\"other\"}");
    AUTO_BUF struct buf context = manifest_with("task_context.x_ticket", "7");
    AUTO_BUF struct buf parameter = manifest_with("parameters.depth", "[1,2.5,null]");
    AUTO_MANIFEST struct manifest *a = manifest_good(buf_span(&top));
    AUTO_MANIFEST struct manifest *b = manifest_good(buf_span(&context));
    AUTO_MANIFEST struct manifest *c = manifest_good(buf_span(&parameter));
    assert_string_equal(digest_format(&a->tool_sha256).text, SHA_TEXT);
    assert_false(digest_equal(&a->sha256, &b->sha256));
    assert_int_equal(c->arg_count, 0);
}

struct rule {
    const char *path;
    const char *json; /* NULL: taken away */
    const char *detail;
};

static const struct rule refusals[] = {
    {"manifest_version", NULL, "manifest_version: required"},
    {"manifest_version", "1", "manifest_version: expected a string"},
    {"manifest_version", "\"2.0.0\"", "manifest_version: expected 1.x.y"},
    {"manifest_version", "\"0.9.0\"", "manifest_version: expected 1.x.y"},
    {"manifest_version", "\"1.0\"", "manifest_version: expected 1.x.y"},
    {"manifest_version", "\"1.0.0.0\"", "manifest_version: expected 1.x.y"},
    {"manifest_version", "\"1.00.0\"", "manifest_version: expected 1.x.y"},
    {"manifest_version", "\"1.0.0-rc1\"", "manifest_version: expected 1.x.y"},
    {"manifest_version", "\"1..0\"", "manifest_version: expected 1.x.y"},
    {"manifest_version", "\"1.1000000000.0\"", "manifest_version: expected 1.x.y"},
    {"manifest_version", "\"10.0.0\"", "manifest_version: expected 1.x.y"},
    {"issued_at", NULL, "issued_at: required"},
    {"issued_at", "1767323045", "issued_at: expected a string"},
    {"issued_at", "\"2026-01-02T03:04:05\"", "issued_at: expected an RFC 3339 time with offset"},
    {"issued_at", "\"2026-02-29T03:04:05Z\"", "issued_at: expected an RFC 3339 time"},
    {"issued_at", "\"2026-01-02 03:04:05Z\"", "issued_at: expected an RFC 3339 time"},
    {"nonce", NULL, "nonce: required"},
    {"nonce", "\"1234567\"", "nonce: expected 8 to 128"},
    {"nonce", "\"nonce with blanks\"", "nonce: expected 8 to 128"},
    {"nonce", "\"nonce/0001\"", "nonce: expected 8 to 128"},
    {"nonce", "\"nonce-\\u00e9\\u00e9\"", "nonce: expected 8 to 128"},
    {"nonce", "12345678", "nonce: expected a string"},
    {"target_urn", NULL, "target_urn: required"},
    {"target_urn", "\"http://host\"", "target_urn: expected urn:<nid>:<nss>"},
    {"target_urn", "\"urn:x:y\"", "target_urn: expected urn:<nid>:<nss>"},
    {"tool_sha256", NULL, "tool_sha256: required"},
    {"tool_sha256", "\"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"",
     "tool_sha256: expected sha256:"},
    {"tool_sha256", "\"sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855\"",
     "tool_sha256: expected sha256:"},
    {"tool_sha256", "\"sha256:e3b0\"", "tool_sha256: expected sha256:"},
    {"tool_sha256", "null", "tool_sha256: expected a string"},
    {"not_before", "\"soon\"", "not_before: expected an RFC 3339 time"},
    {"not_before", "null", "not_before: expected a string"},
    {"expires_at", "\"2026-13-01T00:00:00Z\"", "expires_at: expected an RFC 3339 time"},
    {"expires_at", "1e400", "manifest: not strict JSON"},
    {"task_context", NULL, "task_context: required"},
    {"task_context", "[]", "task_context: expected an object"},
    {"task_context.task_id", NULL, "task_context.task_id: required"},
    {"task_context.task_id", "\"ab\"", "task_context.task_id: expected 3 to 128"},
    {"task_context.task_id", "\"-abc\"", "task_context.task_id: expected 3 to 128"},
    {"task_context.task_id", "\"a b c\"", "task_context.task_id: expected 3 to 128"},
    {"task_context.task_id", "\"../../x\"", "task_context.task_id: expected 3 to 128"},
    {"task_context.tenant_id", NULL, "task_context.tenant_id: required"},
    {"task_context.tenant_id", "\"\"", "task_context.tenant_id: expected 1 to 64"},
    {"task_context.tenant_id", "\"Acme\"", "task_context.tenant_id: expected 1 to 64"},
    {"task_context.tenant_id", "\"{a,b}\"", "task_context.tenant_id: expected 1 to 64"},
    {"task_context.operator_id", NULL, "task_context.operator_id: required"},
    {"task_context.operator_id", "\"\"", "task_context.operator_id: expected"},
    {"task_context.operator_id", "\"  \"", "task_context.operator_id: expected text"},
    {"task_context.operator_id", "\"a\\nb\"", "task_context.operator_id: expected text"},
    {"task_context.source", NULL, "task_context.source: required"},
    {"task_context.source", "\"\\u001b[31m\"", "task_context.source: expected text"},
    {"task_context.action", NULL, "task_context.action: required"},
    {"task_context.action", "\"\\u007f\"", "task_context.action: expected text"},
    {"task_context.requested_at", NULL, "task_context.requested_at: required"},
    {"task_context.requested_at", "\"yesterday\"", "task_context.requested_at: expected an RFC"},
    {"task_context.correlation_id", NULL, "task_context.correlation_id: required"},
    {"task_context.correlation_id", "\" \"", "task_context.correlation_id: expected text"},
    {"task_context.correlation_id", "{}", "task_context.correlation_id: expected a string"},
    {"parameters", NULL, "parameters: required"},
    {"parameters", "[]", "parameters: expected an object"},
    {"parameters", "null", "parameters: expected an object"},
};

static void each_rule_names_its_member(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        if (refusals[i].json != NULL && strcmp(refusals[i].json, "1e400") == 0) {
            /* jansson does not let such a number be built: by hand */
            AUTO_BUF struct buf text = BUF(4096);
            buf_printf(&text, "{\"expires_at\":1e400,%s", &GOOD_MANIFEST[1]);
            assert_manifest_refused(buf_span(&text), refusals[i].detail);
            continue;
        }
        AUTO_BUF struct buf text = manifest_with(refusals[i].path, refusals[i].json);
        assert_manifest_refused(buf_span(&text), refusals[i].detail);
    }
}

static void what_may_vary_is_accepted(void **state)
{
    (void)state;
    char nonce[132], task[132], word[260];
    (void)snprintf(nonce, sizeof nonce, "\"%0128d\"", 7);
    (void)snprintf(task, sizeof task, "\"%0128d\"", 7);
    (void)snprintf(word, sizeof word, "\"%0256d\"", 7);
    const struct {
        const char *path;
        const char *json;
    } rows[] = {
        {"manifest_version", "\"1.12.345\""},
        {"issued_at", "\"2026-02-22T12:34:56.123456+00:00\""},
        {"issued_at", "\"2026-01-02t03:04:05.1-05:30\""},
        {"nonce", "\"A.b_c:d-9\""},
        {"nonce", nonce},
        {"target_urn", "\"urn:example:a/b;c=1\""},
        {"task_context.task_id", "\"a:b\""},
        {"task_context.task_id", task},
        {"task_context.operator_id", "\"\\u00c9quipe de nuit <soc@example.org>\""},
        {"task_context.source", word},
        {"not_before", "\"2026-01-01T00:00:00Z\""},
        {"expires_at", "\"2026-01-03T00:00:00Z\""},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        AUTO_BUF struct buf text = manifest_with(rows[i].path, rows[i].json);
        AUTO_MANIFEST struct manifest *manifest = manifest_good(buf_span(&text));
        assert_non_null(manifest);
    }
    (void)snprintf(nonce, sizeof nonce, "\"%0129d\"", 7);
    AUTO_BUF struct buf long_nonce = manifest_with("nonce", nonce);
    assert_manifest_refused(buf_span(&long_nonce), "nonce: expected");
    (void)snprintf(task, sizeof task, "\"%0129d\"", 7);
    AUTO_BUF struct buf long_task = manifest_with("task_context.task_id", task);
    assert_manifest_refused(buf_span(&long_task), "task_context.task_id: expected");
    (void)snprintf(word, sizeof word, "\"%0257d\"", 7);
    AUTO_BUF struct buf long_word = manifest_with("task_context.source", word);
    assert_manifest_refused(buf_span(&long_word), "task_context.source: expected");
}

static void not_json_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t len;
    } rows[] = {{"", 0},
                {"[]", 2},
                {"null", 4},
                {"\"a\"", 3},
                {"{}\0", 3},
                {"{", 1},
                {"{\"a\":1}{}", 9},
                {"{\"a\":\"\xff\"}", 9},
                {"{\"a\":1,\"a\":2}", 13},
                {"{\"a\":\"\\ud800\"}", 14}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_manifest_refused(span_of(rows[i].bytes, rows[i].len), "manifest");
    assert_manifest_refused(span_of(GOOD_MANIFEST, sizeof GOOD_MANIFEST), "manifest: a NUL byte");
}

/* issued_at of the good manifest */
static int64_t issued_ms(void)
{
    int64_t ms = 0;
    assert_int_equal(time_parse("2026-01-02T03:04:05Z", 20, &ms), 0);
    return ms;
}

static void the_window_has_sharp_edges(void **state)
{
    (void)state;
    AUTO_MANIFEST struct manifest *m = manifest_good(span_text(GOOD_MANIFEST));
    const struct manifest_window window = {15 * 60 * 1000, 60 * 1000};
    const int64_t issued = issued_ms();
    const struct {
        int64_t now;
        const char *detail; /* NULL: inside */
    } rows[] = {
        {issued, NULL},
        {issued + 15 * 60 * 1000, NULL},
        {issued + 15 * 60 * 1000 + 1, "issued_at: more than 900 seconds in the past"},
        {issued - 60 * 1000, NULL},
        {issued - 60 * 1000 - 1, "issued_at: more than 60 seconds in the future"},
        {INT64_MAX, "issued_at"},
        {INT64_MIN, "issued_at"},
        {0, "issued_at"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct fault fault = {0};
        int result = manifest_check_window(m, window, rows[i].now, &fault);
        assert_int_equal(result, rows[i].detail == NULL ? 0 : -1);
        if (rows[i].detail == NULL)
            continue;
        assert_int_equal(fault.code, FAULT_MANIFEST_STALE);
        assert_non_null(strstr(fault.detail, rows[i].detail));
    }
    const struct manifest_window nonsense[] = {
        {-1, 60000}, {60000, -1}, {-1, -1}, {INT64_MIN, INT64_MIN}};
    for (size_t i = 0; i < ARRAY_LEN(nonsense); i++)
        assert_int_equal(manifest_check_window(m, nonsense[i], issued, NULL), -1);
}

static void not_before_and_expires_at_bound_the_window(void **state)
{
    (void)state;
    const struct manifest_window window = {15 * 60 * 1000, 60 * 1000};
    const int64_t issued = issued_ms();
    AUTO_BUF struct buf later = manifest_with("not_before", "\"2026-01-02T03:05:05Z\"");
    AUTO_BUF struct buf ending = manifest_with("expires_at", "\"2026-01-02T03:05:05Z\"");
    AUTO_MANIFEST struct manifest *a = manifest_good(buf_span(&later));
    AUTO_MANIFEST struct manifest *b = manifest_good(buf_span(&ending));
    struct fault fault = {0};
    assert_int_equal(manifest_check_window(a, window, issued + 59999, &fault), -1);
    assert_int_equal(fault.code, FAULT_MANIFEST_STALE);
    assert_non_null(strstr(fault.detail, "not_before"));
    assert_int_equal(manifest_check_window(a, window, issued + 60000, &fault), 0);
    assert_int_equal(manifest_check_window(b, window, issued + 59999, &fault), 0);
    assert_int_equal(manifest_check_window(b, window, issued + 60000, &fault), -1);
    assert_non_null(strstr(fault.detail, "expires_at"));
    /* they narrow the window and never widen it */
    assert_int_equal(manifest_check_window(a, window, issued + 15 * 60000 + 1, &fault), -1);
    assert_non_null(strstr(fault.detail, "issued_at"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_manifest_is_read_whole),
        cmocka_unit_test(unknown_members_are_kept_never_used),
        cmocka_unit_test(each_rule_names_its_member),
        cmocka_unit_test(what_may_vary_is_accepted),
        cmocka_unit_test(not_json_is_refused),
        cmocka_unit_test(the_window_has_sharp_edges),
        cmocka_unit_test(not_before_and_expires_at_bound_the_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
