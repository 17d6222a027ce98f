// SPDX-License-Identifier: Apache-2.0
//
// Saving and restoring a virtual GIC. The saved form knows no list registers: what sits in them is folded
// into the blocks, so that a state can continue on a machine with another number of them. A forwarded
// interrupt that the guest has not acknowledged is left out: its device asserts it again.
#include <string.h>

#include "vmm/irqchip/vgic_state.h"

#define VGIC_SAVED_VERSION 2u

struct saved_block {
    uint32_t enabled, group, edge, line, latched, active;
    uint8_t priority[VGIC_BLOCK_IRQS];
};

struct saved_cpu {
    uint64_t vmcr;
    uint32_t ap0r[GIC_APR_MAX], ap1r[GIC_APR_MAX];
    uint32_t waker, reserved;
    uint8_t source[16]; // GICv2: senders of pending SGIs
    struct saved_block priv;
};

struct saved_route {
    uint32_t affinity[VGIC_BLOCK_IRQS];
    uint16_t holder[VGIC_BLOCK_IRQS];
};

// Then vcpu_count of saved_cpu, block_count - 1 of saved_block and as many of saved_route.
struct saved_head {
    uint32_t version, size;
    uint32_t vcpu_count, block_count;
    uint32_t ctlr, v2;
};
_Static_assert(sizeof(struct saved_head) == 24 && sizeof(struct saved_cpu) == 120, "saved layout");
_Static_assert(sizeof(struct saved_block) == 56 && sizeof(struct saved_route) == 192, "saved layout");

static uint32_t saved_size(const struct vgic *g)
{
    return (uint32_t)(sizeof(struct saved_head) + g->chip.vcpu_count * sizeof(struct saved_cpu) +
                      (g->block_count - 1) * (sizeof(struct saved_block) + sizeof(struct saved_route)));
}

// What a list register holds, added to a copy of the block.
static void fold(struct vgic_block *b, unsigned irq, uint64_t v, bool soft)
{
    const uint32_t m = vgic_bit(irq);
    bool act = (v & LR_ACTIVE) ? !(b->drop_active & m) : (b->set_active & m) != 0;

    if (v & LR_PENDING && soft && !(v & LR_HW) && !(b->drop_pending & m)) {
        b->latched |= m;
    }
    b->active = act ? b->active | m : b->active & ~m;
}

static void fold_lrs(const struct vgic_cpu *cpu, unsigned block, struct vgic_block *b)
{
    b->latched &= ~(b->linked & ~b->in_lr);
    b->linked = 0;
    for (uint32_t left = cpu->used; left; left &= left - 1) {
        unsigned n = (unsigned)__builtin_ctz(left);
        unsigned irq = vgic_lr_irq(cpu->hw.lr[n]);

        if (irq / 32 == block) {
            fold(b, irq, cpu->hw.lr[n], (cpu->soft >> n & 1) != 0);
        }
    }
}

static void block_save(struct saved_block *out, const struct vgic_block *b)
{
    *out = (struct saved_block){.enabled = b->enabled,
                                .group = b->group,
                                .edge = b->edge,
                                .line = b->line,
                                .latched = b->latched,
                                .active = b->active};
    memcpy(out->priority, b->priority, sizeof(out->priority));
}

// What others posted for a vCPU counts as done.
static void fold_posts(const struct vgic_cpu *cpu, struct vgic_block *b)
{
    uint32_t mask = atomic_load_explicit(&cpu->prio_mask, memory_order_relaxed);

    b->in_lr = 0;
    b->line = atomic_load_explicit(&cpu->lines, memory_order_relaxed);
    b->latched |= atomic_load_explicit(&cpu->rises, memory_order_relaxed) & b->edge;
    for (unsigned op = 0; op < VGIC_OP_COUNT; op++) {
        vgic_block_apply(b, 0, (enum vgic_op)op, atomic_load_explicit(&cpu->post[op], memory_order_relaxed));
    }
    b->latched |= atomic_load_explicit(&cpu->sgi[1], memory_order_relaxed);
    b->latched |= atomic_load_explicit(&cpu->sgi[0], memory_order_relaxed) & ~b->group;
    for (unsigned i = 0; i < VGIC_PRIVATE; i++) {
        if (mask >> (i / 4) & 1) {
            b->priority[i] =
                (uint8_t)(atomic_load_explicit(&cpu->prio[i / 4], memory_order_relaxed) >> (i % 4 * 8)) &
                cpu->frame.vgic->priority_mask;
        }
    }
}

