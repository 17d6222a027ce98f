// SPDX-License-Identifier: Apache-2.0
//
// One list register (Arm IHI 0069, chapter 6 and 12.4): what it is to hold for an interrupt, settling what
// the guest did with it against the interrupt's block, filling it and taking its interrupt back out.
//
// List registers stay live in the hardware while a vCPU is loaded, and are written only when they change.
#include "kernel/irq/irq.h"
#include "vmm/irqchip/vgic_state.h"

struct lr_state {
    bool pend, act;
    bool soft;      // pend came from `latched`
    bool hw;        // the guest's deactivation reaches the physical interrupt
    uint8_t source; // GICv2 SGI: its sender
};

static unsigned lr_irq(const struct vgic_cpu *cpu, unsigned n)
{
    return vgic_lr_irq(cpu->hw.lr[n]);
}

static void lr_write(struct vgic_cpu *cpu, unsigned n, uint64_t value)
{
    if (cpu->hw.lr[n] != value) {
        cpu->hw.lr[n] = value;
        cpu->frame.vgic->hw->write_lr(n, value);
    }
}

// A GICv2 SGI: the same, but one sender at a time; others wait in source[].
static uint64_t sgi_value(struct vgic_cpu *cpu, unsigned irq, struct lr_state *s)
{
    struct vgic_block *b = &cpu->priv;
    const uint32_t m = vgic_bit(irq);
    bool ok = (b->enabled & vgic_group_bits(b, vgic_ctlr(cpu->frame.vgic)) & m) != 0;
    unsigned source;

    if (s->pend && ok) {
        vgic_sgi_merge(cpu, irq, s->source);
    } else if (s->pend) {
        vgic_sgi_return(cpu, irq, s->source);
        s->pend = false;
    }
    if (ok && !s->pend && !s->act && vgic_sgi_take(cpu, irq, &source)) {
        s->source = (uint8_t)source;
        s->pend = true;
    }
    s->soft = s->pend;
    s->hw = false;
    if (!s->pend && !s->act) {
        return 0;
    }
    return irq | (uint64_t)s->source << LR_SOURCE_SHIFT | (uint64_t)b->priority[irq] << LR_PRIORITY_SHIFT |
           (b->group & m ? LR_GROUP1 : 0) | (s->pend ? LR_PENDING : 0) | (s->act ? LR_ACTIVE : 0) |
           (b->latched & m ? LR_EOI_MAINT : 0);
}

// Works out what a list register should hold for `irq`, 0 for nothing, and moves the pending latch between
// block and list register accordingly.
static uint64_t lr_value(struct vgic_cpu *cpu, unsigned irq, struct lr_state *s)
{
    struct vgic *g = cpu->frame.vgic;
    struct vgic_block *b = vgic_block_of(cpu, irq);
    const uint32_t m = vgic_bit(irq);
    bool ok = (b->enabled & vgic_group_bits(b, vgic_ctlr(g)) & m) != 0 &&
              !atomic_load_explicit(&cpu->asleep, memory_order_relaxed) &&
              (irq < VGIC_PRIVATE || g->target[irq - VGIC_PRIVATE] == cpu->index);
    bool latch = (s->pend && s->soft) || (b->latched & m);
    bool level = (b->line & ~b->edge & m) != 0;
    uint64_t v;

    if (irq < 16 && g->v2) {
        return sgi_value(cpu, irq, s);
    }
    if (!s->hw && (b->linked & m)) {
        s->hw = !s->act;
        ok = ok && s->hw; // active as a software interrupt: the forwarded one waits for its deactivation
    }
    s->pend = ok && (latch || (level && !s->act));
    if (s->pend && s->act && s->hw) { // no such state for a linked interrupt
        vgic_unlink(b, irq);
        s->hw = false;
    }
    s->soft = s->pend && latch;
    if (s->pend) {
        b->latched &= ~m;
    } else if (latch) {
        b->latched |= m;
    }
    if (!s->pend && !s->act) {
        return 0;
    }
    v = irq | (uint64_t)b->priority[irq & 31] << LR_PRIORITY_SHIFT | (b->group & m ? LR_GROUP1 : 0) |
        (s->pend ? LR_PENDING : 0) | (s->act ? LR_ACTIVE : 0);
    if (s->hw) {
        v |= LR_HW | (uint64_t)b->host_irq[irq & 31] << LR_PINTID_SHIFT;
    } else if (vgic_pending_bits(b) & m) {
        v |= LR_EOI_MAINT; // will be pending again
    }
    return v;
}

// The list register's use ends; `irq` is in its block alone again, active or not as the block says.
static void lr_free(struct vgic_cpu *cpu, unsigned n, unsigned irq)
{
    struct vgic_block *b = vgic_block_of(cpu, irq);
    const uint32_t m = vgic_bit(irq);

    cpu->used &= ~vgic_bit(n);
    cpu->spi_lrs &= ~vgic_bit(n);
    cpu->soft &= ~vgic_bit(n);
    b->in_lr &= ~m;
    b->lr_pending &= ~m;
    b->set_active &= ~m;
    b->drop_active &= ~m;
    b->drop_pending &= ~m;
}

// The hardware says that the list register is empty: the guest has deactivated its interrupt.
unsigned vgic_lr_done(struct vgic_cpu *cpu, unsigned n)
{
    unsigned irq = lr_irq(cpu, n);
    struct vgic_block *b = vgic_block_of(cpu, irq);
    const uint32_t m = vgic_bit(irq);

    if (!(b->set_active & m)) {
        b->active &= ~m;
    }
    if (cpu->hw.lr[n] & LR_HW) {
        b->linked &= ~m;
    }
    lr_free(cpu, n, irq);
    if (cpu->hw.lr[n] & LR_EOI_MAINT) {
        lr_write(cpu, n, 0); // ends the maintenance condition
    }
    cpu->hw.lr[n] = 0; // as good as empty; a new value always differs
    return irq;
}

