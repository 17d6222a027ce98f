// SPDX-License-Identifier: Apache-2.0
//
// Traps, the virtual timer and firmware calls of an aarch64 guest (Arm ARM DDI 0487, D1 and D12; PSCI, Arm DEN 0022).
#include "guests/lib/aarch64/cpu.h"

#define SLOT_SYNC 4u // current EL with SP_ELx
#define SLOT_IRQ 5u
#define TIMER_IRQ 27u
#define INTID_SPECIAL 1020u
#define CNTV_ENABLE 1u
#define ESR_EC(esr) ((esr) >> 26 & 0x3f)
#define EC_SVC 0x15 // returns behind the instruction by itself
#define PSCI_SYSTEM_OFF 0x84000008u
#define PSCI_SYSTEM_RESET 0x84000009u

volatile struct trap_info last_trap;
volatile bool trap_expected;
volatile uint64_t trap_resume;
uint64_t entry_ticks;
static volatile uint64_t periods;
static uint64_t period_ticks;

void irq_set_mask(bool masked)
{
    if (masked) {
        __asm__ volatile("msr daifset, #2" : : : "memory");
    } else {
        __asm__ volatile("msr daifclr, #2" : : : "memory");
    }
}

void irq_wait(void)
{
    __asm__ volatile("dsb sy\n wfi" : : : "memory");
    irq_set_mask(false);
    __asm__ volatile("isb");
    irq_set_mask(true);
}

uint64_t time_now(void)
{
    __asm__ volatile("isb");
    return read_sysreg("cntvct_el0");
}

uint64_t time_hz(void)
{
    return read_sysreg("cntfrq_el0");
}

void timer_start(uint64_t ticks)
{
    period_ticks = ticks;
    write_sysreg("cntv_cval_el0", time_now() + ticks);
    write_sysreg("cntv_ctl_el0", CNTV_ENABLE);
    irq_enable_line(TIMER_IRQ);
}

uint64_t timer_periods(void)
{
    return periods;
}

// The deadline moves by whole periods from the last one, so that the rate does not drift.
static void timer_interrupt(void)
{
    uint64_t deadline = read_sysreg("cntv_cval_el0");

    while (deadline <= time_now()) {
        deadline += period_ticks;
        periods = periods + 1;
    }
    write_sysreg("cntv_cval_el0", deadline);
    __asm__ volatile("isb");
}

static void take_interrupt(void)
{
    uint32_t iar = gic_acknowledge();
    uint32_t intid = iar & 0xffffff;

    if (intid >= INTID_SPECIAL && intid < INTID_SPECIAL + 4) {
        return;
    }
    if (intid == TIMER_IRQ) {
        timer_interrupt();
    } else if (intid == board.uart_irq) {
        uart_drain();
    }
    gic_end(iar);
}

void guest_trap(struct trap_frame *frame, unsigned slot)
{
    if (slot % 4 == SLOT_IRQ % 4) {
        take_interrupt();
        return;
    }
    last_trap.taken = true;
    last_trap.syndrome = read_sysreg("esr_el1");
    last_trap.address = read_sysreg("far_el1");
    last_trap.pc = frame->elr;
    if (trap_expected && slot == SLOT_SYNC) {
        frame->elr += ESR_EC(last_trap.syndrome) == EC_SVC ? 0 : 4;
        frame->elr = trap_resume ? trap_resume : frame->elr;
        return;
    }
    trap_expected = false;
    print("\nexception: vector %u ESR 0x%08lx FAR 0x%lx ELR 0x%lx SPSR 0x%lx\n", slot, last_trap.syndrome,
          last_trap.address, frame->elr, frame->spsr);
    print("the guest stops itself\n");
    power_off();
}

uint64_t firmware_call(uint64_t function, uint64_t a1, uint64_t a2, uint64_t a3)
{
    register uint64_t x0 __asm__("x0") = function;
    register uint64_t x1 __asm__("x1") = a1;
    register uint64_t x2 __asm__("x2") = a2;
    register uint64_t x3 __asm__("x3") = a3;

    __asm__ volatile("hvc #0"
                     : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)
                     :
                     : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16",
                       "x17", "memory");
    return x0;
}

static void stop_for_ever(void)
{
    for (;;) {
        __asm__ volatile("wfi");
    }
}

void power_off(void)
{
    firmware_call(PSCI_SYSTEM_OFF, 0, 0, 0);
    stop_for_ever();
    __builtin_unreachable();
}

void power_reset(void)
{
    firmware_call(PSCI_SYSTEM_RESET, 0, 0, 0);
    stop_for_ever();
    __builtin_unreachable();
}

void guest_start(const void *fdt)
{
    board_from_fdt(fdt);
    uart_setup();
    irq_setup();
    irq_enable_line(board.uart_irq);
    guest_main();
    power_off();
}
