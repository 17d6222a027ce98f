// SPDX-License-Identifier: Apache-2.0
//
// The inline part of the CPU contract: interrupt mask, per-CPU pointer, the saved context of a thread.
#pragma once

#include "kernel/lib/types.h"

struct cpu;

// What a C function must preserve, and the stack (AAPCS64 6.1).
struct arch_context {
    uint64_t x19_x28[10];
    uint64_t x29, x30;
    uint64_t sp;
};

static inline struct cpu *arch_this_cpu(void)
{
    struct cpu *c;

    // volatile: a thread may come back from a switch on another CPU, so no earlier answer may be used again.
    asm volatile("mrs %0, tpidr_el2" : "=r"(c));
    return c;
}

static inline void arch_irq_disable(void)
{
    asm volatile("msr daifset, #2" ::: "memory");
}

static inline void arch_irq_enable(void)
{
    asm volatile("msr daifclr, #2" ::: "memory");
}

static inline unsigned long arch_irq_save(void)
{
    unsigned long daif;

    asm volatile("mrs %0, daif\n\tmsr daifset, #2" : "=r"(daif)::"memory");
    return daif;
}

static inline void arch_irq_restore(unsigned long daif)
{
    asm volatile("msr daif, %0" ::"r"(daif) : "memory");
}

static inline bool arch_irq_enabled(void)
{
    unsigned long daif;

    asm volatile("mrs %0, daif" : "=r"(daif));
    return (daif & 0x80) == 0;
}
