// SPDX-License-Identifier: Apache-2.0
//
// The first reading of the device tree: what must be known before there is a memory allocator.
#pragma once

#include "arch/boot.h"
#include "kernel/lib/status.h"

// The arm64 and riscv boot protocols' limit for the blob.
#define FDT_SIZE_MAX MIB(2)

// Checks the blob at bi->fdt (which the architecture has mapped, FDT_SIZE_MAX bytes or to the end of its RAM)
// and fills the second block of *bi. Boot CPU, before page_init(). Says in the log what is wrong. E_NOENT:
// there is no blob; E_CORRUPT: it is damaged or describes no memory.
enum status fdt_boot_scan(struct boot_info *bi);

// The same for a blob at `blob` of which `room` bytes may be read; bi->fdt is the address to reserve. Pure.
enum status fdt_boot_parse(struct boot_info *bi, const void *blob, uint64_t room);
