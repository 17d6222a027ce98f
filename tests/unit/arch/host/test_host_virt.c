// SPDX-License-Identifier: Apache-2.0
//
// The scripted guest: steps in order, verdicts, requests, host interrupts on the way.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "arch/cpu.h"
#include "arch/host/host.h"
#include "arch/time.h"
#include "arch/virt.h"
#include "kernel/time/timer.h"

static unsigned mmio_seen, irqs, requests_seen, poweroffs, calls;
static enum vcpu_verdict mmio_verdict;

static enum vcpu_verdict handle_exit(struct arch_vcpu *av, struct vcpu_exit *exit)
{
    (void)av;
    if (exit->kind == VCPU_EXIT_MMIO) {
        mmio_seen++;
        exit->mmio.value = 0x55;
        return mmio_verdict;
    }
    assert_int_equal(exit->kind, VCPU_EXIT_POWEROFF);
    poweroffs++;
    return VCPU_LEAVE;
}

static void on_host_irq(struct arch_vcpu *av)
{
    (void)av;
    irqs++;
    irq_dispatch();
}

static enum vcpu_verdict on_requests(struct arch_vcpu *av)
{
    requests_seen++;
    if (av->requests & 2) {
        return VCPU_LEAVE;
    }
    av->requests = 0;
    return VCPU_RESUME;
}

static const struct vcpu_upcalls up = {.exit = handle_exit, .host_irq = on_host_irq, .requests = on_requests};

static void guest_code(struct arch_vcpu *av)
{
    calls++;
    av->requests |= 1;
}

static void fire(struct timer *t)
{
    (void)t;
}

static void test_script(void **state)
{
    struct host_step steps[] = {
        {.kind = HOST_STEP_EXIT, .exit = {.kind = VCPU_EXIT_MMIO, .mmio = {.gpa = {0x9000000}, .size = 4}}},
        {.kind = HOST_STEP_CALL, .fn = guest_code},
        {.kind = HOST_STEP_RUN, .ticks = 5000},
    };
    const struct vcpu_entry entry = {.pc = 0x40080000, .arg = 7};
    struct arch_vm vm;
    struct arch_vcpu av;
    struct timer t;
    uint64_t start;

    (void)state;
    host_boot(MIB(16), 1);
    mmio_verdict = VCPU_RESUME;
    host_guest_script(0, steps, ARRAY_SIZE(steps));
    assert_int_equal(arch_vm_create(&vm, hpa(0), 0), E_INVAL);
    assert_int_equal(arch_vm_create(&vm, hpa(0), 1), OK);
    assert_int_equal(arch_vcpu_create(&av, &vm, 0, &up), OK);
    arch_vcpu_reset(&av, &entry);
    assert_int_equal(arch_vcpu_reg(&av, 0), 7);
    assert_int_equal(arch_vcpu_reg(&av, 32), 0x40080000);
    timer_setup(&t, fire);
    timer_set(&t, arch_time_now() + 1000);
    start = arch_time_now();
    arch_irq_disable();
    arch_vcpu_load(&av);
    arch_vcpu_run(&av);
    arch_irq_enable();
    assert_int_equal(mmio_seen, 1);
    assert_int_equal(steps[0].exit.mmio.value, 0x55);
    assert_int_equal(calls, 1);
    assert_int_equal(requests_seen, 1);
    assert_int_equal(irqs, 1);
    assert_int_equal(poweroffs, 1);
    assert_true(arch_time_now() - start >= 5000);
    assert_true(steps[2].executed);
    // Again, with an abort, then a request to leave before the first step.
    mmio_verdict = VCPU_ABORT;
    arch_vcpu_reset(&av, &entry);
    arch_vcpu_run(&av);
    assert_int_equal(av.aborts, 1);
    av.requests = 2;
    arch_vcpu_reset(&av, &entry);
    arch_vcpu_run(&av);
    assert_int_equal(mmio_seen, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_script),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
