// SPDX-License-Identifier: Apache-2.0
//
// The registers of an emulated GICv2 CPU interface (Arm IHI 0048, 4.4, as seen in a virtual machine: 5.5).
// A register works on the accessing vCPU's interface, which is loaded. What the hardware would tell by a
// maintenance interrupt is acted upon at once.
#include "kernel/irq/irq.h"
#include "vmm/irqchip/vgic_state.h"

#define CTLR_MASK 0x21fu // EOImode, CBPR, FIQEn, AckCtl, both group enables: as in VMCR
#define PMR_MASK 0xf8u
#define BPR0_LEAST 2u // five bits of priority
#define BPR1_LEAST 3u
#define NO_INTERRUPT 1023u
#define OTHER_GROUP 1022u
#define IIDR_V2 (0x4cu << 20 | 2u << 16 | 0x43bu)
#define EOI_COUNT_ONE (UINT32_C(1) << VGIC_EOI_COUNT_SHIFT)

static struct vgic_cpu *cpu_of(void *dev, const struct vreg_access *a)
{
    return &((struct vgic_frame *)dev)->vgic->cpus[a->vcpu];
}

// The conditions of GICH_MISR that the hypervisor asks for.
static bool needs_maintenance(const struct vgic_cpuif *s)
{
    return s->ended || ((s->hcr & HCR_NPIE) && !(s->pending & ~s->active)) ||
           ((s->hcr & HCR_LRENPIE) && s->hcr >= EOI_COUNT_ONE);
}

static inline void settle(struct vgic_cpu *cpu)
{
    struct vgic_cpuif *s = &cpu->cpuif;

    if (s->pending | s->lines) {
        vgic_cpuif_update(cpu);
    }
    if ((s->ended | (s->hcr & ~(uint32_t)HCR_EN)) && needs_maintenance(s)) {
        vgic_maintenance(&cpu->frame.vgic->chip, cpu->index);
    }
}

static uint32_t interrupt_id(uint64_t lr)
{
    return vgic_lr_irq(lr) | (uint32_t)(lr & LR_HW ? 0 : lr & LR_SOURCE_MASK);
}

// What IAR and HPPIR answer for a list register; `alias`: AIAR and AHPPIR, for group 1 alone.
static uint32_t visible_id(const struct vgic_cpuif *s, unsigned n, bool alias)
{
    bool group1 = (s->lr[n] & LR_GROUP1) != 0;

    if (alias) {
        return group1 ? interrupt_id(s->lr[n]) : NO_INTERRUPT;
    }
    return group1 && !(s->vmcr & VMCR_ACK_CTL) ? OTHER_GROUP : interrupt_id(s->lr[n]);
}

static uint32_t acknowledge(struct vgic_cpu *cpu, bool alias)
{
    struct vgic_cpuif *s = &cpu->cpuif;
    const unsigned n = s->best;
    unsigned priority;
    uint32_t id;

    if (!s->lines) {
        return NO_INTERRUPT;
    }
    id = visible_id(s, n, alias);
    if ((id & LR_INTID_MASK) >= OTHER_GROUP) {
        return id;
    }
    priority = (unsigned)((s->lr[n] & LR_PRIORITY_MASK) >> LR_PRIORITY_SHIFT);
    priority &= s->group_mask[(s->lr[n] & LR_GROUP1) != 0];
    s->apr |= UINT32_C(1) << (priority >> 3);
    s->lr[n] ^= VGIC_LR_STATE; // pending to active
    s->pending &= ~vgic_bit(n);
    s->active |= vgic_bit(n);
    settle(cpu);
    return id;
}

// The list register in which `id` (with an SGI's sender) is active, GIC_LR_MAX when there is none.
static unsigned find_active(const struct vgic_cpuif *s, uint32_t id)
{
    for (uint32_t left = s->active; left; left &= left - 1) {
        unsigned n = (unsigned)__builtin_ctz(left);

        if (interrupt_id(s->lr[n]) == id) {
            return n;
        }
    }
    return GIC_LR_MAX;
}

