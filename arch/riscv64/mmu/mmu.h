// SPDX-License-Identifier: Apache-2.0
//
// The direct map's place, which depends on how deep the page tables are, and how many bits of VMIDs there are.
#pragma once

#include "kernel/lib/types.h"
#include "linker/riscv64.h"

static inline uint64_t mmu_direct_base(unsigned levels)
{
    return levels == 4 ? DIRECT_VA_SV48 : DIRECT_VA_SV39;
}

static inline uint64_t mmu_direct_size(unsigned levels)
{
    return levels == 4 ? DIRECT_SIZE_SV48 : DIRECT_SIZE_SV39;
}

// Called once by boot_main().
void mmu_init(unsigned levels);
unsigned mmu_levels(void);
uint64_t mmu_satp(void);

// What hgatp has; set once, before the first guest.
void mmu_set_vmid_bits(unsigned bits);