// GICv2: a pending SGI's senders, in source[] or, of one, in its list register.
static void fold_sources(uint8_t out[16], const struct vgic_cpu *cpu, struct vgic_block *b)
{
    for (unsigned i = 0; cpu->frame.vgic->v2 && i < 16; i++) {
        uint64_t v = cpu->priv.in_lr >> i & 1 ? cpu->hw.lr[cpu->slot[i]] : 0;

        out[i] = atomic_load_explicit(&cpu->source[i], memory_order_relaxed);
        if ((v & LR_PENDING) && !(cpu->priv.drop_pending >> i & 1)) {
            out[i] |= (uint8_t)(1u << ((v & LR_SOURCE_MASK) >> LR_SOURCE_SHIFT));
        }
        b->latched = out[i] ? b->latched | vgic_bit(i) : b->latched & ~vgic_bit(i);
    }
}

static void cpu_save(struct saved_cpu *out, const struct vgic_cpu *cpu)
{
    struct vgic_block b = cpu->priv;

    *out = (struct saved_cpu){.vmcr = cpu->hw.vmcr, .waker = cpu->waker};
    memcpy(out->ap0r, cpu->hw.ap0r, sizeof(out->ap0r));
    memcpy(out->ap1r, cpu->hw.ap1r, sizeof(out->ap1r));
    fold_lrs(cpu, 0, &b);
    fold_posts(cpu, &b);
    fold_sources(out->source, cpu, &b);
    block_save(&out->priv, &b);
}

// buf == NULL or too small: only says how much it takes. No vCPU is loaded.
uint32_t vgic_save(const struct virqchip *chip, void *buf, uint32_t size)
{
    const struct vgic *g = (const struct vgic *)(const void *)chip;
    const unsigned spi_blocks = g->block_count - 1;
    struct saved_head *head = buf;
    struct saved_cpu *cpus;
    struct saved_block *blocks;
    struct saved_route *routes;

    if (!buf || size < saved_size(g)) {
        return saved_size(g);
    }
    cpus = (struct saved_cpu *)(void *)(head + 1);
    blocks = (struct saved_block *)(void *)(cpus + chip->vcpu_count);
    routes = (struct saved_route *)(void *)(blocks + spi_blocks);
    *head = (struct saved_head){.version = VGIC_SAVED_VERSION,
                                .size = saved_size(g),
                                .vcpu_count = chip->vcpu_count,
                                .block_count = g->block_count,
                                .v2 = g->v2,
                                .ctlr = atomic_load_explicit(&g->ctlr, memory_order_relaxed)};
    for (unsigned i = 0; i < chip->vcpu_count; i++) {
        cpu_save(&cpus[i], &g->cpus[i]);
    }
    for (unsigned i = 0; i < spi_blocks; i++) {
        struct vgic_block b = g->spi[i];

        for (unsigned c = 0; c < chip->vcpu_count; c++) {
            fold_lrs(&g->cpus[c], i + 1, &b);
        }
        block_save(&blocks[i], &b);
        for (unsigned j = 0; j < VGIC_BLOCK_IRQS; j++) {
            bool exists = i * 32 + j < ARRAY_SIZE(g->affinity);

            routes[i].affinity[j] = exists ? g->affinity[i * 32 + j] : 0;
            routes[i].holder[j] = exists ? g->holder[i * 32 + j] : VGIC_NO_VCPU;
        }
    }
    return saved_size(g);
}

static void block_restore(struct vgic *g, struct vgic_block *b, const struct saved_block *in, unsigned block)
{
    const uint32_t valid = vgic_block_valid(block);

    *b = (struct vgic_block){.enabled = in->enabled & valid,
                             .group = in->group & valid,
                             .edge = block ? in->edge & valid : (in->edge & 0xffff0000u) | 0xffffu,
                             .line = in->line & valid,
                             .latched = in->latched & valid,
                             .active = in->active & valid};
    for (unsigned i = 0; i < VGIC_BLOCK_IRQS; i++) {
        b->priority[i] = in->priority[i] & g->priority_mask;
    }
}

