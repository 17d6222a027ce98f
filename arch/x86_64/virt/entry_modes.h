// SPDX-License-Identifier: Apache-2.0
//
// How a vCPU starts: values of struct vcpu_entry.mode.
#pragma once

#include "kernel/lib/types.h"

struct arch_vcpu;
struct vcpu_entry;

#define X86_MODE_LINUX64 \
    0u // Linux's 64-bit boot protocol: paging with the tables at X86_BOOT_TABLES, rsi = arg
#define X86_MODE_FLAT32 1u // 32-bit protected mode without paging, flat segments, ebx = arg (PVH, multiboot)
#define X86_MODE_REAL 2u   // real mode at entry.pc, which is below 1 MiB and a multiple of 16 (SIPI: of 4096)

// Guest physical address of the page tables that a 64-bit start uses; written by whoever loads the guest.
#define X86_BOOT_TABLES 0x9000

// Gives a vCPU in its reset state the mode and registers of `entry`.
void x86_enter_mode(struct arch_vcpu *av, const struct vcpu_entry *entry);
