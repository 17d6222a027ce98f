// SPDX-License-Identifier: Apache-2.0
//
// The fake interrupt controller: 32 interrupts per CPU (0 to 15 are IPIs, 26 the timer), the rest shared. Lowest number
// first; an interrupt is not taken again while it is active.
#include <string.h>

#include "arch/cpu.h"
#include "arch/host/machine.h"
#include "arch/time.h"
#include "kernel/irq/irq.h"

struct shared_irq {
    bool pending, level, active, enabled;
    unsigned cpu;
};

static struct shared_irq shared[HOST_IRQS];

static bool is_percpu(unsigned irq)
{
    return irq < HOST_PERCPU_IRQS;
}

void host_irq_reset(void)
{
    memset(shared, 0, sizeof(shared));
}

// Pending, enabled, not active.
static unsigned best(unsigned cpu)
{
    struct host_cpu *c = &host_m.cpu[cpu];
    uint32_t private = c->pending;

    if (host_m.now >= c->deadline) {
        private |= 1u << HOST_TIMER_IRQ;
    }
    private &= c->enabled & ~c->active;
    if (private != 0) {
        return (unsigned)__builtin_ctz(private);
    }
    for (unsigned i = HOST_PERCPU_IRQS; i < HOST_IRQS; i++) {
        if (shared[i].enabled && !shared[i].active && shared[i].cpu == cpu &&
            (shared[i].pending || shared[i].level)) {
            return i;
        }
    }
    return IRQ_NONE;
}

bool host_irq_deliverable_on(unsigned cpu)
{
    return best(cpu) != IRQ_NONE;
}

bool host_irq_deliverable(void)
{
    return host_irq_deliverable_on(host_m.current);
}

// The interrupt entry: as on a real CPU, interrupts are masked on the way in and unmasked on the way out.
void host_irq_unmasked(void)
{
    while (!host_cpu_now->masked && host_cpu_now->this_cpu != NULL && host_irq_deliverable()) {
        host_cpu_now->masked = true;
        irq_dispatch();
        host_cpu_now->masked = false;
    }
}

static void deliver_if_open(void)
{
    if (!host_cpu_now->masked) {
        host_irq_unmasked();
    }
}

void host_irq_raise(unsigned irq)
{
    if (is_percpu(irq)) {
        host_this()->pending |= 1u << irq;
    } else {
        shared[irq].pending = true;
    }
    deliver_if_open();
}

void host_irq_level(unsigned irq, bool level)
{
    shared[irq].level = level;
    deliver_if_open();
}

bool host_irq_active(unsigned irq)
{
    return is_percpu(irq) ? (host_this()->active & (1u << irq)) != 0 : shared[irq].active;
}

uint64_t host_irq_ipis_sent(void)
{
    return host_m.ipis;
}

// ---- operations -------------------------------------------------------------------------------------------------------

static enum status chip_init_cpu(void)
{
    return OK;
}

static unsigned chip_ack(void)
{
    unsigned irq = best(host_m.current);

    if (irq == IRQ_NONE) {
        return irq;
    }
    if (is_percpu(irq)) {
        host_this()->pending &= ~(1u << irq);
        host_this()->active |= 1u << irq;
    } else {
        shared[irq].pending = false;
        shared[irq].active = true;
    }
    return irq;
}

static void chip_eoi(unsigned irq)
{
    (void)irq;
}

static void chip_set_active(unsigned irq, bool active)
{
    if (!is_percpu(irq)) {
        shared[irq].active = active;
    } else if (active) {
        host_this()->active |= 1u << irq;
    } else {
        host_this()->active &= ~(1u << irq);
    }
}

static void chip_deactivate(unsigned irq)
{
    chip_set_active(irq, false);
}

static void chip_enable(unsigned irq)
{
    if (is_percpu(irq)) {
        host_this()->enabled |= 1u << irq;
    } else {
        shared[irq].enabled = true;
    }
}

static void chip_disable(unsigned irq)
{
    if (is_percpu(irq)) {
        host_this()->enabled &= ~(1u << irq);
    } else {
        shared[irq].enabled = false;
    }
}

static enum status chip_configure(unsigned irq, enum irq_trigger trigger, unsigned cpu)
{
    (void)trigger;
    if (irq >= HOST_IRQS || cpu >= host_m.cpu_count) {
        return E_RANGE;
    }
    shared[irq].cpu = cpu;
    return OK;
}

static bool chip_is_pending(unsigned irq)
{
    if (!is_percpu(irq)) {
        return shared[irq].pending || shared[irq].level;
    }
    return (host_this()->pending & (1u << irq)) != 0 ||
           (irq == HOST_TIMER_IRQ && host_m.now >= host_this()->deadline);
}

static void chip_send_ipi(unsigned cpu, unsigned ipi)
{
    host_m.ipis++;
    host_m.cpu[cpu_get(cpu)->hw_id].pending |= 1u << ipi;
    deliver_if_open();
}

const struct irqchip_ops host_irqchip = {
    .name = "host",
    .init_cpu = chip_init_cpu,
    .ack = chip_ack,
    .eoi = chip_eoi,
    .deactivate = chip_deactivate,
    .enable = chip_enable,
    .disable = chip_disable,
    .configure = chip_configure,
    .set_active = chip_set_active,
    .is_pending = chip_is_pending,
    .send_ipi = chip_send_ipi,
    .ipi_base = 0,
    .percpu_limit = HOST_PERCPU_IRQS,
};
