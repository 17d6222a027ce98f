// SPDX-License-Identifier: Apache-2.0
//
// Dates against the C library, over four centuries; dates that do not exist.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <time.h>

#include "kernel/lib/date.h"

#define DAY 86400u

static void same_as_libc(void **state)
{
    (void)state;
    for (uint64_t s = 0; s < UINT64_C(400) * 366 * DAY; s += 11 * 3600 + 977) {
        struct date d = date_from_seconds(s);
        time_t t = (time_t)s;
        struct tm tm;

        (void)gmtime_r(&t, &tm);
        assert_int_equal(d.year, tm.tm_year + 1900);
        assert_int_equal(d.month, tm.tm_mon + 1);
        assert_int_equal(d.day, tm.tm_mday);
        assert_int_equal(d.hour, tm.tm_hour);
        assert_int_equal(d.minute, tm.tm_min);
        assert_int_equal(d.second, tm.tm_sec);
        assert_int_equal(date_weekday(&d), tm.tm_wday + 1);
        assert_int_equal(date_to_seconds(&d), s);
    }
}

static void no_such_date(void **state)
{
    const struct date d = {.year = 2023, .month = 2, .day = 31, .hour = 99, .minute = 99, .second = 99};
    const struct date least = {0};
    struct date got = date_from_seconds(date_to_seconds(&d));

    (void)state;
    assert_int_equal(got.day, 28);
    assert_int_equal(got.hour, 23);
    assert_int_equal(got.second, 59);
    assert_int_equal(date_to_seconds(&least), 0);
    assert_true(date_from_seconds(UINT64_MAX).year <= DATE_YEAR_LAST);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(same_as_libc), cmocka_unit_test(no_such_date)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
