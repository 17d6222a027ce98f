// SPDX-License-Identifier: Apache-2.0
//
// Host interrupts: the descriptor table, dispatch, inter-processor interrupts, calls on other CPUs.
//
// Protocol with the controller (GIC EOImode 1; others leave deactivate empty): acknowledge, handler, priority drop, and
// deactivation unless the interrupt was handed to a guest. One dispatch takes one interrupt: the next, if there is one, is taken as
// soon as interrupts are unmasked again, so a storm leaves room for the scheduler, and the usual single one costs no second
// look at the controller. An interrupt without a handler is switched off at its first arrival.
#include "kernel/irq/irq.h"

#include <stdatomic.h>
#include <string.h>

#include "arch/cpu.h"
#include "kernel/log/log.h"
#include "kernel/sched/thread.h"
#include "kernel/sync/spinlock.h"

struct irq_desc {
    _Atomic(irq_handler) fn; // release-stored after ctx; read without the lock
    void *ctx;
    _Atomic uint64_t count;
};

struct remote_call {
    void (*fn)(void *ctx);
    void *ctx;
    struct remote_call *next;
    _Atomic bool done;
};

static struct spinlock lock = SPINLOCK_INIT(LOCK_IRQ); // protects registration
static UNCLEARED struct irq_desc descs[IRQ_MAX];       // cleared when the chip is set
static const struct irqchip_ops *chip;
static _Atomic(struct remote_call *) calls[CPU_MAX]; // pushed by anybody, taken whole by the CPU

void irq_set_chip(const struct irqchip_ops *ops)
{
    memset(descs, 0, sizeof(descs));
    chip = ops;
}

const struct irqchip_ops *irq_chip(void)
{
    return chip;
}

enum status irq_init_cpu(void)
{
    enum status s = chip != NULL ? chip->init_cpu() : E_STATE;

    if (s != OK) {
        return s;
    }
    for (unsigned i = 0; i < IPI_COUNT; i++) {
        chip->enable(chip->ipi_base + i);
    }
    return OK;
}

enum status irq_register(unsigned irq, enum irq_trigger trigger, irq_handler fn, void *ctx)
{
    enum status s = OK;
    irq_state_t state;

    if (irq >= IRQ_MAX || fn == NULL || chip == NULL) {
        return irq >= IRQ_MAX ? E_RANGE : E_INVAL;
    }
    state = spin_lock_irqsave(&lock);
    if (atomic_load_explicit(&descs[irq].fn, memory_order_relaxed) != NULL) {
        s = E_EXISTS;
        goto out;
    }
    s = chip->configure(irq, trigger, this_cpu()->index);
    if (s == OK) {
        descs[irq].ctx = ctx;
        // Pairs with the acquire load in handle().
        atomic_store_explicit(&descs[irq].fn, fn, memory_order_release);
        chip->enable(irq);
    }
out:
    spin_unlock_irqrestore(&lock, state);
    return s;
}

void irq_unregister(unsigned irq)
{
    irq_state_t state;

    if (irq >= IRQ_MAX || chip == NULL) {
        return;
    }
    state = spin_lock_irqsave(&lock);
    chip->disable(irq);
    atomic_store_explicit(&descs[irq].fn, NULL, memory_order_release);
    spin_unlock_irqrestore(&lock, state);
}

enum status irq_msi_alloc(struct irq_msi *out)
{
    return chip != NULL && chip->msi_alloc != NULL ? chip->msi_alloc(out) : E_UNSUPPORTED;
}

void irq_enable_percpu(unsigned irq)
{
    irq_state_t state = arch_irq_save();

    chip->enable(irq);
    arch_irq_restore(state);
}

uint64_t irq_count(unsigned irq)
{
    return irq < IRQ_MAX ? atomic_load_explicit(&descs[irq].count, memory_order_relaxed) : 0;
}

// ---- inter-processor interrupts -------------------------------------------------------------------------------------

void ipi_send(unsigned cpu, enum ipi ipi)
{
    struct cpu *c = cpu_get(cpu);

    if (c == NULL || chip == NULL) {
        return;
    }
    // Release pairs with the exchange in ipi_handle(); the chip orders the store before the interrupt itself.
    atomic_fetch_or_explicit(&c->ipi_pending, 1u << (unsigned)ipi, memory_order_release);
    chip->send_ipi(cpu, (unsigned)ipi);
}

void ipi_kick(unsigned cpu)
{
    chip->send_ipi(cpu, IPI_KICK);
}

