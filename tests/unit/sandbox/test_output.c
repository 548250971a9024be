/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/output.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

struct heard {
    struct buf bytes;
    int calls;
};

static void hear(void *context, enum sandbox_stream stream, uint64_t offset, const void *data,
                 size_t len)
{
    struct heard *heard = context;
    assert_int_equal(stream, SANDBOX_STDERR);
    assert_int_equal(offset, heard->bytes.len);
    assert_true(len > 0);
    heard->calls++;
    buf_append(&heard->bytes, data, len);
}

static void test_whole_stream_is_hashed_and_its_beginning_kept(void **state)
{
    (void)state;
    struct heard heard = {.bytes = BUF(100)};
    struct output output;
    assert_int_equal(output_begin(&output, SANDBOX_STDERR, 10, hear, &heard), 0);
    output_feed(&output, "0123", 4);
    output_feed(&output, "456789ab", 8);
    output_feed(&output, "cd", 2);
    AUTO(buf_free) struct buf stored = BUF(0);
    struct sandbox_output result;
    output_end(&output, &result);
    stored = result.stored;
    struct digest expected = digest_of("0123456789abcd", 14);
    assert_int_equal(result.bytes, 14);
    assert_true(digest_equal(&result.sha256, &expected));
    assert_true(result.truncated);
    assert_string_equal(buf_text(&stored), "0123456789");
    assert_string_equal(buf_text(&heard.bytes), "0123456789");
    assert_int_equal(heard.calls, 2);
    output_discard(&output);
    buf_free(&heard.bytes);
}

/* As much as fits, from any place; only between its begin and its end. */
static void test_what_is_stored_can_be_watched(void **state)
{
    (void)state;
    struct output_watch watch;
    struct output output;
    struct sandbox_output result;
    AUTO_BUF struct buf seen = BUF(6);
    output_watch_begin(&watch);
    assert_int_equal(output_begin(&output, SANDBOX_STDERR, 10, NULL, NULL), 0);
    output_share(&output, &watch);
    output_watch_read(&watch, SANDBOX_STDERR, 0, &seen);
    assert_int_equal(seen.len, 0);
    output_feed(&output, "01234", 5);
    output_watch_read(&watch, SANDBOX_STDERR, 0, &seen);
    output_watch_read(&watch, SANDBOX_STDERR, 5, &seen);
    output_watch_read(&watch, SANDBOX_STDOUT, 0, &seen);
    assert_string_equal(buf_text(&seen), "01234");
    output_feed(&output, "56789abcdef", 11); /* past the cap */
    output_watch_read(&watch, SANDBOX_STDERR, 5, &seen);
    assert_string_equal(buf_text(&seen), "012345");
    buf_reset(&seen);
    output_watch_read(&watch, SANDBOX_STDERR, 8, &seen);
    assert_string_equal(buf_text(&seen), "89");
    output_end(&output, &result);
    output_watch_read(&watch, SANDBOX_STDERR, 0, &seen);
    assert_int_equal(seen.len, 2);
    output_watch_end(&watch);
    buf_free(&result.stored);
}

static void test_exactly_the_cap_is_not_truncated(void **state)
{
    (void)state;
    struct output output;
    assert_int_equal(output_begin(&output, SANDBOX_STDOUT, 4, NULL, NULL), 0);
    output_feed(&output, "0123", 4);
    struct sandbox_output result;
    output_end(&output, &result);
    assert_false(result.truncated);
    assert_int_equal(result.stored.len, 4);
    buf_free(&result.stored);
}

static void test_nothing(void **state)
{
    (void)state;
    struct output output;
    assert_int_equal(output_begin(&output, SANDBOX_STDOUT, 4, NULL, NULL), 0);
    struct sandbox_output result;
    output_end(&output, &result);
    struct digest expected = digest_of("", 0);
    assert_int_equal(result.bytes, 0);
    assert_false(result.truncated);
    assert_true(digest_equal(&result.sha256, &expected));
    buf_free(&result.stored);
    struct output none = {0};
    output_discard(&none);
}

/* Against the obvious way: keep all, look at the end. */
static void test_tail(void **state)
{
    (void)state;
    char all[4000];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (char)('a' + i % 23);
    static const size_t steps[] = {1, 3, 49, 50, 51, 99, 100, 101, 1000};
    for (size_t s = 0; s < ARRAY_LEN(steps); s++) {
        struct tail tail;
        tail_begin(&tail, 50);
        assert_int_equal(tail_text(&tail).len, 0);
        for (size_t at = 0; at < sizeof all; at += steps[s]) {
            size_t len = sizeof all - at < steps[s] ? sizeof all - at : steps[s];
            tail_feed(&tail, all + at, len);
            size_t total = at + len;
            size_t kept = total < 50 ? total : 50;
            struct span text = tail_text(&tail);
            assert_int_equal(text.len, kept);
            assert_memory_equal(text.data, all + total - kept, kept);
        }
        assert_int_equal(tail.bytes, sizeof all);
        assert_false(buf_failed(&tail.kept));
        tail_free(&tail);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_stream_is_hashed_and_its_beginning_kept),
        cmocka_unit_test(test_what_is_stored_can_be_watched),
        cmocka_unit_test(test_exactly_the_cap_is_not_truncated),
        cmocka_unit_test(test_nothing),
        cmocka_unit_test(test_tail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
