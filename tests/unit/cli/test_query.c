/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/query.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static void test_values_cannot_leave_their_place(void **state)
{
    (void)state;
    AUTO_BUF struct buf path = BUF(QUERY_PATH_MAX);
    buf_puts(&path, "/v1/things/");
    query_escape(&path, "../a?b#c d/\xc3\xbc");
    query_add(&path, "name", "a&b=c%+\r\nX: y");
    query_add(&path, "absent", NULL);
    query_add_number(&path, "limit", 50);
    assert_string_equal(buf_text(&path), "/v1/things/..%2Fa%3Fb%23c%20d%2F%C3%BC"
                                         "?name=a%26b%3Dc%25%2B%0D%0AX%3A%20y&limit=50");
}

static void test_too_long_is_noticed(void **state)
{
    (void)state;
    AUTO_BUF struct buf path = BUF(8);
    query_add(&path, "name", "value");
    assert_true(buf_failed(&path));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_cannot_leave_their_place),
        cmocka_unit_test(test_too_long_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
