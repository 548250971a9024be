/* SPDX-License-Identifier: Apache-2.0 */
#include "storage/notify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ONE "0190a000-0000-7000-8000-000000000001"
#define TWO "0190a000-0000-7000-8000-000000000002"

static void test_ids_are_read(void **state)
{
    (void)state;
    struct uuid ids[NOTIFY_IDS_MAX];
    assert_int_equal(notify_ids(ONE, ids), 1);
    assert_string_equal(uuid_format(&ids[0]).text, ONE);
    assert_int_equal(notify_ids(ONE "," TWO, ids), 2);
    assert_string_equal(uuid_format(&ids[1]).text, TWO);
}

static void test_what_is_not_ids_is_none(void **state)
{
    static const char *const wrong[] = {
        "",      ",",         "x",     ONE ",",
        "," ONE, ONE ";" TWO, ONE TWO, ONE ",0190A000-0000-7000-8000-000000000002",
    };
    (void)state;
    struct uuid ids[NOTIFY_IDS_MAX];
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_int_equal(notify_ids(wrong[i], ids), 0);
}

static void test_too_many_are_none(void **state)
{
    (void)state;
    struct uuid ids[NOTIFY_IDS_MAX];
    AUTO_BUF struct buf text = BUF(65536);
    for (int i = 0; i < NOTIFY_IDS_MAX; i++)
        buf_printf(&text, "%s%s", i > 0 ? "," : "", ONE);
    assert_int_equal(notify_ids(buf_text(&text), ids), NOTIFY_IDS_MAX);
    buf_puts(&text, "," ONE);
    assert_int_equal(notify_ids(buf_text(&text), ids), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ids_are_read),
        cmocka_unit_test(test_what_is_not_ids_is_none),
        cmocka_unit_test(test_too_many_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
