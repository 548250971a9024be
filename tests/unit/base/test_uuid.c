/* SPDX-License-Identifier: Apache-2.0 */
#include "base/uuid.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int64_t time_of(const struct uuid *uuid)
{
    int64_t ms = 0;
    for (int i = 0; i < 6; i++)
        ms = ms << 8 | uuid->bytes[i];
    return ms;
}

static void version_variant_and_time(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) {
        int64_t before = clock_wall_ms();
        struct uuid uuid = uuid_v7();
        int64_t after = clock_wall_ms();
        assert_int_equal(uuid.bytes[6] >> 4, 7);
        assert_int_equal(uuid.bytes[8] >> 6, 2);
        assert_in_range(time_of(&uuid), before, after);
        struct uuid_text text = uuid_format(&uuid);
        assert_int_equal(strlen(text.text), UUID_TEXT_LEN);
        assert_int_equal(text.text[14], '7');
        assert_non_null(strchr("89ab", text.text[19]));
    }
}

/* Sorting by bytes or by text sorts by time. */
static void later_ones_are_greater(void **state)
{
    (void)state;
    struct uuid earlier = uuid_v7();
    for (int i = 0; i < 5; i++) {
        int64_t made = time_of(&earlier);
        while (clock_wall_ms() <= made)
            ;
        struct uuid later = uuid_v7();
        assert_true(memcmp(later.bytes, earlier.bytes, sizeof later.bytes) > 0);
        assert_true(strcmp(uuid_format(&later).text, uuid_format(&earlier).text) > 0);
        earlier = later;
    }
}

/* All 74 random bits take both values, and none repeats. */
static void the_rest_is_random(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    static struct uuid made[COUNT];
    struct uuid ones = {0}, zeros = {0};
    for (size_t i = 0; i < COUNT; i++) {
        made[i] = uuid_v7();
        for (size_t b = 6; b < 16; b++) {
            ones.bytes[b] |= made[i].bytes[b];
            zeros.bytes[b] |= (uint8_t)~made[i].bytes[b];
        }
        for (size_t j = 0; j < i; j++)
            assert_false(uuid_equal(&made[i], &made[j]));
    }
    static const uint8_t random_bits[16] = {[6] = 0x0f, 0xff, 0x3f, 0xff, 0xff,
                                            0xff,       0xff, 0xff, 0xff, 0xff};
    for (size_t b = 6; b < 16; b++)
        assert_int_equal(ones.bytes[b] & zeros.bytes[b], random_bits[b]);
}

static void text_and_back(void **state)
{
    (void)state;
    /* RFC 9562 appendix A.6 */
    static const char text[] = "017f22e2-79b0-7cc3-98c4-dc0c0c07398f";
    static const struct uuid expected = {{0x01, 0x7f, 0x22, 0xe2, 0x79, 0xb0, 0x7c, 0xc3, 0x98,
                                          0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f}};
    struct uuid uuid;
    assert_int_equal(uuid_parse(text, UUID_TEXT_LEN, &uuid), 0);
    assert_true(uuid_equal(&uuid, &expected));
    assert_string_equal(uuid_format(&uuid).text, text);
    static const char *const any[] = {"00000000-0000-0000-0000-000000000000",
                                      "ffffffff-ffff-ffff-ffff-ffffffffffff",
                                      "919108f7-52d1-4320-9bac-f847db4148a8"};
    for (size_t i = 0; i < ARRAY_LEN(any); i++) {
        assert_int_equal(uuid_parse(any[i], UUID_TEXT_LEN, &uuid), 0);
        assert_string_equal(uuid_format(&uuid).text, any[i]);
    }
}

static void only_the_one_text_is_read(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398",
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398f0",
        "017F22E2-79B0-7CC3-98C4-DC0C0C07398F",
        "017f22e279b07cc398c4dc0c0c07398f",
        "017f22e279b0-7cc3-98c4-dc0c0c07398f0",
        "{017f22e2-79b0-7cc3-98c4-dc0c0c0739}",
        "017f22e-279b0-7cc3-98c4-dc0c0c07398f",
        "017f22e2-79b0-7cc3-98c4-dc0c0c07-98f",
        "017f22e2_79b0_7cc3_98c4_dc0c0c07398f",
        "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
        " 17f22e2-79b0-7cc3-98c4-dc0c0c07398f",
        "------------------------------------",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct uuid uuid = {{0x5a}}, before = uuid;
        if (uuid_parse(bad[i], strlen(bad[i]), &uuid) != -1)
            fail_msg("accepted: %s", bad[i]);
        assert_memory_equal(&uuid, &before, sizeof uuid);
    }
    struct uuid uuid;
    assert_int_equal(uuid_parse("017f22e2-79b0-7cc3-98c4-dc0c0c07398\0", 36, &uuid), -1);
}

static void random_bytes_fill_what_they_are_given(void **state)
{
    (void)state;
    uint8_t seen[66] = {0};
    for (int i = 0; i < 100; i++) {
        uint8_t bytes[66] = {0};
        random_bytes(bytes + 1, 64);
        assert_int_equal(bytes[0] | bytes[65], 0);
        for (size_t b = 1; b < 65; b++)
            seen[b] |= bytes[b];
    }
    for (size_t b = 1; b < 65; b++)
        assert_int_not_equal(seen[b], 0);
    random_bytes(seen, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_variant_and_time),
        cmocka_unit_test(later_ones_are_greater),
        cmocka_unit_test(the_rest_is_random),
        cmocka_unit_test(text_and_back),
        cmocka_unit_test(only_the_one_text_is_read),
        cmocka_unit_test(random_bytes_fill_what_they_are_given),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
