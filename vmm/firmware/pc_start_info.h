// SPDX-License-Identifier: Apache-2.0
//
// What a PC guest without firmware finds at entry: PVH's start_info, its memory map and the command line (docs/misc/pvh.pandoc of
// Xen; xen/include/public/arch-x86/hvm/start_info.h). Pure. Any thread.
#pragma once

#include "kernel/lib/types.h"
#include "vmm/config/plan.h"

// Guest physical addresses.
#define PC_START_INFO 0x6000u // start_info, memory map behind it
#define PC_CMDLINE 0x20000u

#define PC_START_INFO_CAPACITY KIB(4)

struct pc_start_info_input {
    const struct vm_plan *plan;
    bool has_cmdline; // at PC_CMDLINE
    uint64_t rsdp;    // 0: no ACPI tables
    uint64_t initrd_base, initrd_size;
};

// Fills `buf`, which goes to PC_START_INFO. Returns how many bytes.
size_t pc_start_info_build(const struct pc_start_info_input *in, uint8_t buf[PC_START_INFO_CAPACITY]);
