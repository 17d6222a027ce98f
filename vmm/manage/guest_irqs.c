// SPDX-License-Identifier: Apache-2.0
//
// See guest_irqs.h.
#include "vmm/manage/guest_irqs.h"

#include "drivers/irqchip/gic_virt.h"
#include "kernel/irq/irq.h"
#include "kernel/log/log.h"
#include "vmm/core/vcpu.h"

static enum irq_result guest_timer_irq(unsigned irq, void *ctx)
{
    const struct vcpu_timer_irq *t = ctx;
    struct vcpu *v = vcpu_loaded();

    if (!v || !v->vm->irqchip) {
        return IRQ_HANDLED;
    }
    thread_wake(v->thread);
    bool forwarded = v->vm->irqchip->ops->forward(v->vm->irqchip, v->index, t->guest_line, irq);
    return forwarded ? IRQ_FORWARDED : IRQ_HANDLED;
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
