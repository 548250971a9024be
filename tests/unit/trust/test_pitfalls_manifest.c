/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pitfalls that end when a proven payload is read, by their row in the list of known JWS
 * attacks: a signature makes bytes genuine, not sensible.
 */
#include "manifest_support.h"

static void row_15_duplicate_members_in_the_payload(void **state)
{
    (void)state;
    static const char *const extra[] = {"\"nonce\":\"nonce-0002\"",
                                        "\"\\u006eonce\":\"nonce-0002\"", "\"x\":{\"a\":1,\"a\":2}",
                                        "\"x\":[[{\"a\":1,\"\\u0061\":2}]]"};
    for (size_t i = 0; i < ARRAY_LEN(extra); i++) {
        AUTO_BUF struct buf text = BUF(4096);
        buf_printf(&text, "{%s,%s", extra[i], &GOOD_MANIFEST[1]);
        assert_manifest_refused(buf_span(&text), "manifest: not strict JSON");
    }
    AUTO_BUF struct buf nested = manifest_with("parameters.env", "{\"A\":\"1\"}");
    AUTO_MANIFEST struct manifest *good = manifest_good(buf_span(&nested));
    assert_int_equal(good->env_count, 1);
    char *place = strstr((char *)nested.data, "{\"A\":\"1\"}");
    assert_non_null(place);
    AUTO_BUF struct buf twice = BUF(4096);
    buf_append(&twice, nested.data, (size_t)(place - (char *)nested.data));
    buf_puts(&twice, "{\"A\":\"1\",\"\\u0041\":\"2\"");
    buf_puts(&twice, place + 8);
    assert_manifest_refused(buf_span(&twice), "manifest: not strict JSON");
}

static void row_18_nul_and_bad_utf8_in_the_payload(void **state)
{
    (void)state;
    assert_manifest_refused(span_of(GOOD_MANIFEST "\0", sizeof GOOD_MANIFEST), "manifest: a NUL");
    static const char *const values[] = {
        "\"a\\u0000b\"", "\"\\ud800\"",      "\"\\udfff\\ud800\"",   "\"\xff\"",
        "\"\xc0\xaf\"",  "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xe2\x82\""};
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        AUTO_BUF struct buf value = BUF(4096), name = BUF(4096);
        buf_printf(&value, "{\"x\":%s,%s", values[i], &GOOD_MANIFEST[1]);
        buf_printf(&name, "{%s:1,%s", values[i], &GOOD_MANIFEST[1]);
        assert_manifest_refused(buf_span(&value), "manifest");
        assert_manifest_refused(buf_span(&name), "manifest");
    }
}

static void row_19_payload_that_is_no_object_or_too_deep(void **state)
{
    (void)state;
    static const char *const texts[] = {"[]", "null", "1", "\"{}\"", "true", "[" GOOD_MANIFEST "]"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_manifest_refused(span_text(texts[i]), "manifest");
    static const int depths[] = {64, 2049, 3000};
    for (size_t i = 0; i < ARRAY_LEN(depths); i++) {
        AUTO_BUF struct buf text = BUF(1 << 20);
        buf_puts(&text, "{\"x\":");
        for (int k = 0; k < depths[i]; k++)
            buf_puts(&text, k % 2 == 0 ? "[" : "{\"a\":");
        assert_manifest_refused(buf_span(&text), "manifest: nested deeper than 64");
    }
}

static void row_20_numbers(void **state)
{
    (void)state;
    static const char *const numbers[] = {"1e400",
                                          "-1e400",
                                          "9223372036854775808",
                                          "1.0",
                                          "1e1",
                                          "-0",
                                          "\"60\"",
                                          "9007199254740993",
                                          "0x10",
                                          "010",
                                          "+1",
                                          "NaN",
                                          "Infinity",
                                          "1.",
                                          "60 60"};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        AUTO_BUF struct buf text = BUF(4096);
        const char *tail = strstr(GOOD_MANIFEST, "\"parameters\":{");
        assert_non_null(tail);
        buf_append(&text, GOOD_MANIFEST, (size_t)(tail - GOOD_MANIFEST));
        buf_printf(&text, "\"parameters\":{\"timeout_seconds\":%s}}", numbers[i]);
        struct manifest *manifest = NULL;
        struct fault fault = {0};
        assert_int_equal(manifest_parse(buf_span(&text), &manifest, &fault), -1);
        assert_int_equal(fault.code, FAULT_MANIFEST_INVALID);
    }
}

static void row_21_times(void **state)
{
    (void)state;
    static const char *const times[] = {"1767323045",
                                        "\"1767323045\"",
                                        "1767323045.5",
                                        "\"2026-01-02T03:04:05\"",
                                        "\"2026-01-02T24:00:00Z\"",
                                        "\"2026-01-02T03:04:60Z\"",
                                        "\"2026-1-2T03:04:05Z\"",
                                        "\"2026-01-02T03:04:05+24:00\"",
                                        "\" 2026-01-02T03:04:05Z\"",
                                        "\"2026-01-02T03:04:05Z \"",
                                        "\"0000-01-02T03:04:05Z\"",
                                        "\"2026-01-02T03:04:05.1234567890Z\"",
                                        "\"\"",
                                        "null"};
    static const char *const members[] = {"issued_at", "not_before", "expires_at",
                                          "task_context.requested_at"};
    for (size_t m = 0; m < ARRAY_LEN(members); m++)
        for (size_t i = 0; i < ARRAY_LEN(times); i++) {
            AUTO_BUF struct buf text = manifest_with(members[m], times[i]);
            assert_manifest_refused(buf_span(&text), members[m]);
        }
    AUTO_BUF struct buf missing = manifest_with("issued_at", NULL);
    assert_manifest_refused(buf_span(&missing), "issued_at: required");
}

/* Clock steps: a manifest of the future stays refused however the clock came to be late, and one
 * that expired stays expired. */
static void row_21_clock_steps(void **state)
{
    (void)state;
    AUTO_MANIFEST struct manifest *m = manifest_good(span_text(GOOD_MANIFEST));
    const struct manifest_window window = {15 * 60 * 1000, 60 * 1000};
    assert_int_equal(manifest_check_window(m, window, m->issued_at_ms, NULL), 0);
    assert_int_equal(manifest_check_window(m, window, m->issued_at_ms - 3600 * 1000, NULL), -1);
    assert_int_equal(manifest_check_window(m, window, m->issued_at_ms + 3600 * 1000, NULL), -1);
}

/* Another kind of token by the same issuer is proven as well, and still is no manifest. */
static void row_22_token_of_another_kind(void **state)
{
    (void)state;
    assert_manifest_refused(
        span_text(
            "{\"iss\":\"acme\",\"sub\":\"operator-1\",\"aud\":\"sallyport\",\"exp\":1767323045,"
            "\"iat\":1767323045,\"jti\":\"nonce-0001\"}"),
        "manifest_version: required");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_15_duplicate_members_in_the_payload),
        cmocka_unit_test(row_18_nul_and_bad_utf8_in_the_payload),
        cmocka_unit_test(row_19_payload_that_is_no_object_or_too_deep),
        cmocka_unit_test(row_20_numbers),
        cmocka_unit_test(row_21_times),
        cmocka_unit_test(row_21_clock_steps),
        cmocka_unit_test(row_22_token_of_another_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
