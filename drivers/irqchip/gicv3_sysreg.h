// SPDX-License-Identifier: Apache-2.0
//
// The GICv3 CPU interface and hypervisor control registers, by encoding, so that any assembler takes them
// (Arm IHI 0069, 12.2 and 12.4). AArch64 only.
#pragma once

#include "kernel/lib/types.h"

// A context synchronisation event; a barrier for the interrupt controller's view of memory.
static inline void gic_isb(void)
{
    asm volatile("isb" ::: "memory");
}

static inline void gic_dsb(void)
{
    asm volatile("dsb sy" ::: "memory");
}

// Order stores to normal memory before an SGI that announces them.
static inline void gic_dsb_ishst(void)
{
    asm volatile("dsb ishst" ::: "memory");
}

#define GIC_SYSREG_READ(name, enc)                         \
    static inline uint64_t read_##name(void)               \
    {                                                      \
        uint64_t v;                                        \
        asm volatile("mrs %0, " #enc : "=r"(v)::"memory"); \
        return v;                                          \
    }
#define GIC_SYSREG_WRITE(name, enc)                           \
    static inline void write_##name(uint64_t v)               \
    {                                                         \
        asm volatile("msr " #enc ", %0" ::"r"(v) : "memory"); \
    }
#define GIC_SYSREG(name, enc)  \
    GIC_SYSREG_READ(name, enc) \
    GIC_SYSREG_WRITE(name, enc)

GIC_SYSREG(icc_pmr, S3_0_C4_C6_0)
GIC_SYSREG_WRITE(icc_dir, S3_0_C12_C11_1)
GIC_SYSREG_WRITE(icc_sgi1r, S3_0_C12_C11_5)
GIC_SYSREG_READ(icc_iar1, S3_0_C12_C12_0)
GIC_SYSREG_WRITE(icc_eoir1, S3_0_C12_C12_1)
GIC_SYSREG(icc_bpr1, S3_0_C12_C12_3)
GIC_SYSREG(icc_ctlr, S3_0_C12_C12_4)
GIC_SYSREG(icc_sre_el1, S3_0_C12_C12_5)
GIC_SYSREG(icc_igrpen1, S3_0_C12_C12_7)
GIC_SYSREG(icc_sre_el2, S3_4_C12_C9_5)

GIC_SYSREG(ich_hcr, S3_4_C12_C11_0)
GIC_SYSREG_READ(ich_vtr, S3_4_C12_C11_1)
GIC_SYSREG_READ(ich_misr, S3_4_C12_C11_2)
GIC_SYSREG_READ(ich_eisr, S3_4_C12_C11_3)
GIC_SYSREG_READ(ich_elrsr, S3_4_C12_C11_5)
GIC_SYSREG(ich_vmcr, S3_4_C12_C11_7)

GIC_SYSREG(ich_ap0r0, S3_4_C12_C8_0)
GIC_SYSREG(ich_ap0r1, S3_4_C12_C8_1)
GIC_SYSREG(ich_ap0r2, S3_4_C12_C8_2)
GIC_SYSREG(ich_ap0r3, S3_4_C12_C8_3)
GIC_SYSREG(ich_ap1r0, S3_4_C12_C9_0)
GIC_SYSREG(ich_ap1r1, S3_4_C12_C9_1)
GIC_SYSREG(ich_ap1r2, S3_4_C12_C9_2)
GIC_SYSREG(ich_ap1r3, S3_4_C12_C9_3)

GIC_SYSREG(ich_lr0, S3_4_C12_C12_0)
GIC_SYSREG(ich_lr1, S3_4_C12_C12_1)
GIC_SYSREG(ich_lr2, S3_4_C12_C12_2)
GIC_SYSREG(ich_lr3, S3_4_C12_C12_3)
GIC_SYSREG(ich_lr4, S3_4_C12_C12_4)
GIC_SYSREG(ich_lr5, S3_4_C12_C12_5)
GIC_SYSREG(ich_lr6, S3_4_C12_C12_6)
GIC_SYSREG(ich_lr7, S3_4_C12_C12_7)
GIC_SYSREG(ich_lr8, S3_4_C12_C13_0)
GIC_SYSREG(ich_lr9, S3_4_C12_C13_1)
GIC_SYSREG(ich_lr10, S3_4_C12_C13_2)
GIC_SYSREG(ich_lr11, S3_4_C12_C13_3)
GIC_SYSREG(ich_lr12, S3_4_C12_C13_4)
GIC_SYSREG(ich_lr13, S3_4_C12_C13_5)
GIC_SYSREG(ich_lr14, S3_4_C12_C13_6)
GIC_SYSREG(ich_lr15, S3_4_C12_C13_7)

#define ICC_SRE_SRE BIT64(0)
#define ICC_SRE_DFB BIT64(1)
#define ICC_SRE_DIB BIT64(2)
#define ICC_SRE_EL2_ENABLE BIT64(3)

#define ICC_CTLR_EOIMODE BIT64(1)
#define ICC_CTLR_RSS BIT64(18)
