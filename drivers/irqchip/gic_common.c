// SPDX-License-Identifier: Apache-2.0
//
// Register banks shared by GICv2 and GICv3.
#include "drivers/irqchip/gic_common.h"

#include "kernel/mm/vmap.h"

bool gic_bit_get(const volatile void *base, size_t bank, unsigned irq)
{
    return (mmio_read32(base, bank + irq / 32 * 4) >> irq % 32 & 1) != 0;
}

void gic_bit_write(volatile void *base, size_t bank, unsigned irq)
{
    mmio_write32(base, bank + irq / 32 * 4, UINT32_C(1) << irq % 32);
}

void gic_set_trigger(volatile void *base, unsigned irq, enum irq_trigger trigger)
{
    size_t reg = GICD_ICFGR + irq / 16 * 4;
    uint32_t edge = UINT32_C(2) << irq % 16 * 2;
    uint32_t v = mmio_read32(base, reg);

    mmio_write32(base, reg, trigger == IRQ_EDGE ? v | edge : v & ~edge);
}

void gic_quiesce(volatile void *base, unsigned from, unsigned to)
{
    for (unsigned irq = from; irq < to; irq += 32) {
        mmio_write32(base, GICD_ICENABLER + irq / 8, UINT32_MAX);
        mmio_write32(base, GICD_ICPENDR + irq / 8, UINT32_MAX);
        mmio_write32(base, GICD_ICACTIVER + irq / 8, UINT32_MAX);
    }
    for (unsigned irq = from; irq < to; irq += 4) {
        mmio_write32(base, GICD_IPRIORITYR + irq, GIC_PRIORITY_X4);
    }
}
