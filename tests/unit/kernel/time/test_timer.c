// SPDX-License-Identifier: Apache-2.0
//
// Timers on the simulated clock, and tick conversions at their limits.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "arch/cpu.h"
#include "arch/host/host.h"
#include "arch/time.h"
#include "kernel/irq/irq.h"
#include "kernel/time/timer.h"

static unsigned fired;
static uint64_t last;

static void note(struct timer *t)
{
    assert_true(arch_time_now() >= t->deadline);
    assert_true(t->deadline >= last);
    assert_false(arch_irq_enabled());
    last = t->deadline;
    fired++;
}

static int setup(void **state)
{
    (void)state;
    host_boot(MIB(16), 2);
    fired = 0;
    last = 0;
    return 0;
}

static void test_random_order(void **state)
{
    static struct timer t[200];
    uint64_t now = arch_time_now();

    (void)state;
    srand(5);
    for (unsigned i = 0; i < 200; i++) {
        timer_setup(&t[i], note);
        timer_set(&t[i], now + 1 + (unsigned)rand() % 10000);
    }
    // Re-arming moves, cancelling removes.
    for (unsigned i = 0; i < 50; i++) {
        timer_set(&t[i], now + 1 + (unsigned)rand() % 10000);
    }
    for (unsigned i = 100; i < 150; i++) {
        timer_cancel(&t[i]);
        timer_cancel(&t[i]);
    }
    host_time_advance(10001);
    assert_int_equal(fired, 150);
    assert_int_equal(host_timer_deadline(0), UINT64_MAX);
}

static void test_past_deadline(void **state)
{
    struct timer t;

    (void)state;
    timer_setup(&t, note);
    arch_irq_disable();
    timer_set(&t, arch_time_now());
    assert_int_equal(fired, 0);
    arch_irq_enable();
    assert_int_equal(fired, 1);
    assert_false(t.armed);
}

// Alone, before another, behind it, and again.
static void test_set_masked(void **state)
{
    struct timer t, other;
    uint64_t now = arch_time_now();

    (void)state;
    timer_setup(&t, note);
    timer_setup(&other, note);
    arch_irq_disable();
    timer_set_masked(&t, now + 2000);
    assert_int_equal(host_timer_deadline(0), now + 2000);
    timer_set_masked(&other, now + 1000);
    assert_int_equal(host_timer_deadline(0), now + 1000);
    timer_set_masked(&other, now + 3000);
    timer_set_masked(&t, now + 4000);
    arch_irq_enable();
    assert_int_equal(fired, 0);
    host_time_advance(3500);
    assert_int_equal(fired, 1);
    host_time_advance(1000);
    assert_int_equal(fired, 2);
    assert_int_equal(host_timer_deadline(0), UINT64_MAX);
}

static void set_masked_there(void *ctx)
{
    timer_set_masked(ctx, arch_time_now() + 1000);
}

// The one without a lock: cancelled by its own CPU and by another, armed elsewhere and in the list, and in its turn among others.
static void test_masked_moves(void **state)
{
    struct timer t, other;

    (void)state;
    timer_setup(&t, note);
    timer_setup(&other, note);
    arch_irq_disable();
    timer_set_masked(&t, arch_time_now() + 1000);
    timer_cancel(&t);
    assert_int_equal(host_timer_deadline(0), UINT64_MAX);
    timer_set(&other, arch_time_now() + 1500);
    timer_set_masked(&t, arch_time_now() + 2000);
    timer_cancel(&other);
    timer_set(&other, arch_time_now() + 2500);
    arch_irq_enable();
    host_time_advance(2100);
    assert_int_equal(fired, 1);
    host_time_advance(1000);
    assert_int_equal(fired, 2);
    assert_int_equal(cpu_call(1, set_masked_there, &t), OK);
    timer_cancel(&t);
    host_time_advance(2000);
    assert_int_equal(fired, 2);
    assert_int_equal(cpu_call(1, set_masked_there, &t), OK);
    timer_set(&t, arch_time_now() + 3000);
    host_time_advance(2000);
    assert_int_equal(fired, 2);
    host_time_advance(2000);
    assert_int_equal(fired, 3);
    assert_int_equal(host_timer_deadline(0), UINT64_MAX);
}

static unsigned again;

static void rearm(struct timer *t)
{
    again++;
    timer_set(t, 0);
}

static void test_rearm_in_the_past_is_bounded(void **state)
{
    struct timer t;

    (void)state;
    again = 0;
    timer_setup(&t, rearm);
    arch_irq_disable();
    timer_set(&t, 0);
    // One interrupt's worth; the machine is alive afterwards.
    (void)timer_interrupt(0, NULL);
    assert_in_range(again, 1, 1000);
    timer_cancel(&t);
    arch_irq_enable();
}

static void set_there(void *ctx)
{
    timer_set(ctx, arch_time_now() + 1000);
}

static void test_other_cpu(void **state)
{
    struct timer t;

    (void)state;
    timer_setup(&t, note);
    assert_int_equal(cpu_call(1, set_there, &t), OK);
    assert_int_equal(t.cpu, 1);
    timer_cancel(&t);
    host_time_advance(2000);
    assert_int_equal(fired, 0);
    assert_int_equal(cpu_call(1, set_there, &t), OK);
    timer_set(&t, arch_time_now() + 10);
    assert_int_equal(t.cpu, 0);
    host_time_advance(2000);
    assert_int_equal(fired, 1);
    assert_int_equal(cpu_call(1, set_there, &t), OK);
    host_time_advance(2000);
    assert_int_equal(fired, 2);
}

static void test_conversions(void **state)
{
    (void)state;
    assert_int_equal(time_from_us(1), 63); // 62.5: never too early
    assert_int_equal(time_from_ms(3), 187500);
    assert_int_equal(time_to_us(187500), 3000);
    assert_int_equal(time_to_ns(1), 16);
    assert_int_equal(time_to_ns(HOST_HZ * UINT64_C(3600)), UINT64_C(3600000000000));
    assert_int_equal(time_from_us(UINT64_MAX), UINT64_MAX);
    assert_int_equal(time_to_ns(UINT64_MAX), UINT64_MAX);
    for (uint64_t us = 1; us < UINT64_C(1) << 50; us = us * 3 + 1) {
        assert_int_equal(time_to_us(time_from_us(us)), us);
    }
}

static void test_delay(void **state)
{
    uint64_t start = arch_time_now();

    (void)state;
    time_delay_us(100);
    assert_in_range(arch_time_now() - start, time_from_us(100), time_from_us(101));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_random_order, setup),
        cmocka_unit_test_setup(test_past_deadline, setup),
        cmocka_unit_test_setup(test_set_masked, setup),
        cmocka_unit_test_setup(test_masked_moves, setup),
        cmocka_unit_test_setup(test_rearm_in_the_past_is_bounded, setup),
        cmocka_unit_test_setup(test_other_cpu, setup),
        cmocka_unit_test_setup(test_conversions, setup),
        cmocka_unit_test_setup(test_delay, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
