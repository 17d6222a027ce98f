// SPDX-License-Identifier: Apache-2.0
//
// The IMSIC's registers (RISC-V Advanced Interrupt Architecture 1.0, chapters 2 and 3): CSRs by number, since
// assemblers of the day do not know their names, and what is behind siselect.
#pragma once

#include "kernel/lib/types.h"

#define CSR_SISELECT 0x150
#define CSR_SIREG 0x151
#define CSR_STOPEI 0x15c
#define CSR_VSISELECT 0x250
#define CSR_VSIREG 0x251
#define CSR_VSTOPEI 0x25c

#define IMSIC_EIDELIVERY 0x70u
#define IMSIC_EITHRESHOLD 0x72u
#define IMSIC_EIP(id) (0x80u + (id) / 64 * 2) // 64 identities to each even number
#define IMSIC_EIE(id) (0xc0u + (id) / 64 * 2)
#define IMSIC_ID_LIMIT 2048u

#define IMSIC_STR_(n) #n
#define IMSIC_STR(n) IMSIC_STR_(n)
#define imsic_csr_read(number)                                                \
    ({                                                                        \
        uint64_t value_;                                                      \
        asm volatile("csrr %0, " IMSIC_STR(number) : "=r"(value_)::"memory"); \
        value_;                                                               \
    })
#define imsic_csr_write(number, v)                                               \
    do {                                                                         \
        uint64_t value_ = (v);                                                   \
        asm volatile("csrw " IMSIC_STR(number) ", %0" ::"r"(value_) : "memory"); \
    } while (0)
#define imsic_csr_swap(number, v)                                                     \
    ({                                                                                \
        uint64_t value_ = (v);                                                        \
        asm volatile("csrrw %0, " IMSIC_STR(number) ", %0" : "+r"(value_)::"memory"); \
        value_;                                                                       \
    })

// Of this hart's supervisor-level file; interrupts masked, since siselect is one for all.
static inline uint64_t imsic_read(unsigned reg)
{
    imsic_csr_write(CSR_SISELECT, reg);
    return imsic_csr_read(CSR_SIREG);
}

static inline void imsic_write(unsigned reg, uint64_t value)
{
    imsic_csr_write(CSR_SISELECT, reg);
    imsic_csr_write(CSR_SIREG, value);
}

// Of the guest file that hstatus.VGEIN selects.
static inline uint64_t imsic_guest_read(unsigned reg)
{
    imsic_csr_write(CSR_VSISELECT, reg);
    return imsic_csr_read(CSR_VSIREG);
}

static inline void imsic_guest_write(unsigned reg, uint64_t value)
{
    imsic_csr_write(CSR_VSISELECT, reg);
    imsic_csr_write(CSR_VSIREG, value);
}
