// SPDX-License-Identifier: Apache-2.0
//
// Who has to look at an interrupt: events for vCPUs, from any CPU, and the vCPU that an SPI concerns.
#include "vmm/irqchip/vgic_state.h"

void vgic_post(struct vgic_cpu *cpu, uint32_t events)
{
    struct virqchip *chip = &cpu->frame.vgic->chip;

    // Pairs with the exchange in vgic_flush.c, flush(): what was changed before is seen by who takes the event.
    atomic_fetch_or_explicit(&cpu->events, events, memory_order_release);
    if (chip->notify) {
        chip->notify(chip->vm, cpu->index);
    }
}

uint16_t vgic_target(struct vgic *g, unsigned irq)
{
    const struct vgic_block *b = &g->spi[irq / 32 - 1];
    uint32_t m = vgic_bit(irq);

    if ((b->in_lr | b->active) & m) {
        return g->holder[irq - VGIC_PRIVATE];
    }
    return vgic_candidates(b, vgic_ctlr(g)) & m ? g->target[irq - VGIC_PRIVATE] : VGIC_NO_VCPU;
}

void vgic_spi_changed(struct vgic *g, unsigned block, uint32_t mask)
{
    uint16_t told = VGIC_NO_VCPU;

    for (; mask; mask &= mask - 1) {
        unsigned irq = block * 32 + (unsigned)__builtin_ctz(mask);
        uint16_t t = vgic_target(g, irq);

        if (t != VGIC_NO_VCPU && t != told) {
            vgic_make_ready(&g->cpus[t], irq);
            vgic_post(&g->cpus[t], VGIC_EV_LOOK);
            told = t;
        }
    }
}

void vgic_private_changed(struct vgic_cpu *cpu, uint32_t mask)
{
    if (mask) {
        vgic_make_ready(cpu, 0);
        vgic_post(cpu, VGIC_EV_LOOK);
    }
}

// An interrupt left this vCPU's list registers: who has to look at it next?
void vgic_route_again(struct vgic_cpu *cpu, unsigned irq)
{
    struct vgic *g = cpu->frame.vgic;

    if (irq < VGIC_PRIVATE || vgic_target(g, irq) == cpu->index) {
        vgic_make_ready(cpu, irq);
    } else {
        vgic_spi_changed(g, irq / 32, vgic_bit(irq));
    }
}
