// SPDX-License-Identifier: Apache-2.0
//
// The virtual GICv3 redistributors: two 64 KiB frames a vCPU, RD_base and SGI_base (Arm IHI 0069, 12.10 and
// 12.11). No LPIs: the registers that serve them are RAZ/WI.
#include "vmm/irqchip/vgic.h"
#include "vmm/irqchip/vgic_state.h"

#define GICR_TYPER_LAST BIT64(4)
#define GICR_TYPER_NUMBER_SHIFT 8
#define GICR_TYPER_AFFINITY_SHIFT 32

static uint64_t read_typer(void *dev, const struct vreg_access *a)
{
    const struct vgic_frame *f = dev;
    unsigned index = f->cpu->index;
    uint64_t value = (uint64_t)vgic_affinity(index) << GICR_TYPER_AFFINITY_SHIFT |
                     (uint64_t)index << GICR_TYPER_NUMBER_SHIFT;

    if (index == f->vgic->chip.vcpu_count - 1) {
        value |= GICR_TYPER_LAST;
    }
    return value >> (8 * a->byte);
}

static uint64_t read_waker(void *dev, const struct vreg_access *a)
{
    const struct vgic_frame *f = dev;

    (void)a;
    return f->cpu->waker;
}

// ChildrenAsleep follows at once. Interrupts wait while ProcessorSleep is 1 (12.11.42), but not because of
// its value at reset: guests that forget to wake their redistributor work on other virtual GICs, and here.
static void write_waker(void *dev, const struct vreg_access *a)
{
    const struct vgic_frame *f = dev;
    bool sleep = (a->value & GICR_WAKER_SLEEP) != 0;

    f->cpu->waker = sleep ? GICR_WAKER_SLEEP | GICR_WAKER_ASLEEP : 0;
    if (atomic_exchange_explicit(&f->cpu->asleep, sleep, memory_order_relaxed) != sleep) {
        atomic_fetch_or_explicit(&f->cpu->ready, (uint32_t)MASK64(0, f->vgic->block_count),
                                 memory_order_relaxed);
        vgic_post(f->cpu, VGIC_EV_LOOK);
    }
}

#define ZERO_ROW(off, n, nm)                                                       \
    {                                                                              \
        .offset = (off), .count = (n), .size = 4, .widths = VREG_W32, .name = (nm) \
    }
#define ZERO_ROW64(off, nm)                                                                 \
    {                                                                                       \
        .offset = (off), .count = 1, .size = 8, .widths = VREG_W32 | VREG_W64, .name = (nm) \
    }
#define RW_ROW(off, n, nm, w, rd, wr)                                                                      \
    {                                                                                                      \
        .offset = (off), .count = (n), .size = 4, .widths = (w), .read = (rd), .write = (wr), .name = (nm) \
    }

const struct vreg vgic_rd_rows[] = {
    ZERO_ROW(0x0000, 1, "GICR_CTLR"), // nothing to enable, writes complete at once (RWP, UWP = 0)
    {.offset = 0x0004, .count = 1, .size = 4, .widths = VREG_W32, .reset = GIC_IIDR, .name = "GICR_IIDR"},
    {.offset = 0x0008,
     .count = 1,
     .size = 8,
     .widths = VREG_W32 | VREG_W64,
     .read = read_typer,
     .name = "GICR_TYPER"},
    ZERO_ROW(0x0010, 1, "GICR_STATUSR"), // not implemented
    RW_ROW(0x0014, 1, "GICR_WAKER", VREG_W32, read_waker, write_waker),
    ZERO_ROW(0x0018, 1, "GICR_MPAMIDR"),
    ZERO_ROW(0x001c, 1, "GICR_PARTIDR"),
    ZERO_ROW64(0x0040, "GICR_SETLPIR"),
    ZERO_ROW64(0x0048, "GICR_CLRLPIR"),
    ZERO_ROW64(0x0070, "GICR_PROPBASER"),
    ZERO_ROW64(0x0078, "GICR_PENDBASER"),
    ZERO_ROW64(0x00a0, "GICR_INVLPIR"),
    ZERO_ROW64(0x00b0, "GICR_INVALLR"),
    ZERO_ROW64(0x00c0, "GICR_SYNCR"),
};
const unsigned vgic_rd_row_count = ARRAY_SIZE(vgic_rd_rows);

