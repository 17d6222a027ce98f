// SPDX-License-Identifier: Apache-2.0
//
// Attacks through devices: idling, interrupt controller.
#include "guests/lib/aarch64/cpu.h"
#include "guests/redteam/redteam.h"

#define GICD_ISENABLER 0x100
#define GICD_ICENABLER 0x180
#define GICD_ISPENDR 0x200
#define GICD_ICPENDR 0x280
#define GICD_ISACTIVER 0x300
#define GICD_ICACTIVER 0x380
#define GICD_IPRIORITYR 0x400
#define SPI_FIRST 32u
#define TIMER_INTID 27u
#define UNENDED_ROUNDS 2000u
#define IDLE_ROUNDS 20000u
#define GIC_WRITES 20000u

bool case_idle(void)
{
    uint64_t start = time_now();

    irq_setup(); // earlier cases may have disturbed it
    // A timer in the past with interrupts masked: WFI must not sleep.
    write_sysreg("cntv_cval_el0", 0);
    write_sysreg("cntv_ctl_el0", 1);
    irq_enable_line(27);
    for (unsigned i = 0; i < IDLE_ROUNDS; i++) {
        __asm__ volatile("wfi\n wfe\n yield\n sevl\n wfe\n sev" : : : "memory");
    }
    write_sysreg("cntv_ctl_el0", 0);
    print("  %u rounds in %lu ticks of %lu Hz\n", IDLE_ROUNDS, time_now() - start, time_hz());
    return true;
}

static unsigned spi_limit(void)
{
    return 32 * ((mmio_read32(board.gicd + 0x4) & 0x1f) + 1) < 1020
               ? 32 * ((mmio_read32(board.gicd + 0x4) & 0x1f) + 1)
               : 1020;
}

// One GICD register of one bit an interrupt, for all SPIs.
static void gicd_all(uint64_t offset)
{
    for (unsigned intid = SPI_FIRST; intid < spi_limit(); intid += 32) {
        mmio_write32(board.gicd + offset + intid / 8, 0xffffffff);
    }
}

// Takes what there is, by polling; false when a priority comes too late or the number is wrong.
static bool take_all(unsigned expected)
{
    unsigned taken = 0, last = 0;

    for (; taken <= expected; taken++) {
        uint32_t iar = gic_acknowledge();
        unsigned priority;

        if ((iar & 0x3ff) >= 1020) {
            break;
        }
        priority = mmio_read32(board.gicd + GICD_IPRIORITYR + (iar & 0x3fc)) >> (iar % 4 * 8) & 0xff;
        gic_end(iar);
        if (priority < last) {
            print("  %u of priority 0x%x after 0x%x\n", iar, priority, last);
            return false;
        }
        last = priority;
    }
    if (taken != expected) {
        print("  %u taken instead of %u\n", taken, expected);
    }
    return taken == expected;
}

bool case_gic_pending(void)
{
    unsigned count = spi_limit() - SPI_FIRST;
    bool good;

    irq_setup();
    for (unsigned intid = SPI_FIRST; intid < spi_limit(); intid++) {
        irq_enable_line(intid);
        mmio_write8(board.gicd + GICD_IPRIORITYR + intid, (uint8_t)(random_next() & 0x70));
    }
    gicd_all(GICD_ISPENDR);
    good = take_all(count);
    gicd_all(GICD_ISPENDR); // offered, then withdrawn in every way
    gicd_all(GICD_ICENABLER);
    good = take_all(0) && good;
    gicd_all(GICD_ISENABLER);
    gicd_all(GICD_ISACTIVER);
    good = take_all(0) && good;
    gicd_all(GICD_ICACTIVER);
    good = take_all(count) && good;
    gicd_all(GICD_ISPENDR);
    gicd_all(GICD_ICPENDR);
    good = take_all(0) && good;
    gicd_all(GICD_ICENABLER);
    irq_setup();
    irq_enable_line(board.uart_irq);
    print("  %u interrupts\n", count);
    return good;
}

bool case_gic_unended(void)
{
    uint32_t iar;

    irq_setup();
    write_sysreg("cntv_cval_el0", 0);
    write_sysreg("cntv_ctl_el0", 1);
    irq_enable_line(TIMER_INTID);
    for (unsigned i = 0; i < UNENDED_ROUNDS; i++) { // ended, but never quiet
        gic_end(gic_acknowledge());
    }
    iar = gic_acknowledge();
    // It takes its way. QEMU's GICv2 does not look at a level again when a guest has ended its interrupt, only when some input
    // changes: so it does.
    for (unsigned i = 0; i < UNENDED_ROUNDS && (iar & 0x3ff) >= 1020; i++) {
        write_sysreg("cntv_ctl_el0", 0);
        write_sysreg("cntv_ctl_el0", 1);
        firmware_call(0x84000000, 0, 0, 0);
        iar = gic_acknowledge();
    }
    for (unsigned i = 0; i < UNENDED_ROUNDS; i++) { // not ended: silent from now on
        firmware_call(0x84000000, 0, 0, 0);
        if ((gic_acknowledge() & 0x3ff) < 1020) {
            return false;
        }
    }
    write_sysreg("cntv_ctl_el0", 0);
    gic_end(iar);
    print("  %u rounds\n", UNENDED_ROUNDS);
    return (iar & 0x3ff) == TIMER_INTID;
}

bool case_gic(void)
{
    for (unsigned i = 0; i < GIC_WRITES; i++) {
        uint64_t r = random_next();
        uint64_t bank = r & 1 ? board.gicd : board.gic_version == 3 ? board.gicr : board.gicc;
        uint64_t window = r & 1 || board.gic_version == 2 ? 0x1000 : 0x20000;
        uint32_t word = r & 2 ? 0xb9000022 : 0xb9400022; // str, ldr w2, [x1]

        run_word(word, bank + (r >> 8) % window / 4 * 4, r >> 32);
    }
    for (unsigned i = 0; i < 1000; i++) { // ICC_SGI1R_EL1: storms to everybody
        run_word(0xd518cba2, 0, i & 1 ? 0x100000000000000f : random_next());
    }
    print("  still here\n");
    return true;
}
