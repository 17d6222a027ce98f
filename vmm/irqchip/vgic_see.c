// SPDX-License-Identifier: Apache-2.0
//
// What ISPENDR and ISACTIVER show. An interrupt in a list register may have changed its state without
// anybody having been told: the reader looks at its own list registers, asks the CPUs on which other holders
// are loaded to look at theirs, and reads those of holders that are not loaded in memory.
#include "vmm/irqchip/vgic_state.h"

// Makes the blocks say what the vCPU's list registers hold. False: it is not loaded, cpu->hw.lr[] says it.
static bool refresh(struct vgic_cpu *cpu, unsigned self)
{
    struct virqchip *chip = &cpu->frame.vgic->chip;

    if (cpu->index != self) {
        return chip->ask && chip->ask(chip->vm, cpu->index, vgic_look, cpu);
    }
    if (cpu->loaded) {
        vgic_look(cpu);
    }
    return cpu->loaded;
}

// In place of what the block says: the state of interrupts in list registers in memory.
struct stored {
    uint32_t mask, pending, active;
};

static void read_stored(const struct vgic_cpu *cpu, unsigned block, struct stored *s)
{
    for (uint32_t left = cpu->used; left; left &= left - 1) {
        uint64_t v = cpu->hw.lr[__builtin_ctz(left)];
        const uint32_t m = vgic_bit(vgic_lr_irq(v));

        if (vgic_lr_irq(v) / 32 == block) {
            s->mask |= m;
            s->pending |= v & LR_PENDING ? m : 0;
            s->active |= v & LR_ACTIVE ? m : 0;
        }
    }
}

// Interrupts of an SPI block, among `mask`, that sit in the same vCPU's list registers as interrupt `bit`.
static uint32_t held_together(const struct vgic *g, unsigned block, uint32_t mask, unsigned bit)
{
    const uint16_t *holder = &g->holder[(block - 1) * 32];
    uint32_t same = 0;

    for (uint32_t left = mask; left; left &= left - 1) {
        unsigned other = (unsigned)__builtin_ctz(left);

        same |= holder[other] == holder[bit] ? vgic_bit(other) : 0;
    }
    return same;
}

static void refresh_spis(struct vgic *g, unsigned block, unsigned self, struct stored *s)
{
    uint32_t left = g->spi[block - 1].in_lr & vgic_block_valid(block);

    while (left) {
        unsigned bit = (unsigned)__builtin_ctz(left);
        uint16_t holder = g->holder[(block - 1) * 32 + bit];

        left &= ~held_together(g, block, left, bit) & ~vgic_bit(bit);
        if (holder < g->chip.vcpu_count && !refresh(&g->cpus[holder], self)) {
            read_stored(&g->cpus[holder], block, s);
        }
    }
}

static uint32_t post_of(const struct vgic_cpu *cpu, enum vgic_op op)
{
    return atomic_load_explicit(&cpu->post[op], memory_order_relaxed);
}

// What others have left for the owner of a private block counts as arrived, in the order in which it will be
// applied.
static void add_posts(const struct vgic_cpu *cpu, struct vgic_seen *seen)
{
    const struct vgic_block *b = &cpu->priv;

    seen->pending |= (atomic_load_explicit(&cpu->rises, memory_order_relaxed) & b->edge);
    seen->pending = (seen->pending | post_of(cpu, VGIC_PEND)) & ~post_of(cpu, VGIC_UNPEND);
    seen->active = (seen->active | post_of(cpu, VGIC_ACTIVATE)) & ~post_of(cpu, VGIC_DEACTIVATE);
    seen->pending |= atomic_load_explicit(&cpu->sgi[1], memory_order_relaxed);
    seen->pending |= atomic_load_explicit(&cpu->sgi[0], memory_order_relaxed) & ~b->group;
    seen->pending |= atomic_load_explicit(&cpu->lines, memory_order_relaxed) & ~b->edge;
}

struct vgic_seen vgic_see(struct vgic *g, struct vgic_cpu *owner, unsigned block, unsigned self)
{
    const struct vgic_block *b = owner ? &owner->priv : &g->spi[block - 1];
    struct stored s = {0};
    struct vgic_seen seen;

    if (!owner) {
        refresh_spis(g, block, self, &s);
    } else if (b->in_lr || (atomic_load_explicit(&owner->events, memory_order_relaxed) & VGIC_EV_POST)) {
        if (!refresh(owner, self)) {
            read_stored(owner, 0, &s);
        }
    }
    seen.pending = ((b->lr_pending & ~s.mask) | s.pending) & ~b->drop_pending;
    seen.pending |= owner ? b->latched : vgic_pending_bits(b);
    seen.active = (b->active & ~s.mask) | (s.active & ~b->drop_active) | (b->set_active & s.mask);
    if (owner) {
        add_posts(owner, &seen);
    }
    return seen;
}
