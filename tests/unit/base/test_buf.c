/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void assert_text(const struct buf *buf, const char *text)
{
    assert_false(buf_failed(buf));
    assert_int_equal(buf->len, strlen(text));
    assert_string_equal(buf_text(buf), text);
    assert_true(span_equal(buf_span(buf), span_text(text)));
}

static void it_holds_what_is_written(void **state)
{
    (void)state;
    AUTO_BUF struct buf buf = BUF(100);
    assert_text(&buf, "");
    buf_append(&buf, "a\0b", 3);
    assert_int_equal(buf.len, 3);
    assert_memory_equal(buf.data, "a\0b", 4);
    buf_reset(&buf);
    assert_text(&buf, "");
    buf_puts(&buf, "one");
    buf_append(&buf, NULL, 0);
    buf_printf(&buf, ", %s %d", "two", 3);
    assert_text(&buf, "one, two 3");
}

/* Exactly the maximum fits, by each way of writing; one more does not. */
static void the_maximum_is_exact(void **state)
{
    (void)state;
    for (size_t max = 0; max < 200; max++) {
        char text[210];
        memset(text, 'x', sizeof text);
        text[max] = '\0';
        for (int way = 0; way < 4; way++) {
            AUTO_BUF struct buf buf = BUF(max);
            for (size_t more = 0; more < 2; more++) {
                buf_reset(&buf);
                if (way == 0)
                    buf_append(&buf, text, max + more);
                else if (way == 1)
                    buf_printf(&buf, "%s%s", text, more == 1 ? "y" : "");
                else if (way == 2)
                    for (size_t i = 0; i < max + more; i++)
                        buf_puts(&buf, "x");
                else if (buf_reserve(&buf, max + more) != NULL)
                    buf_commit(&buf, 0);
                assert_int_equal(buf_failed(&buf), more == 1);
            }
            assert_true(buf.cap <= max + 1);
        }
    }
}

static void a_failed_write_writes_nothing_and_sticks(void **state)
{
    (void)state;
    AUTO_BUF struct buf buf = BUF(8);
    buf_puts(&buf, "12345");
    buf_puts(&buf, "6789");
    assert_true(buf_failed(&buf));
    assert_string_equal(buf_text(&buf), "12345");
    assert_int_equal(buf.len, 5);
    buf_puts(&buf, "6");
    buf_printf(&buf, "7");
    buf_append(&buf, "", 0);
    assert_null(buf_reserve(&buf, 1));
    assert_true(buf_failed(&buf));
    assert_string_equal(buf_text(&buf), "12345");
    assert_null(buf_take(&buf, NULL));
    buf_reset(&buf);
    buf_puts(&buf, "12345678");
    assert_text(&buf, "12345678");
}

/* Lengths that would wrap when added or doubled. */
static void sizes_do_not_overflow(void **state)
{
    (void)state;
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX - 4};
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        AUTO_BUF struct buf small = BUF(1000);
        buf_puts(&small, "text");
        assert_null(buf_reserve(&small, sizes[i]));
        assert_true(buf_failed(&small));
        assert_string_equal(buf_text(&small), "text");
        AUTO_BUF struct buf endless = BUF(SIZE_MAX);
        buf_puts(&endless, "text");
        assert_false(buf_failed(&endless));
        assert_null(buf_reserve(&endless, sizes[i]));
        assert_true(buf_failed(&endless));
        assert_string_equal(buf_text(&endless), "text");
    }
}

static void it_grows_and_keeps_what_it_held(void **state)
{
    (void)state;
    AUTO_BUF struct buf buf = BUF(1 << 20);
    for (uint32_t i = 0; i < 100000; i++)
        buf_append(&buf, &i, sizeof i);
    assert_false(buf_failed(&buf));
    assert_int_equal(buf.len, 400000);
    assert_int_equal(buf.data[buf.len], '\0');
    for (uint32_t i = 0; i < 100000; i++) {
        uint32_t kept;
        memcpy(&kept, buf.data + 4 * (size_t)i, sizeof kept);
        assert_int_equal(kept, i);
    }
}

static void reserved_room_counts_when_committed(void **state)
{
    (void)state;
    AUTO_BUF struct buf buf = BUF(64);
    char *place = buf_reserve(&buf, 10);
    assert_non_null(place);
    assert_int_equal(buf.len, 0);
    memcpy(place, "0123456789", 10);
    buf_commit(&buf, 4);
    assert_text(&buf, "0123");
    assert_non_null(buf_reserve(&buf, 0));
    assert_text(&buf, "0123");
}

static void taking_leaves_it_empty(void **state)
{
    (void)state;
    size_t len = 99;
    AUTO_BUF struct buf buf = BUF(16);
    AUTO_FREE char *nothing = buf_take(&buf, &len);
    assert_string_equal(nothing, "");
    assert_int_equal(len, 0);
    buf_puts(&buf, "mine now");
    AUTO_FREE char *text = buf_take(&buf, &len);
    assert_string_equal(text, "mine now");
    assert_int_equal(len, 8);
    assert_text(&buf, "");
    assert_int_equal(buf.max, 16);
    buf_puts(&buf, "again");
    assert_text(&buf, "again");
    assert_string_equal(text, "mine now");
}

static void freeing_is_safe(void **state)
{
    (void)state;
    buf_free(NULL);
    struct buf buf = BUF(4);
    buf_puts(&buf, "12345");
    buf_free(&buf);
    assert_null(buf.data);
    buf_free(&buf);
    assert_int_equal(buf.max, 4);
    buf_puts(&buf, "1234");
    assert_text(&buf, "1234");
    buf_free(&buf);
}

static void spans_compare_by_bytes(void **state)
{
    (void)state;
    assert_true(span_equal(span_of(NULL, 0), span_text("")));
    assert_true(span_equal(span_of("a\0b", 3), span_of("a\0b", 3)));
    assert_false(span_equal(span_of("a\0b", 3), span_of("a\0c", 3)));
    assert_false(span_equal(span_text("ab"), span_text("a")));
    assert_false(span_equal(span_of(NULL, 0), span_text("a")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_holds_what_is_written),
        cmocka_unit_test(the_maximum_is_exact),
        cmocka_unit_test(a_failed_write_writes_nothing_and_sticks),
        cmocka_unit_test(sizes_do_not_overflow),
        cmocka_unit_test(it_grows_and_keeps_what_it_held),
        cmocka_unit_test(reserved_room_counts_when_committed),
        cmocka_unit_test(taking_leaves_it_empty),
        cmocka_unit_test(freeing_is_safe),
        cmocka_unit_test(spans_compare_by_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
