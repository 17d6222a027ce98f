// SPDX-License-Identifier: Apache-2.0
//
// After initialisation: data that no longer changes loses its write permission, and how fast the clock runs is known.

#include "arch/mmu.h"
#include "arch/x86_64/boot/boot.h"
#include "arch/x86_64/cpu/cpu_local.h"

void arch_seal_image(void)
{
    uint64_t va = (uint64_t)(uintptr_t)ro_after_init_start;
    uint64_t size = (uint64_t)(ro_after_init_end - ro_after_init_start);

    time_refine();
    if (size) {
        early_map_protect(&boot_tables, va, size);
        arch_tlb_flush_host(va, size);
    }
}
