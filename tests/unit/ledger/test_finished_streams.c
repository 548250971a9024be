/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/ledger/finished_sample.h"

/* The inline form of a stream: its text, or what its base64 decodes to. */
static json_t *inline_of(struct finished_stream stream, const char *name)
{
    struct sample sample;
    sample_init(&sample);
    sample.facts.out = stream;
    sample.facts.err = stream;
    AUTO_JSON json_t *data = sample_data(&sample.facts);
    char other[32];
    (void)snprintf(other, sizeof other, "std%s",
                   strcmp(name, "stdout") == 0 ? "out_base64" : "out");
    assert_null(json_object_get(data, other));
    json_t *value = json_object_get(data, name);
    assert_true(json_is_string(value));
    json_incref(value);
    sample_done(&sample);
    return value;
}

static void assert_text(struct finished_stream stream, const char *text, size_t len)
{
    AUTO_JSON json_t *value = inline_of(stream, "stdout");
    assert_int_equal(json_string_length(value), len);
    assert_memory_equal(json_string_value(value), text, len);
}

static void assert_base64(struct finished_stream stream, const char *bytes, size_t len)
{
    AUTO_JSON json_t *value = inline_of(stream, "stdout_base64");
    AUTO_BUF struct buf decoded = BUF(2 * EVENT_STREAM_INLINE_MAX);
    assert_int_equal(base64_decode(&decoded, json_string_value(value), json_string_length(value)),
                     0);
    assert_int_equal(decoded.len, len);
    assert_memory_equal(decoded.data, bytes, len);
}

static void streams_are_text_or_base64(void **state)
{
    (void)state;
    assert_text(sample_stream("", 0), "", 0);
    assert_text(sample_stream("\xe2\x82\xac\x01\x7f", 5), "\xe2\x82\xac\x01\x7f", 5);
    assert_base64(sample_stream("a\0b", 3), "a\0b", 3);
    assert_base64(sample_stream("\xff", 1), "\xff", 1);
    assert_base64(sample_stream("\xed\xa0\x80", 3), "\xed\xa0\x80", 3);
    /* Whole, and ends inside a character: not UTF-8. */
    assert_base64(sample_stream("a\xe2\x82", 3), "a\xe2\x82", 3);
}

/* What was stored is the beginning of more: a character cut there is left out. */
static void a_stream_cut_when_stored_is_cut_at_a_character(void **state)
{
    (void)state;
    struct span whole = span_text("a\xf0\x9f\x98\x80z");
    for (size_t stored = 1; stored < 5; stored++)
        assert_text(sample_stream_part(span_of(whole.data, stored), whole), "a", 1);
    assert_text(sample_stream_part(span_of(whole.data, 5), whole), "a\xf0\x9f\x98\x80", 5);
    struct span two = span_text("\xc3\xa9\xc3\xa9");
    assert_text(sample_stream_part(span_of(two.data, 3), two), "\xc3\xa9", 2);
    assert_text(sample_stream_part(span_of(two.data, 1), two), "", 0);
    /* A stray continuation byte is no character that was cut. */
    struct span stray = span_text("a\x80\x80z");
    assert_base64(sample_stream_part(span_of(stray.data, 3), stray), "a\x80\x80", 3);
    /* Nor is a byte that begins none. */
    struct span never = span_text("a\xf5\xf5z");
    assert_base64(sample_stream_part(span_of(never.data, 3), never), "a\xf5\xf5", 3);
    struct span full = span_text("\xe2\x82\xac\x82z");
    assert_base64(sample_stream_part(span_of(full.data, 4), full), "\xe2\x82\xac\x82", 4);
}

static void a_stream_is_inlined_to_32_kib(void **state)
{
    (void)state;
    size_t len = 3 * EVENT_STREAM_INLINE_MAX;
    AUTO_FREE char *bytes = malloc(len);
    assert_non_null(bytes);
    memset(bytes, 'x', len);
    assert_text(sample_stream(bytes, EVENT_STREAM_INLINE_MAX), bytes, EVENT_STREAM_INLINE_MAX);
    assert_text(sample_stream(bytes, EVENT_STREAM_INLINE_MAX + 1), bytes, EVENT_STREAM_INLINE_MAX);
    for (size_t at = 1; at <= 3; at++) {
        memcpy(bytes + EVENT_STREAM_INLINE_MAX - at, "\xf0\x9f\x98\x80", 4);
        assert_text(sample_stream(bytes, len), bytes, EVENT_STREAM_INLINE_MAX - at);
        memset(bytes + EVENT_STREAM_INLINE_MAX - at, 'x', 4);
    }
    memcpy(bytes + EVENT_STREAM_INLINE_MAX - 4, "\xf0\x9f\x98\x80", 4);
    assert_text(sample_stream(bytes, len), bytes, EVENT_STREAM_INLINE_MAX);
    /* What is not shown decides nothing; what is shown in base64 is 32 KiB of bytes. */
    bytes[EVENT_STREAM_INLINE_MAX] = '\xff';
    assert_text(sample_stream(bytes, len), bytes, EVENT_STREAM_INLINE_MAX);
    bytes[0] = '\0';
    assert_base64(sample_stream(bytes, len), bytes, EVENT_STREAM_INLINE_MAX);
}

static void truncation_is_flagged(void **state)
{
    (void)state;
    struct sample sample;
    sample_init(&sample);
    sample.facts.out = sample_stream_part(span_text("abc"), span_text("abcdef"));
    AUTO_JSON json_t *data = sample_data(&sample.facts);
    assert_true(json_is_true(json_object_get(data, "stdout_truncated")));
    assert_true(json_is_false(json_object_get(data, "stderr_truncated")));
    assert_int_equal(json_integer_value(json_object_get(data, "stdout_bytes")), 6);
    assert_int_equal(json_integer_value(json_object_get(data, "stdout_stored_bytes")), 3);
    char hex[65];
    sample_hex(reference_sha256("abcdef", 6), hex);
    assert_string_equal(sample_text(data, "stdout_sha256") + 7, hex);
    sample_hex(reference_sha256("abc", 3), hex);
    assert_string_equal(sample_text(data, "stdout_stored_sha256") + 7, hex);
    sample_done(&sample);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_are_text_or_base64),
        cmocka_unit_test(a_stream_cut_when_stored_is_cut_at_a_character),
        cmocka_unit_test(a_stream_is_inlined_to_32_kib),
        cmocka_unit_test(truncation_is_flagged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
