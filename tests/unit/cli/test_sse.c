/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/sse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int take(void *context, const char *name, struct span data, struct fault *fault)
{
    buf_printf(context, "[%s:%.*s]", name, (int)data.len, (const char *)data.data);
    return data.len == 4 && memcmp(data.data, "stop", 4) == 0
               ? fault_set(fault, FAULT_INTERNAL, "told to")
               : 0;
}

/* However it is cut on its way. */
static void assert_events(const char *text, const char *events)
{
    for (size_t step = 1; step <= strlen(text); step++) {
        struct fault fault;
        AUTO_BUF struct buf seen = BUF(4096);
        AUTO_SSE struct sse sse = sse_begin(take, &seen);
        for (size_t at = 0; at < strlen(text); at += step) {
            size_t left = strlen(text) - at;
            assert_int_equal(sse_feed(&sse, text + at, left < step ? left : step, &fault), 0);
        }
        assert_string_equal(buf_text(&seen), events);
    }
}

static void test_events(void **state)
{
    (void)state;
    assert_events("retry: 1000\n\nid: 4\nevent: output\ndata: {}\n\n", "[output:{}]");
    assert_events("data: a\n\ndata: b\n\n", "[message:a][message:b]");
    assert_events("data: one\ndata: two\n\n", "[message:one\ntwo]");
    assert_events("data:x\n\n", "[message:x]");
    assert_events("data:  x\n\n", "[message: x]");
    assert_events("data\n\n", "[message:]");
    assert_events("event: end\r\ndata: x\r\n\r\ndata: y\r\r", "[end:x][message:y]");
}

static void test_what_is_no_event(void **state)
{
    (void)state;
    assert_events(":\n\n: a comment\n\nevent: nothing\n\nid: 3\n\n", "");
    assert_events("unknown: x\ndata: y\n\n", "[message:y]");
    assert_events("data: unfinished\n", "");
    assert_events("event: one\n\ndata: x\n\n", "[message:x]");
}

static void test_an_endless_line_is_refused(void **state)
{
    (void)state;
    struct fault fault;
    AUTO_BUF struct buf seen = BUF(4096);
    char block[4096];
    memset(block, 'x', sizeof block);
    AUTO_SSE struct sse sse = sse_begin(take, &seen);
    for (size_t sent = 0; sent <= SSE_EVENT_MAX; sent += sizeof block)
        assert_int_equal(sse_feed(&sse, block, sizeof block, &fault), 0);
    assert_true(sse.line.cap <= SSE_EVENT_MAX + 4096);
    assert_int_equal(sse_feed(&sse, "\n", 1, &fault), -1);
}

static void test_what_the_taker_says(void **state)
{
    (void)state;
    struct fault fault;
    AUTO_BUF struct buf seen = BUF(4096);
    AUTO_SSE struct sse sse = sse_begin(take, &seen);
    assert_int_equal(sse_feed(&sse, "data: stop\n\ndata: x\n\n", 21, &fault), -1);
    assert_string_equal(fault.detail, "told to");
    assert_string_equal(buf_text(&seen), "[message:stop]");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events),
        cmocka_unit_test(test_what_is_no_event),
        cmocka_unit_test(test_an_endless_line_is_refused),
        cmocka_unit_test(test_what_the_taker_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
