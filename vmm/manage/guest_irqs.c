// SPDX-License-Identifier: Apache-2.0
//
// See guest_irqs.h.
#include "vmm/manage/guest_irqs.h"

#include "drivers/irqchip/gic_virt.h"
#include "kernel/cpu/cpu.h"
#include "kernel/irq/irq.h"
#include "kernel/log/log.h"
#include "vmm/core/vcpu.h"

static enum irq_result forward_timer(struct vcpu *v, const struct vcpu_timer_irq *t)
{
    struct virqchip *chip = v->vm->irqchip;

    if (!chip) {
        return IRQ_HANDLED;
    }
    return chip->ops->forward(chip, v->index, t->guest_line, t->host_irq) ? IRQ_FORWARDED : IRQ_HANDLED;
}

__attribute__((noinline)) static enum irq_result wake_and_forward(struct vcpu *v,
                                                                  const struct vcpu_timer_irq *t)
{
    thread_wake(v->thread);
    return forward_timer(v, t);
}

static enum irq_result guest_timer_irq(unsigned irq, void *ctx)
{
    const struct cpu *cpu = this_cpu();
    struct vcpu *v = cpu->loaded_vcpu;

    (void)irq;
    if (!v) {
        return IRQ_HANDLED;
    }
    // The running thread is in its guest, or on the way there: awake.
    return v->thread == cpu->current ? forward_timer(v, ctx) : wake_and_forward(v, ctx);
}

static enum irq_result maintenance_irq(unsigned irq, void *ctx)
{
    struct vcpu *v = vcpu_loaded();

    (void)irq;
    (void)ctx;
    if (v && v->vm->irqchip) {
        v->vm->irqchip->ops->maintenance(v->vm->irqchip, v->index);
    }
    return IRQ_HANDLED;
}

static void register_guest_irqs(void)
{
    const struct vcpu_timer_irq *irqs;
    unsigned count = arch_vcpu_timer_irqs(&irqs);
    enum status s = OK;

    for (unsigned i = 0; i < count && s == OK; i++) {
        s = irq_register(irqs[i].host_irq, IRQ_LEVEL, guest_timer_irq, (void *)(uintptr_t)&irqs[i]);
    }
    if (s == OK && gic_virt()) {
        s = irq_register(gic_virt()->maintenance_irq, IRQ_LEVEL, maintenance_irq, NULL);
    }
    if (s != OK) {
        panic("guest interrupts: %s", status_name(s));
    }
}

void guest_irqs_init_cpu(void)
{
    const struct vcpu_timer_irq *irqs;
    unsigned count = arch_vcpu_timer_irqs(&irqs);

    if (this_cpu()->index == 0) {
        register_guest_irqs();
        return;
    }
    for (unsigned i = 0; i < count; i++) {
        irq_enable_percpu(irqs[i].host_irq);
    }
    if (gic_virt()) {
        irq_enable_percpu(gic_virt()->maintenance_irq);
    }
}
