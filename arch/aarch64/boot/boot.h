// SPDX-License-Identifier: Apache-2.0
//
// Between the boot assembly and the rest of the architecture.
#pragma once

#include "kernel/lib/early_map.h"
#include "kernel/lib/types.h"

// Linker symbols. Before the MMU is on their addresses are physical, afterwards they are the linked ones.
extern char image_start[], text_end[], idmap_start[], rodata_end[], readonly_end[];
extern char ro_after_init_start[], ro_after_init_end[];
extern char image_end[], boot_stack_guard[], boot_stack_bottom[], early_tables_start[], early_tables_end[];

// What a secondary CPU reads with its MMU off (boot/entry.S knows the layout).
struct secondary_boot {
    uint64_t root;      // physical address of the page table
    uint64_t stack_top; // virtual
    uint64_t index;
    uint64_t id; // affinity fields and SECONDARY_READY: written last
};
#define SECONDARY_READY BIT64(31) // RES1 in MPIDR_EL1: an unused entry is nobody's
#define SECONDARY_MAX 256         // one each: a late starter still finds its own
extern struct secondary_boot secondary_boots[SECONDARY_MAX];
// With the physical address of its own one in x0 (PSCI); and without, each CPU looks for its own and waits for it.
void secondary_entry(void);
void secondary_spin_entry(void);

// Where the image lies: physical = virtual - image_offset, modulo 2^64.
extern uint64_t image_offset;
extern struct early_map boot_tables;

// What is or will be read-only of an image at this address, and so has no second, writable mapping.
static inline struct early_range boot_sealed_part(uint64_t image_pa)
{
    return (struct early_range){image_pa, image_pa + (uint64_t)(ro_after_init_end - image_start)};
}

// Called by entry.S.
uint64_t boot_map(uint64_t image_pa, uint64_t fdt_pa);
[[gnu::noreturn]] void boot_main(uint64_t image_pa, uint64_t fdt_pa);
void boot_el3_gic(void);
void boot_say_no_el2(void);
