// SPDX-License-Identifier: Apache-2.0
//
// The counter, and the sleep and the computing of two guests that share a core.
#include "guests/bench/riscv64/bench_ops.h"

#define CLOCK_HZ 1000000000u // an instruction takes a nanosecond

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
    return read_csr("cycle");
}

uint64_t clock_hz(void)
{
    return CLOCK_HZ;
}

bool has_stimecmp(void)
{
    trap_expected = true;
    last_trap.taken = false;
    __asm__ volatile("csrr t0, " STIMECMP : : : "t0", "memory");
    trap_expected = false;
    return !last_trap.taken;
}

void alarm_setup(void)
{
    if (!has_stimecmp()) {
        print("bench: needs Sstc\n");
        power_off();
    }
    vectors_use((uintptr_t)vectors_timer);
    set_csr("sie", SIE_STI);
}

void alarm_set(uint64_t ticks)
{
    write_csr(STIMECMP, time_now() + ticks / (CLOCK_HZ / time_hz()));
}

void alarm_sleep(uint64_t *before, uint64_t *after)
{
    uint64_t t0, t1;

    __asm__ volatile("csrr %0, cycle\n\twfi\n\tcsrr %1, cycle\n\tcsrsi sstatus, 2\n\tcsrci sstatus, 2"
                     : "=&r"(t0), "=&r"(t1)::SCRATCH, "s4", "s5");
    *before = t0;
    *after = t1;
}

void compute_until_gap(uint64_t gap, uint64_t *last, uint64_t *now)
{
    uint64_t t0, t1;

    __asm__ volatile("csrr %1, cycle\n1:\n\tmv %0, %1\n\tcsrr %1, cycle\n\tsub t0, %1, %0\n\t"
                     "bltu t0, %2, 1b"
                     : "=&r"(t0), "=&r"(t1)
                     : "r"(gap)
                     : "t0");
    *last = t0;
    *now = t1;
}
