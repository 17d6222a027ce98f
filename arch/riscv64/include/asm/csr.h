// SPDX-License-Identifier: Apache-2.0
//
// Control and status registers: access by name, and the fields that Lodge uses (RISC-V Privileged Architecture 1.13,
// chapters 10 "Supervisor-Level ISA" and 18 "Hypervisor Extension").
#pragma once

#include "kernel/lib/types.h"

#define csr_read(name)                                            \
    ({                                                            \
        uint64_t value_;                                          \
        asm volatile("csrr %0, " #name : "=r"(value_)::"memory"); \
        value_;                                                   \
    })
#define csr_write(name, v)                                            \
    do {                                                              \
        uint64_t value_ = (v);                                        \
        asm volatile("csrw " #name ", %0" ::"rK"(value_) : "memory"); \
    } while (0)
#define csr_set(name, v)                                              \
    do {                                                              \
        uint64_t value_ = (v);                                        \
        asm volatile("csrs " #name ", %0" ::"rK"(value_) : "memory"); \
    } while (0)
#define csr_clear(name, v)                                            \
    do {                                                              \
        uint64_t value_ = (v);                                        \
        asm volatile("csrc " #name ", %0" ::"rK"(value_) : "memory"); \
    } while (0)
#define csr_swap(name, v)                                                 \
    ({                                                                    \
        uint64_t value_ = (v);                                            \
        asm volatile("csrrw %0, " #name ", %0" : "+r"(value_)::"memory"); \
        value_;                                                           \
    })

// sstatus, vsstatus
#define SSTATUS_SIE BIT64(1)
#define SSTATUS_SPIE BIT64(5)
#define SSTATUS_SPP BIT64(8)
#define SSTATUS_VS (UINT64_C(3) << 9)
#define SSTATUS_VS_INITIAL (UINT64_C(1) << 9)
#define SSTATUS_VS_CLEAN (UINT64_C(2) << 9)
#define SSTATUS_VS_DIRTY (UINT64_C(3) << 9)
#define SSTATUS_FS (UINT64_C(3) << 13)
#define SSTATUS_FS_INITIAL (UINT64_C(1) << 13)
#define SSTATUS_FS_CLEAN (UINT64_C(2) << 13)
#define SSTATUS_FS_DIRTY (UINT64_C(3) << 13)
#define SSTATUS_SUM BIT64(18)
#define SSTATUS_MXR BIT64(19)
#define SSTATUS_UXL_64 (UINT64_C(2) << 32)

// hstatus
#define HSTATUS_GVA BIT64(6)
#define HSTATUS_SPV BIT64(7)
#define HSTATUS_SPVP BIT64(8)
#define HSTATUS_VGEIN_SHIFT 12
#define HSTATUS_VGEIN MASK64(12, 6)
#define HSTATUS_VTVM BIT64(20)
#define HSTATUS_VTW BIT64(21)
#define HSTATUS_VSXL_64 (UINT64_C(2) << 32)

// sip, sie, hip, hvip by interrupt number
#define IRQ_SSI 1u
#define IRQ_VSSI 2u
#define IRQ_STI 5u
#define IRQ_VSTI 6u
#define IRQ_SEI 9u
#define IRQ_VSEI 10u
#define IRQ_SGEI 12u

// scause
#define CAUSE_INTERRUPT BIT64(63)
enum cause {
    CAUSE_FETCH_MISALIGNED = 0,
    CAUSE_FETCH_ACCESS = 1,
    CAUSE_ILLEGAL = 2,
    CAUSE_BREAKPOINT = 3,
    CAUSE_LOAD_MISALIGNED = 4,
    CAUSE_LOAD_ACCESS = 5,
    CAUSE_STORE_MISALIGNED = 6,
    CAUSE_STORE_ACCESS = 7,
    CAUSE_ECALL_U = 8,
    CAUSE_ECALL_HS = 9,
    CAUSE_ECALL_VS = 10,
    CAUSE_FETCH_PAGE = 12,
    CAUSE_LOAD_PAGE = 13,
    CAUSE_STORE_PAGE = 15,
    CAUSE_FETCH_GUEST_PAGE = 20,
    CAUSE_LOAD_GUEST_PAGE = 21,
    CAUSE_VIRTUAL_INSTRUCTION = 22,
    CAUSE_STORE_GUEST_PAGE = 23,
    CAUSE_COUNT = 64 // beyond are none
};

// satp, hgatp
#define SATP_MODE_SHIFT 60
#define SATP_SV39 UINT64_C(8)
#define SATP_SV48 UINT64_C(9)
#define HGATP_VMID_SHIFT 44
#define HGATP_VMID_MASK MASK64(44, 14)

#define COUNTEREN_CY BIT64(0)
#define COUNTEREN_TM BIT64(1)
#define COUNTEREN_IR BIT64(2)

#define HENVCFG_FIOM BIT64(0)
#define HENVCFG_CBIE_FLUSH (UINT64_C(1) << 4)
#define HENVCFG_CBCFE BIT64(6)
#define HENVCFG_CBZE BIT64(7)
#define HENVCFG_PBMTE BIT64(62)
#define HENVCFG_STCE BIT64(63)

// hstateen0
#define HSTATEEN_AIA \
    (BIT64(58) | BIT64(59) | BIT64(60)) // IMSIC, the rest of the AIA, and siselect with sireg
#define HSTATEEN_ENVCFG BIT64(62)