const struct vreg vgic_sgi_rows[] = {
    RW_ROW(0x0080, 1, "GICR_IGROUPR0", VREG_W32, vgic_read_group, vgic_write_group),
    ZERO_ROW(0x0084, 2, "GICR_IGROUPRnE"), // TYPER.PPInum = 0
    RW_ROW(0x0100, 1, "GICR_ISENABLER0", VREG_W32, vgic_read_enabled, vgic_write_enable),
    ZERO_ROW(0x0104, 2, "GICR_ISENABLERnE"),
    RW_ROW(0x0180, 1, "GICR_ICENABLER0", VREG_W32, vgic_read_enabled, vgic_write_disable),
    ZERO_ROW(0x0184, 2, "GICR_ICENABLERnE"),
    RW_ROW(0x0200, 1, "GICR_ISPENDR0", VREG_W32, vgic_read_pending, vgic_write_pend),
    ZERO_ROW(0x0204, 2, "GICR_ISPENDRnE"),
    RW_ROW(0x0280, 1, "GICR_ICPENDR0", VREG_W32, vgic_read_pending, vgic_write_unpend),
    ZERO_ROW(0x0284, 2, "GICR_ICPENDRnE"),
    RW_ROW(0x0300, 1, "GICR_ISACTIVER0", VREG_W32, vgic_read_active, vgic_write_activate),
    ZERO_ROW(0x0304, 2, "GICR_ISACTIVERnE"),
    RW_ROW(0x0380, 1, "GICR_ICACTIVER0", VREG_W32, vgic_read_active, vgic_write_deactivate),
    ZERO_ROW(0x0384, 2, "GICR_ICACTIVERnE"),
    RW_ROW(0x0400, 8, "GICR_IPRIORITYR", VREG_W8 | VREG_W32, vgic_read_priority, vgic_write_priority),
    {.offset = 0x0420, .count = 16, .size = 4, .widths = VREG_W8 | VREG_W32, .name = "GICR_IPRIORITYRnE"},
    RW_ROW(0x0c00, 2, "GICR_ICFGR", VREG_W32, vgic_read_config, vgic_write_config),
    ZERO_ROW(0x0c08, 4, "GICR_ICFGRnE"),
    ZERO_ROW(0x0d00, 1, "GICR_IGRPMODR0"), // DS = 1
    ZERO_ROW(0x0d04, 2, "GICR_IGRPMODRnE"),
    ZERO_ROW(0x0e00, 1, "GICR_NSACR"), // DS = 1
    ZERO_ROW(0x0f80, 3, "GICR_INMIR"),
};
const unsigned vgic_sgi_row_count = ARRAY_SIZE(vgic_sgi_rows);

__attribute__((noinline)) static enum io_result high_access(struct vgic *g, struct vgic_cpu *cpu,
                                                            struct io_access *a)
{
    if (a->offset >= GIC_ID_OFFSET) {
        a->offset -= GIC_ID_OFFSET;
        return vreg_map_access(&g->id_map, &cpu->frame, a);
    }
    a->value = a->write ? a->value : 0; // reserved
    return IO_DONE;
}

enum io_result vgic_redist_access(void *dev, struct io_access *a)
{
    struct vgic *g = dev;
    uint64_t offset = a->offset;
    struct vgic_cpu *cpu;

    if (offset / GICR_STRIDE >= g->chip.vcpu_count) {
        return IO_UNCLAIMED;
    }
    cpu = &g->cpus[offset / GICR_STRIDE];
    a->offset = offset % GIC_FRAME_SIZE;
    if (a->offset >= GICR_MAP_SIZE) {
        return high_access(g, cpu, a);
    }
    return vreg_map_access(offset & GIC_FRAME_SIZE ? &g->sgi_map : &g->rd_map, &cpu->frame, a);
}
