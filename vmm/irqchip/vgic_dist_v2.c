// SPDX-License-Identifier: Apache-2.0
//
// The virtual GICv2 distributor: GICD_* register table (Arm IHI 0048, 4.3). Registers of SGIs and PPIs are
// banked by the accessing vCPU; the rows that GICv3 has too share their functions. One Security state,
// both groups.
//
// An SPI with several targets goes to the first of them: which one takes it is the implementation's choice
// (IHI 0048, 1.4.3).
#include "vmm/irqchip/vgic_state.h"

#define TYPER_CPUS_SHIFT 5
#define SGIR_INTID_MASK 0xfu
#define SGIR_TARGETS_SHIFT 16
#define SGIR_FILTER_SHIFT 24
#define PIDR2_ARCH_V2 0x2bu

static uint64_t read_ctlr(void *dev, const struct vreg_access *a)
{
    const struct vgic_frame *f = dev;

    (void)a;
    return vgic_ctlr(f->vgic);
}

static uint64_t read_typer(void *dev, const struct vreg_access *a)
{
    const struct vgic_frame *f = dev;

    (void)a;
    return (f->vgic->block_count - 1) | (f->vgic->chip.vcpu_count - 1) << TYPER_CPUS_SHIFT;
}

// Four interrupts a register; index 0 to 7 are the private ones, whose target is who reads.
static uint64_t read_targets(void *dev, const struct vreg_access *a)
{
    const struct vgic *g = ((struct vgic_frame *)dev)->vgic;
    unsigned first = a->index * 4;
    uint32_t value = 0;

    for (unsigned i = 0; i < 4 && first / 32 < g->block_count; i++) {
        uint32_t targets =
            first < VGIC_PRIVATE ? UINT32_C(1) << a->vcpu : g->affinity[first + i - VGIC_PRIVATE];

        value |= (targets & 0xff) << (8 * i);
    }
    return value >> (8 * a->byte);
}

static void write_targets(void *dev, const struct vreg_access *a)
{
    struct vgic *g = ((struct vgic_frame *)dev)->vgic;
    unsigned irq = a->index * 4 + a->byte;

    if (irq < VGIC_PRIVATE || irq / 32 >= g->block_count) {
        return;
    }
    spin_lock(&g->lock);
    for (unsigned i = 0; i < a->size; i++, irq++) {
        uint32_t exist = (uint32_t)MASK64(0, g->chip.vcpu_count);

        g->affinity[irq - VGIC_PRIVATE] = (uint32_t)(a->value >> (8 * i)) & exist;
        g->target[irq - VGIC_PRIVATE] = vgic_vcpu_of(g, g->affinity[irq - VGIC_PRIVATE]);
        vgic_spi_changed(g, irq / 32, vgic_bit(irq));
    }
    spin_unlock(&g->lock);
}

static void write_sgir(void *dev, const struct vreg_access *a)
{
    struct vgic *g = ((struct vgic_frame *)dev)->vgic;
    uint32_t value = (uint32_t)a->value;
    uint32_t self = UINT32_C(1) << a->vcpu;
    const uint32_t by_filter[] = {value >> SGIR_TARGETS_SHIFT & 0xff, ~self, self, 0};

    vgic_sgi_send_v2(g, a->vcpu, value & SGIR_INTID_MASK, by_filter[value >> SGIR_FILTER_SHIFT & 3]);
}

// The sender of an SGI that waits in a list register, as a mask; as fresh as the last look at it.
static uint8_t offered_source(const struct vgic_cpu *cpu, unsigned irq)
{
    uint64_t v = cpu->priv.in_lr & cpu->priv.lr_pending & vgic_bit(irq) ? cpu->hw.lr[cpu->slot[irq]] : 0;

    return (uint8_t)(v ? 1u << ((v & LR_SOURCE_MASK) >> LR_SOURCE_SHIFT) : 0);
}

static void look_at_own(struct vgic_cpu *cpu)
{
    if (cpu->loaded) {
        vgic_look(cpu);
    }
}

// GICD_SPENDSGIR, GICD_CPENDSGIR: a byte an SGI, a bit a sender.
static uint64_t read_senders(void *dev, const struct vreg_access *a)
{
    struct vgic_cpu *cpu = &((struct vgic_frame *)dev)->vgic->cpus[a->vcpu];
    uint32_t value = 0;

    look_at_own(cpu);
    for (unsigned i = 0; i < 4; i++) {
        unsigned irq = a->index * 4 + i;

        value |= (uint32_t)(atomic_load_explicit(&cpu->source[irq], memory_order_relaxed) |
                            offered_source(cpu, irq))
                 << (8 * i);
    }
    return value >> (8 * a->byte);
}

