/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <string.h>
#include <time.h>

#define DAY_MS INT64_C(86400000)

static int64_t clock_ms(clockid_t id)
{
    struct timespec now;
    if (clock_gettime(id, &now) != 0)
        abort();
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t clock_wall_ms(void)
{
    return clock_ms(CLOCK_REALTIME);
}

int64_t clock_monotonic_ms(void)
{
    return clock_ms(CLOCK_MONOTONIC);
}

/* Days since 1970-01-01 of a date of the proleptic Gregorian calendar, counting years from
 * March so that the leap day is the last of its year. */
static int64_t days_from_date(int year, int month, int day)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void date_from_days(int64_t days, int *ret_year, int *ret_month, int *ret_day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * day_of_year + 2) / 153;
    *ret_day = (int)(day_of_year - (153 * shifted + 2) / 5 + 1);
    *ret_month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    *ret_year = (int)(year_of_era + era * 400 + (*ret_month <= 2 ? 1 : 0));
}

struct time_text time_format(int64_t wall_ms)
{
    const int64_t lowest = days_from_date(0, 1, 1) * DAY_MS;
    const int64_t highest = days_from_date(10000, 1, 1) * DAY_MS - 1;
    if (wall_ms < lowest)
        wall_ms = lowest;
    if (wall_ms > highest)
        wall_ms = highest;
    int64_t days = (wall_ms >= 0 ? wall_ms : wall_ms - DAY_MS + 1) / DAY_MS;
    int ms = (int)(wall_ms - days * DAY_MS);
    int year, month, day;
    date_from_days(days, &year, &month, &day);
    struct time_text text;
    char wide[80]; /* wide enough for any int, so that the compiler sees no cut */
    (void)snprintf(wide, sizeof wide, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", year, month, day,
                   ms / 3600000, ms / 60000 % 60, ms / 1000 % 60, ms % 1000);
    memcpy(text.text, wide, TIME_TEXT_LEN);
    text.text[TIME_TEXT_LEN] = '\0';
    return text;
}

/* A cursor over the text; `bad` sticks. */
struct scan {
    const char *at;
    const char *end;
    bool bad;
};

static int scan_digits(struct scan *scan, int count)
{
    int value = 0;
    for (int i = 0; i < count; i++) {
        if (scan->bad || scan->at == scan->end || *scan->at < '0' || *scan->at > '9') {
            scan->bad = true;
            return 0;
        }
        value = value * 10 + (*scan->at++ - '0');
    }
    return value;
}

static char scan_one_of(struct scan *scan, const char *allowed)
{
    if (scan->bad || scan->at == scan->end || *scan->at == '\0' ||
        strchr(allowed, *scan->at) == NULL) {
        scan->bad = true;
        return 0;
    }
    return *scan->at++;
}

static int scan_fraction_ms(struct scan *scan)
{
    int ms = 0, digits = 0;
    for (; scan->at < scan->end && *scan->at >= '0' && *scan->at <= '9'; scan->at++, digits++)
        if (digits < 3)
            ms = ms * 10 + (*scan->at - '0');
    if (digits < 1 || digits > 9)
        scan->bad = true;
    for (; digits < 3; digits++)
        ms *= 10;
    return ms;
}

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return month == 2 && leap ? 29 : days[month - 1];
}

int time_parse(const char *text, size_t len, int64_t *ret_wall_ms)
{
    struct scan scan = {text, text + len, false};
    int year = scan_digits(&scan, 4);
    (void)scan_one_of(&scan, "-");
    int month = scan_digits(&scan, 2);
    (void)scan_one_of(&scan, "-");
    int day = scan_digits(&scan, 2);
    (void)scan_one_of(&scan, "Tt");
    int hour = scan_digits(&scan, 2);
    (void)scan_one_of(&scan, ":");
    int minute = scan_digits(&scan, 2);
    (void)scan_one_of(&scan, ":");
    int second = scan_digits(&scan, 2);
    char next = scan_one_of(&scan, ".Zz+-");
    int ms = 0;
    if (next == '.') {
        ms = scan_fraction_ms(&scan);
        next = scan_one_of(&scan, "Zz+-");
    }
    int offset = 0;
    if (next == '+' || next == '-') {
        int offset_hour = scan_digits(&scan, 2);
        (void)scan_one_of(&scan, ":");
        int offset_minute = scan_digits(&scan, 2);
        if (offset_hour > 23 || offset_minute > 59)
            return -1;
        offset = (offset_hour * 60 + offset_minute) * (next == '-' ? -1 : 1);
    }
    if (scan.bad || scan.at != scan.end || year < 1 || month < 1 || month > 12 || day < 1 ||
        day > days_in_month(year, month) || hour > 23 || minute > 59 || second > 60)
        return -1;
    int64_t minutes = days_from_date(year, month, day) * 1440 + hour * 60 + minute - offset;
    int64_t minute_of_day = ((minutes % 1440) + 1440) % 1440;
    if (second == 60 && minute_of_day != 1439)
        return -1;
    *ret_wall_ms = (minutes * 60 + second) * 1000 + (second == 60 ? 0 : ms);
    return 0;
}
