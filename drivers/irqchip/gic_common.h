// SPDX-License-Identifier: Apache-2.0
//
// What GICv2 and GICv3 have in common: the register banks of one bit, two bits or eight bits per interrupt
// that lie at the same offsets in the distributor and in a redistributor's SGI frame (Arm IHI 0048 4.3, IHI
// 0069 12.9 and 12.11).
#pragma once

#include "kernel/irq/irq.h"
#include "kernel/lib/status.h"
#include "kernel/lib/types.h"

enum gicd_reg {
    GICD_CTLR = 0x0000,
    GICD_TYPER = 0x0004,
    GICD_IGROUPR = 0x0080,
    GICD_ISENABLER = 0x0100,
    GICD_ICENABLER = 0x0180,
    GICD_ISPENDR = 0x0200,
    GICD_ICPENDR = 0x0280,
    GICD_ISACTIVER = 0x0300,
    GICD_ICACTIVER = 0x0380,
    GICD_IPRIORITYR = 0x0400,
    GICD_ITARGETSR = 0x0800, // GICv2
    GICD_ICFGR = 0x0c00,
    GICD_SGIR = 0x0f00,     // GICv2
    GICD_IROUTER = 0x6000,  // GICv3
    GICD_PIDR2_V2 = 0x0fe8, // last register of a 4 KiB GICv2 distributor
    GICD_PIDR2 = 0xffe8
};

#define GICD_TYPER_LINES(typer) (32u * (((typer)&0x1f) + 1))

#define GIC_SGI_COUNT 16u
#define GIC_PERCPU_LIMIT 32u
#define GIC_SPI_LIMIT 1020u
#define GIC_SPECIAL_FIRST 1020u // 1020 to 1023 are no interrupts

// One priority for all host interrupts, in the non-secure half; the mask lets all of them through.
#define GIC_PRIORITY 0xa0u
#define GIC_PRIORITY_X4 (GIC_PRIORITY * 0x01010101u)
#define GIC_PRIORITY_MASK 0xf0u

// Bit `irq` of a bank of one bit per interrupt. Writing the set and clear banks needs no read.
bool gic_bit_get(const volatile void *base, size_t bank, unsigned irq);
void gic_bit_write(volatile void *base, size_t bank, unsigned irq);

// Edge or level (ICFGR), the interrupt being disabled.
void gic_set_trigger(volatile void *base, unsigned irq, enum irq_trigger trigger);

// Disables, deactivates and un-pends interrupts [from, to), both multiples of 32, and gives them
// GIC_PRIORITY.
void gic_quiesce(volatile void *base, unsigned from, unsigned to);
