// SPDX-License-Identifier: Apache-2.0
//
// Which optional extensions the device tree lists for every hart ("riscv,isa-extensions", else "riscv,isa"): what it
// does not list is not used. What firmware must enable as well (Sstc) is tried once, and counts only when it works.
#pragma once

#include "kernel/lib/types.h"

enum isa_ext {
    ISA_D,
    ISA_F,
    ISA_V,
    ISA_H,
    ISA_SSTC,
    ISA_SMAIA,
    ISA_SMSTATEEN,
    ISA_SSSTATEEN,
    ISA_SSAIA,
    ISA_SVINVAL,
    ISA_SVNAPOT,
    ISA_SVPBMT,
    ISA_ZBA,
    ISA_ZBB,
    ISA_ZBC,
    ISA_ZBS,
    ISA_ZICBOM,
    ISA_ZICBOP,
    ISA_ZICBOZ,
    ISA_ZIHINTPAUSE,
    ISA_COUNT
};

// Reads the tree; boot CPU, once. Before that nothing is there.
void isa_init(const void *fdt);
extern uint64_t isa_present; // bit by enum isa_ext; look with isa_has()
static inline bool isa_has(enum isa_ext ext)
{
    return (isa_present & BIT64(ext)) != 0;
}
const char *isa_name(enum isa_ext ext); // "sstc"

// Properties of /cpus that came along.
uint64_t isa_timebase(void);   // ticks per second of the time CSR
uint64_t isa_cbom_block(void); // bytes; 0 without Zicbom
uint64_t isa_cboz_block(void);
