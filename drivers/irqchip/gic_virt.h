// SPDX-License-Identifier: Apache-2.0
//
// The GIC's virtual CPU interface as the virtual controller sees it: list registers and their control.
//
// The neutral list-register layout is GICv3's ICH_LR<n>_EL2 (Arm IHI 0069, 12.4.7), which the GICv2 driver
// converts to GICH_LRn (Arm IHI 0048, 5.3.15). An SGI of a GICv2 guest has its sender in bits 12:10 of
// VINTID, as the GICv3 layout has it for such guests. All calls on the CPU whose interface is meant,
// interrupts masked.
#pragma once

#include "kernel/lib/types.h"

#define GIC_LR_MAX 16
#define GIC_APR_MAX 4

// ICH_LR<n>_EL2 fields.
#define LR_VINTID_MASK MASK64(0, 32)
#define LR_INTID_MASK MASK64(0, 10)
#define LR_SOURCE_SHIFT 10
#define LR_SOURCE_MASK MASK64(10, 3)
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
#define HCR_NPIE BIT64(3)  // no pending interrupt in the list registers
#define HCR_TDIR BIT64(14) // writes to ICC_DIR_EL1 trap; only where traps_dir says so

// ICH_VMCR_EL2 fields.
#define VMCR_GRP0 BIT64(0)
#define VMCR_GRP1 BIT64(1)
#define VMCR_ACK_CTL BIT64(2)
#define VMCR_FIQ_EN BIT64(3)
#define VMCR_CBPR BIT64(4)
#define VMCR_EOIM BIT64(9)
#define VMCR_BPR1_SHIFT 18
#define VMCR_BPR0_SHIFT 21
#define VMCR_PMR_SHIFT 24

struct gic_virt_state {
    uint64_t vmcr; // ICH_VMCR_EL2 layout
    uint32_t hcr;
    uint32_t ap0r[GIC_APR_MAX], ap1r[GIC_APR_MAX];
    uint64_t lr[GIC_LR_MAX];
};

struct gic_virt_ops {
    unsigned version; // of the host: 2 or 3
    unsigned maintenance_irq;
    bool traps_dir;     // HCR_TDIR works
    hpa_t gicv;         // GICv2: the CPU interface that guests may be given, GICV
    uint64_t gicv_size; // 0: none
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
    // The switch of vCPUs, in one call. load_all: load(), the list registers `lrs` from lr[], hcr. put: save(), those of the
    // list registers `used` that are not empty into lr[] and out of the hardware, hcr off; returns which they were. May be
    // NULL: it is done by the parts.
    void (*load_all)(const struct gic_virt_state *state, uint32_t lrs);
    uint32_t (*put)(struct gic_virt_state *state, uint32_t used);
    // Both, without list registers: put() of `from` if none of its `used` ones holds anything, else false and nothing has
    // happened; then load_all() of `to`, which has none. May be NULL.
    bool (*swap)(struct gic_virt_state *from, uint32_t used, const struct gic_virt_state *to);
    // The guest that is loaded has no use for this interface: its registers trap. May be NULL: there are
    // none.
    void (*hide)(bool hidden);
};

// Of the host's controller; NULL when it has no virtualisation extension. Set by the GIC drivers at probe.
const struct gic_virt_ops *gic_virt(void);
void gic_virt_set(const struct gic_virt_ops *ops);
