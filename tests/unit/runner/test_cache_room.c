/* SPDX-License-Identifier: Apache-2.0 */
/* Room for unpacking: grows with each attempt, ends at the limits, never costs more than there is.
 */
#include "runner/cache_room.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define GIB ((uint64_t)1 << 30)

static uint64_t cost(const struct unpack_config *config)
{
    return (uint64_t)config->max_bytes + (uint64_t)config->max_entries * CACHE_ENTRY_COST;
}

static void test_it_grows_to_the_limits(void **state)
{
    (void)state;
    const struct unpack_config unpack = unpack_config_defaults();
    const uint64_t packed[] = {1, 4096, 3 << 20, GIB, 2 * GIB};
    for (size_t i = 0; i < sizeof packed / sizeof packed[0]; i++) {
        struct unpack_config tried = {0};
        int attempt = 0;
        for (;; attempt++) {
            struct unpack_config next =
                cache_room_scale(&unpack, packed[i], attempt, UINT64_C(1) << 50);
            if (!cache_room_allows_more(&next, &tried))
                break;
            tried = next;
        }
        assert_int_equal(tried.max_bytes, unpack.max_bytes);
        assert_int_equal(tried.max_entries, unpack.max_entries);
        assert_in_range(attempt, 1, 8); /* each costs an unpacking */
    }
}

static void test_the_rest_is_as_it_was(void **state)
{
    (void)state;
    struct unpack_config unpack = unpack_config_defaults();
    unpack.program = "unpacker";
    struct unpack_config config = cache_room_scale(&unpack, 1, 0, GIB);
    assert_string_equal(config.program, "unpacker");
    assert_int_equal(config.uid, unpack.uid);
    assert_int_equal(config.cpu_seconds, unpack.cpu_seconds);
    assert_int_equal(config.memory_bytes, unpack.memory_bytes);
}

static void test_it_never_costs_more_than_there_is(void **state)
{
    (void)state;
    const struct unpack_config unpack = unpack_config_defaults();
    const uint64_t rooms[] = {0, 1, 4095, 8191, 8192, 100000, 1 << 20, GIB, 9 * GIB, 100 * GIB};
    for (size_t i = 0; i < sizeof rooms / sizeof rooms[0]; i++)
        for (int attempt = 0; attempt < 100; attempt++) {
            struct unpack_config config = cache_room_scale(&unpack, 2 * GIB, attempt, rooms[i]);
            assert_true(config.max_bytes >= 0 && config.max_entries >= 0);
            assert_in_range(cost(&config), 0, rooms[i]);
        }
}

static void test_no_more_where_there_is_no_more(void **state)
{
    (void)state;
    const struct unpack_config unpack = unpack_config_defaults(), none = {0};
    struct unpack_config last = cache_room_scale(&unpack, 4096, 10, 64 << 20);
    struct unpack_config same = cache_room_scale(&unpack, 4096, 11, 64 << 20);
    struct unpack_config less = cache_room_scale(&unpack, 4096, 11, 32 << 20);
    struct unpack_config more = cache_room_scale(&unpack, 4096, 11, 65 << 20);
    struct unpack_config nothing = cache_room_scale(&unpack, 4096, 0, 4095);
    assert_true(cache_room_allows_more(&last, &none));
    assert_false(cache_room_allows_more(&same, &last));
    assert_false(cache_room_allows_more(&less, &last));
    assert_true(cache_room_allows_more(&more, &last));
    assert_false(cache_room_allows_more(&nothing, &none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_grows_to_the_limits),
        cmocka_unit_test(test_the_rest_is_as_it_was),
        cmocka_unit_test(test_it_never_costs_more_than_there_is),
        cmocka_unit_test(test_no_more_where_there_is_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
