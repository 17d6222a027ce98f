// SPDX-License-Identifier: Apache-2.0
//
// GICv2 (GIC-400 and its kin) as the host's root interrupt controller (Arm IHI 0048).
//
// Interrupt groups are left as they are: where the GIC has two security states firmware has put ours into
// group 1 and we see the non-secure view; where it has one they are in group 0, delivered as IRQ. In both,
// bit 0 of the control registers enables them and bit 9 of GICC_CTLR splits priority drop (EOIR) from
// deactivation (DIR).
#include "drivers/irqchip/gic_common.h"
#include "drivers/irqchip/gicv2_virt.h"

#include <inttypes.h>
#include <stdatomic.h>

#include "kernel/dev/hw_desc.h"
#include "kernel/log/log.h"
#include "kernel/mm/vmap.h"

enum gicc_reg {
    GICC_CTLR = 0x0000,
    GICC_PMR = 0x0004,
    GICC_BPR = 0x0008,
    GICC_IAR = 0x000c,
    GICC_EOIR = 0x0010,
    GICC_DIR = 0x1000
};

#define GICD_CTLR_ENABLE 1u
#define GICC_CTLR_ENABLE 1u
#define GICC_CTLR_EOIMODE BIT64(9)
#define GICC_IAR_INTID(iar) ((iar)&0x3ff)
#define GICC_IAR_CPU(iar) ((iar) >> 10 & 7)
#define GICC_SIZE KIB(8)
#define GICD_V2_SIZE KIB(4)
#define GICH_MIN_SIZE 0x200u
#define GICV2_CPU_MAX 8

static volatile void *gicd;
static volatile void *gicc;
static unsigned line_count;
static uint8_t interface_mask[CPU_MAX]; // GICD_ITARGETSR bit by CPU index, 0 while the CPU is not up

// IAR value of the SGIs that a CPU acknowledged: EOIR and DIR want the sender's number back.
static uint32_t sgi_iar[GICV2_CPU_MAX][GIC_SGI_COUNT];

static unsigned gicv2_ack(void)
{
    uint32_t iar = mmio_read32(gicc, GICC_IAR);
    unsigned irq = GICC_IAR_INTID(iar);

    if (irq >= GIC_SPECIAL_FIRST) {
        return IRQ_NONE;
    }
    if (irq < GIC_SGI_COUNT) {
        sgi_iar[this_cpu()->index][irq] = iar;
    }
    return irq;
}

static uint32_t iar_of(unsigned irq)
{
    return irq < GIC_SGI_COUNT ? sgi_iar[this_cpu()->index][irq] : irq;
}

static void gicv2_eoi(unsigned irq)
{
    mmio_write32(gicc, GICC_EOIR, iar_of(irq));
}

static void gicv2_deactivate(unsigned irq)
{
    mmio_write32(gicc, GICC_DIR, iar_of(irq));
}

static void gicv2_enable(unsigned irq)
{
    if (irq < line_count) {
        gic_bit_write(gicd, GICD_ISENABLER, irq);
    }
}

static void gicv2_disable(unsigned irq)
{
    if (irq < line_count) {
        gic_bit_write(gicd, GICD_ICENABLER, irq);
    }
}

static enum status gicv2_configure(unsigned irq, enum irq_trigger trigger, unsigned cpu)
{
    if (irq >= line_count || cpu >= GICV2_CPU_MAX) {
        return E_RANGE;
    }
    if (irq < GIC_SGI_COUNT) {
        return trigger == IRQ_EDGE ? OK : E_INVAL;
    }

    bool enabled = gic_bit_get(gicd, GICD_ISENABLER, irq);

    if (enabled) {
        gicv2_disable(irq);
    }
    gic_set_trigger(gicd, irq, trigger);
    if (irq >= GIC_PERCPU_LIMIT) {
        if (!interface_mask[cpu]) {
            return E_STATE;
        }
        mmio_write8(gicd, GICD_ITARGETSR + irq, interface_mask[cpu]);
    }
    if (enabled) {
        gicv2_enable(irq);
    }
    return OK;
}

static void gicv2_set_active(unsigned irq, bool active)
{
    if (irq < line_count) {
        gic_bit_write(gicd, active ? GICD_ISACTIVER : GICD_ICACTIVER, irq);
    }
}

static bool gicv2_is_pending(unsigned irq)
{
    return irq < line_count && gic_bit_get(gicd, GICD_ISPENDR, irq);
}

static void gicv2_send_ipi(unsigned cpu, unsigned ipi)
{
    if (cpu >= GICV2_CPU_MAX || ipi >= GIC_SGI_COUNT) {
        return;
    }
    atomic_thread_fence(memory_order_seq_cst); // what the receiver is to see comes before the SGI
    mmio_write32(gicd, GICD_SGIR, (uint32_t)interface_mask[cpu] << 16 | ipi);
}

