// SPDX-License-Identifier: Apache-2.0
//
// What a multiboot kernel finds at entry: the information structure with memory map, command line and one module, the initrd
// (Multiboot specification 0.6.96, 3.3). Pure. Any thread.
#pragma once

#include "kernel/lib/types.h"
#include "vmm/config/plan.h"

#define PC_MULTIBOOT 0x6000u // guest physical address of all of it
#define PC_MULTIBOOT_CAPACITY KIB(4)

struct pc_multiboot_input {
    const struct vm_plan *plan;
    uint32_t cmdline;                  // address of a string; 0: none
    uint32_t initrd_base, initrd_size; // size 0: none
};

// Fills `buf`, which goes to PC_MULTIBOOT. Returns how many bytes.
size_t pc_multiboot_build(const struct pc_multiboot_input *in, uint8_t buf[PC_MULTIBOOT_CAPACITY]);