static void lr_store(struct vgic_cpu *cpu, unsigned n, uint64_t value, const struct lr_state *s)
{
    unsigned irq = vgic_lr_irq(value);
    struct vgic_block *b = vgic_block_of(cpu, irq);
    const uint32_t m = vgic_bit(irq);

    b->active = s->act ? b->active | m : b->active & ~m;
    b->lr_pending = s->pend ? b->lr_pending | m : b->lr_pending & ~m;
    cpu->soft = s->soft ? cpu->soft | vgic_bit(n) : cpu->soft & ~vgic_bit(n);
    lr_write(cpu, n, value);
}

// A forwarded level interrupt that the guest has not acknowledged loses its reason when the device lowered
// its line.
static bool cause_gone(const struct vgic_block *b, unsigned irq)
{
    const struct irqchip_ops *chip = irq_chip();

    return !(b->edge & vgic_bit(irq)) && chip && chip->is_pending && !chip->is_pending(b->host_irq[irq & 31]);
}

// Applies what registers asked for while the interrupt was in the list register.
static void apply_requests(struct vgic_block *b, unsigned irq, struct lr_state *s)
{
    const uint32_t m = vgic_bit(irq);
    bool unlink = false;

    if ((b->drop_active & m) && s->act) {
        s->act = false;
        unlink = s->hw;
    }
    if (s->pend && ((b->drop_pending & m) || (s->hw && cause_gone(b, irq)))) {
        s->pend = false;
        unlink = unlink || (s->hw && !s->act);
    }
    s->act = s->act || (b->set_active & m);
    b->drop_active &= ~m;
    b->drop_pending &= ~m;
    b->set_active &= ~m;
    if (unlink) {
        vgic_unlink(b, irq);
        s->hw = false;
    }
}

void vgic_lr_settle(struct vgic_cpu *cpu, unsigned n)
{
    uint64_t v = cpu->frame.vgic->hw->read_lr(n);
    unsigned irq = lr_irq(cpu, n);
    struct vgic_block *b = vgic_block_of(cpu, irq);
    struct lr_state s = {.pend = (v & LR_PENDING) != 0,
                         .act = (v & LR_ACTIVE) != 0,
                         .soft = (cpu->soft & vgic_bit(n)) != 0,
                         .hw = (v & LR_HW) != 0,
                         .source = v & LR_HW ? 0 : (uint8_t)((v & LR_SOURCE_MASK) >> LR_SOURCE_SHIFT)};

    cpu->hw.lr[n] = v;
    apply_requests(b, irq, &s);
    v = lr_value(cpu, irq, &s);
    if (v) {
        lr_store(cpu, n, v, &s);
        return;
    }
    b->active &= ~vgic_bit(irq);
    lr_free(cpu, n, irq);
    lr_write(cpu, n, 0);
    vgic_route_again(cpu, irq);
}

bool vgic_lr_lowered(struct vgic_cpu *cpu, unsigned n)
{
    uint64_t v = cpu->frame.vgic->hw->read_lr(n);
    unsigned irq = lr_irq(cpu, n);
    struct vgic_block *b = vgic_block_of(cpu, irq);
    const uint32_t requests = b->latched | b->linked | b->set_active | b->drop_active | b->drop_pending;

    if ((requests & vgic_bit(irq)) || (v & LR_HW) || (cpu->soft & vgic_bit(n))) {
        return false;
    }
    switch (v & VGIC_LR_STATE) {
    case LR_ACTIVE: // it will not come again
        b->active |= vgic_bit(irq);
        b->lr_pending &= ~vgic_bit(irq);
        cpu->hw.lr[n] = v;
        lr_write(cpu, n, v & ~LR_EOI_MAINT);
        return true;
    case LR_PENDING: // not acknowledged: it loses its cause
        lr_free(cpu, n, irq);
        cpu->hw.lr[n] = v;
        lr_write(cpu, n, 0);
        return true;
    default:
        return false;
    }
}

void vgic_lr_insert(struct vgic_cpu *cpu, unsigned n, unsigned irq)
{
    struct vgic_block *b = vgic_block_of(cpu, irq);
    struct lr_state s = {.act = (b->active & vgic_bit(irq)) != 0};
    uint64_t v = lr_value(cpu, irq, &s);

    if (!v) {
        return;
    }
    b->in_lr |= vgic_bit(irq);
    cpu->used |= vgic_bit(n);
    if (irq < VGIC_PRIVATE) {
        cpu->slot[irq] = (uint8_t)n;
    } else {
        cpu->spi_lrs |= vgic_bit(n);
        cpu->frame.vgic->holder[irq - VGIC_PRIVATE] = (uint16_t)cpu->index;
    }
    lr_store(cpu, n, v, &s);
}

void vgic_lr_evict(struct vgic_cpu *cpu, unsigned n)
{
    uint64_t v = cpu->hw.lr[n];
    unsigned irq = lr_irq(cpu, n);
    struct vgic_block *b = vgic_block_of(cpu, irq);

    if (v & LR_PENDING && cpu->soft & vgic_bit(n)) {
        b->latched |= vgic_bit(irq);
        if (irq < 16 && cpu->frame.vgic->v2) {
            vgic_sgi_return(cpu, irq, (unsigned)((v & LR_SOURCE_MASK) >> LR_SOURCE_SHIFT));
        }
    }
    if (v & LR_HW && v & LR_ACTIVE) {
        vgic_unlink(b, irq);
    }
    lr_free(cpu, n, irq);
    lr_write(cpu, n, 0);
}
