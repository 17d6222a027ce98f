// SPDX-License-Identifier: Apache-2.0
//
// System registers: access by name, and the fields that Lodge uses (Arm DDI 0487, chapter D19, and IHI 0069).
#pragma once

#include "kernel/lib/types.h"

#define SYSREG_TEXT(name) #name
#define sysreg_read(name)                                          \
    ({                                                             \
        uint64_t value_;                                           \
        asm volatile("mrs %0, " SYSREG_TEXT(name) : "=r"(value_)); \
        value_;                                                    \
    })
#define sysreg_write(name, v)                                                   \
    do {                                                                        \
        uint64_t value_ = (v);                                                  \
        asm volatile("msr " SYSREG_TEXT(name) ", %0" ::"r"(value_) : "memory"); \
    } while (0)

#define isb() asm volatile("isb" ::: "memory")
#define dsb(domain) asm volatile("dsb " #domain ::: "memory")
#define dmb(domain) asm volatile("dmb " #domain ::: "memory")

// Names that the assembler of armv8-a does not know.
#define ID_AA64MMFR2_EL1 S3_0_C0_C7_2
#define APIAKEYLO_EL1 S3_0_C2_C1_0
#define APIAKEYHI_EL1 S3_0_C2_C1_1
#define APIBKEYLO_EL1 S3_0_C2_C1_2
#define APIBKEYHI_EL1 S3_0_C2_C1_3
#define APDAKEYLO_EL1 S3_0_C2_C2_0
#define APDAKEYHI_EL1 S3_0_C2_C2_1
#define APDBKEYLO_EL1 S3_0_C2_C2_2
#define APDBKEYHI_EL1 S3_0_C2_C2_3
#define APGAKEYLO_EL1 S3_0_C2_C3_0
#define APGAKEYHI_EL1 S3_0_C2_C3_1
#define ICC_SRE_EL2 S3_4_C12_C9_5
#define ICH_HCR_EL2 S3_4_C12_C11_0
#define MPAM2_EL2 S3_4_C10_C5_0
#define HDFGRTR_EL2 S3_4_C3_C1_4
#define HDFGWTR_EL2 S3_4_C3_C1_5
#define HFGITR_EL2 S3_4_C1_C1_6
#define HFGRTR_EL2 S3_4_C1_C1_4
#define HFGWTR_EL2 S3_4_C1_C1_5
#define VDISR_EL2 S3_4_C12_C1_1
#define HCRX_EL2 S3_4_C1_C2_2
#define ZCR_EL2 S3_4_C1_C2_0

// ESR_ELx (D19.2.37)
#define ESR_EC_SHIFT 26
#define ESR_EC(esr) ((unsigned)((esr) >> ESR_EC_SHIFT) & 0x3F)
#define ESR_IL BIT64(25)
#define ESR_ISS_MASK MASK64(0, 25)
#define EC_UNKNOWN 0x00
#define EC_WFX 0x01
#define EC_CP15_32 0x03
#define EC_FP 0x07
#define EC_ILLEGAL_STATE 0x0E
#define EC_SVC64 0x15
#define EC_HVC64 0x16
#define EC_SMC64 0x17
#define EC_SYSREG 0x18
#define EC_SVE 0x19
#define EC_IABT_LOWER 0x20
#define EC_IABT_SAME 0x21
#define EC_PC_ALIGN 0x22
#define EC_DABT_LOWER 0x24
#define EC_DABT_SAME 0x25
#define EC_SERROR 0x2F
#define EC_BRK64 0x3C
#define EC_COUNT 64

// ISS of a data abort
#define DABT_ISV BIT64(24)
#define DABT_SAS(esr) ((unsigned)((esr) >> 22) & 3)
#define DABT_SSE BIT64(21)
#define DABT_SRT(esr) ((unsigned)((esr) >> 16) & 31)
#define DABT_SF BIT64(15)
#define DABT_FNV BIT64(10)
#define DABT_EA BIT64(9)
#define DABT_CM BIT64(8)
#define DABT_S1PTW BIT64(7)
#define DABT_WNR_SHIFT 6
#define DABT_WNR BIT64(DABT_WNR_SHIFT)
#define DABT_FSC(esr) ((unsigned)(esr)&0x3F)
#define FSC_TYPE_MASK 0x3Cu // without the level
#define FSC_CLASS_MASK 0x30u
#define FSC_ADDR_SIZE 0x00u
#define FSC_TRANSLATION 0x04u
#define FSC_ACCESS_FLAG 0x08u
#define FSC_PERMISSION 0x0Cu
#define FSC_SEA 0x10u
#define FSC_SEA_TTW 0x14u

