// SPDX-License-Identifier: Apache-2.0
//
// The inline part of the CPU contract: interrupt mask, per-CPU pointer (tp), the saved context of a thread.
#pragma once

#include <asm/csr.h>

struct cpu;

// What a C function must preserve (RISC-V psABI, 2.1), and gp: the hypervisor does not use it, so a vCPU thread's guest has
// its own there.
struct arch_context {
    uint64_t ra, sp;
    uint64_t s[12];
    uint64_t gp;
};

static inline struct cpu *arch_this_cpu(void)
{
    struct cpu *c;

    // volatile: a thread may come back from a switch on another CPU, so no earlier answer may be used again.
    asm volatile("mv %0, tp" : "=r"(c));
    return c;
}

static inline void arch_irq_disable(void)
{
    asm volatile("csrci sstatus, 2" ::: "memory");
}

static inline void arch_irq_enable(void)
{
    asm volatile("csrsi sstatus, 2" ::: "memory");
}

static inline unsigned long arch_irq_save(void)
{
    unsigned long status;

    asm volatile("csrrci %0, sstatus, 2" : "=r"(status)::"memory");
    return status & SSTATUS_SIE;
}

static inline void arch_irq_restore(unsigned long state)
{
    asm volatile("csrs sstatus, %0" ::"r"(state) : "memory");
}

static inline bool arch_irq_enabled(void)
{
    return (csr_read(sstatus) & SSTATUS_SIE) != 0;
}
