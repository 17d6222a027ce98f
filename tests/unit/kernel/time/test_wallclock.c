// SPDX-License-Identifier: Apache-2.0
//
// Which clock is believed, and that the date goes on.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/host/host.h"
#include "arch/time.h"
#include "kernel/time/wallclock.h"

#define YEAR_2020 UINT64_C(1577836800)

static void first_good_one_counts(void **state)
{
    (void)state;
    assert_int_equal(wallclock_now(), 0);
    wallclock_set("dead", 5); // its battery is empty
    assert_int_equal(wallclock_now(), 0);
    wallclock_set("good", YEAR_2020);
    wallclock_set("second", YEAR_2020 + 1000);
    assert_int_equal(wallclock_now(), YEAR_2020);
    host_time_advance(90 * arch_time_hz());
    assert_int_equal(wallclock_now(), YEAR_2020 + 90);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(first_good_one_counts)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