// ISS of a trapped MSR, MRS or system instruction; SYSREG_ID() packs op0, op1, CRn, CRm, op2 as they lie there.
#define SYSREG_ID(op0, op1, crn, crm, op2)                                                                   \
    (((uint32_t)(op0) << 20) | ((uint32_t)(op2) << 17) | ((uint32_t)(op1) << 14) | ((uint32_t)(crn) << 10) | \
     ((uint32_t)(crm) << 1))
#define SYSREG_ID_MASK SYSREG_ID(3, 7, 15, 15, 7)
#define SYSREG_RT(esr) ((unsigned)((esr) >> 5) & 31)
#define SYSREG_IS_READ BIT64(0)

// HCR_EL2 (D19.2.48)
#define HCR_VM BIT64(0)
#define HCR_SWIO BIT64(1)
#define HCR_PTW BIT64(2)
#define HCR_FMO BIT64(3)
#define HCR_IMO BIT64(4)
#define HCR_AMO BIT64(5)
#define HCR_VF BIT64(6) // virtual FIQ pending
#define HCR_VI BIT64(7) // virtual IRQ pending
#define HCR_VSE BIT64(8)
#define HCR_FB BIT64(9)
#define HCR_BSU_INNER BIT64(10)
#define HCR_TWI BIT64(13)
#define HCR_TWE BIT64(14)
#define HCR_TID3 BIT64(18)
#define HCR_TSC BIT64(19)
#define HCR_TIDCP BIT64(20)
#define HCR_TACR BIT64(21)
#define HCR_TSW BIT64(22)
#define HCR_RW BIT64(31)
#define HCR_TLOR BIT64(35)
#define HCR_TERR BIT64(36)
#define HCR_APK BIT64(40)
#define HCR_API BIT64(41)

// SCTLR_EL2
#define SCTLR_M BIT64(0)
#define SCTLR_C BIT64(2)
#define SCTLR_SA BIT64(3)
#define SCTLR_I BIT64(12)
#define SCTLR_WXN BIT64(19)
#define SCTLR_EL2_RES1 UINT64_C(0x30C50830)
#define SCTLR_EL1_RESET UINT64_C(0x30D00800) // RES1 bits, MMU and caches off

// PSTATE / SPSR
#define SPSR_EL_MASK 0xFu
#define SPSR_EL0T 0x0u
#define SPSR_EL1T 0x4u
#define SPSR_EL1H 0x5u
#define SPSR_EL2H 0x9u
#define SPSR_AARCH32 BIT64(4)
#define SPSR_DAIF (UINT64_C(0xF) << 6)
#define SPSR_SS BIT64(21)
#define SPSR_IL BIT64(20)

// Timer control registers
#define CNT_CTL_ENABLE BIT64(0)
#define CNT_CTL_IMASK BIT64(1)
#define CNT_CTL_ISTATUS BIT64(2)

// CPTR_EL2, E2H = 0
#define CPTR_EL2_RES1 UINT64_C(0x33FF)
#define CPTR_EL2_TZ BIT64(8)
#define CPTR_EL2_TFP BIT64(10)
#define CPTR_EL2_TSM BIT64(12)
#define CPTR_EL2_TTA BIT64(20)
#define CPTR_EL2_TAM BIT64(30)
// While a guest's FP registers are there: SVE, SME, trace and activity monitors trap and are undefined.
#define CPTR_EL2_GUEST \
    ((CPTR_EL2_RES1 | CPTR_EL2_TZ | CPTR_EL2_TSM | CPTR_EL2_TTA | CPTR_EL2_TAM) & ~CPTR_EL2_TFP)

// MDCR_EL2
#define MDCR_HPMN_MASK MASK64(0, 5)
#define MDCR_TPMCR BIT64(5)
#define MDCR_TPM BIT64(6)
#define MDCR_TDA BIT64(9)
#define MDCR_TDOSA BIT64(10)
#define MDCR_TDRA BIT64(11)
#define MDCR_TPMS BIT64(14)
#define MDCR_TTRF BIT64(19)

// MPAM2_EL2
#define MPAM2_TRAP_EL1 BIT64(48)
#define MPAM2_TRAP_EL0 BIT64(49)

#define MPIDR_AFF_MASK UINT64_C(0xFF00FFFFFF)

// A four-bit field of an ID register.
static inline unsigned id_field(uint64_t reg, unsigned low)
{
    return (unsigned)(reg >> low) & 0xF;
}