void ipi_send_all_but_self(enum ipi ipi)
{
    unsigned self = this_cpu()->index;

    for (unsigned i = 0; i < cpu_count(); i++) {
        if (i != self && atomic_load_explicit(&cpu_get(i)->online, memory_order_acquire)) {
            ipi_send(i, ipi);
        }
    }
}

static void calls_run(unsigned cpu)
{
    struct remote_call *c = atomic_exchange_explicit(&calls[cpu], NULL, memory_order_acquire);

    while (c != NULL) {
        struct remote_call *next = c->next;

        c->fn(c->ctx);
        // The caller's frame is gone after this store; pairs with the acquire load in cpu_call().
        atomic_store_explicit(&c->done, true, memory_order_release);
        c = next;
    }
}

static void ipi_handle(struct cpu *cpu)
{
    uint32_t bits = atomic_exchange_explicit(&cpu->ipi_pending, 0, memory_order_acquire);

    if (bits & (1u << IPI_STOP)) {
        arch_cpu_halt();
    }
    if (bits & (1u << IPI_RESCHED)) {
        cpu->need_resched = true;
    }
    if (bits & (1u << IPI_CALL)) {
        calls_run(cpu->index);
    }
}

enum status cpu_call(unsigned cpu, void (*fn)(void *ctx), void *ctx)
{
    struct remote_call call = {.fn = fn, .ctx = ctx};
    struct cpu *target = cpu_get(cpu);
    irq_state_t state;

    if (target == NULL || !atomic_load_explicit(&target->online, memory_order_acquire)) {
        return E_NOENT;
    }
    state = arch_irq_save();
    if (this_cpu() == target) {
        fn(ctx);
        arch_irq_restore(state);
        return OK;
    }
    call.next = atomic_load_explicit(&calls[cpu], memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&calls[cpu], &call.next, &call, memory_order_release,
                                                  memory_order_relaxed)) {
    }
    ipi_send(cpu, IPI_CALL);
    arch_irq_restore(state);
    while (!atomic_load_explicit(&call.done, memory_order_acquire)) {
        // With interrupts masked (boot, exit handlers) two CPUs that call each other would wait for ever.
        if (!arch_irq_enabled()) {
            calls_run(this_cpu()->index);
        }
        arch_cpu_relax();
    }
    return OK;
}

// ---- dispatch -------------------------------------------------------------------------------------------------------

__attribute__((noinline)) static enum irq_result handle_stranger(unsigned irq)
{
    chip->disable(irq);
    log_warn("interrupt %u has no handler and was switched off", irq);
    return IRQ_HANDLED;
}

static enum irq_result handle(unsigned irq)
{
    struct irq_desc *d = &descs[irq];
    irq_handler fn;

    asm("" : "+r"(d)); // one address: GCC would work out another for each member
    atomic_fetch_add_explicit(&d->count, 1, memory_order_relaxed);
    fn = atomic_load_explicit(&d->fn, memory_order_acquire);
    return fn != NULL ? fn(irq, d->ctx) : handle_stranger(irq);
}

// Completed first: a call may take its time, and a new IPI must not be lost.
static void dispatch_ipi(const struct irqchip_ops *c, struct cpu *cpu, unsigned irq)
{
    c->eoi(irq);
    c->deactivate(irq);
    if (irq == c->ipi_base + IPI_KICK) {
        return;
    }
    cpu->irq_depth = 1; // interrupts stay masked: there is no second level
    ipi_handle(cpu);
    cpu->irq_depth = 0;
}

static void dispatch_other(const struct irqchip_ops *c, struct cpu *cpu, unsigned irq)
{
    enum irq_result result;

    cpu->irq_depth = 1;
    result = handle(irq);
    cpu->irq_depth = 0;
    c->eoi(irq);
    if (result == IRQ_HANDLED) {
        c->deactivate(irq);
    }
}

void irq_dispatch(void)
{
    const struct irqchip_ops *c = chip;
    struct cpu *cpu = this_cpu();
    unsigned irq = c->ack();

    if (irq - c->ipi_base < IPI_COUNT) {
        dispatch_ipi(c, cpu, irq);
    } else if (irq < IRQ_MAX) {
        dispatch_other(c, cpu, irq);
    } else if (irq != IRQ_NONE) {
        c->eoi(irq);
        c->deactivate(irq);
    }
    if (cpu->need_resched) {
        sched_preempt();
    }
}