static void deactivate(struct vgic_cpuif *s, unsigned n)
{
    const struct irqchip_ops *chip = irq_chip();
    uint64_t v = s->lr[n] & ~LR_ACTIVE;

    s->lr[n] = v;
    s->active &= ~vgic_bit(n);
    if (v & LR_HW) {
        if (chip) {
            chip->deactivate((unsigned)((v & LR_PINTID_MASK) >> LR_PINTID_SHIFT));
        }
    } else if ((v & LR_EOI_MAINT) && !(v & LR_PENDING)) {
        s->ended |= vgic_bit(n);
    }
}

static uint32_t id_written(const struct vreg_access *a)
{
    uint32_t irq = (uint32_t)(a->value & LR_INTID_MASK);

    return irq < 16 ? irq | (uint32_t)(a->value & LR_SOURCE_MASK) : irq;
}

static void write_eoir(void *dev, const struct vreg_access *a)
{
    struct vgic_cpu *cpu = cpu_of(dev, a);
    struct vgic_cpuif *s = &cpu->cpuif;
    bool running = s->apr != 0;
    unsigned n;

    s->apr &= s->apr - 1;
    if (!(s->vmcr & VMCR_EOIM)) {
        n = find_active(s, id_written(a));
        if (n != GIC_LR_MAX) {
            deactivate(s, n);
        } else if (running && s->hcr >> VGIC_EOI_COUNT_SHIFT != VGIC_EOI_COUNT_MASK) {
            s->hcr += EOI_COUNT_ONE;
        }
    }
    settle(cpu);
}

static void write_dir(void *dev, const struct vreg_access *a)
{
    struct vgic_cpu *cpu = cpu_of(dev, a);
    struct vgic_cpuif *s = &cpu->cpuif;
    unsigned n;

    if (!(s->vmcr & VMCR_EOIM)) {
        return;
    }
    n = find_active(s, id_written(a));
    if (n != GIC_LR_MAX) {
        deactivate(s, n);
        settle(cpu);
    } else {
        vgic_deactivate(cpu, (unsigned)(a->value & LR_INTID_MASK));
    }
}

static uint64_t read_iar(void *dev, const struct vreg_access *a)
{
    return acknowledge(cpu_of(dev, a), false);
}

static uint64_t read_aiar(void *dev, const struct vreg_access *a)
{
    return acknowledge(cpu_of(dev, a), true);
}

static uint64_t read_hppir(void *dev, const struct vreg_access *a)
{
    const struct vgic_cpuif *s = &cpu_of(dev, a)->cpuif;

    return s->best == GIC_LR_MAX ? NO_INTERRUPT : visible_id(s, s->best, false);
}

static uint64_t read_ahppir(void *dev, const struct vreg_access *a)
{
    const struct vgic_cpuif *s = &cpu_of(dev, a)->cpuif;

    return s->best == GIC_LR_MAX ? NO_INTERRUPT : visible_id(s, s->best, true);
}

static uint64_t read_rpr(void *dev, const struct vreg_access *a)
{
    unsigned running = vgic_running_priority(cpu_of(dev, a)->cpuif.apr);

    return running > UINT8_MAX ? UINT8_MAX : running;
}

static uint64_t read_ctlr(void *dev, const struct vreg_access *a)
{
    return cpu_of(dev, a)->cpuif.vmcr & CTLR_MASK;
}

static void set_vmcr(struct vgic_cpu *cpu, uint32_t mask, uint32_t value)
{
    vgic_cpuif_set_vmcr(&cpu->cpuif, (cpu->cpuif.vmcr & ~mask) | (value & mask));
    vgic_cpuif_update(cpu);
}

static void write_ctlr(void *dev, const struct vreg_access *a)
{
    set_vmcr(cpu_of(dev, a), CTLR_MASK, (uint32_t)a->value);
}

static uint64_t read_pmr(void *dev, const struct vreg_access *a)
{
    return cpu_of(dev, a)->cpuif.vmcr >> VMCR_PMR_SHIFT;
}

static void write_pmr(void *dev, const struct vreg_access *a)
{
    set_vmcr(cpu_of(dev, a), UINT32_C(0xff) << VMCR_PMR_SHIFT,
             ((uint32_t)a->value & PMR_MASK) << VMCR_PMR_SHIFT);
}

