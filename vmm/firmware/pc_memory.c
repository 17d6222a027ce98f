// SPDX-License-Identifier: Apache-2.0
//
// The memory map of the virtual PC: the plan's regions, with the holes that every PC has below 1 MiB.
#include "vmm/firmware/pc_tables.h"

static unsigned add(struct pc_memory *out, unsigned count, uint64_t base, uint64_t end, uint32_t type)
{
    if (base >= end) {
        return count;
    }
    out[count] = (struct pc_memory){base, end - base, type};
    return count + 1;
}

// RAM that begins at 0 and reaches beyond 1 MiB: what is in between belongs to the firmware.
static unsigned add_low(struct pc_memory *out, unsigned count, uint64_t end)
{
    count = add(out, count, 0, PC_LOW_RESERVED, PC_MEMORY_RAM);
    count = add(out, count, PC_LOW_RESERVED, PC_VIDEO, PC_MEMORY_RESERVED);
    count = add(out, count, PC_TABLES_BASE, PC_HIGH_MEMORY, PC_MEMORY_RESERVED);
    return add(out, count, PC_HIGH_MEMORY, end, PC_MEMORY_RAM);
}

unsigned pc_memory_map(const struct vm_plan *plan, struct pc_memory *out)
{
    unsigned count = 0;

    for (unsigned i = 0; i < plan->region_count; i++) {
        const struct plan_region *r = &plan->regions[i];

        if (r->kind == REGION_RAM && r->base == 0 && r->size >= PC_HIGH_MEMORY) {
            count = add_low(out, count, r->size);
        } else {
            count = add(out, count, r->base, r->base + r->size,
                        r->kind == REGION_RAM ? PC_MEMORY_RAM : PC_MEMORY_RESERVED);
        }
    }
    return count;
}
