// SPDX-License-Identifier: Apache-2.0
//
// The counter, the one vector of our own, and the sleep and the computing of two guests that share a core.
#include "guests/bench/x86_64/bench_ops.h"

#define CLOCK_HZ 1000000000u // an instruction takes a nanosecond
#define GATE_PRESENT UINT64_C(0x8E00)
#define SEL_CODE UINT64_C(8)

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
    return time_now();
}

uint64_t clock_hz(void)
{
    return CLOCK_HZ;
}

void vector_use(const char *handler)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) table;
    uint64_t to = (uint64_t)(uintptr_t)handler;

    __asm__ volatile("sidt %0" : "=m"(table));
    uint64_t *gate = (uint64_t *)(uintptr_t)(table.base + 16 * VECTOR_BENCH);

    gate[0] = (to & 0xFFFF) | SEL_CODE << 16 | GATE_PRESENT << 32 | (to >> 16 & 0xFFFF) << 48;
    gate[1] = to >> 32;
}

void alarm_setup(void)
{
    vector_use(vectors_stamp);
    apic_write(APIC_LVT_TIMER, LVT_TSC_DEADLINE | VECTOR_BENCH);
}

void alarm_set(uint64_t ticks)
{
    wrmsr(MSR_TSC_DEADLINE, time_now() + ticks);
}

void alarm_sleep(uint64_t *before, uint64_t *after)
{
    uint64_t t0, t1;

    __asm__ volatile(READ_COUNTER("%0") MARK_BYTES("%c2") "sti\n\thlt\n\tcli\n\t" READ_COUNTER("%1")
                     : "=&r"(t0), "=&r"(t1)
                     : "i"(MARK_SLEEP)
                     : "rax", "rcx", "rdx", SCRATCH);
    *before = t0;
    *after = t1;
}

void compute_until_gap(uint64_t gap, uint64_t *last, uint64_t *now)
{
    uint64_t t0, t1 = time_now();

    do {
        t0 = t1;
        t1 = time_now();
    } while (t1 - t0 < gap);
    *last = t0;
    *now = t1;
}