static void write_set_senders(void *dev, const struct vreg_access *a)
{
    struct vgic *g = ((struct vgic_frame *)dev)->vgic;
    struct vgic_cpu *cpu = &g->cpus[a->vcpu];

    look_at_own(cpu);
    for (unsigned i = 0; i < a->size; i++) {
        unsigned irq = a->index * 4 + a->byte + i;
        uint8_t from = (uint8_t)(a->value >> (8 * i)) & (uint8_t)MASK64(0, g->chip.vcpu_count);

        from &= (uint8_t)~offered_source(cpu, irq); // pending already
        if (from) {
            atomic_fetch_or_explicit(&cpu->source[irq], from, memory_order_relaxed);
            cpu->priv.latched |= vgic_bit(irq);
            vgic_private_changed(cpu, vgic_bit(irq));
        }
    }
}

static void write_clear_senders(void *dev, const struct vreg_access *a)
{
    struct vgic_cpu *cpu = &((struct vgic_frame *)dev)->vgic->cpus[a->vcpu];

    look_at_own(cpu);
    for (unsigned i = 0; i < a->size; i++) {
        unsigned irq = a->index * 4 + a->byte + i;
        uint8_t from = (uint8_t)(a->value >> (8 * i));
        uint8_t left = atomic_fetch_and_explicit(&cpu->source[irq], (uint8_t)~from, memory_order_relaxed);

        if (!(left & (uint8_t)~from)) {
            cpu->priv.latched &= ~vgic_bit(irq);
        }
        if (offered_source(cpu, irq) & from) {
            cpu->priv.drop_pending |= vgic_bit(irq);
        }
        vgic_private_changed(cpu, cpu->priv.in_lr & vgic_bit(irq));
    }
}

#define CONST_ROW(off, n, nm, val)                                                                 \
    {                                                                                              \
        .offset = (off), .count = (n), .size = 4, .widths = VREG_W32, .reset = (val), .name = (nm) \
    }
#define RW_ROW(off, n, nm, w, rd, wr)                                                                      \
    {                                                                                                      \
        .offset = (off), .count = (n), .size = 4, .widths = (w), .read = (rd), .write = (wr), .name = (nm) \
    }

const struct vreg vgic_dist_v2_rows[] = {
    RW_ROW(0x000, 1, "GICD_CTLR", VREG_W32, read_ctlr, vgic_write_ctlr),
    RW_ROW(0x004, 1, "GICD_TYPER", VREG_W32, read_typer, NULL),
    CONST_ROW(0x008, 1, "GICD_IIDR", GIC_IIDR),
    RW_ROW(0x080, 32, "GICD_IGROUPR", VREG_W32, vgic_read_group, vgic_write_group),
    RW_ROW(0x100, 32, "GICD_ISENABLER", VREG_W32, vgic_read_enabled, vgic_write_enable),
    RW_ROW(0x180, 32, "GICD_ICENABLER", VREG_W32, vgic_read_enabled, vgic_write_disable),
    RW_ROW(0x200, 32, "GICD_ISPENDR", VREG_W32, vgic_read_pending, vgic_write_pend),
    RW_ROW(0x280, 32, "GICD_ICPENDR", VREG_W32, vgic_read_pending, vgic_write_unpend),
    RW_ROW(0x300, 32, "GICD_ISACTIVER", VREG_W32, vgic_read_active, vgic_write_activate),
    RW_ROW(0x380, 32, "GICD_ICACTIVER", VREG_W32, vgic_read_active, vgic_write_deactivate),
    RW_ROW(0x400, 255, "GICD_IPRIORITYR", VREG_W8 | VREG_W32, vgic_read_priority, vgic_write_priority),
    RW_ROW(0x800, 255, "GICD_ITARGETSR", VREG_W8 | VREG_W32, read_targets, write_targets),
    RW_ROW(0xc00, 64, "GICD_ICFGR", VREG_W32, vgic_read_config, vgic_write_config),
    CONST_ROW(0xe00, 64, "GICD_NSACR", 0), // no Security Extensions
    RW_ROW(0xf00, 1, "GICD_SGIR", VREG_W32, NULL, write_sgir),
    RW_ROW(0xf10, 4, "GICD_CPENDSGIR", VREG_W8 | VREG_W32, read_senders, write_clear_senders),
    RW_ROW(0xf20, 4, "GICD_SPENDSGIR", VREG_W8 | VREG_W32, read_senders, write_set_senders),
    CONST_ROW(0xfd0, 1, "PIDR4", 0x04),
    CONST_ROW(0xfe0, 1, "PIDR0", 0x90),
    CONST_ROW(0xfe4, 1, "PIDR1", 0xb4),
    CONST_ROW(0xfe8, 1, "PIDR2", PIDR2_ARCH_V2),
    CONST_ROW(0xff0, 1, "CIDR0", 0x0d),
    CONST_ROW(0xff4, 1, "CIDR1", 0xf0),
    CONST_ROW(0xff8, 1, "CIDR2", 0x05),
    CONST_ROW(0xffc, 1, "CIDR3", 0xb1),
};
const unsigned vgic_dist_v2_row_count = ARRAY_SIZE(vgic_dist_v2_rows);

enum io_result vgic_dist_v2_access(void *dev, struct io_access *a)
{
    struct vgic *g = dev;

    return vreg_map_access(&g->dist_map, &g->frame, a);
}
