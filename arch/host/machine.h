// SPDX-License-Identifier: Apache-2.0
//
// The fake machine's state, shared by the files of arch/host only.
#pragma once

#include <ucontext.h>

#include "arch/host/host.h"
#include <asm/cpu.h>

#define HOST_STACK KIB(256)

// One flow of control. A thread's fiber is found by its stack_top, so that a re-used thread stack re-uses the fiber.
struct host_fiber {
    ucontext_t uc;
    struct host_fiber *next;
    void *key;   // the simulated stack's top; NULL: main()
    void *stack; // the real one
    size_t size;
    void *asan_fake;
    void (*entry)(void *);
    void *arg;
};

struct host_cpu {
    struct host_cpu_public pub; // first
    struct host_fiber *fiber;   // what runs, or waits to go on, on this CPU
    bool started, halted, idle; // idle: in arch_cpu_idle()
    bool in_irq_entry;
    uint64_t deadline; // UINT64_MAX: timer off
    unsigned boot_index;
    uint32_t pending, active, enabled; // per-CPU interrupts
};

struct host_machine {
    struct host_cpu cpu[HOST_CPU_MAX];
    unsigned cpu_count;
    unsigned current;
    uint64_t now;
    uint64_t ipis;
    unsigned interleave_in;
    unsigned seed;
};
extern struct host_machine host_m;

static inline struct host_cpu *host_this(void)
{
    return &host_m.cpu[host_m.current];
}

// cpu.c
void host_cpu_reset(unsigned cpus);
bool host_cpu_run_other(void); // lets another CPU with something to do run; false when there is none
// irqchip.c
void host_irq_reset(void);
bool host_irq_deliverable_on(unsigned cpu);
// time.c
uint64_t host_next_deadline(void); // the earliest of all CPUs
// mmu.c
void host_mmu_reset(uint64_t ram);
uint64_t host_ram_size(void);
// boot.c
void host_console_dump(void);
extern jmp_buf *host_panic_target;

// What arch_irq_files() answers; NULL at first.
struct irq_file_ops;
extern const struct irq_file_ops *host_irq_files;
// Likewise arch_apic_pages().
struct apic_page_ops;
extern const struct apic_page_ops *host_apic_pages;
