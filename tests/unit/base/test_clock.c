/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define DAY_MS INT64_C(86400000)

static const struct {
    const char *text;
    int64_t ms;
} good[] = {
    {"1970-01-01T00:00:00Z", 0},
    {"1970-01-01T00:00:00.001Z", 1},
    {"1969-12-31T23:59:59.999Z", -1},
    {"2026-01-02T03:04:05.678Z", 1767323045678},
    {"2000-02-29T00:00:00Z", 951782400000},
    {"2024-02-29T12:00:00Z", 1709208000000},
    {"0001-01-01T00:00:00Z", -62135596800000},
    {"9999-12-31T23:59:59.999Z", 253402300799999},
    /* RFC 3339 section 5.8 */
    {"1985-04-12T23:20:50.52Z", 482196050520},
    {"1996-12-19T16:39:57-08:00", 851042397000},
    {"1937-01-01T12:00:27.87+00:20", -1041337172130},
    /* lower case, and offsets to either end */
    {"2026-01-02t03:04:05z", 1767323045000},
    {"2026-01-02T03:04:05+00:00", 1767323045000},
    {"2026-01-02T03:04:05-00:00", 1767323045000},
    {"2026-01-03T03:03:05+23:59", 1767323045000},
    {"2026-01-01T03:05:05-23:59", 1767323045000},
    {"2025-12-31T23:59:59-00:01", 1767225659000},
    {"0001-01-01T00:00:00+23:59", -62135596800000 - 86340000},
    /* one to nine digits, cut, not rounded */
    {"2026-01-02T03:04:05.6Z", 1767323045600},
    {"2026-01-02T03:04:05.67Z", 1767323045670},
    {"2026-01-02T03:04:05.6789Z", 1767323045678},
    {"2026-01-02T03:04:05.678999999Z", 1767323045678},
    {"2026-01-02T03:04:05.000999999Z", 1767323045000},
    {"1969-12-31T23:59:59.9999Z", -1},
    /* leap seconds: RFC 3339 section 5.8, and the same instant elsewhere */
    {"1990-12-31T23:59:60Z", 662688000000},
    {"1990-12-31T15:59:60-08:00", 662688000000},
    {"1991-01-01T05:29:60.5+05:30", 662688000000},
};

static void times_are_read(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        int64_t ms = INT64_MIN;
        if (time_parse(good[i].text, strlen(good[i].text), &ms) != 0 || ms != good[i].ms)
            fail_msg("%s: %lld", good[i].text, (long long)ms);
    }
}

static void what_is_no_time_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "2026",
        "2026-01-02",
        "2026-01-02T03:04:05",  /* an offset is required */
        "2026-01-02T03:04Z",    /* so are seconds */
        "2026-01-02 03:04:05Z", /* section 5.6's note on the space is an option, not ours */
        "2026-01-02T03:04:05 Z",
        " 2026-01-02T03:04:05Z",
        "2026-01-02T03:04:05Z ",
        "2026-01-02T03:04:05Z\n",
        "2026-01-02T03:04:05ZZ",
        "0000-01-01T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "-026-01-02T03:04:05Z",
        "+026-01-02T03:04:05Z",
        "026-01-02T03:04:05Z",
        "2026-1-02T03:04:05Z",
        "2026-01-2T03:04:05Z",
        "2026-00-02T03:04:05Z",
        "2026-13-02T03:04:05Z",
        "2026-01-00T03:04:05Z",
        "2026-01-32T03:04:05Z",
        "2026-04-31T03:04:05Z",
        "2026-02-29T03:04:05Z",
        "1900-02-29T03:04:05Z",
        "2100-02-29T03:04:05Z",
        "2024-02-30T03:04:05Z",
        "2026-01-02T24:00:00Z",
        "2026-01-02T03:60:05Z",
        "2026-01-02T03:04:61Z",
        "2026-01-02T03:04:60Z", /* 60 is a leap second's only */
        "2026-01-02T23:58:60Z",
        "2026-01-02T23:59:60+00:01",
        "1990-12-31T23:59:60-08:00",
        "2026-01-02T03:04:05.Z",
        "2026-01-02T03:04:05,678Z",
        "2026-01-02T03:04:05.1234567890Z",
        "2026-01-02T03:04:05.-1Z",
        "2026-01-02T03:04:05.1",
        "2026-01-02T03:04:05+24:00",
        "2026-01-02T03:04:05+00:60",
        "2026-01-02T03:04:05+0000",
        "2026-01-02T03:04:05+00",
        "2026-01-02T03:04:05+0:00",
        "2026-01-02T03:04:05+00:00Z",
        "2026-01-02T03:04:05+00:0\0",
        "20260102T030405Z",
        "2026-W01-5T03:04:05Z",
        "2026-002T03:04:05Z",
        "2026-01-02T03:04:0\xd9\xa5Z", /* an Arabic digit five */
        "2026-01-02X03:04:05Z",
        "2026/01/02T03:04:05Z",
        "1e26-01-02T03:04:05Z",
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        int64_t ms = 42;
        if (time_parse(bad[i], strlen(bad[i]), &ms) != -1 || ms != 42)
            fail_msg("accepted: %s", bad[i]);
    }
    int64_t ms = 42;
    assert_int_equal(time_parse("2026-01-02T03:04:05Z\0", 21, &ms), -1);
    assert_int_equal(time_parse("2026-01-02T03:04\0005Z", 20, &ms), -1);
    assert_int_equal(ms, 42);
}

