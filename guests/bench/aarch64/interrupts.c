// SPDX-License-Identifier: Apache-2.0
//
// From the cause of an interrupt to its handler's first instruction.
//
// An interrupt that the guest causes is measured in batches. A deadline that comes by itself is measured one at a time:
// it lies exactly on a tick, and the handler reads the counter after k further instructions, k = 0..steps-1. The sum of
// floor((n + k) / steps) over these k is n, so the ticks late, added up, are the instructions late.
#include "guests/bench/aarch64/bench_ops.h"

#define DEADLINE_LEAD 400u // ticks

static uint64_t sgi_batch(uint64_t n)
{
    uint64_t t0, t1;

    MARK(MARK_BEGIN);
    __asm__ volatile("mov x20, #0\n\tmsr daifclr, #2\n\tisb\n\tmrs %[t0], cntvct_el0\n"
                     "1:\n\tmov x1, %[sgi]\n\tmsr S3_0_C12_C11_5, x1\n\tsubs %[n], %[n], #1\n\tb.ne 1b\n\t"
                     "mrs %[t1], cntvct_el0\n\tmsr daifset, #2"
                     : [t0] "=&r"(t0), [t1] "=&r"(t1), [n] "+&r"(n)
                     : [sgi] "r"(SGI_OF(SGI_INTID, 0))
                     : SCRATCH, "x20", "x21");
    MARK(MARK_END);
    return t1 - t0;
}

static uint64_t timer_batch(uint64_t n)
{
    uint64_t t0, t1;

    write_sysreg("cntv_cval_el0", 0);
    MARK(MARK_BEGIN);
    __asm__ volatile("mov x20, #0\n\tmsr daifclr, #2\n\tisb\n\tmrs %[t0], cntvct_el0\n"
                     "1:\n\tmsr cntv_ctl_el0, %[on]\n\tsubs %[n], %[n], #1\n\tb.ne 1b\n\t"
                     "mrs %[t1], cntvct_el0\n\tmsr daifset, #2"
                     : [t0] "=&r"(t0), [t1] "=&r"(t1), [n] "+&r"(n)
                     : [on] "r"((uint64_t)1)
                     : SCRATCH, "x20", "x21");
    MARK(MARK_END);
    return t1 - t0;
}

// One deadline; the handler reads the counter `step` instructions later. `wait` is 0 to compute, 1 to sleep.
static uint64_t deadline_late(unsigned step, bool sleep)
{
    uint64_t deadline = time_now() + DEADLINE_LEAD;
    register uint64_t seen __asm__("x21");
    register uint64_t sled __asm__("x22") = (uintptr_t)sled_end - 4u * step;

    write_sysreg("cntv_cval_el0", deadline);
    write_sysreg("cntv_ctl_el0", 1);
    MARK(MARK_BEGIN);
    if (sleep) {
        __asm__ volatile(
            "mov x20, #0\n\tdsb sy\n\tmsr daifclr, #2\n1:\n\twfi\n\tcbz x20, 1b\n\tmsr daifset, #2"
            : "=r"(seen)
            : "r"(sled)
            : SCRATCH, "x20");
    } else {
        __asm__ volatile("mov x20, #0\n\tmsr daifclr, #2\n1:\n\tcbz x20, 1b\n\tmsr daifset, #2"
                         : "=r"(seen)
                         : "r"(sled)
                         : SCRATCH, "x20");
    }
    MARK(MARK_END);
    return seen - deadline;
}

static void measure_deadline(const char *name, bool sleep)
{
    for (unsigned i = 0; i < SAMPLES; i++) {
        uint64_t late = 0;

        for (unsigned step = 0; step < SLED_STEPS; step++) {
            late += deadline_late(step, sleep);
        }
        // The branch into the sled is the handler's own.
        samples_add(late * tick_cost() / SLED_STEPS - 100);
    }
    samples_report(name);
}

void role_interrupts(void)
{
    if (board.gic_version == 2) {
        measure_gicv2();
        return;
    }
    irq_enable_line(SGI_INTID);
    irq_enable_line(TIMER_INTID);
    vectors_use(vectors_count);
    sgi_batch(BATCH);
    for (unsigned i = 0; i < SAMPLES; i++) {
        samples_add_batch(sgi_batch(BATCH), BATCH, LOOP_OWN + COUNT_HANDLER_OWN + 1);
    }
    vectors_use(vectors);
    samples_report("sgi_self");

    vectors_use(vectors_timer);
    timer_batch(BATCH);
    for (unsigned i = 0; i < SAMPLES; i++) {
        samples_add_batch(timer_batch(BATCH), BATCH, LOOP_OWN + TIMER_HANDLER_OWN);
    }
    vectors_use(vectors);
    samples_report("timer_expired");

    vectors_use(vectors_sled);
    measure_deadline("timer_deadline", false);
    measure_deadline("wfi_wake", true);
    vectors_use(vectors);
}
