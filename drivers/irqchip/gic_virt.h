// SPDX-License-Identifier: Apache-2.0
//
// The GIC's virtual CPU interface as the virtual controller sees it: list registers and their control.
//
// The neutral list-register layout is GICv3's ICH_LR<n>_EL2 (Arm IHI 0069, 12.4.7), which the GICv2 driver
// converts to GICH_LRn (Arm IHI 0048, 5.3.15). All calls on the CPU whose interface is meant, interrupts
// masked.
#pragma once

#include "kernel/lib/types.h"

#define GIC_LR_MAX 16
#define GIC_APR_MAX 4

// ICH_LR<n>_EL2 fields.
#define LR_VINTID_MASK MASK64(0, 32)
#define LR_PINTID_SHIFT 32
#define LR_PINTID_MASK MASK64(32, 13)
#define LR_EOI_MAINT BIT64(41) // when LR_HW is clear: maintenance interrupt on deactivation
#define LR_PRIORITY_SHIFT 48
#define LR_PRIORITY_MASK MASK64(48, 8)
#define LR_GROUP1 BIT64(60)
#define LR_HW BIT64(61)
#define LR_PENDING BIT64(62)
#define LR_ACTIVE BIT64(63)

// ICH_HCR_EL2 bits.
#define HCR_EN BIT64(0)
#define HCR_UIE BIT64(1) // underflow: none or one list register valid
#define HCR_LRENPIE BIT64(2)
#define HCR_NPIE BIT64(3) // no pending interrupt in the list registers

struct gic_virt_state {
    uint64_t vmcr; // ICH_VMCR_EL2 layout
    uint32_t hcr;
    uint32_t ap0r[GIC_APR_MAX], ap1r[GIC_APR_MAX];
    uint64_t lr[GIC_LR_MAX];
};

struct gic_virt_ops {
    unsigned version; // of the host: 2 or 3
    unsigned maintenance_irq;
    unsigned (*lr_count)(void);
    unsigned (*priority_bits)(void); // implemented in the virtual interface: 5 to 8
    uint64_t (*read_lr)(unsigned n);
    void (*write_lr)(unsigned n, uint64_t value);
    uint64_t (*elrsr)(void); // bit n: list register n is empty
    uint64_t (*eisr)(void);  // bit n: list register n signalled EOI
    uint32_t (*read_hcr)(void);
    void (*write_hcr)(uint32_t value);
    // Interface state that is not in list registers: vmcr and the active priorities.
    void (*load)(const struct gic_virt_state *state); // vmcr, apr
    void (*save)(struct gic_virt_state *state);
};

// Of the host's controller; NULL when it has no virtualisation extension. Set by the GIC drivers at probe.
const struct gic_virt_ops *gic_virt(void);
void gic_virt_set(const struct gic_virt_ops *ops);
