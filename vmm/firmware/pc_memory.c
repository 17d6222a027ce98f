// SPDX-License-Identifier: Apache-2.0
//
// The memory map of the virtual PC: the plan's RAM, with the hole that every PC has below 1 MiB.
#include "vmm/firmware/pc_tables.h"

static unsigned add(struct pc_memory *out, unsigned count, uint64_t base, uint64_t end, uint32_t type)
{
    if (base >= end) {
        return count;
    }
    out[count] = (struct pc_memory){base, end - base, type};
    return count + 1;
}

unsigned pc_memory_map(const struct vm_plan *plan, struct pc_memory out[PC_MEMORY_MAX])
{
    unsigned count = 0;

    for (unsigned i = 0; i < plan->region_count; i++) {
        uint64_t base = plan->regions[i].base, end = base + plan->regions[i].size;

        if (plan->regions[i].kind == REGION_RAM) {
            count = add(out, count, base, min_u64(end, PC_LOW_RAM_END), PC_MEMORY_RAM);
            count =
                add(out, count, max_u64(base, PC_LOW_RAM_END), min_u64(end, PC_HIGH_RAM), PC_MEMORY_RESERVED);
            count = add(out, count, max_u64(base, PC_HIGH_RAM), end, PC_MEMORY_RAM);
        }
    }
    return count;
}
