// SPDX-License-Identifier: Apache-2.0
//
// The library of Lodge's own tiny guests: console, interrupts, one periodic timer, firmware calls, further CPUs.
//
// Freestanding: only the compiler's own headers. Devices are found in the device tree handed over at entry; without
// one, the addresses of the virtual board are taken. MMU off; interrupts go to the first vCPU alone, on its only stack.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// The guest's own code; called once with interrupts masked, console and interrupt controller ready.
void guest_main(void);

// ---- console (console.c, uart of the architecture) ----

// %s %c %d %u %x %p with optional l, width and leading zero; '\n' becomes CR LF.
__attribute__((format(printf, 1, 2))) void print(const char *fmt, ...);
void put_char(char c);
// The next received character, -1 when there is none.
int get_char(void);

// ---- what the device tree says (fdt.c) ----

struct board {
    const void *fdt; // NULL: none was handed over
    uint64_t uart;
    uint32_t uart_irq;
    unsigned gic_version;
    uint64_t gicd, gicr, gicc;
    uint64_t plic;
    uint64_t timebase; // riscv64: ticks per second
    uint64_t ram_base, ram_size;
    uint64_t rtc;
    uint64_t rsdp;   // x86_64: ACPI's, 0 when there is none
    uint64_t virtio; // lowest virtio-mmio slot, 0 when there is none
    uint64_t virtio_stride;
    unsigned virtio_count;
    char bootargs[256];
};
extern struct board board;

// Fills `board` from the tree at `fdt`; false and unchanged when that is no device tree.
bool board_from_fdt(const void *fdt);

// ---- interrupts, timer, traps (architecture) ----

void irq_setup(void);
// Its name, for people.
const char *irq_controller(void);
void irq_enable_line(uint32_t intid);
void irq_set_mask(bool masked);
// Sleeps until an interrupt is pending, then takes it. Called and returns with interrupts masked.
void irq_wait(void);

uint64_t time_now(void);
uint64_t time_hz(void);
// The machine's counter at the guest's very first instruction: the physical counter, `cycle` on riscv64.
extern uint64_t entry_ticks;
// Fills all FP registers with a pattern made of `seed`; whether they still hold it.
void fp_fill(uint64_t seed);
bool fp_check(uint64_t seed);

// Counts periods since the timer was started.
void timer_start(uint64_t ticks);
uint64_t timer_periods(void);

// A synchronous exception, as a guest that provokes one on purpose sees it.
struct trap_info {
    bool taken;
    uint64_t syndrome;
    uint64_t address;
    uint64_t pc;
};
extern volatile struct trap_info last_trap;
// While set, an exception is recorded in last_trap and the faulting instruction skipped; otherwise it is printed and
// the guest powers itself off. A branch to nowhere returns to `resume` when that is not 0.
extern volatile bool trap_expected;
extern volatile uint64_t trap_resume;

#ifdef __x86_64__
#define UNDEFINED_INSTRUCTION "ud2"
#define STAND_BY "hlt"
#else
#define STAND_BY "wfi"
#define UNDEFINED_INSTRUCTION ".4byte 0"
#endif

// ---- firmware ----

uint64_t firmware_call(uint64_t function, uint64_t a1, uint64_t a2, uint64_t a3);
_Noreturn void power_off(void);
_Noreturn void power_reset(void);

// ---- further CPUs (smp.c of the architecture; PSCI or SBI HSM) ----

// What a CPU starts with; stays until it runs.
struct cpu_start {
    void *stack_top;
    void (*entry)(void *arg); // interrupts masked, MMU off
    void *arg;
};
enum cpu_answer {
    CPU_STARTED,
    CPU_ALREADY_ON,
    CPU_ON_PENDING,
    CPU_REFUSED
};
enum cpu_state {
    CPU_ON,
    CPU_OFF,
    CPU_STARTING,
    CPU_UNKNOWN
};
enum cpu_answer cpu_start(uint64_t id, const struct cpu_start *start);
enum cpu_state cpu_state(uint64_t id);
_Noreturn void cpu_stop(void);
// Stands by until an interrupt is pending, masked or not. False when the firmware refused.
bool cpu_suspend(void);

// ---- odds and ends ----

bool text_equal(const char *a, const char *b);
bool text_starts(const char *text, const char *prefix);
// Copies with termination; the number of bytes copied.
size_t text_copy(char *to, size_t size, const char *from);
void *memcpy(void *restrict to, const void *restrict from, size_t n);
void *memset(void *to, int c, size_t n);
