// SPDX-License-Identifier: Apache-2.0
//
// Host interrupts: the root controller's operations, handlers, inter-processor interrupts.
#pragma once

#include "kernel/cpu/cpu.h"
#include "kernel/lib/status.h"
#include "kernel/lib/types.h"

#define IRQ_MAX 1024
#define IRQ_NONE UINT32_MAX

enum irq_trigger {
    IRQ_LEVEL,
    IRQ_EDGE
};

enum irq_result {
    IRQ_HANDLED,   // deactivate it now
    IRQ_FORWARDED, // given to a guest, who will deactivate it (hardware-linked)
};

typedef enum irq_result (*irq_handler)(unsigned irq, void *ctx);

// A message-signalled interrupt: that word, written to that address, raises `irq` (edge-triggered) on the boot CPU.
struct irq_msi {
    unsigned irq;
    uint64_t address;
    uint32_t data;
};

// A real interrupt controller at the root of the tree (drivers/irqchip). All operations on the calling CPU, interrupts masked.
struct irqchip_ops {
    const char *name;
    enum status (*init_cpu)(void);
    unsigned (*ack)(void);     // the highest pending interrupt, IRQ_NONE when spurious; priority raised
    void (*eoi)(unsigned irq); // priority drop
    void (*deactivate)(unsigned irq);
    void (*enable)(unsigned irq);
    void (*disable)(unsigned irq);
    enum status (*configure)(unsigned irq, enum irq_trigger trigger, unsigned cpu);
    void (*set_active)(unsigned irq, bool active); // of a per-CPU interrupt, on this CPU
    bool (*is_pending)(unsigned irq);
    void (*send_ipi)(unsigned cpu, unsigned ipi);
    enum status (*msi_alloc)(struct irq_msi *out); // NULL: it takes no messages
    unsigned ipi_base;                             // ack() returns ipi_base + ipi for these
    unsigned percpu_limit;                         // interrupts below are per CPU
};

void irq_set_chip(const struct irqchip_ops *ops);
const struct irqchip_ops *irq_chip(void);
// This CPU's part of the chip and its inter-processor interrupts. On every CPU, the boot CPU included, after irq_set_chip();
// interrupts masked.
enum status irq_init_cpu(void);

// Registers the handler, configures and enables. Per-CPU interrupts are enabled on the calling CPU only: call
// irq_enable_percpu() on the others. E_EXISTS when taken.
enum status irq_register(unsigned irq, enum irq_trigger trigger, irq_handler fn, void *ctx);
void irq_unregister(unsigned irq);

// A message for one device to raise, for good: then irq_register() as IRQ_EDGE. Boot CPU. E_UNSUPPORTED: the controller takes
// none; E_NOMEM: no more of them.
enum status irq_msi_alloc(struct irq_msi *out);
void irq_enable_percpu(unsigned irq);

// Takes the most urgent pending interrupt, then calls sched_preempt() if its handler asked for it. The architecture's interrupt entry; interrupts masked.
void irq_dispatch(void);

enum ipi {
    IPI_RESCHED,
    IPI_CALL,
    IPI_STOP,
    IPI_KICK, // nothing but the exit from a guest that it causes; by ipi_kick()
    IPI_COUNT
};
void ipi_send(unsigned cpu, enum ipi ipi);
void ipi_send_all_but_self(enum ipi ipi);
// IPI_KICK: there is nothing to remember. The CPU is online.
void ipi_kick(unsigned cpu);
// Runs fn(ctx) on `cpu` in interrupt context and waits for it. With interrupts masked, calls of others are served meanwhile, on
// the caller's stack: it holds no lock then.
enum status cpu_call(unsigned cpu, void (*fn)(void *ctx), void *ctx);

uint64_t irq_count(unsigned irq);
