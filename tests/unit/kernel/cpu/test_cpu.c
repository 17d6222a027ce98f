// SPDX-License-Identifier: Apache-2.0
//
// The CPU table: announcing, starting, one that does not come up, the online hook.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/host/host.h"
#include "kernel/cpu/cpu.h"

static void test_announce(void **state)
{
    (void)state;
    host_boot(MIB(16), 1);
    assert_int_equal(cpu_count(), 1);
    assert_int_equal(cpu_announce(0, "host", 0), E_EXISTS);
    for (unsigned i = 1; i < CPU_MAX; i++) {
        assert_int_equal(cpu_announce(1000 + i, "host", 0), OK);
    }
    assert_int_equal(cpu_announce(5, "host", 0), E_RANGE);
    assert_int_equal(cpu_count(), CPU_MAX);
    assert_int_equal(cpu_get(7)->hw_id, 1007);
    assert_null(cpu_get(CPU_MAX));
}

static void test_one_does_not_start(void **state)
{
    (void)state;
    host_boot(MIB(16), 2);
    (void)host_console_take();
    assert_int_equal(cpu_announce(77, "host", 0), OK); // the machine has no such CPU
    cpu_start_all();
    assert_int_equal(cpu_count(), 3);
    assert_int_equal(cpu_online_count(), 2);
    assert_non_null(strstr(host_console_take(), "cpu 2 (id 0x4d) does not start"));
}

static void test_release_address(void **state)
{
    (void)state;
    host_boot(MIB(16), 1);
    (void)host_console_take();
    assert_int_equal(cpu_announce(77, "spin-table", 0x1004), OK);
    cpu_start_all();
    assert_int_equal(cpu_online_count(), 1);
    assert_non_null(strstr(host_console_take(), "cpu 1 (id 0x4d) does not start: invalid"));
}

static unsigned hooked;

static void hook(void)
{
    assert_false(arch_irq_enabled());
    hooked |= 1u << this_cpu()->index;
}

static void test_online_hook(void **state)
{
    (void)state;
    host_boot(MIB(16), 1);
    hooked = 0;
    cpu_set_online_hook(hook);
    assert_int_equal(hooked, 1);
    assert_true(arch_irq_enabled());
}

static void test_mask(void **state)
{
    struct cpumask m = {{0}};

    (void)state;
    cpumask_set(&m, 0);
    cpumask_set(&m, CPU_MAX - 1);
    assert_true(cpumask_test(&m, CPU_MAX - 1));
    assert_false(cpumask_test(&m, 1));
    assert_false(cpumask_test(&m, CPU_MAX));
    cpumask_clear(&m, 0);
    assert_false(cpumask_test(&m, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_announce),
        cmocka_unit_test(test_one_does_not_start),
        cmocka_unit_test(test_release_address),
        cmocka_unit_test(test_online_hook),
        cmocka_unit_test(test_mask),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
