// SPDX-License-Identifier: Apache-2.0
//
// Between the boot assembly and the rest of the architecture.
#pragma once

#include "kernel/lib/early_map.h"
#include "kernel/lib/types.h"
#include "linker/x86_64.h"

extern char image_start[], text_end[], rodata_end[], readonly_end[];
extern char ro_after_init_start[], ro_after_init_end[];
extern char image_end[], boot_stack_guard[], boot_stack_bottom[], panic_stack_top[];
extern char early_tables_start[], early_tables_end[];

// Where the image lies: physical = virtual - IMAGE_OFFSET.
#define IMAGE_OFFSET (IMAGE_VA - IMAGE_PA)

// What another CPU reads on its first page tables (boot/entry.S knows the layout).
struct secondary_boot {
    uint64_t cr3;
    uint64_t stack_top;
    uint64_t index;
};
struct trampoline_args {
    uint64_t cr3;  // shows the trampoline where it is, and the image; below 4 GiB
    uint64_t boot; // struct secondary_boot, virtual
    uint64_t entry;
};
extern const char trampoline_start[], trampoline_end[], trampoline_args[], secondary_virtual[];

extern struct early_map boot_tables;

// Called by entry.S.
[[gnu::noreturn]] void boot_main(unsigned protocol, uint64_t params);

// Adds device registers to the direct map, uncached. Boot CPU, before vmap_init().
volatile void *boot_map_device(uint64_t pa, uint64_t size);

// Makes the trampoline start a CPU at `boot`.
void trampoline_set(const struct secondary_boot *boot);
