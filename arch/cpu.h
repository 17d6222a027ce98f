// SPDX-License-Identifier: Apache-2.0
//
// The contract, part 2: a physical CPU. Inter-processor interrupts go through the interrupt controller (kernel/irq).
#pragma once

#include "kernel/lib/status.h"
#include "kernel/lib/types.h"

#include <asm/cpu.h> // struct arch_context; arch_irq_* and arch_this_cpu as inline functions where that is cheaper

struct cpu; // kernel/cpu/cpu.h

// The running CPU's structure. Set once by each CPU, before anything that takes a lock.
void arch_set_this_cpu(struct cpu *cpu);

// Per-CPU set-up after the MMU is on: vectors, control registers, traps. On every CPU, interrupts masked.
void arch_cpu_init(void);

// Starts the CPU `hw_id` at the architecture's secondary entry, which ends in kernel_secondary_main(index) on the
// stack that ends at `stack_top`. `method` and `release` come from the enumerator ("psci", "spin-table", ...). One start at a
// time; E_UNSUPPORTED: a method it does not know.
struct cpu_start {
    uint64_t hw_id;
    unsigned index;
    void *stack_top;
    const char *method;
    volatile uint64_t *release; // cpu-release-addr mapped as device registers; NULL: there is none
};
enum status arch_cpu_start(const struct cpu_start *start);

// Waits for an interrupt; called with interrupts masked, returns with them masked and possibly one pending.
void arch_cpu_idle(void);

// A hint in a spin loop.
void arch_cpu_relax(void);

// Stops this CPU for ever, interrupts masked.
[[gnu::noreturn]] void arch_cpu_halt(void);

// Prepares a context so that the first switch to it calls entry(arg) on the stack that ends at `stack_top`, interrupts masked.
void arch_context_init(struct arch_context *ctx, void *stack_top, void (*entry)(void *), void *arg);

// Saves the callee-saved registers and stack into *from and continues *to. Interrupts masked. Never touches FP state.
void arch_context_switch(struct arch_context *from, struct arch_context *to);

// Walks the frame-pointer chain from the caller (frame == NULL) or from `frame`, calling emit for each return address
// while frames stay inside [stack_lo, stack_hi); at most 32 frames.
void arch_backtrace(const void *frame, uintptr_t stack_lo, uintptr_t stack_hi,
                    void (*emit)(uintptr_t pc, void *ctx), void *ctx);

// What the architecture's interrupt entry calls, interrupts masked (kernel/irq): takes all pending interrupts, then lets
// the scheduler switch threads. Returns on the same thread's stack, perhaps much later.
void irq_dispatch(void);

// I/O ports, 1, 2 or 4 bytes wide. Where there are none, reads give all ones. Any context.
uint32_t arch_port_read(uint16_t port, unsigned size);
void arch_port_write(uint16_t port, unsigned size, uint32_t v);

// Short text of the CPU's own features for the banner, for example "Cortex-A57 r1p0, 44-bit PA". Never NULL.
const char *arch_cpu_describe(void);