/* Every shorter text of a good one is no time, and none is read past its end. */
static void a_cut_time_is_refused(void **state)
{
    (void)state;
    static const char whole[] = "2026-01-02T03:04:05.678+01:30";
    for (size_t len = 0; len < sizeof whole - 1; len++) {
        AUTO_FREE char *exact = malloc(len + 1);
        assert_non_null(exact);
        memcpy(exact, whole, len);
        exact[len] = '\x01';
        int64_t ms;
        assert_int_equal(time_parse(exact, len, &ms), -1);
    }
}

/* Against the C library, which knows the calendar by other code. */
static void every_day_of_the_calendar(void **state)
{
    (void)state;
    int64_t first = good[6].ms, last = good[7].ms;
    int year = 0, month = 0, day = 0;
    for (int64_t ms = first; ms <= last; ms += DAY_MS) {
        struct tm tm;
        char expected[32];
        time_t seconds = ms / 1000;
        assert_non_null(gmtime_r(&seconds, &tm));
        assert_true(tm.tm_year != year || tm.tm_mon != month || tm.tm_mday != day);
        year = tm.tm_year;
        month = tm.tm_mon;
        day = tm.tm_mday;
        (void)snprintf(expected, sizeof expected, "%04u-%02u-%02uT00:00:00.000Z",
                       (unsigned)(year + 1900) % 10000, (unsigned)(month + 1) % 100,
                       (unsigned)day % 100);
        struct time_text text = time_format(ms);
        if (strcmp(text.text, expected) != 0)
            fail_msg("%s is not %s", text.text, expected);
        int64_t back;
        assert_int_equal(time_parse(text.text, TIME_TEXT_LEN, &back), 0);
        assert_int_equal(back, ms);
    }
}

static void times_of_day_return(void **state)
{
    (void)state;
    for (int64_t ms = -3 * DAY_MS - 5; ms < 3 * DAY_MS; ms += 7919) {
        int64_t back;
        struct time_text text = time_format(ms);
        assert_int_equal(strlen(text.text), TIME_TEXT_LEN);
        assert_int_equal(time_parse(text.text, TIME_TEXT_LEN, &back), 0);
        assert_int_equal(back, ms);
    }
    assert_string_equal(time_format(-1).text, "1969-12-31T23:59:59.999Z");
    assert_string_equal(time_format(DAY_MS - 1).text, "1970-01-01T23:59:59.999Z");
}

static void years_are_clamped(void **state)
{
    (void)state;
    static const char lowest[] = "0000-01-01T00:00:00.000Z", highest[] = "9999-12-31T23:59:59.999Z";
    assert_string_equal(time_format(INT64_MIN).text, lowest);
    assert_string_equal(time_format(-62167219200001).text, lowest);
    assert_string_equal(time_format(-62167219200000).text, lowest);
    assert_string_equal(time_format(-62167219199999).text, "0000-01-01T00:00:00.001Z");
    assert_string_equal(time_format(253402300800000).text, highest);
    assert_string_equal(time_format(INT64_MAX).text, highest);
}

static void clocks_run(void **state)
{
    (void)state;
    int64_t wall = clock_wall_ms(), before = clock_monotonic_ms();
    assert_true(wall > INT64_C(1700000000000));
    assert_true(wall < INT64_C(253402300800000));
    while (clock_monotonic_ms() == before)
        ;
    assert_true(clock_monotonic_ms() > before);
    int64_t seconds = (int64_t)time(NULL);
    assert_in_range(seconds - wall / 1000, 0, 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times_are_read),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(a_cut_time_is_refused),
        cmocka_unit_test(every_day_of_the_calendar),
        cmocka_unit_test(times_of_day_return),
        cmocka_unit_test(years_are_clamped),
        cmocka_unit_test(clocks_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
