// SPDX-License-Identifier: Apache-2.0
//
// Physical CPUs: the per-CPU structure, discovery and start.
#pragma once

#include "arch/cpu.h"
#include "kernel/lib/status.h"
#include "kernel/lib/types.h"
#include "kernel/sync/spinlock.h"

#ifndef CPU_MAX
#define CPU_MAX 256
#endif

struct thread;
struct run_queue;
struct timer_queue;

struct cpu {
    struct lock_tracker locks; // first: kernel/sync sees only this
    unsigned index;            // dense, 0 is the boot CPU
    uint64_t hw_id;            // MPIDR affinity, hart id, APIC id
    _Atomic bool online;       // set by itself when it is about to idle
    struct thread *current;
    struct thread *idle;
    struct run_queue *rq;
    struct timer_queue *timers;
    void *loaded_vcpu;            // the vCPU whose state the registers hold (vmm/core), NULL when none
    _Atomic uint32_t ipi_pending; // bits by enum ipi
    uint32_t irq_depth;           // > 0 while in a host interrupt handler
    bool need_resched;
    bool in_panic;
    struct cpu_start_desc {
        const char *method;
        uint64_t release_addr;
    } start;
};

struct cpumask {
    uint64_t bits[(CPU_MAX + 63) / 64];
};

// The running CPU. The thread must not be migrated while the pointer is used (interrupts masked, or pinned).
static inline struct cpu *this_cpu(void)
{
    return arch_this_cpu();
}

// Filled by kernel/cpu/cpu.c, before other CPUs run; look through the functions below.
extern struct cpu cpu_table[CPU_MAX];
extern unsigned cpu_table_count;

// CPU by index; NULL when there is none.
static inline struct cpu *cpu_get(unsigned index)
{
    return index < cpu_table_count ? &cpu_table[index] : NULL;
}

// Discovered ones.
static inline unsigned cpu_count(void)
{
    return cpu_table_count;
}

unsigned cpu_online_count(void);

// The enumerator announces a CPU (the boot CPU is known already). E_RANGE beyond CPU_MAX, E_EXISTS.
enum status cpu_announce(uint64_t hw_id, const char *method, uint64_t release_addr);

// Registers the boot CPU as index 0; must be the first call of kernel_main().
void cpu_init_boot(uint64_t hw_id);

// Starts all announced CPUs and waits (bounded) for each; one that does not come up is reported and left out.
void cpu_start_all(void);

// Called on every CPU that comes up (and on the boot CPU at once, from cpu_set_online_hook()) before it idles,
// interrupts masked: turning virtualisation on, say. Before cpu_start_all().
void cpu_set_online_hook(void (*hook)(void));

static inline void cpumask_set(struct cpumask *m, unsigned cpu)
{
    m->bits[cpu / 64] |= BIT64(cpu % 64);
}

static inline void cpumask_clear(struct cpumask *m, unsigned cpu)
{
    m->bits[cpu / 64] &= ~BIT64(cpu % 64);
}

static inline bool cpumask_test(const struct cpumask *m, unsigned cpu)
{
    return cpu < CPU_MAX && (m->bits[cpu / 64] & BIT64(cpu % 64)) != 0;
}
