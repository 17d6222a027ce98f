// SPDX-License-Identifier: Apache-2.0
//
// Traps, the PLIC, the timer and firmware calls of a riscv64 guest (RISC-V Privileged Architecture, chapter 10; RISC-V
// PLIC Specification 1.0; SBI 2.0).
#include "guests/lib/riscv64/cpu.h"

#define CAUSE_INTERRUPT (UINT64_C(1) << 63)
#define IRQ_SSI 1u
#define IRQ_STI 5u
#define IRQ_SEI 9u
#define BIT(n) (UINT64_C(1) << (n))
#define SSTATUS_SIE BIT(1)

enum {
    PLIC_PRIORITY = 0x000000,
    PLIC_ENABLE = 0x002000,
    PLIC_THRESHOLD = 0x200000,
    PLIC_CLAIM = 0x200004
};
#define PLIC_ENABLE_STRIDE 0x80u
#define PLIC_CONTEXT_STRIDE 0x1000u

#define SBI_TIME 0x54494D45
#define SBI_SRST 0x53525354
#define SBI_LEGACY_SET_TIMER 0
#define SBI_LEGACY_SHUTDOWN 8
#define SRST_SHUTDOWN 0
#define SRST_COLD_REBOOT 1

volatile struct trap_info last_trap;
volatile bool trap_expected;
volatile uint64_t trap_resume;
uint64_t boot_hart;
uint64_t entry_ticks;
static volatile uint64_t periods;
static uint64_t period_ticks, deadline;

void irq_set_mask(bool masked)
{
    if (masked) {
        clear_csr("sstatus", SSTATUS_SIE);
    } else {
        set_csr("sstatus", SSTATUS_SIE);
    }
}

void irq_wait(void)
{
    __asm__ volatile("fence\n wfi" : : : "memory");
    irq_set_mask(false);
    irq_set_mask(true);
}

uint64_t time_now(void)
{
    return read_csr("time");
}

uint64_t time_hz(void)
{
    return board.timebase;
}

struct sbi_ret sbi_call(uint64_t ext, uint64_t fn, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
    register uint64_t r0 __asm__("a0") = a0;
    register uint64_t r1 __asm__("a1") = a1;
    register uint64_t r2 __asm__("a2") = a2;
    register uint64_t r3 __asm__("a3") = a3;
    register uint64_t r6 __asm__("a6") = fn;
    register uint64_t r7 __asm__("a7") = ext;

    __asm__ volatile("ecall" : "+r"(r0), "+r"(r1) : "r"(r2), "r"(r3), "r"(r6), "r"(r7) : "memory");
    return (struct sbi_ret){(int64_t)r0, r1};
}

static void timer_program(void)
{
    if (sbi_call(SBI_TIME, 0, deadline, 0, 0, 0).error != 0) {
        sbi_call(SBI_LEGACY_SET_TIMER, 0, deadline, 0, 0, 0);
    }
}

void timer_start(uint64_t ticks)
{
    period_ticks = ticks;
    deadline = time_now() + ticks;
    timer_program();
    set_csr("sie", BIT(IRQ_STI));
}

uint64_t timer_periods(void)
{
    return periods;
}

// The deadline moves by whole periods from the last one, so that the rate does not drift.
static void timer_interrupt(void)
{
    while (deadline <= time_now()) {
        deadline += period_ticks;
        periods = periods + 1;
    }
    timer_program();
}

// Context 2h + 1 is S-mode of hart h on the board whose harts have M-mode contexts too.
static uint64_t plic_context(void)
{
    return 2 * boot_hart + 1;
}

const char *irq_controller(void)
{
    return board.plic ? "PLIC" : "no interrupt controller";
}

void irq_setup(void)
{
    if (board.plic) {
        mmio_write32(board.plic + PLIC_THRESHOLD + plic_context() * PLIC_CONTEXT_STRIDE, 0);
        set_csr("sie", BIT(IRQ_SEI));
    }
}

void irq_enable_line(uint32_t source)
{
    uint64_t word =
        board.plic + PLIC_ENABLE + plic_context() * PLIC_ENABLE_STRIDE + 4 * (uint64_t)(source / 32);

    if (board.plic && source) {
        mmio_write32(board.plic + PLIC_PRIORITY + 4 * (uint64_t)source, 1);
        mmio_write32(word, mmio_read32(word) | 1u << source % 32);
    }
}

static void external_interrupt(void)
{
    uint64_t claim = board.plic + PLIC_CLAIM + plic_context() * PLIC_CONTEXT_STRIDE;
    uint32_t source = mmio_read32(claim);

    if (source == board.uart_irq) {
        uart_drain();
    }
    if (source) {
        mmio_write32(claim, source);
    }
}

static void take_interrupt(uint64_t number)
{
    if (number == IRQ_STI) {
        timer_interrupt();
    } else if (number == IRQ_SEI) {
        external_interrupt();
    } else {
        clear_csr("sip", BIT(IRQ_SSI));
    }
}

static unsigned insn_length(uint64_t pc)
{
    return (*(const volatile uint16_t *)pc & 3) == 3 ? 4 : 2;
}

void guest_trap(struct trap_frame *frame, uint64_t cause)
{
    if (cause & CAUSE_INTERRUPT) {
        take_interrupt(cause & ~CAUSE_INTERRUPT);
        return;
    }
    last_trap.taken = true;
    last_trap.syndrome = cause;
    last_trap.address = read_csr("stval");
    last_trap.pc = frame->sepc;
    if (trap_expected) {
        frame->sepc = trap_resume ? trap_resume : frame->sepc + insn_length(frame->sepc);
        return;
    }
    print("\nexception: scause %lu stval 0x%lx sepc 0x%lx sstatus 0x%lx\n", cause, last_trap.address,
          frame->sepc, frame->sstatus);
    print("the guest stops itself\n");
    power_off();
}

uint64_t firmware_call(uint64_t function, uint64_t a1, uint64_t a2, uint64_t a3)
{
    return (uint64_t)sbi_call(function, a1, a2, a3, 0, 0).error;
}

static void stop_for_ever(void)
{
    for (;;) {
        __asm__ volatile("wfi");
    }
}

void power_off(void)
{
    sbi_call(SBI_SRST, 0, SRST_SHUTDOWN, 0, 0, 0);
    sbi_call(SBI_LEGACY_SHUTDOWN, 0, 0, 0, 0, 0);
    stop_for_ever();
    __builtin_unreachable();
}

void power_reset(void)
{
    sbi_call(SBI_SRST, 0, SRST_COLD_REBOOT, 0, 0, 0);
    stop_for_ever();
    __builtin_unreachable();
}

void guest_start(const void *fdt, uint64_t hart)
{
    boot_hart = hart;
    // The virtual board's, for a guest that was given no tree.
    board = (struct board){.uart = 0x10000000,
                           .uart_irq = 10,
                           .plic = 0x0c000000,
                           .ram_base = 0x80000000,
                           .rtc = 0x00101000,
                           .timebase = 10000000};
    board_from_fdt(fdt);
    uart_setup();
    irq_setup();
    irq_enable_line(board.uart_irq);
    guest_main();
    power_off();
}
