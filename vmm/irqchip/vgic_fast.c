// SPDX-License-Identifier: Apache-2.0
//
// Interrupts that go straight into a list register: forwarded timers, SGIs that a vCPU sends to itself,
// and SPIs of devices that work inside the exits of their vCPU.
//
// cpu->fast names private interrupts that were put into a list register directly, pending and nothing
// else, and whose list register nobody has looked at since: hw.lr[] and the block still describe that
// moment. When one of them comes again and its list register is empty by then, the same value is right
// again. Whatever changes such an interrupt's properties leads to a flush before the next entry, which
// looks at all list registers and ends this.
#include "kernel/cpu/cpu.h"
#include "vmm/core/vcpu.h"
#include "vmm/irqchip/vgic_state.h"

void vgic_private_offer(struct vgic_cpu *cpu, unsigned irq)
{
    struct vgic *g = cpu->frame.vgic;
    struct vgic_block *b = &cpu->priv;
    const uint32_t m = vgic_bit(irq);
    unsigned n = cpu->slot[irq];
    uint32_t free;

    if (cpu->loaded && (b->in_lr & m) && (g->hw->elrsr() >> n & 1)) {
        if (cpu->fast & m) {
            b->latched &= ~m;
            g->hw->write_lr(n, cpu->hw.lr[n]);
            return;
        }
        vgic_lr_done(cpu, n);
    }
    free = g->lr_mask & ~cpu->used;
    if (!cpu->loaded || (b->in_lr & m) || !free || cpu->backlog) {
        vgic_private_changed(cpu, m);
        return;
    }
    n = (unsigned)__builtin_ctz(free);
    vgic_lr_insert(cpu, n, irq);
    if ((b->in_lr & m) && (cpu->hw.lr[n] & (VGIC_LR_STATE | LR_EOI_MAINT | LR_HW)) == LR_PENDING && !g->v2) {
        cpu->fast |= m;
    }
}

// This is one of the vCPU's own exits: it looks at its list registers before anything else can happen.
static bool in_exit_of(const struct vgic_cpu *cpu)
{
    const struct vcpu *v = cpu->frame.vgic->chip.vm->vcpus[cpu->index];
    const struct cpu *here = this_cpu();

    return here->loaded_vcpu == v && here->current == v->thread && cpu->loaded;
}

bool vgic_spi_offer(struct vgic *g, unsigned irq, bool level)
{
    struct vgic_block *b = &g->spi[irq / 32 - 1];
    const uint32_t m = vgic_bit(irq);
    const uint16_t index = ((b->in_lr | b->active) & m ? g->holder : g->target)[irq - VGIC_PRIVATE];
    struct vgic_cpu *cpu;
    uint32_t free;

    if (index == VGIC_NO_VCPU || !in_exit_of(&g->cpus[index])) {
        return false;
    }
    cpu = &g->cpus[index];
    if (!level) {
        for (uint32_t left = b->in_lr & m && !(b->edge & m) ? cpu->spi_lrs : 0; left; left &= left - 1) {
            if (vgic_lr_irq(cpu->hw.lr[__builtin_ctz(left)]) == irq) {
                return vgic_lr_lowered(cpu, (unsigned)__builtin_ctz(left));
            }
        }
        return false;
    }
    free = g->lr_mask & ~cpu->used;
    if (!(vgic_candidates(b, vgic_ctlr(g)) & m) || !free || cpu->backlog) {
        return false;
    }
    vgic_lr_insert(cpu, (unsigned)__builtin_ctz(free), irq);
    return true;
}

// Not deliverable now, or not simply: the flush does it.
static bool forward_later(struct vgic_cpu *cpu, struct vgic_block *b, unsigned line, unsigned host_irq)
{
    b->host_irq[line & 31] = (uint16_t)host_irq;
    b->linked |= vgic_bit(line);
    b->latched |= vgic_bit(line);
    b->drop_pending &= ~vgic_bit(line);
    if (line < VGIC_PRIVATE) {
        vgic_private_changed(cpu, vgic_bit(line));
    } else {
        vgic_spi_changed(cpu->frame.vgic, line / 32, vgic_bit(line));
    }
    return true;
}

__attribute__((noinline)) static bool forward_spi(struct vgic_cpu *cpu, unsigned line, unsigned host_irq)
{
    struct vgic *g = cpu->frame.vgic;
    irq_state_t state;

    if (line >= VGIC_INTID_LIMIT || line / 32 >= g->block_count) {
        return false;
    }
    state = spin_lock_irqsave(&g->lock);
    forward_later(cpu, &g->spi[line / 32 - 1], line, host_irq);
    spin_unlock_irqrestore(&g->lock, state);
    return true;
}

static bool deliverable(struct vgic_cpu *cpu, uint32_t m)
{
    const struct vgic_block *b = &cpu->priv;

    return cpu->loaded && !atomic_load_explicit(&cpu->asleep, memory_order_relaxed) &&
           (b->enabled & vgic_group_bits(b, vgic_ctlr(cpu->frame.vgic)) & m);
}

// It fired again, so the guest has deactivated it, so its list register is free even if that has not been
// read back.
__attribute__((noinline)) static bool forward_private(struct vgic_cpu *cpu, unsigned line, unsigned host_irq)
{
    struct vgic_block *b = &cpu->priv;
    const uint32_t m = vgic_bit(line);
    uint32_t free;
    unsigned n;

    if ((b->in_lr & m) && (cpu->hw.lr[cpu->slot[line]] & LR_HW)) {
        vgic_lr_done(cpu, cpu->slot[line]);
    }
    free = cpu->frame.vgic->lr_mask & ~cpu->used;
    if (!free || ((b->in_lr | b->active) & m) || !deliverable(cpu, m)) {
        return forward_later(cpu, b, line, host_irq);
    }
    b->host_irq[line] = (uint16_t)host_irq;
    b->linked |= m;
    b->latched |= m;
    n = (unsigned)__builtin_ctz(free);
    vgic_lr_insert(cpu, n, line);
    cpu->fast |= m;
    return true;
}

bool vgic_forward(struct virqchip *chip, unsigned vcpu, unsigned line, unsigned host_irq)
{
    struct vgic *g = vgic_of(chip);
    struct vgic_cpu *cpu = &g->cpus[vcpu];

    if (line >= VGIC_PRIVATE) {
        return forward_spi(cpu, line, host_irq);
    }
    if (cpu->fast >> line & 1) {
        unsigned n = cpu->slot[line];

        g->hw->write_lr(n, cpu->hw.lr[n]);
        return true;
    }
    return forward_private(cpu, line, host_irq);
}