// The banked target registers of the per-CPU interrupts read as this CPU's own interface; 0 on a
// uniprocessor.
static uint8_t own_interface(void)
{
    for (unsigned irq = 0; irq < GIC_PERCPU_LIMIT; irq += 4) {
        uint32_t v = mmio_read32(gicd, GICD_ITARGETSR + irq);

        v |= v >> 16;
        v |= v >> 8;
        if (v & 0xff) {
            return (uint8_t)(v & 0xff);
        }
    }
    return 1;
}

static enum status gicv2_init_cpu(void)
{
    unsigned cpu = this_cpu()->index;

    if (cpu >= GICV2_CPU_MAX) {
        log_err("gicv2: CPU %u has no interface, there are %d", cpu, GICV2_CPU_MAX);
        return E_RANGE;
    }
    interface_mask[cpu] = own_interface();
    gic_quiesce(gicd, 0, GIC_PERCPU_LIMIT);
    mmio_write32(gicd, GICD_ISENABLER, MASK64(0, IPI_COUNT));
    mmio_write32(gicc, GICC_PMR, GIC_PRIORITY_MASK);
    mmio_write32(gicc, GICC_BPR, 0);
    mmio_write32(gicc, GICC_CTLR, GICC_CTLR_ENABLE | GICC_CTLR_EOIMODE);
    gicv2_virt_init_cpu();
    return OK;
}

static void init_dist(void)
{
    mmio_write32(gicd, GICD_CTLR, 0);
    line_count = GICD_TYPER_LINES(mmio_read32(gicd, GICD_TYPER));
    if (line_count > GIC_SPI_LIMIT) {
        line_count = GIC_SPI_LIMIT;
    }
    gic_quiesce(gicd, GIC_PERCPU_LIMIT, line_count);
    mmio_write32(gicd, GICD_CTLR, GICD_CTLR_ENABLE);
}

static const struct irqchip_ops gicv2_ops = {
    .name = "GICv2",
    .init_cpu = gicv2_init_cpu,
    .ack = gicv2_ack,
    .eoi = gicv2_eoi,
    .deactivate = gicv2_deactivate,
    .enable = gicv2_enable,
    .disable = gicv2_disable,
    .configure = gicv2_configure,
    .set_active = gicv2_set_active,
    .is_pending = gicv2_is_pending,
    .send_ipi = gicv2_send_ipi,
    .ipi_base = 0,
    .percpu_limit = GIC_PERCPU_LIMIT,
};

// Register ranges by the binding's order: GICD, GICC, and with virtualisation GICH, GICV.
static void probe_virt(const struct hw_desc *hw)
{
    volatile void *gich = NULL;

    if (hw->reg_count >= 4 && hw->regs[2].size >= GICH_MIN_SIZE && hw->irq_count > 0) {
        gich = mmio_map(hw->regs[2].base, hw->regs[2].size);
    }
    if (gich) {
        gicv2_virt_probe(gich, hw->irqs[0].irq);
        gicv2_virt_gicv(hw->regs[3].base, hw->regs[3].size);
    } else {
        log_warn("%s: no virtualisation registers: guests get an emulated CPU interface", hw->name);
    }
}

static enum status gicv2_probe(const struct hw_desc *hw)
{
    if (hw->reg_count < 2 || hw->regs[0].size < GICD_V2_SIZE) {
        log_err("%s: %u register ranges, distributor and CPU interface are needed", hw->name, hw->reg_count);
        return E_CORRUPT;
    }
    if (hw->regs[1].size < GICC_SIZE) {
        log_err("%s: the CPU interface has 0x%" PRIx64
                " bytes; without GICC_DIR (8 KiB) it cannot serve guests",
                hw->name, hw->regs[1].size);
        return E_UNSUPPORTED;
    }
    gicd = mmio_map(hw->regs[0].base, GICD_V2_SIZE);
    gicc = mmio_map(hw->regs[1].base, GICC_SIZE);
    if (!gicd || !gicc) {
        return E_NOMEM;
    }
    init_dist();
    probe_virt(hw);
    irq_set_chip(&gicv2_ops);
    log_info("%s: GICv2, %u interrupts", hw->name, line_count);
    return OK;
}

static const char *const gicv2_ids[] = {"arm,gic-400", "arm,cortex-a15-gic", "arm,cortex-a7-gic",
                                        "arm,cortex-a9-gic", NULL};

static const struct driver gicv2_driver = {
    .name = "gicv2",
    .class = DRIVER_IRQCHIP,
    .ids = gicv2_ids,
    .probe = gicv2_probe,
};

DRIVER_DEFINE(gicv2_driver);
