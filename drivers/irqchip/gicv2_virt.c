// SPDX-License-Identifier: Apache-2.0
//
// GICv2 virtual interface control (Arm IHI 0048, chapter 5), behind the GICv3 list-register layout: the two
// are converted here. GICH_HCR and GICH_VMCR have the same fields as their GICv3 successors; only the
// priority mask is five bits there, at the same top position. The GICH block is banked: each CPU sees its
// own.
#include "drivers/irqchip/gicv2_virt.h"

#include "drivers/irqchip/gic_virt.h"
#include "kernel/mm/vmap.h"

enum gich_reg {
    GICH_HCR = 0x000,
    GICH_VTR = 0x004,
    GICH_VMCR = 0x008,
    GICH_EISR0 = 0x020,
    GICH_ELRSR0 = 0x030,
    GICH_APR = 0x0f0,
    GICH_LR0 = 0x100
};

#define GICH_VTR_LISTREGS(vtr) (((vtr)&0x3f) + 1)
#define GICH_LR_VIRTUAL_ID MASK64(0, 10)
#define GICH_LR_PHYSICAL_SHIFT 10
#define GICH_LR_PHYSICAL_ID MASK64(0, 10)
#define GICH_LR_EOI BIT64(19)        // when HW is clear
#define GICH_LR_SOURCE MASK64(10, 3) // when HW is clear: CPUID, at the place of LR_SOURCE_MASK
#define GICH_LR_PRIORITY_SHIFT 23
#define GICH_LR_PRIORITY MASK64(0, 5) // the upper five of eight bits
#define GICH_LR_PENDING BIT64(28)
#define GICH_LR_ACTIVE BIT64(29)
#define GICH_LR_GRP1 BIT64(30)
#define GICH_LR_HW BIT64(31)

static volatile void *base;
static unsigned lr_total;

uint32_t gicv2_lr_from_v3(uint64_t lr)
{
    uint64_t v = lr & GICH_LR_VIRTUAL_ID;

    v |= ((lr & LR_PRIORITY_MASK) >> (LR_PRIORITY_SHIFT + 3)) << GICH_LR_PRIORITY_SHIFT;
    v |= lr & LR_PENDING ? GICH_LR_PENDING : 0;
    v |= lr & LR_ACTIVE ? GICH_LR_ACTIVE : 0;
    v |= lr & LR_GROUP1 ? GICH_LR_GRP1 : 0;
    if (lr & LR_HW) {
        v |= GICH_LR_HW | (lr >> LR_PINTID_SHIFT & GICH_LR_PHYSICAL_ID) << GICH_LR_PHYSICAL_SHIFT;
    } else {
        v |= (lr & LR_SOURCE_MASK) | (lr & LR_EOI_MAINT ? GICH_LR_EOI : 0);
    }
    return (uint32_t)v;
}

uint64_t gicv2_lr_to_v3(uint32_t gich)
{
    uint64_t v = gich;
    uint64_t lr = v & GICH_LR_VIRTUAL_ID;

    lr |= (v >> GICH_LR_PRIORITY_SHIFT & GICH_LR_PRIORITY) << (LR_PRIORITY_SHIFT + 3);
    lr |= v & GICH_LR_PENDING ? LR_PENDING : 0;
    lr |= v & GICH_LR_ACTIVE ? LR_ACTIVE : 0;
    lr |= v & GICH_LR_GRP1 ? LR_GROUP1 : 0;
    if (v & GICH_LR_HW) {
        lr |= LR_HW | (v >> GICH_LR_PHYSICAL_SHIFT & GICH_LR_PHYSICAL_ID) << LR_PINTID_SHIFT;
    } else {
        lr |= (v & GICH_LR_SOURCE) | (v & GICH_LR_EOI ? LR_EOI_MAINT : 0);
    }
    return lr;
}

static unsigned lr_count(void)
{
    return lr_total;
}

static unsigned priority_bits(void)
{
    return 5;
}

static uint64_t read_lr(unsigned n)
{
    return n < lr_total ? gicv2_lr_to_v3(mmio_read32(base, GICH_LR0 + 4 * n)) : 0;
}

static void write_lr(unsigned n, uint64_t value)
{
    if (n < lr_total) {
        mmio_write32(base, GICH_LR0 + 4 * n, gicv2_lr_from_v3(value));
    }
}

static uint64_t read_status(size_t reg)
{
    uint64_t v = mmio_read32(base, reg);

    // The second word (list registers 32 and up) is beyond GIC_LR_MAX.
    return v & MASK64(0, GIC_LR_MAX);
}

static uint64_t elrsr(void)
{
    return read_status(GICH_ELRSR0);
}

static uint64_t eisr(void)
{
    return read_status(GICH_EISR0);
}

static uint32_t read_hcr(void)
{
    return mmio_read32(base, GICH_HCR);
}

static void write_hcr(uint32_t value)
{
    mmio_write32(base, GICH_HCR, value);
}

// One register holds the active priorities of both groups; it travels as ap1r[0].
static void load(const struct gic_virt_state *state)
{
    mmio_write32(base, GICH_VMCR, (uint32_t)state->vmcr);
    mmio_write32(base, GICH_APR, state->ap1r[0]);
}

static void save(struct gic_virt_state *state)
{
    state->vmcr = mmio_read32(base, GICH_VMCR);
    state->ap1r[0] = mmio_read32(base, GICH_APR);
}

static struct gic_virt_ops ops = {
    .version = 2,
    .lr_count = lr_count,
    .priority_bits = priority_bits,
    .read_lr = read_lr,
    .write_lr = write_lr,
    .elrsr = elrsr,
    .eisr = eisr,
    .read_hcr = read_hcr,
    .write_hcr = write_hcr,
    .load = load,
    .save = save,
};

void gicv2_virt_gicv(hpa_t gicv, uint64_t size)
{
    ops.gicv = gicv;
    ops.gicv_size = size;
}

void gicv2_virt_probe(volatile void *gich, unsigned maintenance_irq)
{
    unsigned count = GICH_VTR_LISTREGS(mmio_read32(gich, GICH_VTR));

    base = gich;
    lr_total = count < GIC_LR_MAX ? count : GIC_LR_MAX;
    ops.maintenance_irq = maintenance_irq;
    gic_virt_set(&ops);
}

void gicv2_virt_init_cpu(void)
{
    static const struct gic_virt_state empty;

    if (!base) {
        return;
    }
    write_hcr(0);
    for (unsigned n = 0; n < lr_total; n++) {
        write_lr(n, 0);
    }
    load(&empty);
}
