// SPDX-License-Identifier: Apache-2.0
//
// The architecture contract on arch/host.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "arch/host/host.h"
#include "tests/contract/contract.c"

static unsigned reported;

static void report(const char *name, bool ok)
{
    reported++;
    if (!ok) {
        print_error("failed: %s\n", name);
    }
}

static void run_with(unsigned cpus)
{
    struct page_stats before, after;

    host_boot(MIB(64), cpus);
    page_stats_get(&before);
    reported = 0;
    assert_int_equal(contract_run(report), 0);
    assert_int_equal(reported, ARRAY_SIZE(checks));
    page_stats_get(&after);
    assert_in_range(before.free - after.free, 0, KIB(16)); // page tables of the window
}

static void test_one_cpu(void **state)
{
    (void)state;
    run_with(1);
}

static void test_four_cpus(void **state)
{
    (void)state;
    run_with(4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_cpu),
        cmocka_unit_test(test_four_cpus),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