static void cpu_restore(struct vgic *g, struct vgic_cpu *cpu, const struct saved_cpu *in)
{
    cpu->hw.vmcr = in->vmcr;
    memcpy(cpu->hw.ap0r, in->ap0r, sizeof(in->ap0r));
    memcpy(cpu->hw.ap1r, in->ap1r, sizeof(in->ap1r));
    cpu->waker = in->waker & GICR_WAKER_SLEEP ? GICR_WAKER_SLEEP | GICR_WAKER_ASLEEP : 0;
    block_restore(g, &cpu->priv, &in->priv, 0);
    for (unsigned i = 0; g->v2 && i < 16; i++) {
        uint8_t from = in->source[i] & (uint8_t)MASK64(0, g->chip.vcpu_count);

        atomic_store_explicit(&cpu->source[i], from, memory_order_relaxed);
        cpu->priv.latched = from ? cpu->priv.latched | vgic_bit(i) : cpu->priv.latched & ~vgic_bit(i);
    }
    cpu->priv.enabled |= g->v2 ? GIC_PRIVATE_SGIS : 0;
    atomic_store_explicit(&cpu->lines, cpu->priv.line, memory_order_relaxed);
}

static void route_restore(struct vgic *g, unsigned block, const struct saved_route *in)
{
    for (unsigned j = 0; j < VGIC_BLOCK_IRQS; j++) {
        unsigned spi = (block - 1) * 32 + j;

        if (spi >= ARRAY_SIZE(g->affinity)) {
            return;
        }
        g->affinity[spi] = in->affinity[j] & 0x00ffffffu;
        g->target[spi] = vgic_vcpu_of(g, g->affinity[spi]);
        g->holder[spi] = in->holder[j] < g->chip.vcpu_count ? in->holder[j] : g->target[spi];
    }
}

// E_UNSUPPORTED: another version. E_CORRUPT: not the size it says. E_INVAL: of a machine of another shape.
// E_STATE: a vCPU is loaded. Every value is clamped to what a guest could have written itself, so it cannot
// do harm.
enum status vgic_restore(struct virqchip *chip, const void *buf, uint32_t size)
{
    struct vgic *g = vgic_of(chip);
    const struct saved_head *head = buf;
    const struct saved_cpu *cpus = (const struct saved_cpu *)(const void *)(head + 1);
    const struct saved_block *blocks = (const struct saved_block *)(const void *)(cpus + chip->vcpu_count);
    const struct saved_route *routes =
        (const struct saved_route *)(const void *)(blocks + g->block_count - 1);

    if (size < sizeof(*head) || head->size != size) {
        return E_CORRUPT;
    }
    if (head->version != VGIC_SAVED_VERSION) {
        return E_UNSUPPORTED;
    }
    if (head->vcpu_count != chip->vcpu_count || head->block_count != g->block_count || head->v2 != g->v2 ||
        size != saved_size(g)) {
        return E_INVAL;
    }
    for (unsigned i = 0; i < chip->vcpu_count; i++) {
        if (g->cpus[i].loaded || g->cpus[i].stale) {
            return E_STATE;
        }
    }
    vgic_reset(chip);
    atomic_store_explicit(&g->ctlr, head->ctlr & (GICD_CTLR_GRP0 | GICD_CTLR_GRP1), memory_order_relaxed);
    for (unsigned i = 1; i < g->block_count; i++) {
        block_restore(g, &g->spi[i - 1], &blocks[i - 1], i);
        route_restore(g, i, &routes[i - 1]);
    }
    for (unsigned i = 0; i < chip->vcpu_count; i++) {
        cpu_restore(g, &g->cpus[i], &cpus[i]);
        atomic_store_explicit(&g->cpus[i].ready, (uint32_t)MASK64(0, g->block_count), memory_order_relaxed);
        vgic_post(&g->cpus[i], VGIC_EV_LOOK);
    }
    return OK;
}
