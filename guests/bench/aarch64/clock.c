// SPDX-License-Identifier: Apache-2.0
//
// The counter, and the sleep and the computing of two guests that share a core. The physical counter is not offset: it
// is the same for all guests of the machine.
#include "guests/bench/aarch64/bench_ops.h"

void mark_begin(void)
{
    MARK(MARK_BEGIN);
}

void mark_end(void)
{
    MARK(MARK_END);
}

void mark_series(void)
{
    MARK(MARK_SERIES);
}

uint64_t clock_now(void)
{
    __asm__ volatile("isb");
    return read_sysreg("cntpct_el0");
}

uint64_t clock_hz(void)
{
    return time_hz();
}

void alarm_setup(void)
{
    irq_enable_line(TIMER_INTID);
    vectors_use(vectors_timer);
}

void alarm_set(uint64_t ticks)
{
    write_sysreg("cntv_cval_el0", time_now() + ticks);
    write_sysreg("cntv_ctl_el0", 1);
}

void alarm_sleep(uint64_t *before, uint64_t *after)
{
    uint64_t t0, t1;

    __asm__ volatile("isb\n\tmrs %0, cntpct_el0\n\twfi\n\tmrs %1, cntpct_el0\n\t"
                     "msr daifclr, #2\n\tisb\n\tmsr daifset, #2"
                     : "=&r"(t0), "=&r"(t1)::SCRATCH, "x20", "x21", "x22");
    *before = t0;
    *after = t1;
}

void compute_until_gap(uint64_t gap, uint64_t *last, uint64_t *now)
{
    uint64_t t0, t1;

    __asm__ volatile("mrs %1, cntpct_el0\n1:\n\tmov %0, %1\n\tmrs %1, cntpct_el0\n\tsub x9, %1, %0\n\t"
                     "cmp x9, %2\n\tb.lo 1b"
                     : "=&r"(t0), "=&r"(t1)
                     : "r"(gap)
                     : "x9", "cc");
    *last = t0;
    *now = t1;
}