static uint64_t bpr_value(uint32_t vmcr, unsigned shift, unsigned least)
{
    uint32_t v = vmcr >> shift & 7;

    return v < least ? least : v;
}

static uint64_t read_bpr(void *dev, const struct vreg_access *a)
{
    return bpr_value(cpu_of(dev, a)->cpuif.vmcr, VMCR_BPR0_SHIFT, BPR0_LEAST);
}

static uint64_t read_abpr(void *dev, const struct vreg_access *a)
{
    return bpr_value(cpu_of(dev, a)->cpuif.vmcr, VMCR_BPR1_SHIFT, BPR1_LEAST);
}

static void write_bpr(void *dev, const struct vreg_access *a)
{
    set_vmcr(cpu_of(dev, a), UINT32_C(7) << VMCR_BPR0_SHIFT, (uint32_t)a->value << VMCR_BPR0_SHIFT);
}

static void write_abpr(void *dev, const struct vreg_access *a)
{
    set_vmcr(cpu_of(dev, a), UINT32_C(7) << VMCR_BPR1_SHIFT, (uint32_t)a->value << VMCR_BPR1_SHIFT);
}

static uint64_t read_apr(void *dev, const struct vreg_access *a)
{
    return cpu_of(dev, a)->cpuif.apr;
}

static void write_apr(void *dev, const struct vreg_access *a)
{
    struct vgic_cpu *cpu = cpu_of(dev, a);

    cpu->cpuif.apr = (uint32_t)a->value;
    vgic_cpuif_update(cpu);
}

#define ROW(off, nm, rd, wr)                                                                     \
    {                                                                                            \
        .offset = (off), .count = 1, .size = 4, .widths = VREG_W32, .read = (rd), .write = (wr), \
        .name = (nm)                                                                             \
    }

const struct vreg vgic_gicc_rows[] = {
    ROW(0x00, "GICC_CTLR", read_ctlr, write_ctlr),
    ROW(0x04, "GICC_PMR", read_pmr, write_pmr),
    ROW(0x08, "GICC_BPR", read_bpr, write_bpr),
    ROW(0x0c, "GICC_IAR", read_iar, NULL),
    ROW(0x10, "GICC_EOIR", NULL, write_eoir),
    ROW(0x14, "GICC_RPR", read_rpr, NULL),
    ROW(0x18, "GICC_HPPIR", read_hppir, NULL),
    ROW(0x1c, "GICC_ABPR", read_abpr, write_abpr),
    ROW(0x20, "GICC_AIAR", read_aiar, NULL),
    ROW(0x24, "GICC_AEOIR", NULL, write_eoir),
    ROW(0x28, "GICC_AHPPIR", read_ahppir, NULL),
    ROW(0xd0, "GICC_APR0", read_apr, write_apr),
    ROW(0xe0, "GICC_NSAPR0", NULL, NULL), // no Security Extensions
    {.offset = 0xfc, .count = 1, .size = 4, .widths = VREG_W32, .reset = IIDR_V2, .name = "GICC_IIDR"},
    ROW(0x1000, "GICC_DIR", NULL, write_dir),
};
const unsigned vgic_gicc_row_count = ARRAY_SIZE(vgic_gicc_rows);

enum io_result vgic_gicc_access(void *dev, struct io_access *a)
{
    struct vgic *g = dev;

    return vreg_map_access(&g->gicc_map, &g->frame, a);
}

// The second page of a hardware interface.
enum io_result vgic_dir_access(void *dev, struct io_access *a)
{
    struct vgic *g = dev;
    struct vgic_cpu *cpu = &g->cpus[a->vcpu];

    if (a->size != sizeof(uint32_t)) {
        return IO_BAD;
    }
    if (!a->write) {
        a->value = 0;
        return IO_DONE;
    }
    g->hw->save(&cpu->hw); // VMCR as the guest has it now
    if (a->offset == 0 && (cpu->hw.vmcr & VMCR_EOIM)) {
        vgic_deactivate(cpu, (unsigned)(a->value & LR_INTID_MASK));
    }
    return IO_DONE;
}
