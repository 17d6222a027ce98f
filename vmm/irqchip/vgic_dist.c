// SPDX-License-Identifier: Apache-2.0
//
// The virtual GICv3 distributor: GICD_* register table (Arm IHI 0069, 12.8 and 12.9), and the identification
// registers that distributor and redistributors share.
//
// Rows without functions read their reset value and ignore writes; most of these belong to features that
// GICD_TYPER says are absent. Offsets without a row are reserved (GICv3.1 extended SPIs above all): RAZ/WI,
// counted.
#include "vmm/irqchip/vgic_state.h"

#define GICD_TYPER_ID_BITS (UINT32_C(9) << 19) // INTIDs of ten bits
#define GICD_TYPER_NO_1OFN (UINT32_C(1) << 25)
#define GICD_IROUTER_FIRST 0x6100u
#define ROUTE_MASK 0x00ffffffu // Aff3 does not exist (A3V = 0), IRM is RES0 (No1N = 1)

static uint64_t read_ctlr(void *dev, const struct vreg_access *a)
{
    struct vgic_frame *f = dev;

    (void)a;
    return vgic_ctlr(f->vgic) | GICD_CTLR_ARE | GICD_CTLR_DS;
}

// A group was switched: every vCPU looks at everything again.
void vgic_write_ctlr(void *dev, const struct vreg_access *a)
{
    struct vgic *g = ((struct vgic_frame *)dev)->vgic;
    uint32_t value = (uint32_t)a->value & (GICD_CTLR_GRP0 | GICD_CTLR_GRP1);

    spin_lock(&g->lock);
    if (value != vgic_ctlr(g)) {
        atomic_store_explicit(&g->ctlr, value, memory_order_relaxed);
        for (unsigned i = 0; i < g->chip.vcpu_count; i++) {
            atomic_fetch_or_explicit(&g->cpus[i].ready, (uint32_t)MASK64(0, g->block_count),
                                     memory_order_relaxed);
            vgic_post(&g->cpus[i], VGIC_EV_LOOK);
        }
    }
    spin_unlock(&g->lock);
}

static uint64_t read_typer(void *dev, const struct vreg_access *a)
{
    struct vgic_frame *f = dev;

    (void)a;
    return (f->vgic->block_count - 1) | GICD_TYPER_ID_BITS | GICD_TYPER_NO_1OFN;
}

uint16_t vgic_vcpu_of(const struct vgic *g, uint32_t affinity)
{
    unsigned index = (affinity >> 8 & 0xff) << 4 | (affinity & 0xf);

    if (g->v2) { // a set of targets: the first that exists serves
        affinity &= (uint32_t)MASK64(0, g->chip.vcpu_count);
        return affinity ? (uint16_t)__builtin_ctz(affinity) : VGIC_NO_VCPU;
    }
    if ((affinity & ~0xff0fu) != 0 || index >= g->chip.vcpu_count) {
        return VGIC_NO_VCPU;
    }
    return (uint16_t)index;
}

static uint64_t read_route(void *dev, const struct vreg_access *a)
{
    struct vgic *g = ((struct vgic_frame *)dev)->vgic;

    if (a->index >= (g->block_count - 1) * 32) {
        return 0;
    }
    return a->byte ? 0 : g->affinity[a->index];
}

static void write_route(void *dev, const struct vreg_access *a)
{
    struct vgic *g = ((struct vgic_frame *)dev)->vgic;
    unsigned irq = VGIC_PRIVATE + a->index;

    if (a->index >= (g->block_count - 1) * 32 || a->byte) {
        return;
    }
    spin_lock(&g->lock);
    g->affinity[a->index] = (uint32_t)a->value & ROUTE_MASK;
    g->target[a->index] = vgic_vcpu_of(g, g->affinity[a->index]);
    vgic_spi_changed(g, irq / 32, vgic_bit(irq));
    spin_unlock(&g->lock);
}

#define CONST_ROW(off, n, nm, val)                                                                 \
    {                                                                                              \
        .offset = (off), .count = (n), .size = 4, .widths = VREG_W32, .reset = (val), .name = (nm) \
    }
#define ZERO_ROW(off, n, nm) CONST_ROW(off, n, nm, 0)
#define RW_ROW(off, n, nm, w, rd, wr)                                                                      \
    {                                                                                                      \
        .offset = (off), .count = (n), .size = 4, .widths = (w), .read = (rd), .write = (wr), .name = (nm) \
    }

