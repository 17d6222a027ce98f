// SPDX-License-Identifier: Apache-2.0
//
// Calendar arithmetic.
#include "kernel/lib/date.h"

#define DAY_SECONDS 86400u

static bool is_leap(unsigned year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static unsigned month_days(unsigned year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

// Days from 1970 to the first of January.
static uint64_t year_start(unsigned year)
{
    unsigned y = year - 1;

    return UINT64_C(365) * (year - DATE_YEAR_FIRST) + (y / 4 - y / 100 + y / 400) -
           (1969 / 4 - 1969 / 100 + 1969 / 400);
}

static uint64_t date_limit(void)
{
    return year_start(DATE_YEAR_LAST + 1) * DAY_SECONDS;
}

struct date date_from_seconds(uint64_t seconds)
{
    seconds %= date_limit();
    uint64_t day = seconds / DAY_SECONDS;
    unsigned rest = (unsigned)(seconds % DAY_SECONDS), month = 1;
    unsigned year = DATE_YEAR_FIRST + (unsigned)(day / 366);

    while (year_start(year + 1) <= day) { // for each 1500 years, four at most
        year++;
    }
    day -= year_start(year);
    while (day >= month_days(year, month)) {
        day -= month_days(year, month++);
    }
    return (struct date){.year = (uint16_t)year,
                         .month = (uint8_t)month,
                         .day = (uint8_t)(day + 1),
                         .hour = (uint8_t)(rest / 3600),
                         .minute = (uint8_t)(rest / 60 % 60),
                         .second = (uint8_t)(rest % 60)};
}

static uint64_t clamp(uint64_t v, uint64_t low, uint64_t high)
{
    return min_u64(max_u64(v, low), high);
}

uint64_t date_to_seconds(const struct date *d)
{
    unsigned year = (unsigned)clamp(d->year, DATE_YEAR_FIRST, DATE_YEAR_LAST);
    unsigned month = (unsigned)clamp(d->month, 1, 12);
    uint64_t days = year_start(year) + clamp(d->day, 1, month_days(year, month)) - 1;

    for (unsigned m = 1; m < month; m++) {
        days += month_days(year, m);
    }
    return days * DAY_SECONDS + clamp(d->hour, 0, 23) * 3600 + clamp(d->minute, 0, 59) * 60 +
           clamp(d->second, 0, 59);
}

unsigned date_weekday(const struct date *d)
{
    return (unsigned)((date_to_seconds(d) / DAY_SECONDS + 4) % 7) + 1; // 1970 began on a Thursday
}
