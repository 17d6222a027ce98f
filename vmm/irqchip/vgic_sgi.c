// SPDX-License-Identifier: Apache-2.0
//
// Software-generated interrupts: ICC_SGI1R_EL1, ICC_ASGI1R_EL1 and ICC_SGI0R_EL1 (Arm IHI 0069, 12.2).
//
// With one Security state SGI1R makes interrupts of whichever group the target has configured, SGI0R and
// ASGI1R only group 0 ones. The target checks that itself, when it flushes.
//
// GICv2 SGIs (GICD_SGIR, Arm IHI 0048, 4.3.15) are told apart by their sender: source[] has a bit for
// each.
#include "vmm/irqchip/vgic_state.h"

#define SGI_TARGET_MASK 0xffffu
#define SGI_INTID_SHIFT 24
#define SGI_RS_SHIFT 44
#define SGI_IRM BIT64(40)
#define SGI_CLUSTER 16u
#define SGI_AFF1_SHIFT 16
#define SGI_FIELDS_ELSEWHERE \
    (SGI_IRM | MASK64(32, 8) | MASK64(SGI_RS_SHIFT, 4) | MASK64(48, 8)) // Aff2, RS, Aff3

static void send_to_self(struct vgic_cpu *self, unsigned irq, unsigned group)
{
    struct vgic_block *b = &self->priv;

    if (group || !(b->group >> irq & 1)) {
        b->latched |= vgic_bit(irq);
        vgic_private_offer(self, irq);
    }
}

static void send_to(struct vgic_cpu *cpu, unsigned irq, unsigned group)
{
    atomic_fetch_or_explicit(&cpu->sgi[group], vgic_bit(irq), memory_order_relaxed);
    vgic_post(cpu, group ? VGIC_EV_SGI : VGIC_EV_POST);
}

void vgic_sgi_offer(struct vgic_cpu *cpu)
{
    uint32_t sent = atomic_exchange_explicit(&cpu->sgi[1], 0, memory_order_relaxed);

    for (; sent; sent &= sent - 1) {
        unsigned irq = (unsigned)__builtin_ctz(sent);

        cpu->priv.latched |= vgic_bit(irq);
        vgic_private_offer(cpu, irq);
    }
}

static void send_to_others(struct vgic *g, unsigned self, unsigned irq, unsigned group)
{
    for (unsigned i = 0; i < g->chip.vcpu_count; i++) {
        if (i != self) {
            send_to(&g->cpus[i], irq, group);
        }
    }
}

// Aff3.Aff2.Aff1 of the target list, in the layout of GICD_IROUTER.
static uint64_t sgi_cluster(uint64_t value)
{
    return (value >> 48 & 0xff) << 32 | (value >> 32 & 0xff) << 16 | (value >> 16 & 0xff) << 8;
}

bool vgic_sgi_take(struct vgic_cpu *cpu, unsigned irq, unsigned *source)
{
    uint8_t left = atomic_load_explicit(&cpu->source[irq], memory_order_relaxed);
    unsigned first;

    if (left == 0) {
        cpu->priv.latched &= ~vgic_bit(irq);
        return false;
    }
    first = (unsigned)__builtin_ctz(left);
    left = (uint8_t)(atomic_fetch_and_explicit(&cpu->source[irq], (uint8_t) ~(1u << first),
                                               memory_order_relaxed) &
                     ~(1u << first));
    if (left == 0) {
        cpu->priv.latched &= ~vgic_bit(irq); // one sent since then is posted, and latched again
    }
    *source = first;
    return true;
}

void vgic_sgi_merge(struct vgic_cpu *cpu, unsigned irq, unsigned source)
{
    const uint8_t others = (uint8_t) ~(1u << source);
    uint8_t left = atomic_fetch_and_explicit(&cpu->source[irq], others, memory_order_relaxed);

    if ((left & others) == 0) {
        cpu->priv.latched &= ~vgic_bit(irq); // one sent since then is posted, and latched again
    }
}

void vgic_sgi_return(struct vgic_cpu *cpu, unsigned irq, unsigned source)
{
    atomic_fetch_or_explicit(&cpu->source[irq], (uint8_t)(1u << source), memory_order_relaxed);
    cpu->priv.latched |= vgic_bit(irq);
}

void vgic_sgi_send_v2(struct vgic *g, unsigned from, unsigned irq, uint32_t targets)
{
    for (uint32_t left = targets & (uint32_t)MASK64(0, g->chip.vcpu_count); left; left &= left - 1) {
        struct vgic_cpu *cpu = &g->cpus[__builtin_ctz(left)];

        atomic_fetch_or_explicit(&cpu->source[irq], (uint8_t)(1u << from), memory_order_relaxed);
        if (cpu->index == from) {
            cpu->priv.latched |= vgic_bit(irq);
            vgic_private_offer(cpu, irq);
        } else {
            send_to(cpu, irq, 1);
        }
    }
}

// A GICv2 guest has no such registers; ICC_DIR_EL1 traps while interrupts wait for it outside list
// registers.
__attribute__((noinline)) static void send_other(struct vgic *g, unsigned vcpu, unsigned which,
                                                 uint64_t value)
{
    struct vgic_cpu *self = &g->cpus[vcpu];

    if (g->v2 || which != GIC_WHICH_DIR || !self->loaded) {
        return;
    }
    g->hw->save(&self->hw);
    if (self->hw.vmcr & VMCR_EOIM) {
        vgic_deactivate(self, (unsigned)(value & 0xffffff));
    }
}

__attribute__((noinline)) static void send_any(struct vgic *g, unsigned vcpu, unsigned which, uint64_t value)
{
    unsigned irq = (unsigned)(value >> SGI_INTID_SHIFT & 0xf);
    unsigned group = which == 0;
    uint64_t cluster = sgi_cluster(value);
    unsigned first;

    if (g->v2 || which == GIC_WHICH_DIR) {
        send_other(g, vcpu, which, value);
        return;
    }
    if (value & SGI_IRM) {
        send_to_others(g, vcpu, irq, group);
        return;
    }
    if ((cluster & ~UINT64_C(0xff00)) || (value >> SGI_RS_SHIFT & 0xf)) {
        return; // nobody there
    }
    first = (unsigned)(cluster >> 8) * SGI_CLUSTER;
    for (uint32_t left = (uint32_t)value & SGI_TARGET_MASK; left; left &= left - 1) {
        unsigned target = first + (unsigned)__builtin_ctz(left);

        if (target == vcpu) {
            send_to_self(&g->cpus[vcpu], irq, group);
        } else if (target < g->chip.vcpu_count) {
            send_to(&g->cpus[target], irq, group);
        }
    }
}

// An SGI to one vCPU needs none of the loops, nor their registers.
void vgic_send_sgi(struct virqchip *chip, unsigned vcpu, unsigned which, uint64_t value)
{
    struct vgic *g = vgic_of(chip);
    uint32_t list = (uint32_t)value & SGI_TARGET_MASK;
    unsigned irq = (unsigned)(value >> SGI_INTID_SHIFT & 0xf);
    unsigned target;

    if (g->v2 || which == GIC_WHICH_DIR || (value & SGI_FIELDS_ELSEWHERE) || !list || (list & (list - 1))) {
        send_any(g, vcpu, which, value);
        return;
    }
    target = (unsigned)(value >> SGI_AFF1_SHIFT & 0xff) * SGI_CLUSTER + (unsigned)__builtin_ctz(list);
    if (target == vcpu) {
        send_to_self(&g->cpus[vcpu], irq, which == 0);
    } else if (target < chip->vcpu_count) {
        send_to(&g->cpus[target], irq, which == 0);
    }
}