const struct vreg vgic_dist_rows[] = {
    RW_ROW(0x0000, 1, "GICD_CTLR", VREG_W32, read_ctlr, vgic_write_ctlr),
    RW_ROW(0x0004, 1, "GICD_TYPER", VREG_W32, read_typer, NULL),
    CONST_ROW(0x0008, 1, "GICD_IIDR", GIC_IIDR),
    ZERO_ROW(0x000c, 1, "GICD_TYPER2"),
    ZERO_ROW(0x0010, 1, "GICD_STATUSR"),    // not implemented
    ZERO_ROW(0x0040, 1, "GICD_SETSPI_NSR"), // TYPER.MBIS = 0
    ZERO_ROW(0x0048, 1, "GICD_CLRSPI_NSR"),
    ZERO_ROW(0x0050, 1, "GICD_SETSPI_SR"),
    ZERO_ROW(0x0058, 1, "GICD_CLRSPI_SR"),
    RW_ROW(0x0080, 32, "GICD_IGROUPR", VREG_W32, vgic_read_group, vgic_write_group),
    RW_ROW(0x0100, 32, "GICD_ISENABLER", VREG_W32, vgic_read_enabled, vgic_write_enable),
    RW_ROW(0x0180, 32, "GICD_ICENABLER", VREG_W32, vgic_read_enabled, vgic_write_disable),
    RW_ROW(0x0200, 32, "GICD_ISPENDR", VREG_W32, vgic_read_pending, vgic_write_pend),
    RW_ROW(0x0280, 32, "GICD_ICPENDR", VREG_W32, vgic_read_pending, vgic_write_unpend),
    RW_ROW(0x0300, 32, "GICD_ISACTIVER", VREG_W32, vgic_read_active, vgic_write_activate),
    RW_ROW(0x0380, 32, "GICD_ICACTIVER", VREG_W32, vgic_read_active, vgic_write_deactivate),
    RW_ROW(0x0400, 255, "GICD_IPRIORITYR", VREG_W8 | VREG_W32, vgic_read_priority, vgic_write_priority),
    {.offset = 0x0800,
     .count = 255,
     .size = 4,
     .widths = VREG_W8 | VREG_W32,
     .name = "GICD_ITARGETSR"}, // ARE = 1
    RW_ROW(0x0c00, 64, "GICD_ICFGR", VREG_W32, vgic_read_config, vgic_write_config),
    ZERO_ROW(0x0d00, 32, "GICD_IGRPMODR"), // DS = 1
    ZERO_ROW(0x0e00, 64, "GICD_NSACR"),    // DS = 1
    ZERO_ROW(0x0f00, 1, "GICD_SGIR"),      // ARE = 1
    {.offset = 0x0f10,
     .count = 4,
     .size = 4,
     .widths = VREG_W8 | VREG_W32,
     .name = "GICD_CPENDSGIR"}, // ARE = 1
    {.offset = 0x0f20,
     .count = 4,
     .size = 4,
     .widths = VREG_W8 | VREG_W32,
     .name = "GICD_SPENDSGIR"},         // ARE = 1
    ZERO_ROW(0x0f80, 32, "GICD_INMIR"), // TYPER.NMI = 0
    {.offset = GICD_IROUTER_FIRST,
     .count = VGIC_INTID_LIMIT - VGIC_PRIVATE,
     .size = 8,
     .widths = VREG_W32 | VREG_W64,
     .read = read_route,
     .write = write_route,
     .name = "GICD_IROUTER"},
};
const unsigned vgic_dist_row_count = ARRAY_SIZE(vgic_dist_rows);

// 0xffd0 and up of every 64 KiB frame (12.1.3): CoreSight identification; Arm as the designer of the
// architecture.
const struct vreg vgic_id_rows[] = {
    CONST_ROW(0x00, 1, "PIDR4", 0x44),
    ZERO_ROW(0x04, 3, "PIDR5-7"),
    CONST_ROW(0x10, 1, "PIDR0", 0x92),
    CONST_ROW(0x14, 1, "PIDR1", 0xb4),
    CONST_ROW(0x18, 1, "PIDR2", GIC_PIDR2_ARCH_V3),
    ZERO_ROW(0x1c, 1, "PIDR3"),
    CONST_ROW(0x20, 1, "CIDR0", 0x0d),
    CONST_ROW(0x24, 1, "CIDR1", 0xf0),
    CONST_ROW(0x28, 1, "CIDR2", 0x05),
    CONST_ROW(0x2c, 1, "CIDR3", 0xb1),
};
const unsigned vgic_id_row_count = ARRAY_SIZE(vgic_id_rows);

enum io_result vgic_dist_high_access(void *dev, struct io_access *a)
{
    struct vgic *g = dev;

    if (a->offset >= GIC_ID_OFFSET - GICD_MAP_SIZE) {
        a->offset -= GIC_ID_OFFSET - GICD_MAP_SIZE;
        return vreg_map_access(&g->id_map, &g->frame, a);
    }
    a->value = a->write ? a->value : 0; // reserved
    return IO_DONE;
}

enum io_result vgic_dist_access(void *dev, struct io_access *a)
{
    struct vgic *g = dev;

    return vreg_map_access(&g->dist_map, &g->frame, a);
}
