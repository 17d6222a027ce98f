// SPDX-License-Identifier: Apache-2.0
//
// Interrupt dispatch: registration, completion protocol, forwarded interrupts, storms, strangers, remote calls.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/cpu.h"
#include "arch/host/host.h"
#include "kernel/irq/irq.h"

static unsigned calls;
static enum irq_result answer;

static int setup(void **state)
{
    (void)state;
    host_boot(MIB(16), 2);
    calls = 0;
    answer = IRQ_HANDLED;
    (void)host_console_take();
    return 0;
}

static enum irq_result handler(unsigned irq, void *ctx)
{
    assert_int_equal(irq, *(unsigned *)ctx);
    assert_true(host_irq_active(irq));
    assert_false(arch_irq_enabled());
    assert_int_equal(this_cpu()->irq_depth, 1);
    calls++;
    return answer;
}

static unsigned number = 77;

static void test_register_and_fire(void **state)
{
    (void)state;
    assert_int_equal(irq_register(77, IRQ_EDGE, handler, &number), OK);
    assert_int_equal(irq_register(77, IRQ_EDGE, handler, &number), E_EXISTS);
    assert_int_equal(irq_register(IRQ_MAX, IRQ_EDGE, handler, &number), E_RANGE);
    assert_int_equal(irq_register(78, IRQ_EDGE, NULL, NULL), E_INVAL);
    host_irq_raise(77);
    assert_int_equal(calls, 1);
    assert_int_equal(irq_count(77), 1);
    assert_false(host_irq_active(77));
    arch_irq_disable();
    host_irq_raise(77);
    host_irq_raise(77); // an edge is remembered once
    assert_int_equal(calls, 1);
    arch_irq_enable();
    assert_int_equal(calls, 2);
    irq_unregister(77);
    host_irq_raise(77);
    assert_int_equal(calls, 2);
}

static void test_forwarded_stays_active(void **state)
{
    (void)state;
    answer = IRQ_FORWARDED;
    assert_int_equal(irq_register(77, IRQ_LEVEL, handler, &number), OK);
    host_irq_level(77, true);
    assert_int_equal(calls, 1);
    assert_true(host_irq_active(77));
    // The guest deactivates; the line is still up.
    host_irqchip.deactivate(77);
    arch_irq_enable();
    assert_int_equal(calls, 2);
    host_irq_level(77, false);
    host_irqchip.deactivate(77);
}

static unsigned storm_calls;

static enum irq_result storm(unsigned irq, void *ctx)
{
    (void)ctx;
    // Never cleared by its handler; the test gives up some time.
    if (++storm_calls >= 1000) {
        host_irq_level(irq, false);
    }
    return IRQ_HANDLED;
}

static void test_storm_is_bounded(void **state)
{
    (void)state;
    storm_calls = 0;
    assert_int_equal(irq_register(90, IRQ_LEVEL, storm, NULL), OK);
    arch_irq_disable();
    host_irq_level(90, true);
    irq_dispatch();
    assert_in_range(storm_calls, 1, 100);
    host_irq_level(90, false);
    arch_irq_enable();
}

static void test_stranger_is_switched_off(void **state)
{
    (void)state;
    host_irqchip.enable(99);
    host_irq_level(99, true);
    assert_non_null(strstr(host_console_take(), "interrupt 99 has no handler"));
    assert_false(host_irq_active(99));
    host_irq_level(99, true);
    assert_string_equal(host_console_take(), "");
}

static void add(void *ctx)
{
    assert_false(arch_irq_enabled());
    *(unsigned *)ctx += this_cpu()->index + 1;
}

static void call_back(void *ctx)
{
    // While the first CPU waits with interrupts masked.
    assert_int_equal(cpu_call(0, add, ctx), OK);
}

static void test_remote_calls(void **state)
{
    unsigned sum = 0;

    (void)state;
    assert_int_equal(cpu_call(0, add, &sum), OK);
    assert_int_equal(cpu_call(1, add, &sum), OK);
    assert_int_equal(sum, 3);
    assert_int_equal(cpu_call(2, add, &sum), E_NOENT);
    arch_irq_disable();
    assert_int_equal(cpu_call(1, call_back, &sum), OK);
    arch_irq_enable();
    assert_int_equal(sum, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_register_and_fire, setup),
        cmocka_unit_test_setup(test_forwarded_stays_active, setup),
        cmocka_unit_test_setup(test_storm_is_bounded, setup),
        cmocka_unit_test_setup(test_stranger_is_switched_off, setup),
        cmocka_unit_test_setup(test_remote_calls, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
