// SPDX-License-Identifier: Apache-2.0
//
// The inline part of the CPU contract: interrupt mask, per-CPU data (through the GS base), the saved context of a thread;
// and the instructions that drivers of the CPU's own devices use: MSRs, ports, CPUID.
#pragma once

#include <asm/regs.h>

#include "kernel/lib/types.h"

struct cpu;

#define RFLAGS_TF BIT64(8)
#define RFLAGS_IF BIT64(9)
#define RFLAGS_RF BIT64(16)
#define DR6_BS BIT64(14) // a single step

// Vectors of external interrupts. Source n of the I/O APICs has VECTOR_GSI + n.
#define VECTOR_GSI 0x30u
#define VECTOR_GSI_END 0xE0u
#define VECTOR_TIMER 0xE0u
#define VECTOR_ERROR 0xE1u
#define VECTOR_NOTIFY 0xE2u // of posted interrupts
#define VECTOR_IPI 0xF0u
#define VECTOR_SPURIOUS 0xFFu

// What a C function must preserve (System V psABI, 3.2.1).
struct arch_context {
    uint64_t rsp;
    uint64_t rbx, rbp, r12, r13, r14, r15;
};

// At the GS base, one for each CPU (cpu/percpu.c).
struct percpu {
    struct cpu *cpu;
    struct percpu *self;
    uint64_t vector; // of the external interrupt that irq_dispatch() is about to handle
    uint32_t apic_id;
    uint32_t note_only;       // the next interrupt is not handled by its entry (arch_irq_take())
    _Atomic uint32_t flushed; // the last request of mmu/shootdown.c that this CPU has done
};

static inline struct cpu *arch_this_cpu(void)
{
    struct cpu *c;

    // volatile: a thread may come back from a switch on another CPU, so no earlier answer may be used again.
    asm volatile("mov %%gs:0, %0" : "=r"(c));
    return c;
}

// Of the interrupt that irq_dispatch() is called for.
static inline uint32_t arch_irq_vector(void)
{
    uint32_t v;

    asm volatile("movl %%gs:%c1, %0" : "=r"(v) : "i"(offsetof(struct percpu, vector)));
    return v;
}

// One that the CPU has taken without its entry: irq_dispatch() is to be called for it. Interrupts masked.
static inline void arch_irq_note(uint8_t vector)
{
    asm volatile("movq %0, %%gs:%c1" ::"r"((uint64_t)vector), "i"(offsetof(struct percpu, vector))
                 : "memory");
}

// Takes one pending interrupt, if there is one, but leaves handling it to irq_dispatch(): notes its vector. Interrupts masked
// before and afterwards.
#define ARCH_IRQ_NOTE(insn)                                                                    \
    asm volatile("movq %0, %%gs:%c1\n\t"                                                       \
                 "movl $1, %%gs:%c2\n\t"                                                       \
                 "sti\n\t" insn "\n\tcli\n\t"                                                  \
                 "movl $0, %%gs:%c2" ::"i"(VECTOR_SPURIOUS),                                   \
                 "i"(offsetof(struct percpu, vector)), "i"(offsetof(struct percpu, note_only)) \
                 : "memory")

static inline void arch_irq_take(void)
{
    ARCH_IRQ_NOTE("nop");
}

// The same, but waits for one. The spurious one is noted when something else has woken the CPU.
static inline void arch_irq_wait(void)
{
    ARCH_IRQ_NOTE("hlt");
}

static inline void arch_irq_disable(void)
{
    asm volatile("cli" ::: "memory");
}

static inline void arch_irq_enable(void)
{
    asm volatile("sti" ::: "memory");
}

static inline unsigned long arch_irq_save(void)
{
    unsigned long flags;

    asm volatile("pushfq\n\tpopq %0\n\tcli" : "=r"(flags)::"memory");
    return flags & RFLAGS_IF;
}

static inline void arch_irq_restore(unsigned long state)
{
    if (state) {
        asm volatile("sti" ::: "memory");
    }
}

static inline bool arch_irq_enabled(void)
{
    unsigned long flags;

    asm volatile("pushfq\n\tpopq %0" : "=r"(flags)::"memory");
    return (flags & RFLAGS_IF) != 0;
}

static inline uint64_t rdmsr(uint32_t msr)
{
    uint32_t low, high;

    asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr) : "memory");
    return (uint64_t)high << 32 | low;
}

static inline void wrmsr(uint32_t msr, uint64_t v)
{
    asm volatile("wrmsr" ::"c"(msr), "a"((uint32_t)v), "d"((uint32_t)(v >> 32)) : "memory");
}

struct cpuid {
    uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid_read(uint32_t leaf, uint32_t subleaf)
{
    struct cpuid r;

    asm volatile("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
    return r;
}

static inline void port_out8(uint16_t port, uint8_t v)
{
    asm volatile("outb %0, %1" ::"a"(v), "Nd"(port) : "memory");
}

static inline uint8_t port_in8(uint16_t port)
{
    uint8_t v;

    asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port) : "memory");
    return v;
}

#define creg_read(name)                                               \
    ({                                                                \
        uint64_t value_;                                              \
        asm volatile("mov %%" #name ", %0" : "=r"(value_)::"memory"); \
        value_;                                                       \
    })
#define creg_write(name, v) asm volatile("mov %0, %%" #name ::"r"((uint64_t)(v)) : "memory")

// QEMU without hardware virtualisation: some of its mistakes are worked round.
bool cpu_is_tcg(void);

// The local APIC's registers, by their xAPIC offset: through MSRs in x2APIC mode, else through its page (cpu/lapic.c).
extern volatile uint32_t *lapic_page; // NULL: x2APIC

static inline uint32_t lapic_read(unsigned reg)
{
    return lapic_page ? lapic_page[reg / 4] : (uint32_t)rdmsr(MSR_X2APIC + reg / 16);
}

static inline void lapic_write(unsigned reg, uint32_t v)
{
    if (lapic_page) {
        lapic_page[reg / 4] = v;
    } else {
        wrmsr(MSR_X2APIC + reg / 16, v);
    }
}

void lapic_icr(uint32_t apic_id, uint32_t low); // waits until an earlier command has gone
#define LAPIC_ID 0x20
#define LAPIC_VERSION 0x30
#define LAPIC_TPR 0x80
#define LAPIC_EOI 0xB0
#define LAPIC_SVR 0xF0
#define LAPIC_ISR 0x100
#define LAPIC_IRR 0x200
#define LAPIC_ESR 0x280
#define LAPIC_ICR 0x300
#define LAPIC_LVT_TIMER 0x320
#define LAPIC_LVT_THERMAL 0x330
#define LAPIC_LVT_PERF 0x340
#define LAPIC_LVT_LINT0 0x350
#define LAPIC_LVT_LINT1 0x360
#define LAPIC_LVT_ERROR 0x370
#define LAPIC_TIMER_INITIAL 0x380
#define LAPIC_TIMER_CURRENT 0x390
#define LAPIC_TIMER_DIVIDE 0x3E0
#define LAPIC_LVT_MASKED 0x10000u

// Interrupt numbers of the root controller (drivers/irqchip/apic.c): these for each CPU, then the sources.
#define IRQ_TIMER 0u
#define IRQ_IPI 8u
#define IRQ_GSI 16u
