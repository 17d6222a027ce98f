// SPDX-License-Identifier: Apache-2.0
//
// Between the boot assembly and the rest of the architecture.
#pragma once

#include "kernel/lib/early_map.h"
#include "kernel/lib/types.h"

// Linker symbols. Before the MMU is on their addresses are physical, afterwards they are the linked ones.
extern char image_start[], text_end[], rodata_end[], readonly_end[];
extern char ro_after_init_start[], ro_after_init_end[];
extern char image_end[], boot_stack_guard[], boot_stack_bottom[], early_tables_start[], early_tables_end[];

// What a secondary hart reads with its MMU off (boot/entry.S knows the layout).
struct secondary_boot {
    uint64_t satp;
    uint64_t entry;     // virtual
    uint64_t stack_top; // virtual
    uint64_t index;
    uint64_t id; // hart + 1, 0: nobody's; written last
};
#define SECONDARY_MAX 256 // one each: a late starter still finds its own
extern struct secondary_boot secondary_boots[SECONDARY_MAX];
extern uint32_t
    secondaries_known; // not 0: the table above is cleared, harts at the image's start look into it
extern const char secondary_entry[], secondary_virtual[];

// Where the image lies: physical = virtual - image_offset, modulo 2^64.
extern uint64_t image_offset;
extern struct early_map boot_tables;

// What is or will be read-only of an image at this address, and so has no second, writable mapping.
static inline struct early_range boot_sealed_part(uint64_t image_pa)
{
    return (struct early_range){image_pa, image_pa + (uint64_t)(ro_after_init_end - image_start)};
}

// Called by entry.S.
uint64_t boot_map(uint64_t image_pa, uint64_t fdt_pa, unsigned levels);
[[gnu::noreturn]] void boot_main(uint64_t image_pa, uint64_t fdt_pa, uint64_t hart, unsigned levels);
void boot_say_no_h(void);
