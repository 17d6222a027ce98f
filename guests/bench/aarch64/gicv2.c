// SPDX-License-Identifier: Apache-2.0
//
// GICv2's CPU interface: acknowledging an interrupt that is pending and ending it, GICC_IAR and GICC_EOIR.
//
// What makes the interrupt pending does not belong to it, so each turn is timed by itself. The counter moves
// once in several instructions: each turn begins at another, random distance from its step, and the mean is
// exact.
#include "guests/bench/aarch64/bench_ops.h"

#define GICD_ISPENDR 0x200u
#define GICD_SGIR 0xf00u
#define GICC_IAR 0xcu
#define GICC_EOIR 0x10u
#define SGIR_TO_SELF (2u << 24)
#define SPI_INTID 64u
#define DELAYS 16u

static uint64_t turn(uint64_t trigger, uint32_t value)
{
    static uint32_t random = 1;
    register uint64_t iar __asm__("x10") = board.gicc + GICC_IAR;
    register uint64_t eoir __asm__("x11") = board.gicc + GICC_EOIR;
    uint64_t t0, t1;

    mmio_write32(trigger, value);
    random = random * 1664525 + 1013904223;
    for (volatile uint32_t delay = random >> 16 & (DELAYS - 1); delay; delay--) {
    }
    for (uint32_t delay = random >> 24 & (DELAYS - 1); delay; delay--) {
        __asm__ volatile("");
    }
    MARK(MARK_BEGIN);
    __asm__ volatile(
        "isb\n\tmrs %[t0], cntvct_el0\n\tldr w9, [%[iar]]\n\tstr w9, [%[eoir]]\n\tmrs %[t1], cntvct_el0"
        : [t0] "=&r"(t0), [t1] "=&r"(t1)
        : [iar] "r"(iar), [eoir] "r"(eoir)
        : "x9", "memory");
    MARK(MARK_END);
    return t1 - t0;
}

static void measure_turns(const char *name, uint64_t trigger, uint32_t value)
{
    turn(trigger, value);
    for (unsigned i = 0; i < SAMPLES; i++) {
        uint64_t ticks = 0;

        for (unsigned n = 0; n < BATCH; n++) {
            ticks += turn(trigger, value);
        }
        samples_add_batch(ticks, BATCH, 1); // the second look at the counter
    }
    samples_report(name);
}

// Interrupts stay masked: what is pending is acknowledged without being taken.
void measure_gicv2(void)
{
    irq_enable_line(SGI_INTID);
    irq_enable_line(SPI_INTID);
    measure_turns("gicv2_sgi", board.gicd + GICD_SGIR, SGIR_TO_SELF | SGI_INTID);
    measure_turns("gicv2_spi", board.gicd + GICD_ISPENDR + SPI_INTID / 8, UINT32_C(1) << SPI_INTID % 32);
}
