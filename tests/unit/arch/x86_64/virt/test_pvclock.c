// SPDX-License-Identifier: Apache-2.0
//
// The scale from ticks to nanoseconds, read as a guest reads it, for clocks from very slow to very fast.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "arch/x86_64/virt/pvclock.h"

static uint64_t read_clock(const struct pvclock_time *t, uint64_t tsc)
{
    uint64_t delta = tsc - t->tsc_timestamp;

    delta = t->tsc_shift < 0 ? delta >> -t->tsc_shift : delta << t->tsc_shift;
    return t->system_time + (uint64_t)((unsigned __int128)delta * t->tsc_to_system_mul >> 32);
}

static void test_scale(void **state)
{
    static const uint64_t hz[] = {1,          1000,       1193182,    50000000,   999999999,  1000000000,
                                  1000000001, 2299467000, 4294967296, 5800000000, 8000000001, 100000000000};

    (void)state;
    for (unsigned i = 0; i < sizeof(hz) / sizeof(hz[0]); i++) {
        struct pvclock_time t = pvclock_of(hz[i]);
        uint64_t hour = read_clock(&t, 3600 * hz[i]);

        assert_int_equal(t.version % 2, 0);
        assert_int_equal(t.flags, PVCLOCK_TSC_STABLE);
        assert_true(t.tsc_to_system_mul != 0);
        assert_in_range(hour, 3600 * UINT64_C(1000000000) - 30000, 3600 * UINT64_C(1000000000)); // 8e-9
        assert_int_equal(read_clock(&t, 0), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_scale)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
