// SPDX-License-Identifier: Apache-2.0
//
// From the cause of an interrupt to its handler's first instruction.
#include "guests/bench/riscv64/bench_ops.h"

#define DEADLINE_LEAD 60u // of `time`
#define EDGE_LOOKS 1000u
#define EDGE_STEPS 101u

static uint64_t ipi_batch(uint64_t n)
{
    register uint64_t r6 __asm__("a6") = 0;
    register uint64_t r7 __asm__("a7") = SBI_IPI;
    uint64_t t0, t1, left = n, taken;

    MARK(MARK_BEGIN);
    __asm__ volatile("li s4, 0\n\tcsrsi sstatus, 2\n\tcsrr %[t0], cycle\n"
                     "1:\n\tli a0, 1\n\tli a1, 0\n\tecall\n\taddi %[n], %[n], -1\n\tbnez %[n], 1b\n\t"
                     "csrr %[t1], cycle\n\tcsrci sstatus, 2\n\tmv %[taken], s4"
                     : [t0] "=&r"(t0), [t1] "=&r"(t1), [n] "+&r"(left), [taken] "=&r"(taken)
                     : "r"(r6), "r"(r7)
                     : SCRATCH, "s4", "s5");
    MARK(MARK_END);
    return taken == n ? t1 - t0 - 1 : 0;
}

// Where a tick of `time` begins: cycle = hundred times time plus this. The two are read one instruction after the other,
// at all distances from the last tick.
static uint64_t time_edge(void)
{
    uint64_t per_tick = clock_hz() / time_hz(), least = UINT64_MAX;

    for (unsigned i = 0; i < EDGE_LOOKS; i++) {
        uint64_t c, t;

        __asm__ volatile("csrr %0, cycle\n\tcsrr %1, time" : "=&r"(c), "=r"(t));
        c += 1 - per_tick * t; // as signed numbers: `time` is the guest's own and may be behind or ahead
        if (least == UINT64_MAX || (int64_t)c < (int64_t)least) {
            least = c;
        }
        for (volatile unsigned k = 0; k < i % EDGE_STEPS; k++) {
        }
    }
    return least;
}

// One deadline, asleep: how long after it the handler's first instruction was through. QEMU lets a deadline that is n
// ticks ahead come n whole ticks after the write to stimecmp, so the place of the write in its tick is taken off.
static uint64_t deadline_late(uint64_t deadline, uint64_t edge, uint64_t per_tick)
{
    register uint64_t seen __asm__("s5");
    uint64_t wrote;

    MARK(MARK_BEGIN);
    __asm__ volatile("li s4, 0\n\tcsrr %1, cycle\n\tcsrw " STIMECMP ", %2\n\tcsrsi sstatus, 2\n"
                     "1:\n\twfi\n\tbeqz s4, 1b\n\tcsrci sstatus, 2"
                     : "=&r"(seen), "=&r"(wrote)
                     : "r"(deadline)
                     : SCRATCH, "s4");
    MARK(MARK_END);
    return seen - edge - per_tick * deadline - (wrote + 1 - edge) % per_tick;
}

static void measure_wfi(void)
{
    uint64_t per_tick = clock_hz() / time_hz(), edge = time_edge();

    for (unsigned i = 0; i < SAMPLES; i++) {
        samples_add(deadline_late(time_now() + DEADLINE_LEAD, edge, per_tick) * 100);
    }
    samples_report("wfi_wake");
}

void role_interrupts(void)
{
    uint64_t old = vectors_use((uintptr_t)vectors_ipi);

    set_csr("sie", SIE_SSI);
    ipi_batch(BATCH);
    for (unsigned i = 0; i < SAMPLES; i++) {
        samples_add_batch(ipi_batch(BATCH), BATCH, LOOP_OWN + IPI_HANDLER_OWN + 2);
    }
    clear_csr("sie", SIE_SSI);
    vectors_use(old);
    samples_report("ipi_self");

    if (has_stimecmp()) {
        vectors_use((uintptr_t)vectors_timer);
        set_csr("sie", SIE_STI);
        measure_wfi();
        clear_csr("sie", SIE_STI);
        vectors_use(old);
    }
}
