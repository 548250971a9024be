/* SPDX-License-Identifier: Apache-2.0 */
#include "handlers/strangers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define START_MS INT64_C(5000000)
#define RATE 20
#define BURST (RATE * STRANGERS_BURST_SECONDS)

static int setup(void **state)
{
    struct strangers *strangers = NULL;
    struct fault fault;
    if (strangers_new(RATE, &strangers, &fault) != 0)
        return -1;
    *state = strangers;
    return 0;
}

static int teardown(void **state)
{
    strangers_free(*state);
    return 0;
}

static struct http_address ipv4(uint32_t number)
{
    struct http_address address = {.bytes = {[10] = 0xff, [11] = 0xff}};
    for (int i = 0; i < 4; i++)
        address.bytes[12 + i] = (uint8_t)(number >> (24 - 8 * i));
    return address;
}

/* 2001:db8:0:<subnet>::<host> */
static struct http_address ipv6(uint8_t subnet, uint8_t host)
{
    return (struct http_address){.bytes = {0x20, 0x01, 0x0d, 0xb8, [7] = subnet, [15] = host}};
}

/* How many of `tries` at one moment are answered. */
static int take(struct strangers *strangers, struct http_address address, int64_t now_ms, int tries)
{
    int taken = 0;
    for (int i = 0; i < tries; i++)
        taken += strangers_take(strangers, &address, now_ms) ? 1 : 0;
    return taken;
}

static void an_address_has_its_burst_then_its_rate(void **state)
{
    assert_int_equal(take(*state, ipv4(1), START_MS, BURST + 50), BURST);
    assert_int_equal(take(*state, ipv4(1), START_MS + 1000 / RATE - 1, 5), 0);
    assert_int_equal(take(*state, ipv4(1), START_MS + 1000 / RATE, 5), 1);
    assert_int_equal(take(*state, ipv4(1), START_MS + 1000 / RATE + 1000, 2 * RATE), RATE);
    assert_int_equal(take(*state, ipv4(1), START_MS + 3600 * 1000, 2 * BURST), BURST);
}

static void neighbours_are_not_held_by_it(void **state)
{
    assert_int_equal(take(*state, ipv4(1), START_MS, BURST + 50), BURST);
    assert_int_equal(take(*state, ipv4(2), START_MS, BURST + 50), BURST);
}

static void an_ipv6_network_is_one(void **state)
{
    assert_int_equal(take(*state, ipv6(1, 1), START_MS, BURST - 1), BURST - 1);
    assert_int_equal(take(*state, ipv6(1, 2), START_MS, 10), 1);
    assert_int_equal(take(*state, ipv6(2, 1), START_MS, 10), 10);
}

/* More addresses than there are places, whatever sets they fall into. */
static void very_many_addresses_are_held_together(void **state)
{
    int taken = 0;
    for (uint32_t n = 0; n < 20000; n++)
        taken += take(*state, ipv4(n), START_MS, 1);
    assert_int_equal(taken, BURST * STRANGERS_ALL);
    assert_int_equal(take(*state, ipv4(1 << 20), START_MS + 1000, RATE * STRANGERS_ALL), BURST);
    assert_int_equal(take(*state, ipv4(1 << 21), START_MS + 1000, RATE * STRANGERS_ALL), BURST);
    assert_int_equal(take(*state, ipv4(1 << 22), START_MS + 1000, RATE * STRANGERS_ALL), 0);
}

/* What one is refused for its own sake is not missing for the rest. */
static void a_flood_of_one_takes_nothing_from_all(void **state)
{
    assert_int_equal(take(*state, ipv4(1), START_MS, 100 * BURST), BURST);
    for (uint32_t n = 2; n <= STRANGERS_ALL; n++)
        assert_int_equal(take(*state, ipv4(n), START_MS, BURST), BURST);
    assert_int_equal(take(*state, ipv4(77), START_MS, 1), 0);
}

int main(void)
{
#define STRANGERS_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        STRANGERS_TEST(an_address_has_its_burst_then_its_rate),
        STRANGERS_TEST(neighbours_are_not_held_by_it),
        STRANGERS_TEST(an_ipv6_network_is_one),
        STRANGERS_TEST(very_many_addresses_are_held_together),
        STRANGERS_TEST(a_flood_of_one_takes_nothing_from_all),
    };
    return cmocka_run_group_tests_name("strangers", tests, NULL, NULL);
}
